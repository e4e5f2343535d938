"""Runs that are taken away: deleted in every way, with their namespace, made again, pruned. Nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.api import labels
from fairlead.kube.resources import NAMESPACES, PODS, TASKSTATUSSHARDS, WORKFLOWS
from fairlead.testing.cluster import Cluster
from fairlead.testing.invariants import Watchman
from fairlead.testing.loop import run
from fairlead.testing.nodes import Act

NAMESPACE = "team"

#: Seconds after which something happens: before anything has, at a create, while pods run, at an end, in the middle.
MOMENTS = (0.0, 0.03, 0.2, 1.0, 2.35, 3.1, 4.2)


def spec() -> dict[str, Any]:
    """A task, then a list of four, then a last one; and something that comes in any case."""
    return {
        "tasks": [
            {"name": "a", "container": {"image": "i"}},
            {"name": "m", "needs": ["a"], "forEach": {"in": [1, 2, 3, 4]}, "container": {"image": "i"}},
            {"name": "z", "needs": ["m"], "container": {"image": "i"}},
        ],
        "finally": [{"name": "tidy", "container": {"image": "i"}}],
    }


class Scene:
    """A namespace with the run `daily`, one operator, and a watchman."""

    def __init__(self, seed: int) -> None:
        self.cluster = Cluster(lambda _: Act(seconds=2), seed=seed)
        self.watchman = Watchman(self.cluster)
        self.cluster.put(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        self.host = self.cluster.host()
        self.host.start()
        self.create()

    def create(self) -> None:
        """Create the run."""
        self.cluster.put(WORKFLOWS, {"metadata": {"name": "daily"}, "spec": spec()}, NAMESPACE)

    def of_runs(self) -> list[str]:
        """Return the names of all pods and shards that belong to runs."""
        return [
            each["metadata"]["name"]
            for resource in (PODS, TASKSTATUSSHARDS)
            for each in self.cluster.list(resource)
            if labels.RUN_UID in each["metadata"].get("labels", {})
        ]

    async def settle(self, seconds: float = 400) -> None:
        """Wait until nothing happens any more, and see that nothing was broken on the way."""
        await asyncio.sleep(seconds)
        self.watchman.at_rest()
        await asyncio.sleep(200)
        assert self.watchman.end() == []
        await self.cluster.close()


def play(scene: Callable[[Scene], Any], seed: int = 1) -> None:
    async def main() -> None:
        await scene(Scene(seed))

    run(main(), stall_at=100_000)


@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("policy", ["Background", "Foreground"])
@pytest.mark.parametrize("operator", ["up", "killed before", "killed after"])
def test_a_deleted_run_takes_everything_along(seconds: float, policy: str, operator: str) -> None:
    async def scene(on: Scene) -> None:
        await asyncio.sleep(seconds)
        if operator == "killed before":
            on.host.crash()
        on.cluster.delete(WORKFLOWS, "daily", NAMESPACE, propagationPolicy=policy)
        if operator == "killed after":
            await asyncio.sleep(0.01)
            on.host.crash()
        await asyncio.sleep(20)
        if not on.host.alive:
            on.host.start()
        await on.settle()
        assert on.cluster.get(WORKFLOWS, "daily", NAMESPACE) == {}
        assert on.of_runs() == []

    play(scene)


@pytest.mark.parametrize("seconds", MOMENTS)
def test_what_an_orphaning_deletion_leaves_is_held_by_nobody(seconds: float) -> None:
    async def scene(on: Scene) -> None:
        await asyncio.sleep(seconds)
        on.cluster.delete(WORKFLOWS, "daily", NAMESPACE, propagationPolicy="Orphan")
        await on.settle()
        assert on.cluster.get(WORKFLOWS, "daily", NAMESPACE) == {}
        assert [pod for pod in on.cluster.list(PODS) if pod["metadata"].get("finalizers")] == []

    play(scene)


@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("alive", [True, False], ids=["operator up", "operator down"])
def test_a_deleted_namespace_goes(seconds: float, alive: bool) -> None:
    async def scene(on: Scene) -> None:
        await asyncio.sleep(seconds)
        if not alive:
            on.host.crash()
        on.cluster.delete(NAMESPACES, NAMESPACE)
        await asyncio.sleep(20)
        if not alive:
            on.host.start()
        assert await on.cluster.until(lambda: on.cluster.get(NAMESPACES, NAMESPACE) == {}, 400)
        await on.settle()
        assert on.of_runs() == []

    play(scene)


@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("pause", [0.0, 0.05, 5.0])
def test_one_of_the_same_name_is_another_run(seconds: float, pause: float) -> None:
    async def scene(on: Scene) -> None:
        await asyncio.sleep(seconds)
        first = on.cluster.get(WORKFLOWS, "daily", NAMESPACE)["metadata"]["uid"]
        on.cluster.delete(WORKFLOWS, "daily", NAMESPACE)
        await asyncio.sleep(pause)
        on.create()
        assert await on.cluster.until(lambda: on.cluster.finished("daily", NAMESPACE))
        await on.settle()
        raw = on.cluster.get(WORKFLOWS, "daily", NAMESPACE)
        assert (raw["metadata"]["uid"] != first, raw["status"]["phase"]) == (True, "Succeeded")
        assert raw["status"]["progress"] == "7/7"

    play(scene)


@pytest.mark.parametrize("seconds", MOMENTS)
def test_gitops_that_applies_the_same_again_and_again_changes_nothing(seconds: float) -> None:
    async def scene(on: Scene) -> None:
        await asyncio.sleep(seconds)
        for _ in range(5):
            on.cluster.patch(WORKFLOWS, "daily", {"spec": spec()}, NAMESPACE, actor="argocd-controller")
            await asyncio.sleep(0.4)
        assert await on.cluster.until(lambda: on.cluster.finished("daily", NAMESPACE))
        created = [each for each in on.cluster.server.journal if (each.verb, each.resource) == ("create", "pods")]
        assert len(created) == 7
        await on.settle()

    play(scene)
