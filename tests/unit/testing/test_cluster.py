"""The operator as it is shipped, at work in a cluster in memory."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fairlead.kube.resources import PODS, WORKFLOWS
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run
from fairlead.testing.nodes import Act


def diamond() -> dict[str, Any]:
    needs: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    return {"tasks": [{"name": name, "needs": parents, "container": {"image": "i"}} for name, parents in needs.items()]}


def play(scene: Callable[[Cluster], Coroutine[Any, Any, None]], seed: int = 1) -> Cluster:
    """Play a scene with one operator and the run `daily`."""

    async def main() -> Cluster:
        cluster = Cluster(lambda _: Act(seconds=2), seed=seed)
        cluster.host().start()
        cluster.put(WORKFLOWS, {"metadata": {"name": "daily"}, "spec": diamond()}, "default")
        await scene(cluster)
        await cluster.close()
        return cluster

    return run(main(), stall_at=10_000)


async def to_the_end(cluster: Cluster) -> None:
    assert await cluster.until(lambda: cluster.finished("daily"))


def created_pods(cluster: Cluster) -> list[str]:
    return [each.key.name for each in cluster.server.journal if (each.verb, each.resource) == ("create", "pods")]


def test_a_run_comes_to_its_end() -> None:
    cluster = play(to_the_end)
    assert cluster.get(WORKFLOWS, "daily")["status"]["phase"] == "Succeeded"
    assert len(created_pods(cluster)) == 4
    assert not any(pod["metadata"].get("finalizers") for pod in cluster.list(PODS)[:3])


@pytest.mark.parametrize("seconds", [0.0, 0.011, 0.013, 0.5, 2.5, 2.503, 5.0])
def test_a_killed_operator_is_replaced_by_one_that_goes_on(seconds: float) -> None:
    async def scene(cluster: Cluster) -> None:
        await asyncio.sleep(seconds)
        cluster.hosts[0].crash()
        await asyncio.sleep(1)
        cluster.hosts[0].start()
        await to_the_end(cluster)

    cluster = play(scene)
    assert cluster.get(WORKFLOWS, "daily")["status"]["phase"] == "Succeeded"
    assert len(set(created_pods(cluster))) == len(created_pods(cluster)) == 4


def test_an_operator_that_is_held_up_does_nothing_and_goes_on_later() -> None:
    async def scene(cluster: Cluster) -> None:
        await asyncio.sleep(1)
        cluster.hosts[0].pause()
        before = cluster.server.version
        await asyncio.sleep(500)
        mine = [each for each in cluster.server.journal if each.version > before and each.actor.startswith("fairlead")]
        assert mine == []
        cluster.hosts[0].resume()
        await to_the_end(cluster)

    assert play(scene).get(WORKFLOWS, "daily")["status"]["phase"] == "Succeeded"


def test_two_operators_create_each_pod_once() -> None:
    async def scene(cluster: Cluster) -> None:
        cluster.host("operator-2").start()
        await to_the_end(cluster)

    assert len(created_pods(play(scene))) == 4


def test_the_same_seed_is_the_same_story() -> None:
    def story(seed: int) -> list[tuple[Any, ...]]:
        return [
            (each.moment, each.verb, each.resource, each.key, each.after)
            for each in play(to_the_end, seed).server.journal
        ]

    assert story(7) == story(7)
    assert story(7) != story(8)
