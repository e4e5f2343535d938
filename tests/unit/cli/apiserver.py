"""A few Workflows over HTTP, as an API server gives them: get, list, watch; and requests on them. In its own thread."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from fairlead.engine.names import shard_name

PATH = "/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/workflows"
ACTIONS = "/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/workflowactions"
REVISIONS = "/apis/apps/v1/namespaces/{namespace}/controllerrevisions"
SHARDS = "/apis/fairlead.dev/v1alpha1/namespaces/{namespace}/taskstatusshards"
PODS = "/api/v1/namespaces/{namespace}/pods"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class FakeApiServer:
    """Serves `workflows`; `watches` has the events of one watch after the other, or what is to happen meanwhile.

    `logs` are those of pods by name, `job_pods` the names of a Job's.
    `shards` are TaskStatusShards by name, `revisions` the definitions that runs of templates keep to. `actions` are
    those that were created. `operator` is called with each, and what it returns is its status; None leaves it without
    an answer. `refusal` is what a write, or the read of a shard or a log, is answered with, if anything. The user
    is ann.
    """

    def __init__(self) -> None:
        self.workflows: dict[str, dict[str, Any]] = {}
        self.watches: list[list[Any]] = []
        self.shards: dict[str, dict[str, Any]] = {}
        self.served = True
        self.revisions: dict[str, dict[str, Any]] = {}
        self.actions: list[dict[str, Any]] = []
        self.operator: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _: None
        self.refusal: tuple[int, str, str] | None = None
        self.logs: dict[str, str] = {}
        self.job_pods: dict[str, list[str]] = {}
        self.seen: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.url = ""

    def add(self, name: str, status: Any, tasks: list[dict[str, Any]], version: str = "1") -> dict[str, Any]:
        made = workflow(name, status, tasks, version)
        self.workflows[name] = made
        return made

    def shard(self, index: int, *tasks: tuple[str, str], run: str = "demo") -> None:
        """Set one of the TaskStatusShards of a run to these tasks and phases."""
        entries = [{"name": name, "phase": phase} for name, phase in tasks]
        uid = self.workflows[run]["metadata"]["uid"]
        shard = {"workflowUID": uid, "index": index, "revision": 1, "tasks": entries}
        self.shards[shard_name(run, uid, index)] = shard

    def kubeconfig(self, directory: Path) -> Path:
        file = directory / "kubeconfig"
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "contexts": [{"name": "fake", "context": {"cluster": "c", "user": "u", "namespace": "data"}}],
                    "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                }
            )
        )
        return file

    async def _get(self, request: web.Request) -> web.StreamResponse:
        found = self.workflows.get(request.match_info["name"])
        self.seen.append(request.path)
        return web.json_response(found) if found else _not_found()

    async def _get_shard(self, request: web.Request) -> web.StreamResponse:
        found = self.shards.get(request.match_info["name"])
        if self.refusal:
            return _status(*self.refusal)
        return web.json_response(found) if found else _not_found()

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if not self.served:
            return _not_found()
        if "watch" not in request.query:
            items = [{"metadata": {"name": name}} for name in self.workflows]
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})
        self.seen.append(f"watch from {request.query['resourceVersion']} {request.query['fieldSelector']}")
        response = web.StreamResponse()
        await response.prepare(request)
        for event in self.watches.pop(0):
            if callable(event):
                event()
                continue
            if event["type"] in ("ADDED", "MODIFIED"):
                self.workflows[event["object"]["metadata"]["name"]] = event["object"]
            elif event["type"] == "DELETED":
                self.workflows.clear()
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    async def _get_revision(self, request: web.Request) -> web.StreamResponse:
        found = self.revisions.get(request.match_info["name"])
        return web.json_response({"data": found}) if found else _not_found()

    async def _log(self, request: web.Request) -> web.StreamResponse:
        text = self.logs.get(request.match_info["name"])
        if self.refusal:
            return _status(*self.refusal)
        if text is None:
            return _not_found()
        lines, tail = text.splitlines(keepends=True), int(request.query.get("tailLines", 10**6))
        return web.Response(text="".join(lines[-tail:] if tail else ()))

    async def _list_pods(self, request: web.Request) -> web.StreamResponse:
        job = request.query["labelSelector"].partition("=")[2]
        items = [{"metadata": {"name": name}} for name in self.job_pods.get(job, ())]
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})

    async def _review(self, request: web.Request) -> web.StreamResponse:
        user = {"username": "ann", "groups": ["leads", "system:authenticated"]}
        return web.json_response(await request.json() | {"status": {"userInfo": user}}, status=201)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        if self.refusal:
            return _status(*self.refusal)
        action = await request.json()
        name = f"{action['metadata'].pop('generateName')}x{len(self.actions)}"
        action["metadata"] |= {"name": name, "namespace": "data", "uid": name, "resourceVersion": "1"}
        self.actions.append(action)
        return web.json_response(action, status=201)

    async def _watch_actions(self, request: web.Request) -> web.StreamResponse:
        name = request.query["fieldSelector"].partition("=")[2]
        action = next(each for each in self.actions if each["metadata"]["name"] == name)
        response = web.StreamResponse()
        await response.prepare(request)
        status = self.operator(action)
        if status is None:
            await asyncio.sleep(0.05)
        else:
            action |= {"status": status, "metadata": {**action["metadata"], "resourceVersion": "2"}}
            await response.write(json.dumps({"type": "MODIFIED", "object": action}).encode() + b"\n")
        return response

    async def _get_action(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return web.json_response(next(each for each in self.actions if each["metadata"]["name"] == name))

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        if self.refusal:
            return _status(*self.refusal)
        found, changes = self.workflows[request.match_info["name"]], await request.json()
        assert changes["metadata"] == {"uid": found["metadata"]["uid"]}
        found["spec"] |= changes["spec"]
        found["metadata"]["generation"] = 2
        return web.json_response(found)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get(PATH, self._list)
        app.router.add_get(PATH + "/{name}", self._get)
        app.router.add_patch(PATH + "/{name}", self._patch)
        app.router.add_get(REVISIONS + "/{name}", self._get_revision)
        app.router.add_get(SHARDS + "/{name}", self._get_shard)
        app.router.add_get(PODS, self._list_pods)
        app.router.add_get(PODS + "/{name}/log", self._log)
        app.router.add_post(REVIEWS, self._review)
        app.router.add_post(ACTIONS, self._ask)
        app.router.add_get(ACTIONS, self._watch_actions)
        app.router.add_get(ACTIONS + "/{name}", self._get_action)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined]
            transport.abort()  # whatever its client has left unread
        for _ in range(10):  # what connections, even one just accepted, put off until it goes round: else they are lost
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


def workflow(name: str, status: Any, tasks: list[dict[str, Any]], version: str, uid: str = "u1") -> dict[str, Any]:
    return copy.deepcopy(
        {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": name, "namespace": "data", "uid": uid, "resourceVersion": version},
            "spec": {"tasks": tasks},
            "status": status,
        }
    )


def answer(accepted: str, reason: str = "Accepted", message: str = "") -> dict[str, Any]:
    """Return the status of an action that was answered."""
    return {
        "conditions": [
            {"type": "Accepted", "status": accepted, "reason": reason, "message": message},
            {"type": "Completed", "status": "True", "reason": reason, "message": message},
        ]
    }


def _not_found() -> web.Response:
    return _status(404, "NotFound", "not found")


def _status(code: int, reason: str, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": message}, status=code)
