"""A fault counts as having struck when it has had its effect, not when it was made ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import islice
from random import Random

import pytest
from tests.sim.campaign import judge
from tests.sim.plot import plot, seeds_of
from tests.sim.states import State

from fairlead.kube.resources import WORKFLOWS
from fairlead.testing.cluster import Cluster
from fairlead.testing.faults import Fault
from fairlead.testing.loop import run
from fairlead.testing.mishaps import MISHAPS, Harm
from fairlead.testing.nodes import Act
from fairlead.testing.storm import Storm

HELLO = {"metadata": {"name": "hello"}, "spec": {"tasks": [{"name": "a", "container": {"image": "i"}}]}}


class Scene:
    """A cluster with an operator that has come to rest, and what has struck in it."""

    def __init__(self) -> None:
        self.struck: list[Fault] = []
        self.storm = Storm(Random(1), self.struck.append)
        self.cluster = Cluster(lambda _: Act(seconds=2), weather=self.storm)
        self.storm.server = self.cluster.server
        self.harm = Harm(self.cluster, self.storm, Random(2), self.struck.append)
        self.host = self.cluster.host()

    def strike(self, fault: Fault) -> bool:
        """Let a mishap happen; tell what it says itself."""
        return MISHAPS[fault](self.harm)

    def create(self) -> None:
        """Give the operator something to do."""
        self.cluster.put(WORKFLOWS, HELLO, "default")

    async def over(self) -> None:
        """Wait for the end of the run."""
        assert await self.cluster.until(lambda: self.cluster.finished("hello"))


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        on = Scene()
        on.host.start()
        await asyncio.sleep(5)
        await scene(on)
        await on.cluster.close()

    run(main(), stall_at=100_000)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE_WRITE, Fault.CRASH_AFTER_WRITE])
def test_a_trap_strikes_when_it_goes_off(fault: Fault) -> None:
    async def scene(on: Scene) -> None:
        assert not on.strike(fault)
        await asyncio.sleep(100)
        assert (on.struck, on.host.starts) == ([], 1)
        on.create()
        await on.over()
        assert (on.struck, on.host.starts) == ([fault], 2)

    play(scene)


def test_compaction_strikes_when_somebody_is_told_that_what_he_wants_is_forgotten() -> None:
    async def scene(on: Scene) -> None:
        on.cluster.server.compact(0)
        assert not on.strike(Fault.COMPACTED)
        await asyncio.sleep(100)  # watches go on from where they are: there is nothing that they have missed
        assert on.struck == []
        on.create()
        for _ in range(20):
            assert not on.strike(Fault.COMPACTED)
            await asyncio.sleep(0.1)
        await on.over()
        assert set(on.struck) == {Fault.COMPACTED}

    play(scene)


def test_that_no_node_takes_pods_strikes_when_one_waits_for_it() -> None:
    async def scene(on: Scene) -> None:
        assert not on.strike(Fault.UNSCHEDULABLE)
        await asyncio.sleep(100)
        assert on.struck == []
        on.cluster.nodes.set_accepts(True)
        assert not on.strike(Fault.UNSCHEDULABLE)
        on.create()
        await on.over()
        assert on.struck == [Fault.UNSCHEDULABLE]

    play(scene)


def test_late_events_strike_where_there_are_events() -> None:
    async def scene(on: Scene) -> None:
        on.storm.raging, on.storm.fierce = {Fault.WATCH_LATE}, {Fault.WATCH_LATE: 100}
        await asyncio.sleep(20)  # watches are opened, and nothing is told
        assert on.struck == []
        on.create()
        await on.over()
        assert set(on.struck) == {Fault.WATCH_LATE}

    play(scene)


def test_that_nothing_may_be_read_strikes_when_somebody_lists_or_watches_anew() -> None:
    async def scene(on: Scene) -> None:
        on.storm.raging = {Fault.UNREADABLE}
        on.create()
        await asyncio.sleep(20)
        assert on.struck == []  # what is open goes on, as with the real one
        assert on.cluster.finished("hello")
        assert on.strike(Fault.WATCH_CUT)
        await asyncio.sleep(20)
        assert set(on.struck) == {Fault.UNREADABLE}
        on.storm.raging.clear()  # the rights are given back
        on.cluster.delete(WORKFLOWS, "hello")
        on.create()
        await on.over()

    play(scene)


@pytest.mark.parametrize("state", [State.RUNS, State.OVER, State.ACTION])
def test_runs_end_as_they_should_although_nothing_could_be_read_for_a_while(state: State) -> None:
    for seed in islice(seeds_of(Fault.UNREADABLE, state, 0), 2):
        # Without Leases: an operator that reads nothing for hours would renew its own all the time.
        assert judge(replace(plot(seed), leases=False))[0].problems == []
