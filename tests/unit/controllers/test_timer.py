"""Timers on the loop that the operator is shipped with, which tells less than asyncio's own."""

from __future__ import annotations

import asyncio

import uvloop

from fairlead.controllers.queue import WorkQueue
from fairlead.controllers.timer import Timer
from fairlead.telemetry.metrics import Metrics


def test_a_call_that_is_due_at_once_knows_when_it_is() -> None:
    async def main() -> list[str]:
        called: list[str] = []
        now = asyncio.get_running_loop().time()
        first, second = Timer(now, called.append, "first"), Timer(now - 1, called.append, "second")
        assert (first.due, second.due) == (now, now - 1)
        second.cancel()
        await asyncio.sleep(0.01)
        return called

    assert uvloop.run(main()) == ["first"]


def test_a_key_may_be_asked_for_at_once_and_then_again() -> None:
    async def main() -> list[str]:
        handled: list[str] = []

        async def handle(key: str) -> None:
            handled.append(key)

        queue = WorkQueue("q", handle, Metrics())
        queue.add_after("a", 0.0)
        queue.add_after("a", 0.0)
        queue.add_after("a", 1.0)
        working = asyncio.create_task(queue.run())
        await asyncio.sleep(0.05)
        assert not working.done()
        working.cancel()
        return handled

    assert uvloop.run(main()) == ["a"]
