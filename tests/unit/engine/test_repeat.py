"""A task that is run again until a condition holds: its rounds, what each sees, and its budgets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.kit import Bench, FakeWork, Value, bench, declared, failed, node, retries, seen, succeeded

from fairlead.engine.model import ForEach, Node, Repeat
from fairlead.engine.reasons import why


def looping(until: Any, *, most: int = 5, delay: int = 0, **more: Any) -> Node:
    repeat = Repeat(until=Value(until), max_iterations=most, delay_seconds=delay)
    return node("a", repeat=repeat, outputs=[declared("n")], **more)


def round_of(on: Bench, number: int, value: int, *, end: float = 1) -> None:
    on.tell(succeeded("a", number, text=f'{{"n": {value}}}', end=end), after=end)
    on.tell(after=end)


@pytest.mark.row("B4")
def test_it_runs_at_least_once_and_ends_when_until_is_true() -> None:
    on = bench(looping(lambda scope: scope["outputs"]["n"] >= 3))
    round_of(on, 1, 3)
    assert (on.phase("a"), on.state("a").outputs) == ("Succeeded", {"n": 3})


@pytest.mark.row("B4")
def test_each_round_is_an_attempt_and_sees_the_one_before_it() -> None:
    seen_by: list[Any] = []
    work = FakeWork(lambda scope: seen_by.append((scope["iteration"], scope["previous"])))
    on = bench(looping(lambda scope: scope["outputs"]["n"] >= 3, work=work))
    for number in (1, 2, 3):
        round_of(on, number, number, end=number)
    assert seen_by == [(1, {}), (2, {"n": 1}), (3, {"n": 2})]
    assert [(each.number, each.iteration) for each in on.state("a").attempts] == [(1, 1), (2, 2), (3, 3)]


def test_until_knows_its_round() -> None:
    on = bench(looping(lambda scope: scope["iteration"] == 2))
    round_of(on, 1, 0)
    assert on.phase("a") == "Starting"
    round_of(on, 2, 0, end=2)
    assert on.phase("a") == "Succeeded"


@pytest.mark.row("B4")
def test_too_many_rounds_are_a_failure() -> None:
    on = bench(looping(False, most=2))
    round_of(on, 1, 1)
    round_of(on, 2, 2, end=2)
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "MaxIterations")
    assert "2 rounds" in on.state("a").message


def test_rounds_are_apart_by_the_delay() -> None:
    on = bench(looping(False, delay=30))
    on.tell(succeeded("a", text='{"n": 1}', end=10), after=10)
    assert why(on.run, on.settings, on.state("a")) == ("Backoff", "round 2 begins at 2026-11-22T08:00:40Z")
    assert on.started(after=39) == []
    assert on.started(after=40) == ["a/2"]


def test_a_condition_that_is_no_condition_fails_the_task() -> None:
    on = bench(looping(7))
    round_of(on, 1, 1)
    assert on.state("a").message == "repeat.until: the value must be true or false, it is 7"


def test_budgets_count_within_a_round() -> None:
    on = bench(looping(lambda scope: scope["iteration"] == 2, retry=retries(1)))
    on.tell(failed("a", 1, end=1), after=1)
    round_of(on, 2, 1, end=2)
    assert on.started(failed("a", 3, end=3), after=3) == ["a/4"]
    round_of(on, 4, 2, end=4)
    assert on.phase("a") == "Succeeded"
    assert [each.iteration for each in on.state("a").attempts] == [1, 1, 2, 2]


def test_a_failure_within_a_round_fails_the_task() -> None:
    on = bench(looping(False))
    round_of(on, 1, 1)
    on.tell(failed("a", 2, end=2), after=2)
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "ExitCode")


def test_after_a_restart_the_next_round_sees_the_one_before_it() -> None:
    on = bench(looping(lambda scope: scope["outputs"]["n"] > 5, delay=30))
    on.tell(succeeded("a", text='{"n": 4}', end=10), after=10)
    again = on.restarted()
    assert why(again.run, again.settings, again.state("a")) == ("Backoff", "round 2 begins at 2026-11-22T08:00:40Z")
    assert again.started(after=40) == ["a/2"]
    assert again.state("a").iteration == 2
    assert again.state("a").outputs == {"n": 4}


def test_a_round_that_only_objects_show_is_told_in_order() -> None:
    on = bench(looping(lambda scope: scope["outputs"]["n"] == 2))
    fresh = on.restarted([])
    fresh.tell(seen("a", 2, running=5), succeeded("a", 1, text='{"n": 1}', end=3), after=5)
    assert (fresh.phase("a"), fresh.state("a").iteration) == ("Running", 2)


def test_items_have_rounds_of_their_own() -> None:
    repeat = Repeat(until=Value(lambda scope: scope["iteration"] == scope["item"]), max_iterations=5)
    on = bench(node("m", for_each=ForEach(items=Value([1, 2])), repeat=repeat))
    on.tell(succeeded("m[0]", end=1), after=1)
    on.tell(succeeded("m[1]", end=1), after=1)
    on.tell(succeeded("m[1]", 2, end=2), after=2)
    assert on.phase("m") == "Succeeded"
    assert [len(on.state(name).attempts) for name in ("m[0]", "m[1]")] == [1, 2]
