"""Scenes for the watchman's tests: a cluster with a watchman, and writes in the name of an operator that is broken."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from fairlead.api import labels
from fairlead.engine.names import attempt_name
from fairlead.kube.asking import USER_AGENT
from fairlead.kube.resources import PODS, WORKFLOWACTIONS, WORKFLOWS, Resource
from fairlead.testing.cluster import Cluster
from fairlead.testing.invariants import Violation, Watchman
from fairlead.testing.loop import run
from fairlead.testing.nodes import Act, Program

Scene = Callable[[Cluster, Watchman], Awaitable[None]]


def task(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """Return a task that runs a container, if nothing else is said."""
    kinds = {"set", "wait", "workflow", "job", "approval"}
    kind = {} if kinds & more.keys() else {"container": {"image": "i"}}
    return {"name": name, "needs": list(needs), **kind, **more}


DIAMOND = {"tasks": [task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c")], "finally": [task("z")]}


def short(pod: Mapping[str, Any]) -> Act:
    """Run for two seconds; a task called `bad` fails."""
    bad = pod["metadata"]["annotations"][labels.NODE].startswith("bad")
    return Act(seconds=2, exit_code=1 if bad else 0)


def watched(scene: Scene, program: Program = short, *, seed: int = 1, **options: Any) -> list[Violation]:
    """Play a scene under a watchman; return what it says."""

    async def main() -> list[Violation]:
        cluster = Cluster(program, seed=seed)
        watchman = Watchman(cluster, **options)
        await scene(cluster, watchman)
        await cluster.close()
        return watchman.end()

    return run(main(), stall_at=100_000)


def real(spec: Mapping[str, Any], *acts: Callable[[Cluster], Awaitable[None]], operators: int = 1) -> Scene:
    """Return a scene with shipped operators: the run `daily`, what is done to it, its end, and the rest after that."""

    async def scene(cluster: Cluster, watchman: Watchman) -> None:
        for number in range(operators):
            cluster.host(f"operator-{number + 1}").start()
        cluster.put(WORKFLOWS, {"metadata": {"name": "daily"}, "spec": spec}, "default")
        for act in acts:
            await act(cluster)
        await cluster.until(lambda: is_over(cluster))
        await asyncio.sleep(30)
        watchman.at_rest()
        await asyncio.sleep(700)

    return scene


def is_over(cluster: Cluster) -> bool:
    return not cluster.get(WORKFLOWS, "daily") or cluster.finished("daily")


def ask(cluster: Cluster, name: str, action: str, **spec: Any) -> None:
    """Ask something of the run `daily`."""
    uid = cluster.get(WORKFLOWS, "daily")["metadata"]["uid"]
    asked = {"workflowName": "daily", "workflowUID": uid, "action": action, **spec}
    asked["requestedBy"] = {"username": "somebody"}
    cluster.put(WORKFLOWACTIONS, {"metadata": {"name": name}, "spec": asked}, "default")


class Broken:
    """An operator that does what no operator may. What it writes takes effect at once."""

    def __init__(self, cluster: Cluster, name: str = "broken") -> None:
        self.cluster = cluster
        self._session = cluster.network.session(name)

    async def send(self, method: str, path: str, body: Any = None, type_: str = "application/merge-patch+json") -> None:
        headers = {"User-Agent": USER_AGENT, "Content-Type": type_}
        data = None if body is None else orjson.dumps(body)
        reply = await self._session.send(method, path, headers, data, seconds=10, connect_seconds=5)
        assert reply.status < 300, reply.body

    def daily(self) -> dict[str, Any]:
        return self.cluster.get(WORKFLOWS, "daily")

    def pod_name(self, node: str, number: int = 1) -> str:
        return attempt_name("daily", self.daily()["metadata"]["uid"], node, number)

    async def create_pod(self, node: str, number: int = 1, **metadata: Any) -> None:
        """Create the pod of an attempt, as an operator does it."""
        await self.create(PODS, node, number, {"spec": {"containers": [{"name": "main", "image": "i"}]}}, **metadata)

    async def create(self, resource: Resource, node: str, number: int, body: dict[str, Any], **metadata: Any) -> None:
        uid = self.daily()["metadata"]["uid"]
        owner = {"apiVersion": WORKFLOWS.api_version, "kind": WORKFLOWS.kind, "name": "daily", "uid": uid}
        whole = {
            "name": self.pod_name(node, number),
            "labels": {labels.RUN_UID: uid},
            "annotations": {labels.NODE: node},
            "ownerReferences": [{**owner, "controller": True}],
            "finalizers": [labels.FINALIZER],
            **metadata,
        }
        head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": whole}
        await self.send("POST", resource.path("default"), {**head, **body})

    async def release(self, node: str, number: int = 1) -> None:
        """Take the finalizer off a pod."""
        body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [labels.FINALIZER]}}
        path = PODS.path("default", self.pod_name(node, number))
        await self.send("PATCH", path, body, "application/strategic-merge-patch+json")

    async def delete(self, resource: Resource, name: str, **options: Any) -> None:
        uid = self.cluster.get(resource, name)["metadata"]["uid"]
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}, **options}
        await self.send("DELETE", resource.path("default", name), body)

    async def record(self, *tasks: dict[str, Any], **status: Any) -> None:
        """Write the status of `daily`."""
        generation = self.daily()["metadata"]["generation"]
        whole = {"observedGeneration": generation, "tasks": list(tasks), **status}
        await self.send("PATCH", WORKFLOWS.path("default", "daily", "status"), {"status": whole})


def entry(name: str, phase: str, *attempts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what is on record of a node."""
    return {"name": name, "phase": phase, "attempts": list(attempts), **more}


def attempt(number: int = 1, *, ended: bool = True, **more: Any) -> dict[str, Any]:
    """Return what is on record of an attempt."""
    return {"number": number, **({"completionTime": "2026-11-22T08:00:09Z"} if ended else {}), **more}


def condition(kind: str, value: str, moved: str = "2026-11-22T08:00:00Z", reason: str = "Done") -> dict[str, Any]:
    return {"type": kind, "status": value, "reason": reason, "message": "", "lastTransitionTime": moved}


def broken(spec: Mapping[str, Any], act: Callable[[Broken], Awaitable[None]], **options: Any) -> list[str]:
    """Let a broken operator work at the run `daily`; return the violations as `S1: …`."""

    async def scene(cluster: Cluster, watchman: Watchman) -> None:
        cluster.put(WORKFLOWS, {"metadata": {"name": "daily"}, "spec": spec}, "default")
        await act(Broken(cluster))
        await asyncio.sleep(1)

    return [f"{each.invariant}: {each.text}" for each in watched(scene, **options)]
