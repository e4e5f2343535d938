"""The work queue: no change is lost, none is handled by two workers at once, and a bad key holds up no other."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from fairlead.controllers.queue import WorkQueue
from fairlead.kube.errors import Unreachable
from fairlead.line import Turn

pytestmark = pytest.mark.looptime


class Notes:
    """An observer that counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waited: list[float] = []

    def queue_added(self, queue: str) -> None:
        self.counts["added"] += 1

    def queue_started(self, queue: str, waited_seconds: float) -> None:
        self.waited.append(waited_seconds)

    def queue_done(self, queue: str, worked_seconds: float) -> None:
        self.counts["done"] += 1

    def queue_retried(self, queue: str) -> None:
        self.counts["retried"] += 1

    def reconciled(self, controller: str, result: str, seconds: float) -> None:
        self.counts[result] += 1

    def reconcile_error(self, controller: str, family: str) -> None:
        self.counts[family] += 1


class Handler:
    """Remembers when it was called, takes `takes` seconds, and answers or fails as told."""

    def __init__(self, takes: float = 0, answers: Callable[[str], float | None] = lambda _: None) -> None:
        self.takes = takes
        self.answers = answers
        self.calls: list[tuple[float, str]] = []
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0

    async def __call__(self, key: str) -> float | None:
        self.calls.append((round(asyncio.get_running_loop().time(), 3), key))
        self.at_once[key] += 1
        self.most_at_once = max(self.most_at_once, *self.at_once.values())
        try:
            await asyncio.sleep(self.takes)
            return self.answers(key)
        finally:
            self.at_once[key] -= 1

    def times(self, key: str = "a") -> list[float]:
        return [time for time, called in self.calls if called == key]


@asynccontextmanager
async def working(
    handle: Callable[[str], Awaitable[float | None]], workers: int = 4, notes: Notes | None = None
) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue("q", handle, notes or Notes(), workers=workers)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    queue.close()


async def test_a_key_is_handled() -> None:
    handle = Handler()
    async with working(handle) as queue:
        queue.add("a")
        await asyncio.sleep(1)
    assert handle.calls == [(0, "a")]


async def test_keys_are_handled_in_the_order_in_which_they_came() -> None:
    handle = Handler(takes=1)
    async with working(handle, workers=1) as queue:
        for key in "cab":
            queue.add(key)
        await asyncio.sleep(10)
    assert handle.calls == [(0, "c"), (1, "a"), (2, "b")]


async def test_what_has_not_begun_waits_for_its_turn() -> None:
    turns = {"new": Turn(), "important": Turn(5)}
    handler = Handler()
    queue = WorkQueue("runs", handler, Notes(), workers=1, turn=turns.get)
    for key in ("new", "important", "under way"):
        queue.add(key)
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(queue.run())
        await asyncio.sleep(1)
        worker.cancel()
    assert [key for _, key in handler.calls] == ["under way", "important", "new"]


async def test_a_key_that_waits_is_not_added_again() -> None:
    handle, notes = Handler(), Notes()
    async with working(handle, notes=notes) as queue:
        for _ in range(5):
            queue.add("a")
        assert len(queue) == 1
        await asyncio.sleep(1)
    assert handle.times() == [0]
    assert notes.counts == {"added": 1, "done": 1, "success": 1}


async def test_a_key_that_is_added_while_it_is_worked_on_is_handled_once_more() -> None:
    handle = Handler(takes=2)
    async with working(handle) as queue:
        queue.add("a")
        await asyncio.sleep(1)
        for _ in range(5):
            queue.add("a")
        await asyncio.sleep(10)
    assert handle.times() == [0, 2]


async def test_a_key_is_worked_on_by_one_worker_at_a_time() -> None:
    handle = Handler(takes=1)
    async with working(handle) as queue:
        for _ in range(20):
            queue.add("a")
            queue.add("b")
            await asyncio.sleep(0.3)
    assert handle.most_at_once == 1


async def test_several_keys_are_worked_on_at_once() -> None:
    handle = Handler(takes=1)
    async with working(handle, workers=3) as queue:
        for key in "abcd":
            queue.add(key)
        await asyncio.sleep(5)
    assert [time for time, _ in handle.calls] == [0, 0, 0, 1]


async def test_the_handler_says_when_to_look_again() -> None:
    handle = Handler(answers=lambda _: 10.0)
    async with working(handle) as queue:
        queue.add("a")
        await asyncio.sleep(25)
    assert handle.times() == [0, 10, 20]


@pytest.mark.parametrize(
    ("delays", "expected"),
    [
        pytest.param([5], [5], id="one"),
        pytest.param([5, 9], [5], id="a later one changes nothing"),
        pytest.param([9, 5], [5], id="an earlier one counts"),
        pytest.param([9, 5, 7], [5], id="the earliest of several"),
        pytest.param([0], [0], id="at once"),
        pytest.param([-3], [0], id="in the past"),
    ],
)
async def test_the_earliest_of_several_requests_counts(delays: list[float], expected: list[float]) -> None:
    handle = Handler()
    async with working(handle) as queue:
        for delay in delays:
            queue.add_after("a", delay)
        await asyncio.sleep(20)
    assert handle.times() == expected


async def test_what_may_wait_for_more_is_looked_at_with_it() -> None:
    handler = Handler()
    async with working(handler) as queue:
        queue.add_within("a", 0.1)
        queue.add_within("a", 0.1)
        await asyncio.sleep(0.05)
        queue.add("a")
        await asyncio.sleep(1)
        assert handler.times() == [0.05]
        queue.add_within("a", 0.1)
        await asyncio.sleep(1)
    assert handler.times() == [0.05, 1.15]


async def test_what_can_wait_less_is_not_kept_by_what_can_wait_longer() -> None:
    handler = Handler()
    async with working(handler) as queue:
        queue.add_within("a", 1.0)
        queue.add_within("a", 0.1)
        queue.add_within("a", 2.0)
        await asyncio.sleep(5)
    assert handler.times() == [0.1]


async def test_what_nothing_follows_from_is_looked_at_with_the_more_the_more_keys_have_such_news() -> None:
    handler = Handler()
    async with working(handler) as queue:
        queue.add_eventually("a")
        await asyncio.sleep(5)
        assert handler.times() == [0.8]
        for number in range(500):
            queue.add_eventually(str(number))
        await asyncio.sleep(10)
    times = [round(time - 5, 3) for time, key in handler.calls if key != "a"]
    assert len(times) == 500
    assert min(times) == pytest.approx(0.8)
    assert max(times) == pytest.approx(4.0)
    assert sum(time < 2.0 for time in times) <= 100, "fifty a second"


async def test_a_request_for_later_does_not_keep_a_key_from_being_added_now() -> None:
    handle = Handler()
    async with working(handle) as queue:
        queue.add_after("a", 5)
        queue.add("a")
        await asyncio.sleep(10)
    assert handle.times() == [0, 5]


async def test_a_failing_key_is_tried_again_after_growing_delays(caplog: pytest.LogCaptureFixture) -> None:
    def fail(key: str) -> float | None:
        raise ValueError(key)

    handle, notes = Handler(answers=fail), Notes()
    with caplog.at_level(logging.CRITICAL):
        async with working(handle, notes=notes) as queue:
            queue.add("a")
            await asyncio.sleep(200)
    assert handle.times() == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5, 123.5, 183.5]
    assert notes.counts["retried"] == 10


async def test_a_success_ends_the_series_of_failures(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([ValueError(), ValueError(), None, ValueError(), None])

    def answer(_: str) -> float | None:
        found = next(answers)
        if found:
            raise found
        return None

    handle = Handler(answers=answer)
    with caplog.at_level(logging.CRITICAL):
        async with working(handle) as queue:
            queue.add("a")
            await asyncio.sleep(10)
            queue.add("a")
            await asyncio.sleep(10)
    assert handle.times() == [0, 0.5, 1.5, 10, 10.5]


async def test_a_failing_key_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def answer(key: str) -> float | None:
        if key == "bad":
            raise ValueError
        return None

    handle = Handler(answers=answer)
    with caplog.at_level(logging.CRITICAL):
        async with working(handle, workers=1) as queue:
            queue.add("bad")
            queue.add("a")
            await asyncio.sleep(0.1)
    assert handle.times("a") == [0]


async def test_a_failure_is_logged_with_its_key(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: str) -> float | None:
        raise ValueError("the bug")

    async with working(Handler(answers=fail)) as queue:
        queue.add("a")
        await asyncio.sleep(0.1)
    (record,) = caplog.records
    assert (record.key, record.failures) == ("a", 1)  # type: ignore[attr-defined]
    assert "the bug" in caplog.text


async def test_it_tells_how_long_keys_waited() -> None:
    handle, notes = Handler(takes=3), Notes()
    async with working(handle, workers=1, notes=notes) as queue:
        queue.add("a")
        queue.add("b")
        await asyncio.sleep(10)
    assert notes.waited == [0, 3]


async def test_after_closing_nothing_more_is_begun_and_what_is_at_work_goes_on() -> None:
    handle, notes = Handler(takes=2, answers=lambda _: 1.0), Notes()
    async with working(handle, workers=1, notes=notes) as queue:
        queue.add("a")
        queue.add("b")
        queue.add_after("c", 1)
        await asyncio.sleep(0.5)
        queue.close()
        queue.add("d")
        queue.add_after("d", 1)
        await asyncio.sleep(10)
        assert len(queue) == 0
    assert handle.calls == [(0, "a")]
    assert notes.counts["done"] == 1


async def test_a_cancelled_worker_is_not_a_failure() -> None:
    handle, notes = Handler(takes=100), Notes()
    async with working(handle, notes=notes) as queue:
        queue.add("a")
        await asyncio.sleep(1)
    assert notes.counts["retried"] == 0


# What is told of it.


async def test_what_came_of_each_is_told() -> None:
    def answer(key: str) -> float | None:
        match key:
            case "late":
                return 600.0
            case "outage":
                raise Unreachable("nobody there", maybe_applied=False)
            case "defect":
                raise ValueError(key)
            case _:
                return None

    notes = Notes()
    async with working(Handler(answers=answer), notes=notes) as queue:
        for key in ("fine", "late", "outage", "defect"):
            queue.add(key)
        await asyncio.sleep(0.2)
    told = {name: notes.counts[name] for name in ("success", "requeue_after", "error", "transient", "bug")}
    assert told == {"success": 1, "requeue_after": 1, "error": 2, "transient": 1, "bug": 1}


async def test_for_how_long_each_has_been_worked_on_can_be_asked() -> None:
    async with working(Handler(takes=10)) as queue:
        queue.add("a")
        await asyncio.sleep(3)
        queue.add("b")
        await asyncio.sleep(2)
        assert sorted(queue.working()) == [2, 5]
        assert queue.workers == 4
        await asyncio.sleep(10)
        assert list(queue.working()) == []
