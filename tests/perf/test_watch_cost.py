"""What an event of a watch costs does not grow with what is known already, nor with what waits to be looked at."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.perf.counting import LARGE, RATIO, SMALL, calls

from fairlead.api import labels
from fairlead.api.concurrency import OnConflict
from fairlead.controllers.key_lines import Lines, Place
from fairlead.controllers.queue import WorkQueue
from fairlead.controllers.views import pod_view
from fairlead.kube.informer import Informer
from fairlead.kube.lines import LineSplitter
from fairlead.kube.observer import NullObserver
from fairlead.kube.resources import PODS
from fairlead.kube.slots import Slots
from fairlead.line import Line, Turn

EVENTS = 200


def pod(number: int, version: int, phase: str = "Running") -> dict[str, Any]:
    reference = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "name": "w", "uid": "u", "controller": True}
    return {
        "metadata": {
            "name": f"w-n{number}-1",
            "namespace": "ns",
            "uid": f"uid-{number}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {labels.NODE: f"n{number}"},
            "ownerReferences": [reference],
        },
        "spec": {},
        "status": {"phase": phase},
    }


def events(count: int, first: int, version: int) -> bytes:
    return b"".join(
        orjson.dumps({"type": "MODIFIED", "object": pod(first + number, version + number)}) + b"\n"
        for number in range(count)
    )


def take_in(informer: Informer[Any], chunk: bytes) -> None:
    for line in LineSplitter().feed(chunk):
        informer._event(orjson.loads(line))


async def test_an_event() -> None:
    costs = []
    for size in (SMALL, LARGE):
        told: list[object] = []
        informer = Informer(None, PODS, project=pod_view, on_change=lambda *change, told=told: told.append(change))  # type: ignore[arg-type, misc]
        take_in(informer, events(size, 0, 1))
        more = events(EVENTS, size // 2, size + 1)
        costs.append(calls(lambda informer=informer, more=more: take_in(informer, more)))  # type: ignore[misc]
        assert len(told) == size + EVENTS
    assert costs[1] <= RATIO * costs[0]


@pytest.mark.parametrize("pieces", [1, 100])
def test_a_long_line_in_as_many_pieces(pieces: int) -> None:
    def cost(size: int) -> float:
        splitter, piece = LineSplitter(), b"x" * (size // pieces)
        found = calls(lambda: [splitter.feed(piece) for _ in range(pieces)])
        assert splitter.feed(b"\n") == [b"x" * size]
        return found

    assert cost(LARGE) <= RATIO * cost(SMALL)


async def test_a_key_in_the_work_queue() -> None:
    async def handle(_key: str) -> float | None:
        return None

    costs = []
    for size in (SMALL, LARGE):
        queue = WorkQueue("q", handle, _Silent(), turn=lambda key: Turn(len(key) % 3, key[-1]))
        for number in range(size):
            queue.add(f"waiting-{number}")
        costs.append(calls(lambda queue=queue: [queue.add(f"new-{number}") for number in range(EVENTS)]))  # type: ignore[misc]
        queue.close()
    assert costs[1] <= RATIO * costs[0]


def test_a_place_in_line() -> None:
    def cost(size: int) -> int:
        line: Line[int] = Line()
        for number in range(size):
            line.add(number, None if number % 2 else Turn(number % 5, f"ns-{number % 50}"))
        return calls(lambda: [line.next() for _ in range(EVENTS)])

    assert cost(LARGE) <= RATIO * cost(SMALL)


def test_a_run_in_line_for_a_key() -> None:
    def place(number: int) -> Place:
        order = (number % 3, f"2026-01-01T00:00:{number % 60:02}Z", f"u{number}")
        return Place(
            uid=f"u{number}",
            name="w",
            generation=1,
            group=("ns", "key"),
            age=order[1:],
            order=order,
            limit=10,
            on_conflict=OnConflict.QUEUE,
        )

    def cost(size: int) -> int:
        lines = Lines()
        for number in range(size):
            lines.put(place(number))
        more = [place(size + number) for number in range(EVENTS)]

        def work() -> None:
            for each in more:
                lines.put(each)
                if lines.before(each):
                    lines.neighbour(each)
            for each in more:
                lines.remove(each.uid)

        return calls(work)

    assert cost(LARGE) <= RATIO * cost(SMALL)


async def test_a_request_that_waits() -> None:
    async def ask(slots: Slots, count: int) -> None:
        async def one() -> None:
            async with slots.place(Turn(0, "ns")):
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(count)))

    costs = []
    for size in (SMALL, LARGE):
        loop = asyncio.new_event_loop()
        costs.append(
            await asyncio.to_thread(calls, lambda loop=loop, size=size: loop.run_until_complete(ask(Slots(8), size)))  # type: ignore[misc]
            / size
        )
        loop.close()
    assert costs[1] <= RATIO * costs[0]


class _Silent(NullObserver):
    """An observer of queues that does not count."""

    def queue_added(self, queue: str) -> None: ...
    def reconciled(self, controller: str, result: str, seconds: float) -> None: ...
    def reconcile_error(self, controller: str, family: str) -> None: ...
    def queue_started(self, queue: str, waited_seconds: float) -> None: ...
    def queue_done(self, queue: str, worked_seconds: float) -> None: ...
    def queue_retried(self, queue: str) -> None: ...
