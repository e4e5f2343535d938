"""Virtual time: nothing is waited for, and nothing is left to chance."""

import asyncio
import time

import pytest

from fairlead.testing.loop import Stalled, run


def test_an_hour_passes_at_once() -> None:
    async def hour() -> float:
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - begun

    began = time.monotonic()
    assert run(hour()) == 3600
    assert time.monotonic() - began < 60


def test_what_is_due_first_comes_first() -> None:
    async def order() -> list[int]:
        came: list[int] = []

        async def later(seconds: float, name: int) -> None:
            await asyncio.sleep(seconds)
            came.append(name)

        await asyncio.gather(later(0.3, 3), later(0.1, 1), later(0.2, 2), later(0.1, 4))
        return came

    assert run(order()) == [1, 4, 2, 3]


def test_work_for_a_thread_is_done_at_once() -> None:
    async def work() -> int:
        return await asyncio.to_thread(lambda: 7)

    assert run(work()) == 7


def test_its_error_reaches_who_waits() -> None:
    async def work() -> None:
        await asyncio.to_thread(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        run(work())


def test_a_deadlock_is_told() -> None:
    async def wait_for_nothing() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stalled, match="no timer is set"):
        run(wait_for_nothing())


def test_going_on_for_ever_is_told() -> None:
    async def go_on() -> None:
        for _ in range(1000):
            await asyncio.sleep(10)

    with pytest.raises(Stalled, match="no end after 1000 virtual seconds"):
        run(go_on(), stall_at=1000)


def test_going_in_circles_is_told() -> None:
    async def spin() -> None:
        for _ in range(1_000_000):
            await asyncio.sleep(0)

    with pytest.raises(Stalled, match="goes round and round at 0 s"):
        run(spin())


def test_a_timeout_cuts_off() -> None:
    async def wait() -> float:
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        except TimeoutError:
            return asyncio.get_running_loop().time()
        return -1

    assert run(wait()) == 5
