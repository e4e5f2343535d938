"""The time of day goes with the context."""

import asyncio
from datetime import UTC, datetime, timedelta

from fairlead.clock import set_clock, utc_now

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def test_it_is_the_systems_and_in_utc() -> None:
    assert utc_now().tzinfo is UTC


async def test_a_task_has_the_clock_of_what_started_it() -> None:
    async def operator(days: int) -> datetime:
        set_clock(lambda: THEN + timedelta(days=days))
        return await asyncio.create_task(read())

    async def read() -> datetime:
        return utc_now()

    first, second = await asyncio.gather(operator(1), operator(2))
    assert (first, second) == (THEN + timedelta(days=1), THEN + timedelta(days=2))
    assert utc_now() != THEN
