"""A client of a server in memory: verbs instead of requests, and a clock that is set by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fairlead.kube.resources import NAMESPACES, Resource
from fairlead.testing.apiserver import Answer, ApiServer, Request, Watch

__all__ = ["APPLY", "JSON", "MERGE", "NS", "STRATEGIC", "Client", "configmap", "owner_of", "pod", "told", "workflow"]

Object = dict[str, Any]

NS = "ns"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def pod(name: str = "p", /, **metadata: Any) -> Object:
    spec = {"containers": [{"name": "main", "image": "i:1"}, {"name": "side", "image": "s:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def configmap(name: str = "c", /, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"k": "v"}}


def workflow(name: str = "w", /, **metadata: Any) -> Object:
    head = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow"}
    return {**head, "metadata": {"name": name, **metadata}, "spec": {"suspend": False}}


def owner_of(obj: Object, **more: Any) -> Object:
    meta = obj["metadata"]
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"], **more}


class Client:
    """Asks in one namespace. A refusal is an AssertionError, unless it is asked for with `refused`."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
        self.server = ApiServer(now=lambda: self.time)
        self.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def ask(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", accept: str = "", **query: str
    ) -> Answer:
        headers = {"Content-Type": kind, "Accept": accept, "User-Agent": "test"}
        encoded = b"" if body is None else orjson.dumps(body)
        return self.server.handle(
            Request(method=method, path=path, query={"fieldManager": "m"} | query, headers=headers, body=encoded)
        )

    def create(self, resource: Resource, body: Object, **query: str) -> Object:
        return _done(self.ask("POST", self.path(resource), body, **query))

    def get(self, resource: Resource, name: str) -> Object:
        return _done(self.ask("GET", self.path(resource, name)))

    def list(self, resource: Resource, **query: str) -> Object:
        return _done(self.ask("GET", self.path(resource), **query))

    def names(self, resource: Resource, **query: str) -> list[str]:
        return [each["metadata"]["name"] for each in self.list(resource, **query)["items"]]

    def patch(
        self, resource: Resource, name: str, body: Any, kind: str = MERGE, part: str | None = None, **query: str
    ) -> Object:
        return _done(self.ask("PATCH", self.path(resource, name, part), body, kind, **query))

    def replace(self, resource: Resource, name: str, body: Object, part: str | None = None) -> Object:
        return _done(self.ask("PUT", self.path(resource, name, part), body))

    def delete(self, resource: Resource, name: str, **options: Any) -> Object:
        return _done(self.ask("DELETE", self.path(resource, name), options))

    def status(self, resource: Resource, name: str, **status: Any) -> Object:
        return self.patch(resource, name, {"status": status}, part="status")

    def bind(self, name: str, node: str = "n") -> None:
        path = f"/api/v1/namespaces/{NS}/pods/{name}/binding"
        _done(self.ask("POST", path, {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": node}}))

    def gone(self, resource: Resource, name: str) -> bool:
        return self.ask("GET", self.path(resource, name)).code == 404

    def watch(self, resource: Resource, after: str = "", accept: str = "", **query: str) -> Watch:
        asked = {"watch": "true", "resourceVersion": after or str(self.server.version)} | query
        path = self.path(resource)
        watch = self.server.watch(Request(method="GET", path=path, query=asked, headers={"Accept": accept}))
        assert isinstance(watch, Watch), watch
        return watch

    def settle(self) -> None:
        while self.server.collect():
            pass

    def path(self, resource: Resource, name: str | None = None, part: str | None = None) -> str:
        return resource.path(NS if resource.namespaced else None, name, part)


def _done(answer: Answer) -> Object:
    assert answer.code < 300, answer
    return dict(answer.body)


def told(watch: Watch) -> list[tuple[str, str, str]]:
    """What a watch tells: type, name, and version of each event."""
    events = [orjson.loads(line) for line in watch.take()]
    return [
        (
            each["type"],
            each["object"]["metadata"].get("name", ""),
            each["object"]["metadata"].get("resourceVersion", ""),
        )
        for each in events
    ]
