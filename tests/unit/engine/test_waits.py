"""Why nodes do not run, counted: the same that is said of each of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.perf.counting import LARGE, RATIO, SMALL, lines
from tests.unit.engine.kit import Bench, FakeWork, Value, bench, failed, node, refused, retries, seen, succeeded

from fairlead.engine.model import ForEach, Settings, WorkKind
from fairlead.engine.reasons import waits, why


def said(on: Bench) -> dict[str, int]:
    """Ask about each node that is no list of others and has not ended."""
    reasons = [
        why(on.run, on.settings, state)[0]
        for state in on.run.nodes.values()
        if not state.is_over and state.items is None
    ]
    return dict(Counter(filter(None, reasons)))


def test_it_is_what_is_said_of_each() -> None:
    items = ForEach(items=Value([1, 2, 3, 4]), max_parallel=2)
    on = bench(
        node("runs"),
        node("starts"),
        node("again", retry=retries(3, seconds=60)),
        node("refused"),
        node("list", for_each=items),
        node("asks", work=FakeWork({"message": "Go on?", "options": [], "form": []}, kind=WorkKind.APPROVAL)),
        node("later", "runs"),
        node("done"),
        settings=Settings(parallelism=7),
    )
    on.tell(seen("runs", running=1), failed("again"), succeeded("done"), after=1)
    on.tell(refused("refused", until=60, reason="QuotaExceeded"), after=1)
    found = waits(on.run, on.settings)
    assert found == said(on)
    assert {"WaitingForTasks", "WaitingForParallelism", "Starting", "Backoff", "QuotaExceeded"} <= found.keys()


def test_a_suspended_run_says_so_of_everything_in_line() -> None:
    on = bench(node("a"), node("b"), node("c", "a"), settings=Settings(suspend=True))
    assert waits(on.run, on.settings) == said(on) == {"Suspended": 2, "WaitingForTasks": 1}


def test_a_run_that_is_over_waits_for_nothing() -> None:
    on = bench(node("a"))
    on.tell(succeeded("a"))
    assert waits(on.run, on.settings) == {}


def test_a_node_costs_the_same_in_a_large_run() -> None:
    def cost(size: int) -> float:
        on = bench(*(node(f"n{number}") for number in range(size)), settings=Settings(parallelism=1))
        settings = replace(on.settings, parallelism=1)
        return lines(lambda: waits(on.run, settings)) / size

    assert cost(LARGE) <= RATIO * cost(SMALL)
