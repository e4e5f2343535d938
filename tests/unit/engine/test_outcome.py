"""Whether a run has failed: the rule, and what makes up for a failure."""

from __future__ import annotations

import pytest
from tests.unit.engine.kit import Bench, bench, declared, failed, gone, node, succeeded

from fairlead.engine.model import Node, TriggerRule


def verdict(on: Bench) -> tuple[bool, str]:
    assert on.run.outcome is not None
    return on.run.outcome.succeeded, on.run.outcome.reason


def handler(name: str, *needs: str, trigger: TriggerRule = TriggerRule.ONE_FAILED) -> Node:
    return node(name, *needs, trigger=trigger, handles=True)


@pytest.mark.row("B9")
def test_a_failure_fails_the_run_whatever_the_leaves_are() -> None:
    on = bench(node("a"), node("leaf", "a", trigger=TriggerRule.ALL_DONE))
    on.tell(failed("a"))
    on.tell(succeeded("leaf"))
    assert verdict(on) == (False, "TaskFailed")


@pytest.mark.row("fine:on-failure-continue")
def test_a_task_that_continues_counts_as_success_with_the_defaults_of_its_outputs() -> None:
    reading = node("b", "a", reads=("a",))
    on = bench(node("a", continue_on_failure=True, outputs=[declared("n", has_default=True, default=7)]), reading)
    assert on.started(failed("a")) == ["b/1"]
    assert (on.phase("a"), on.state("a").outputs) == ("Failed", {"n": 7})
    on.tell(succeeded("b"))
    assert verdict(on) == (True, "Succeeded")


def test_so_it_does_after_a_restart() -> None:
    on = bench(node("a", continue_on_failure=True), node("b", "a"))
    on.tell(failed("a"))
    again = on.restarted()
    assert again.started() == ["b/1"]


@pytest.mark.row("fine:handles")
def test_a_handler_that_succeeds_handles_its_failed_parent() -> None:
    on = bench(node("a"), handler("h", "a"))
    on.tell(failed("a"))
    on.tell(succeeded("h"))
    assert verdict(on) == (True, "Succeeded")


def test_a_handler_that_fails_handles_nothing() -> None:
    on = bench(node("a"), handler("h", "a"))
    on.tell(failed("a"))
    on.tell(failed("h"))
    assert verdict(on) == (False, "TaskFailed")


def test_without_handles_a_task_that_consumes_a_failure_does_not_handle_it() -> None:
    on = bench(node("a"), node("h", "a", trigger=TriggerRule.ONE_FAILED))
    on.tell(failed("a"))
    on.tell(succeeded("h"))
    assert verdict(on) == (False, "TaskFailed")


def test_a_handler_answers_for_the_root_causes_of_parents_that_did_not_run() -> None:
    on = bench(node("a"), node("b", "a"), node("c", "b"), handler("h", "c"))
    on.tell(failed("a"))
    assert on.phase("c") == "UpstreamFailed"
    on.tell(succeeded("h"))
    assert verdict(on) == (True, "Succeeded")


def test_it_does_not_answer_for_anybody_else() -> None:
    on = bench(node("a"), node("other"), handler("h", "a"))
    on.tell(failed("a"), failed("other"))
    on.tell(succeeded("h"))
    assert on.run.outcome is not None
    assert on.run.outcome.message.startswith("task 'other' failed")


@pytest.mark.row("fine:handles")
def test_failures_that_come_after_the_handler_count_as_handled_too() -> None:
    on = bench(node("a"), node("late"), handler("h", "a", "late"))
    on.tell(failed("a"))
    on.tell(succeeded("h"))
    on.tell(failed("late"))
    assert verdict(on) == (True, "Succeeded")


def test_every_task_is_counted_once_in_the_summary() -> None:
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"), gone("b"), after=1)
    on.tell(succeeded("b", 2), after=20)
    assert on.run.outcome is not None
    assert on.run.outcome.message == "2 tasks: 2 Succeeded"
