from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fairlead.controllers.moderation import Moderation
from fairlead.engine.classify import JobView, PodView
from fairlead.testing.loop import run

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def pod(number: int = 0, phase: str = "Pending") -> PodView:
    return PodView(
        name=f"p{number}", uid="p", owner_name="r", owner_uid="r", node="n", number=1, phase=phase, created_at=NOON
    )


def job(*, succeeded: bool | None = None) -> JobView:
    return JobView(
        name="j", uid="j", owner_name="r", owner_uid="r", node="n", number=1, created_at=NOON, succeeded=succeeded
    )


class Loop:
    """A loop whose sleeps are noted, by when they began."""

    def __init__(self, under_way: int = 0) -> None:
        self.slept: list[float] = []
        self._began = asyncio.get_running_loop().time()
        self.moderation = Moderation(self._sleep)
        for number in range(under_way):
            self.moderation.changed(None, pod(number))

    def _sleep(self, seconds: float) -> None:
        assert seconds == 0.01
        self.slept.append(round(asyncio.get_running_loop().time() - self._began, 4))


def in_virtual_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    return lambda: run(test())


@in_virtual_time
async def test_few_pods_are_never_kept_waiting() -> None:
    loop = Loop(31)
    for _ in range(10):
        loop.moderation.changed(pod(), pod(phase="Running"))
        await asyncio.sleep(0.02)
    assert loop.slept == []


@in_virtual_time
async def test_the_loop_sleeps_once_for_all_that_comes_while_it_is_awake() -> None:
    loop = Loop(32)
    for number in range(5):
        loop.moderation.changed(pod(number), pod(number, phase="Running"))
    await asyncio.sleep(1)
    assert loop.slept == [0.001]
    loop.moderation.changed(pod(), pod(phase="Running"))
    await asyncio.sleep(1)
    assert loop.slept == [0.001, 1.001], "and not at all where nothing comes"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "gone"])
def test_what_has_ended_is_no_crowd(phase: str) -> None:
    async def test() -> None:
        loop = Loop(32)
        await asyncio.sleep(1)
        loop.slept.clear()
        loop.moderation.changed(pod(0), None if phase == "gone" else pod(0, phase=phase))
        loop.moderation.changed(pod(1), replace(pod(1), phase="Running"))
        await asyncio.sleep(1)
        assert loop.slept == []

    run(test())


@in_virtual_time
async def test_jobs_count_and_what_users_made_of_other_kinds_does_not() -> None:
    loop = Loop(31)
    loop.moderation.changed(None, object())
    await asyncio.sleep(1)
    assert loop.slept == []
    loop.moderation.changed(None, job())
    await asyncio.sleep(1)
    assert len(loop.slept) == 1
    loop.moderation.changed(job(), job(succeeded=True))
    loop.moderation.changed(pod(), pod(phase="Running"))
    await asyncio.sleep(1)
    assert len(loop.slept) == 1
