"""An operator that serves some namespaces, as it is shipped, in a cluster in memory: these, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.controllers.vitals import ready_checks
from fairlead.kube.resources import NAMESPACES, PODS, WORKFLOWS
from fairlead.testing.apiserver import Answer, Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.invariants import Watchman
from fairlead.testing.loop import run
from fairlead.testing.network import FairWeather, Passage
from fairlead.testing.nodes import Act

SERVED = ("team-a", "team-b")


def chain() -> dict[str, Any]:
    return {"tasks": [{"name": n, "needs": list(p), "container": {"image": "i"}} for n, p in (("a", ""), ("b", "a"))]}


def forbidden(request: Request) -> Answer:
    said = f'pods is forbidden: User "fairlead" cannot create resource "pods" in API group "" in {request.path}'
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden"}
    return Answer(code=403, body=body | {"message": said, "code": 403})


class Rights(FairWeather):
    """The operator has Roles in some namespaces, and may do nothing elsewhere."""

    def __init__(self) -> None:
        self.granted = set(SERVED)
        self.refused: list[str] = []

    def passage(self, sender: str, request: Request) -> Passage:
        parts = request.path.split("/")
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
        of_policies = "admissionregistration.k8s.io" in parts
        if sender == "kubectl" or namespace in self.granted or of_policies or "leases" in parts:
            return Passage()
        self.refused.append(request.path)
        return Passage(instead=forbidden(request))


class Scene:
    def __init__(self, *, leases: bool = False) -> None:
        self.rights = Rights()
        self.cluster = Cluster(lambda _: Act(seconds=2), seed=1, weather=self.rights, leases=leases)
        self.watchman = Watchman(self.cluster)
        for name in (*SERVED, "others"):
            self.cluster.put(NAMESPACES, {"metadata": {"name": name}})
        self.host = self.cluster.host(namespaces=SERVED)

    def apply(self, name: str, namespace: str) -> None:
        self.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": chain()}, namespace)

    def phase(self, name: str, namespace: str) -> str:
        return str(self.cluster.get(WORKFLOWS, name, namespace).get("status", {}).get("phase", ""))

    async def succeeds(self, name: str, namespace: str, seconds: float = 60) -> None:
        assert await self.cluster.until(lambda: self.phase(name, namespace) == "Succeeded", seconds)

    def metric(self, namespace: str) -> float | None:
        assert self.host.operator is not None
        return self.host.operator.metrics.registry.get_sample_value(
            "fairlead_namespace_served", {"watched_namespace": namespace}
        )

    def ready(self) -> list[str]:
        """What is wrong, as /readyz says it."""
        assert self.host.operator is not None
        return [said for check in ready_checks(self.host.operator).values() if (said := check())]


def play(scene: Callable[[Scene], Awaitable[None]], *, leases: bool = False) -> None:
    async def main() -> None:
        on = Scene(leases=leases)
        await scene(on)
        await on.cluster.close()

    run(main(), stall_at=100_000)


@pytest.mark.parametrize("leases", [False, True], ids=["alone", "as one of several"])
def test_rights_in_the_namespaces_are_enough(*, leases: bool) -> None:
    async def scene(on: Scene) -> None:
        on.host.start()
        for namespace in SERVED:
            on.apply("daily", namespace)
        for namespace in SERVED:
            await on.succeeds("daily", namespace)
        await asyncio.sleep(200)  # the sweep has been round several times
        assert on.rights.refused == []
        assert on.ready() == []
        assert [on.metric(namespace) for namespace in SERVED] == [1.0, 1.0]

    play(scene, leases=leases)


def test_runs_elsewhere_are_left_alone() -> None:
    async def scene(on: Scene) -> None:
        on.rights.granted.add("others")  # rights that somebody has left there change nothing
        on.host.start()
        on.apply("daily", "others")
        on.apply("daily", "team-a")
        await on.succeeds("daily", "team-a")
        await asyncio.sleep(200)
        assert on.phase("daily", "others") == ""
        assert {pod["metadata"]["namespace"] for pod in on.cluster.list(PODS)} == {"team-a"}

    play(scene)


def test_one_that_may_not_be_read_holds_up_no_other_and_is_served_once_it_may() -> None:
    async def scene(on: Scene) -> None:
        on.rights.granted.discard("team-b")
        on.host.start()
        on.apply("daily", "team-a")
        on.apply("daily", "team-b")
        await on.succeeds("daily", "team-a")
        assert on.ready() == []
        assert (on.metric("team-a"), on.metric("team-b")) == (1.0, 0.0)
        on.rights.granted.add("team-b")
        await on.succeeds("daily", "team-b")
        assert on.metric("team-b") == 1.0

    play(scene)


def test_where_none_may_be_read_it_says_so_and_waits() -> None:
    async def scene(on: Scene) -> None:
        on.rights.granted.clear()
        on.host.start()
        await asyncio.sleep(20)
        assert not on.host.is_ready
        assert any("grant the verbs list and watch" in said and "team-a" in said for said in on.ready())
        on.rights.granted.add("team-b")
        on.apply("daily", "team-b")
        await on.succeeds("daily", "team-b")

    play(scene)


def test_one_that_is_lost_at_work_ends_nothing_elsewhere() -> None:
    async def scene(on: Scene) -> None:
        on.host.start()
        on.apply("before", "team-b")
        await on.succeeds("before", "team-b")
        on.rights.granted.discard("team-b")
        await asyncio.sleep(200)
        assert (on.host.starts, on.metric("team-b"), on.ready()) == (1, 0.0, [])
        on.apply("daily", "team-a")
        await on.succeeds("daily", "team-a")
        on.apply("after", "team-b")
        await asyncio.sleep(60)
        on.rights.granted.add("team-b")
        await on.succeeds("after", "team-b")
        assert on.host.starts == 1

    play(scene)


def test_a_run_that_lost_its_namespace_and_got_it_back_goes_on_where_it_stood() -> None:
    async def scene(on: Scene) -> None:
        on.host.start()
        on.apply("daily", "team-b")
        assert await on.cluster.until(lambda: len(on.cluster.list(PODS)) == 1)
        on.rights.granted.discard("team-b")
        await asyncio.sleep(300)
        on.rights.granted.add("team-b")
        await on.succeeds("daily", "team-b", 120)
        created = [e.key.name for e in on.cluster.server.journal if (e.verb, e.resource) == ("create", "pods")]
        assert len(created) == len(set(created)) == 2
        await asyncio.sleep(100)
        on.watchman.at_rest()
        assert on.watchman.end() == []

    play(scene)


def test_replicas_move_while_one_namespace_may_not_be_read() -> None:
    async def scene(on: Scene) -> None:
        on.rights.granted.discard("team-b")
        on.host.start()
        assert await on.cluster.until(lambda: on.host.is_ready, 30)
        on.cluster.host("operator-2", SERVED).start()
        await asyncio.sleep(60)
        for number in range(8):
            on.apply(f"w{number}", "team-a")
        for number in range(8):
            await on.succeeds(f"w{number}", "team-a")

    play(scene, leases=True)


def test_a_workflow_that_is_deleted_is_forgotten() -> None:
    async def scene(on: Scene) -> None:
        on.host.start()
        on.apply("daily", "team-a")
        assert await on.cluster.until(lambda: len(on.cluster.list(PODS)) == 1)
        on.cluster.delete(WORKFLOWS, "daily", "team-a")
        assert await on.cluster.until(lambda: on.cluster.list(PODS) == [], 60)
        assert on.host.operator is not None
        assert len(on.host.operator.store) == 0

    play(scene)
