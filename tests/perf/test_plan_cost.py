"""The cost of `plan()` for each node does not grow with the graph.

Over a whole run the calls of functions are counted, over a single call of `plan()` the lines that it executes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from tests.perf.counting import LARGE, RATIO, SMALL, calls, lines
from tests.unit.engine.kit import Bench, bench, node, seen, succeeded

from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import Event, StatusRecorded
from fairlead.engine.model import Clocks, Node, Settings

LIMITS = Clocks(run_seconds=3600, deadline_seconds=7200)


def chain(size: int) -> list[Node]:
    return [node(f"n{i}", *([f"n{i - 1}"] if i else []), clocks=LIMITS) for i in range(size)]


def wide(size: int) -> list[Node]:
    middle = [f"n{i}" for i in range(size - 2)]
    return [
        node("first"),
        *(node(name, "first", clocks=LIMITS) for name in middle),
        node("last", *middle),
    ]


def layered(size: int) -> list[Node]:
    """Ten parents each, in layers of a hundred."""
    return [
        node(f"n{i}", *(f"n{i // 100 * 100 - 100 + (i * 7 + k) % 100}" for k in range(10)) if i >= 100 else ())
        for i in range(size)
    ]


def drive(on: Bench) -> int:
    """Run to the end, one fact a call, as watches deliver them; return how many facts there were."""
    waiting = [c for c in on.tell().commands if isinstance(c, StartAttempt)]
    told = 0
    while waiting:
        start = waiting.pop()
        for fact in (seen(start.node), seen(start.node, running=1), succeeded(start.node, end=2)):
            planned = on.tell(fact)
            waiting += [c for c in planned.commands if isinstance(c, StartAttempt)]
            told += 1
        on.tell(StatusRecorded(revision=on.run.revision))
    assert on.run.outcome is not None
    return told


def cost(shape: Callable[[int], list[Node]], size: int, parallelism: int | None) -> float:
    on = bench(*shape(size), settings=Settings(parallelism=parallelism), begun=False)
    return calls(lambda: drive(on)) / size


@pytest.mark.parametrize("parallelism", [None, 50], ids=["unlimited", "50 at once"])
@pytest.mark.parametrize("shape", [chain, wide, layered])
def test_cost_of_a_node(shape: Callable[[int], list[Node]], parallelism: int | None) -> None:
    assert cost(shape, LARGE, parallelism) <= RATIO * cost(shape, SMALL, parallelism)


def settled(size: int) -> Bench:
    """A wide run in which everything has started."""
    on = bench(*wide(size), begun=False)
    on.tell(succeeded("first"))
    return on


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param([], id="nothing new"),
        pytest.param([seen("n5", running=1)], id="one runs"),
        pytest.param([seen("n5", running=1)] * 2, id="the same twice"),
        pytest.param([succeeded("n5")], id="one ends"),
        pytest.param([StatusRecorded(revision=10**9)], id="all is recorded"),
    ],
)
def test_one_call_executes_as_many_lines_in_a_large_graph(facts: Sequence[Event]) -> None:
    small, large = settled(SMALL), settled(LARGE)
    for on in (small, large):
        on.tell()
    assert lines(lambda: large.tell(*facts)) <= RATIO * lines(lambda: small.tell(*facts))
