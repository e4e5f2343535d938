from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from tests.unit.controllers.fake_api import Stage, looptime, tasks

from fairlead.controllers.moderation import Moderation
from fairlead.engine.classify import JobView, PodView
from fairlead.engine.model import WorkKind
from fairlead.kube.resources import ObjectKey

pytestmark = looptime

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def pod(phase: str = "Pending") -> PodView:
    return PodView(name="p", uid="p", owner_name="r", owner_uid="r", node="n", number=1, phase=phase, created_at=NOON)


def job(*, succeeded: bool | None = None) -> JobView:
    return JobView(
        name="j", uid="j", owner_name="r", owner_uid="r", node="n", number=1, created_at=NOON, succeeded=succeeded
    )


class Loop:
    """A loop whose sleeps are noted, by when they began."""

    def __init__(self, under_way: int = 0) -> None:
        self.slept: list[float] = []
        self._began = asyncio.get_running_loop().time()
        self._moderation = Moderation(self._sleep)
        for number in range(under_way):
            self.tells(number, pod())

    def tells(self, number: int, view: object, kind: WorkKind = WorkKind.POD) -> None:
        self._moderation.changed(kind, ObjectKey("default", f"p{number}"), view)

    def _sleep(self, seconds: float) -> None:
        assert seconds == 0.01
        self.slept.append(round(asyncio.get_running_loop().time() - self._began, 4))


async def test_few_pods_are_never_kept_waiting() -> None:
    loop = Loop(31)
    for _ in range(10):
        loop.tells(0, pod("Running"))
        await asyncio.sleep(0.02)
    assert loop.slept == []


async def test_the_loop_sleeps_once_for_all_that_comes_while_it_is_awake() -> None:
    loop = Loop(32)
    for number in range(5):
        loop.tells(number, pod("Running"))
    await asyncio.sleep(1)
    assert loop.slept == [0.001]
    loop.tells(0, pod("Running"))
    await asyncio.sleep(1)
    assert loop.slept == [0.001, 1.001], "and not at all where nothing comes"


@pytest.mark.parametrize("end", [pod("Succeeded"), pod("Failed"), None])
async def test_what_has_ended_is_no_crowd(end: PodView | None) -> None:
    loop = Loop(32)
    await asyncio.sleep(1)
    loop.slept.clear()
    for _ in range(2):
        loop.tells(0, end)
    loop.tells(1, pod("Running"))
    await asyncio.sleep(1)
    assert loop.slept == []
    loop.tells(32, pod())
    await asyncio.sleep(1)
    assert len(loop.slept) == 1


async def test_jobs_count_and_what_is_of_other_kinds_does_not() -> None:
    loop = Loop(31)
    loop.tells(0, object(), WorkKind.WORKFLOW)
    await asyncio.sleep(1)
    assert loop.slept == []
    loop.tells(0, job(), WorkKind.JOB)
    await asyncio.sleep(1)
    assert len(loop.slept) == 1
    loop.tells(0, job(succeeded=True), WorkKind.JOB)
    loop.tells(1, pod("Running"))
    await asyncio.sleep(1)
    assert len(loop.slept) == 1


async def test_the_operator_lets_its_loop_sleep_in_a_crowd(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks(*(f"t{number}" for number in range(20))), "a")
    await asyncio.sleep(3)
    assert stage.slept == []
    stage.apply(tasks(*(f"t{number}" for number in range(20))), "b")
    await asyncio.sleep(3)
    assert stage.slept
