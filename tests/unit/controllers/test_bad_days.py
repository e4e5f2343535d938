"""Bad days of the whole cluster: nothing can be stored any more, and clocks that are wrong.

The operator is the one that ships, in a cluster in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from fairlead.controllers.vitals import live_checks, ready_checks
from fairlead.kube.resources import WORKFLOWS
from fairlead.testing.apiserver import Answer, Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.host import Host
from fairlead.testing.invariants import Watchman
from fairlead.testing.loop import run
from fairlead.testing.network import FairWeather, Passage
from fairlead.testing.nodes import Act

NO_SPACE = Answer(
    code=500,
    body={
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "etcdserver: mvcc: database space exceeded",
        "code": 500,
    },
)


class Disk(FairWeather):
    """The disk under the API server: once it is full, every write is refused, and all can be read."""

    def __init__(self) -> None:
        self.full = False

    def passage(self, sender: str, request: Request) -> Passage:
        if not self.full or request.method == "GET":
            return super().passage(sender, request)
        return Passage(instead=NO_SPACE)


class Scene:
    def __init__(self, *, leases: bool, seconds: float = 2) -> None:
        self.disk = Disk()
        self.cluster = Cluster(lambda _: Act(seconds=seconds), seed=1, weather=self.disk, leases=leases)
        self.watchman = Watchman(self.cluster)
        self.host = self.cluster.host()

    def apply(self, name: str) -> None:
        tasks = [{"name": n, "needs": list(p), "container": {"image": "i"}} for n, p in (("a", ""), ("b", "a"))]
        self.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": {"tasks": tasks}}, "default")

    def phase(self, name: str) -> str:
        return str(self.cluster.get(WORKFLOWS, name).get("status", {}).get("phase", ""))

    async def succeeds(self, name: str, seconds: float) -> None:
        assert await self.cluster.until(lambda: self.phase(name) == "Succeeded", seconds)

    def created(self) -> list[str]:
        journal = self.cluster.server.journal
        return [each.key.name for each in journal if (each.verb, each.resource) == ("create", "pods")]

    async def nothing_is_wrong(self) -> None:
        await asyncio.sleep(100)
        self.watchman.at_rest()
        assert self.watchman.end() == []


def play(scene: Callable[[Scene], Awaitable[None]], *, leases: bool, seconds: float = 2) -> None:
    async def main() -> None:
        on = Scene(leases=leases, seconds=seconds)
        await scene(on)
        await on.cluster.close()

    run(main(), stall_at=100_000)


def wrong(host: Host) -> tuple[list[str], list[str]]:
    """What /healthz and /readyz have to say."""
    assert host.operator is not None
    live, ready = live_checks(host.operator), ready_checks(host.operator)
    return [name for name, check in live.items() if check()], [name for name, check in ready.items() if check()]


def failed_requests(host: Host) -> float:
    assert host.operator is not None
    families = {family.name: family for family in host.operator.metrics.registry.collect()}
    samples: list[Any] = families["fairlead_api_requests"].samples
    return sum(each.value for each in samples if each.name.endswith("_total") and each.labels["code"] == "500")


@pytest.mark.parametrize("leases", [False, True], ids=["alone", "as one of several"])
def test_while_nothing_can_be_stored_nothing_is_started_and_afterwards_it_goes_on(*, leases: bool) -> None:
    async def scene(on: Scene) -> None:
        on.host.start()
        on.apply("daily")
        assert await on.cluster.until(lambda: len(on.created()) == 1, 30)
        on.disk.full = True
        await asyncio.sleep(600)
        assert len(on.created()) == 1, "the second task cannot be stored"
        live, ready = wrong(on.host)
        assert live == [], "it is no reason to restart anybody"
        if (
            leases
        ):  # without writes there is no lease; a replica without one acts for nobody, and begins anew now and then
            assert "replicas" in ready
            assert on.host.starts > 1
        else:
            assert ready == []
            assert on.host.starts == 1
            assert failed_requests(on.host) > 10, "by these FairleadApiErrors tells of it"
        on.disk.full = False
        await on.succeeds("daily", 120)
        assert len(on.created()) == len(set(on.created())) == 2
        await on.nothing_is_wrong()

    play(scene, leases=leases)


@pytest.mark.parametrize("minutes", [-30, 30])
def test_a_replica_with_a_wrong_clock_takes_nothing_from_the_others_and_repeats_nothing(minutes: int) -> None:
    async def scene(on: Scene) -> None:
        on.host.start()
        other = on.cluster.host("operator-2")
        other.skew = timedelta(minutes=minutes)
        other.start()
        await asyncio.sleep(60)
        for number in range(8):
            on.apply(f"w{number}")
        for number in range(8):
            await on.succeeds(f"w{number}", 120)
        groups = [host.operator.holdings.groups for host in (on.host, other) if host.operator is not None]
        assert [len(each) for each in groups] == [8, 8]
        assert groups[0].isdisjoint(groups[1])
        assert len(on.created()) == len(set(on.created())) == 16
        await on.nothing_is_wrong()

    play(scene, leases=True)


def test_what_nobody_reads_does_not_grow_with_the_runs() -> None:
    async def scene(on: Scene) -> None:
        def series() -> int:
            assert on.host.operator is not None
            return sum(len(family.samples) for family in on.host.operator.metrics.registry.collect())

        on.host.start()
        on.apply("first")
        await on.succeeds("first", 60)
        before = series()
        for number in range(40):
            on.apply(f"w{number}")
        for number in range(40):
            await on.succeeds(f"w{number}", 300)
        assert series() == before

    play(scene, leases=False)
