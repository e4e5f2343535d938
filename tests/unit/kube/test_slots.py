"""How many requests are under way at once, and which goes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fairlead.kube.slots import Slots
from fairlead.line import CLEAN_UP, Turn


class Server:
    """Answers `cores` requests at a time, in `seconds` each; the others queue. Times are told, not waited for."""

    def __init__(self, slots: Slots, cores: int, seconds: float) -> None:
        self.slots = slots
        self.cores = cores
        self.seconds = seconds

    async def play(self, rounds: int) -> None:
        """Let rounds of as many requests as are let through be under way together."""
        for _ in range(rounds):
            together = self.slots.limit
            took = self.seconds * max(1.0, together / self.cores)
            everybody = asyncio.Barrier(together)
            await asyncio.gather(*(self._one(everybody, took) for _ in range(together)))

    async def _one(self, everybody: asyncio.Barrier, took: float) -> None:
        async with self.slots.place():
            await everybody.wait()
            self.slots.answered("create", "pods", took)


class Now:
    """A clock that stands still unless it is told to go on."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_small_server_gets_as_many_as_keep_it_busy() -> None:
    slots = Slots(64)
    await Server(slots, cores=2, seconds=0.005).play(200)
    assert 4 <= slots.limit <= 12


async def test_a_large_server_gets_more() -> None:
    slots = Slots(64)
    await Server(slots, cores=40, seconds=0.005).play(200)
    assert 40 <= slots.limit <= 52


async def test_never_more_than_the_most() -> None:
    slots = Slots(16)
    await Server(slots, cores=1000, seconds=0.005).play(100)
    assert slots.limit == 16


async def test_a_server_that_becomes_slow_for_good_is_measured_anew() -> None:
    now = Now()
    slots = Slots(64, clock=now)
    await Server(slots, cores=1000, seconds=0.005).play(20)
    for _ in range(3):
        await Server(slots, cores=1000, seconds=0.05).play(5)
        now.seconds += 31
    before = slots.limit
    await Server(slots, cores=1000, seconds=0.05).play(20)
    assert slots.limit > before


async def test_nothing_is_learnt_of_a_limit_that_holds_nobody_up() -> None:
    slots = Slots(64)
    before = slots.limit
    for _ in range(100):
        async with slots.place():
            slots.answered("create", "pods", 0.005)
    assert slots.limit == before


async def test_requests_whose_size_differs_tell_nothing() -> None:
    slots = Slots(64)
    for seconds in (0.005, 5.0) * 100:
        slots.answered("patch", "workflows/status", seconds)
    assert slots.limit == 8


async def test_too_much_to_do_halves_it_once_a_second() -> None:
    now = Now()
    slots = Slots(64, start=40, clock=now)
    slots.overloaded()
    slots.overloaded()
    assert slots.limit == 20
    now.seconds += 1
    slots.overloaded()
    assert slots.limit == 10
    for _ in range(10):
        now.seconds += 1
        slots.overloaded()
    assert slots.limit == 4


async def waits(slots: Slots, told: list[str], name: str, turn: Turn | None = None) -> asyncio.Task[None]:
    async def wait() -> None:
        async with slots.place(turn):
            told.append(name)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


async def test_who_waits_goes_by_the_line() -> None:
    slots, told = Slots(1), []
    async with slots.place():
        tasks = [
            await waits(slots, told, "create", Turn(namespace="a")),
            await waits(slots, told, "urgent create", Turn(5, "a")),
            await waits(slots, told, "release", CLEAN_UP),
            await waits(slots, told, "status"),
        ]
        assert slots.waiting == 4
    await asyncio.gather(*tasks)
    assert told == ["status", "urgent create", "create", "release"]
    assert slots.waiting == 0


@pytest.mark.parametrize("cancel_when", ["waiting", "let in"])
async def test_one_that_is_cancelled_keeps_no_place(cancel_when: str) -> None:
    slots: Slots = Slots(1)
    told: list[str] = []
    held = slots.place()
    await held.__aenter__()
    gone, other = await waits(slots, told, "gone"), await waits(slots, told, "other")
    steps: list[Callable[[], object]] = [gone.cancel]
    if cancel_when == "let in":
        await held.__aexit__(None, None, None)  # lets it in; it has not woken up yet
        steps[0]()
    else:
        steps[0]()
        await held.__aexit__(None, None, None)
    await asyncio.wait([gone, other], timeout=1)
    assert told == ["other"]
    async with asyncio.timeout(1), slots.place():
        pass
