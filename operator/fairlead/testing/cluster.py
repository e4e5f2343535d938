"""A whole cluster in memory: API server, network, nodes, clean-up, and any number of operators.

Must be made inside a running :class:`VirtualLoop`; everything in it happens on that loop, in virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from fairlead.archive.store import ArchiveStore
from fairlead.controllers.options import OperatorOptions
from fairlead.kube.resources import NAMESPACES, WORKFLOWS, Resource

from .apiserver import Answer, ApiServer, Request
from .apiserver.store import Change
from .host import Host, host_tasks
from .network import Network, Weather
from .nodes import Act, Nodes, Program

__all__ = ["LEASE_NAMESPACE", "START", "Cluster"]

JsonObject = dict[str, Any]

#: When virtual time begins.
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

#: Where the operators' Leases are.
LEASE_NAMESPACE = "fairlead-system"

#: Seconds after a change until the cluster's own controllers look at what it means.
_COLLECT_SECONDS = 0.2


class Cluster:
    """The cluster, with the namespace `default`; `program` says what its pods do, `seed` decides on everything else.

    With `leases` its operators divide the runs among them, by Leases in a namespace of their own. They have these
    `options`, and put what is left of runs into this `archive`.
    """

    def __init__(
        self,
        program: Program = lambda _: Act(),
        *,
        seed: int = 0,
        weather: Weather | None = None,
        leases: bool = False,
        archive: ArchiveStore | None = None,
        options: OperatorOptions | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(host_tasks)
        self.random = Random(seed)
        self.server = ApiServer(now=self.now)
        self.network = Network(self.server, weather)
        self.hosts: list[Host] = []
        #: Nobody's: what is set off in it outlives the operator that was at work just then.
        self.context = copy_context()
        self._collecting = False
        self.server.listeners.append(self._changed)
        self.nodes = Nodes(self.server, program, self.now, lambda: self.random.uniform(0.01, 0.4))
        self.put(NAMESPACES, {"metadata": {"name": "default"}})
        self.leases = leases
        self._archive = archive
        self._options = options or OperatorOptions()
        if leases:
            self.put(NAMESPACES, {"metadata": {"name": LEASE_NAMESPACE}})

    def now(self) -> datetime:
        """Return the true time."""
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def host(self, name: str = "operator-1", namespaces: tuple[str, ...] = ()) -> Host:
        """Return a machine for one more operator, of all namespaces or some, which does not run yet."""
        leases = LEASE_NAMESPACE if self.leases else None
        options = replace(self._options, lease_namespace=leases, replica=name, watch_namespaces=namespaces)
        host = Host(self.network, name, self.now, options, self._archive)
        self.hosts.append(host)
        return host

    # -- what people do, at once and without a network

    def put(
        self, resource: Resource, body: Mapping[str, Any], namespace: str = "", actor: str = "kubectl"
    ) -> JsonObject:
        """Create an object."""
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self._asked("POST", resource.path(namespace or None), whole, actor)

    def get(self, resource: Resource, name: str, namespace: str = "default") -> JsonObject:
        """Return an object, {} where there is none."""
        answer = self.ask("GET", resource.path(namespace if resource.namespaced else None, name))
        return dict(answer.body) if answer.code == 200 else {}

    def list(self, resource: Resource) -> list[JsonObject]:
        """Return all objects of a kind."""
        return list(self.ask("GET", resource.path()).body["items"])

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str = "default",
        *,
        subresource: str | None = None,
        actor: str = "kubectl",
    ) -> Answer:
        """Change an object by a merge patch."""
        headers = {"Content-Type": "application/merge-patch+json", "User-Agent": actor}
        return self.ask("PATCH", resource.path(namespace, name, subresource), body, headers)

    def delete(
        self, resource: Resource, name: str, namespace: str = "default", *, actor: str = "kubectl", **options: Any
    ) -> Answer:
        """Delete an object; `options` are those of the API."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        path = resource.path(namespace if resource.namespaced else None, name)
        return self.ask("DELETE", path, body, {"User-Agent": actor})

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send any request."""
        data = b"" if body is None else orjson.dumps(body)
        return self.server.handle(Request(method=method, path=path, headers=headers or {}, body=data))

    def _asked(self, method: str, path: str, body: Mapping[str, Any], actor: str) -> JsonObject:
        answer = self.ask(method, path, body, {"User-Agent": actor, "Content-Type": "application/json"})
        if answer.code >= 300:
            raise ValueError(f"{method} {path}: {answer.body.get('message')}")
        return dict(answer.body)

    # -- waiting

    async def until(self, reached: Callable[[], bool], seconds: float = 600.0, every: float = 0.5) -> bool:
        """Wait until something is so, for so many virtual seconds at most; tell whether it is."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not reached():
            if loop.time() >= end:
                return False
            await asyncio.sleep(every)
        return True

    def finished(self, name: str, namespace: str = "default") -> bool:
        """Tell whether a run has ended."""
        conditions = self.get(WORKFLOWS, name, namespace).get("status", {}).get("conditions", ())
        return any(each["type"] == "Finished" and each["status"] == "True" for each in conditions)

    async def close(self) -> None:
        """Kill every operator."""
        for host in self.hosts:
            if host.alive:
                host.crash()
        await asyncio.sleep(0)

    # -- the cluster's own controllers

    def _changed(self, change: Change) -> None:
        after = change.after
        if self._collecting or (after and "deletionTimestamp" not in after["metadata"] and change.verb != "create"):
            return
        self._collecting = True
        asyncio.get_running_loop().call_later(_COLLECT_SECONDS, self._collect)

    def _collect(self) -> None:
        self._collecting = False
        if getattr(self.server, "collect", bool)():
            self._collecting = True
            asyncio.get_running_loop().call_later(_COLLECT_SECONDS, self._collect)
