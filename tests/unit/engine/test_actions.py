"""What users ask of a run: applied once, as a whole or not at all, and recorded."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.kit import (
    Bench,
    FakeWork,
    Value,
    asked,
    bench,
    cut_off,
    declared,
    failed,
    node,
    retries,
    seen,
    succeeded,
)

from fairlead.engine.actions import ACTIONS_KEPT
from fairlead.engine.model import ForEach, Phase, Repeat, StopMode, TriggerRule, WorkKind


def verdicts(on: Bench) -> list[tuple[str, bool, str]]:
    return [(record.action.value, record.accepted, record.reason) for record in on.run.actions]


def failed_run() -> Bench:
    """A succeeded, b failed, c did not run because of it; over."""
    on = bench(node("a"), node("b", "a"), node("c", "b"), node("z", final=True))
    on.tell(succeeded("a"))
    on.tell(failed("b"))
    on.tell(succeeded("z"))
    assert on.run.outcome is not None
    on.recorded()
    return on


# Applied once, and recorded with who and when.


@pytest.mark.row("fine:actions")
def test_what_is_asked_is_recorded_with_who_and_when() -> None:
    on = bench(node("a"))
    on.tell(asked("Stop", by="ann", mode=StopMode.CANCEL), after=7)
    [record] = on.run.actions
    assert (record.by, record.accepted, record.reason) == ("ann", True, "Accepted")
    assert (record.at - on.run.started_at).total_seconds() == 7


@pytest.mark.row("fine:actions")
def test_nothing_that_follows_is_started_before_the_record() -> None:
    on = failed_run()
    assert on.started(asked("Retry")) == []
    assert on.recorded() == ["b/2"]


@pytest.mark.row("fine:actions")
def test_one_that_was_recorded_is_not_applied_again() -> None:
    on = failed_run()
    on.tell(asked("Retry"))
    on.recorded()
    again = on.restarted()
    again.tell(asked("Retry"), seen("b", 2))
    assert again.run.epoch == 2
    assert len(again.run.actions) == 1


@pytest.mark.row("fine:actions")
def test_several_are_applied_one_after_the_other_in_the_order_of_asking() -> None:
    on = bench(node("a"))
    later = asked("Stop", uid="b", mode=StopMode.CANCEL)
    first = asked("Stop", uid="a", mode=StopMode.GRACEFUL)
    on.tell(later, first)
    assert [record.uid for record in on.run.actions] == ["a", "b"]
    assert on.run.stop_mode is StopMode.CANCEL


def test_only_so_many_are_kept() -> None:
    on = bench(node("a"))
    for number in range(ACTIONS_KEPT + 3):
        on.tell(asked("Mark", "nobody", uid=f"{number:04}", phase=Phase.SKIPPED))
    assert len(on.run.actions) == ACTIONS_KEPT
    assert on.run.actions[0].uid == "0003"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        pytest.param(asked("Retry"), "RunActive", id="retry of a run that goes on"),
        pytest.param(asked("Clear", "a"), "RunActive", id="clear of a run that goes on"),
        pytest.param(asked("Mark", "x", phase=Phase.SKIPPED), "NoSuchTask", id="an unknown task"),
        pytest.param(asked("Mark", "b", phase=Phase.RUNNING), "InvalidPhase", id="a phase that is no end"),
        pytest.param(asked("Mark", "a", phase=Phase.SUCCEEDED), "TaskRunning", id="mark of a task that runs"),
        pytest.param(asked("Approve", "a"), "WrongKind", id="approve what is no approval"),
        pytest.param(asked("Complete", "a"), "WrongKind", id="complete what is no callback"),
        pytest.param(asked("Approve", "sign"), "NotWaiting", id="approve what does not wait yet"),
    ],
)
def test_one_that_cannot_apply_changes_nothing_and_says_why(action: Any, reason: str) -> None:
    sign = FakeWork({"options": [], "form": []}, kind=WorkKind.APPROVAL)
    on = bench(node("a"), node("b", "a"), node("sign", "b", work=sign))
    before = on.phases()
    on.tell(action)
    assert verdicts(on) == [(action.kind.value, False, reason)]
    assert on.run.actions[0].message
    assert on.phases() == before
    assert on.run.is_proven


# Retry: a new epoch from the failure.


@pytest.mark.row("G1")
def test_retry_runs_what_failed_and_what_did_not_run_because_of_it() -> None:
    on = failed_run()
    on.tell(asked("Retry"))
    assert on.run.outcome is None
    assert on.phases() == {"a": "Succeeded", "b": "Queued", "c": "Waiting", "z": "Waiting"}
    assert on.recorded() == ["b/2"]
    assert on.started(succeeded("b", 2)) == ["c/1"]
    assert on.started(succeeded("c")) == ["z/2"]
    on.tell(succeeded("z", 2))
    assert on.run.outcome is not None
    assert on.run.outcome.succeeded


@pytest.mark.row("fine:identity")
def test_attempt_numbers_go_on_and_earlier_attempts_stay_on_record() -> None:
    on = failed_run()
    on.tell(asked("Retry"))
    on.recorded()
    assert [(each.number, each.epoch, each.reason) for each in on.state("b").attempts] == [
        (1, 1, "ExitCode"),
        (2, 2, ""),
    ]


@pytest.mark.row("fine:identity")
def test_the_budget_counts_within_the_epoch() -> None:
    on = bench(node("a", retry=retries(1)))
    on.tell(failed("a", end=1), after=1)
    on.tell(after=1)
    on.tell(failed("a", 2, end=2), after=2)
    on.recorded()
    on.tell(asked("Retry"))
    on.recorded()
    on.tell(failed("a", 3, end=3), after=3)
    assert on.phase("a") == "Starting" or on.started(after=3) == ["a/4"]
    assert len(on.state("a").attempts) == 4


def test_a_run_that_succeeded_is_not_retried() -> None:
    on = bench(node("a"))
    on.tell(succeeded("a"))
    on.tell(asked("Retry"))
    assert verdicts(on) == [("Retry", False, "NothingToRetry")]


def test_skipped_tasks_after_what_failed_are_looked_at_again() -> None:
    on = bench(node("a"), node("b", "a", trigger=TriggerRule.ALL_SKIPPED), node("off", when=Value(False)))
    on.tell(failed("a"))
    on.recorded()
    on.tell(asked("Retry"))
    assert on.phases() == {"a": "Queued", "b": "Waiting", "off": "Skipped"}


@pytest.mark.row("fine:retry-of-a-foreach")
@pytest.mark.row("G1")
def test_retry_of_a_list_runs_the_failed_items_only() -> None:
    on = bench(node("m", for_each=ForEach(items=Value(["x", "y", "z"])), outputs=[declared("n")]))
    on.tell(failed("m[1]"), succeeded("m[0]", text='{"n": 1}'), succeeded("m[2]", text='{"n": 3}'))
    on.recorded()
    on.tell(asked("Retry"))
    assert on.recorded() == ["m[1]/2"]
    on.tell(succeeded("m[1]", 2, text='{"n": 2}'))
    assert on.state("m").outputs == {"n": [1, 2, 3]}
    assert on.run.outcome is not None
    assert on.run.outcome.succeeded


@pytest.mark.row("fine:retry-of-a-foreach")
def test_where_the_list_is_another_one_all_items_are_run() -> None:
    items: list[str] = ["x", "y"]
    on = bench(node("m", for_each=ForEach(items=Value(lambda _: list(items)))))
    on.tell(failed("m[1]"), succeeded("m[0]"))
    on.recorded()
    items[0] = "other"
    on.tell(asked("Retry"))
    assert on.recorded() == ["m[0]/2", "m[1]/2"]


@pytest.mark.row("fine:retry-of-a-foreach")
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("first", "again"), [("1", ["m[1]/2"]), ("5", ["m[0]/2", "m[1]/2"])], ids=["same", "another"])
def test_whether_it_is_another_one_may_be_known_only_once_its_parent_has_run_again(
    first: str, again: list[str], crash: bool
) -> None:
    """Its parent failed as well, so its list was made of defaults; what it is made of now, its parent will say."""
    made = Value(lambda scope: [scope["tasks"]["a"]["outputs"].get("n", 1), 2])
    over = node("m", "a", for_each=ForEach(items=made), trigger=TriggerRule.ALL_DONE, reads=("a",))
    on = bench(node("a", outputs=[declared("n")]), over)
    on.tell(failed("a"))
    on.tell(succeeded("m[0]"), failed("m[1]"))
    on.recorded()
    on.tell(asked("Retry"))
    assert on.recorded() == ["a/2"]
    if crash:
        on = on.restarted()
        on.tell(seen("a", 2))
    assert on.started(succeeded("a", 2, text=f'{{"n": {first}}}')) == again


def test_a_list_that_has_become_shorter_is_restored_as_it_is() -> None:
    items: list[str] = ["x", "y", "z"]
    on = bench(node("m", for_each=ForEach(items=Value(lambda _: list(items))), outputs=[declared("n")]))
    on.tell(failed("m[1]"), succeeded("m[0]", text='{"n": 1}'), succeeded("m[2]", text='{"n": 3}'))
    on.recorded()
    del items[1:]
    on.tell(asked("Retry"))
    on.recorded()
    on.tell(succeeded("m[0]", 2, text='{"n": 5}'))
    again = on.restarted()
    again.tell()
    assert again.state("m").outputs == on.state("m").outputs == {"n": [5]}
    assert again.run.counts == on.run.counts
    assert [len(each.attempts) for each in again.state("m").past.values()] == [1, 1]


def test_the_run_s_deadline_begins_anew() -> None:
    on = bench(node("a"))
    on.settings = type(on.settings)(deadline_seconds=60)
    on.tell(failed("a", end=5), after=5)
    on.recorded()
    on.tell(asked("Retry"), after=500)
    on.recorded()
    on.tell(seen("a", 2, started=500, running=501), after=501)
    assert on.ended(after=559) == []
    assert on.ended(after=560) == [("a/2", "RunDeadlineExceeded")]


def test_an_epoch_survives_a_restart() -> None:
    on = failed_run()
    on.tell(asked("Retry"))
    on.recorded()
    again = on.restarted()
    again.tell(seen("b", 2))
    assert again.started(succeeded("b", 2)) == ["c/1"]
    assert again.run.epoch == 2


# Clear and Mark.


@pytest.mark.row("G2")
def test_clear_runs_a_task_again_and_everything_after_it() -> None:
    on = bench(node("a"), node("b", "a"), node("c", "b"), node("other"))
    for name in ("a", "other", "b", "c"):
        on.tell(succeeded(name))
    on.recorded()
    on.tell(asked("Clear", "b"))
    assert on.phases() == {"a": "Succeeded", "b": "Queued", "c": "Waiting", "other": "Succeeded"}
    assert on.recorded() == ["b/2"]


@pytest.mark.row("G2")
def test_clear_of_a_list_keeps_its_attempts_on_record() -> None:
    on = bench(node("a"), node("m", "a", for_each=ForEach(items=Value([1, 2]))))
    on.tell(succeeded("a"))
    on.tell(succeeded("m[0]"), succeeded("m[1]"))
    on.recorded()
    on.tell(asked("Clear", "a"))
    assert on.recorded() == ["a/2"]
    again = on.restarted()
    again.tell(seen("a", 2))
    assert again.started(succeeded("a", 2)) == ["m[0]/2", "m[1]/2"]


def test_every_item_of_a_list_that_is_cleared_is_shown_anew() -> None:
    # Those that are not let in yet as well: in a shard they would go on being shown as they ended before.
    on = bench(node("m", for_each=ForEach(items=Value([1, 2, 3]), max_parallel=1)))
    for name in ("m[0]", "m[1]", "m[2]"):
        on.tell(succeeded(name))
    on.recorded()
    on.run.touched.clear()
    on.tell(asked("Clear", "m"))
    assert on.phases() == {"m": "Running", "m[0]": "Queued", "m[1]": "Waiting", "m[2]": "Waiting"}
    assert set(on.run.touched) == {"m", "m[0]", "m[1]", "m[2]"}


@pytest.mark.row("G2")
def test_mark_lets_what_waited_for_it_go_on() -> None:
    on = failed_run()
    on.tell(asked("Mark", "b", phase=Phase.SUCCEEDED, by="bob", reason="known"))
    assert on.state("b").message == "marked by bob: known"
    assert on.recorded() == ["c/1"]
    assert len(on.state("b").attempts) == 1


@pytest.mark.row("G2")
def test_mark_of_an_item_settles_its_list() -> None:
    on = bench(node("m", for_each=ForEach(items=Value([1, 2]))), node("after", "m"))
    on.tell(failed("m[0]"), succeeded("m[1]"))
    on.recorded()
    on.tell(asked("Mark", "m[0]", phase=Phase.SKIPPED))
    assert on.phase("m") == "Succeeded"
    assert on.recorded() == ["after/1"]


def test_a_task_without_a_live_attempt_can_be_marked_while_the_run_goes_on() -> None:
    on = bench(node("a"), node("b", "a"), node("c", "b"))
    on.tell(asked("Mark", "b", phase=Phase.SKIPPED))
    assert on.phases() == {"a": "Starting", "b": "Skipped", "c": "Skipped"}


def test_mark_as_succeeded_needs_the_outputs() -> None:
    on = bench(node("a"), node("b", "a", outputs=[declared("n")]))
    on.tell(asked("Mark", "b", uid="1", phase=Phase.SUCCEEDED))
    on.tell(asked("Mark", "b", uid="2", phase=Phase.SUCCEEDED, values={"n": 5}))
    assert verdicts(on) == [("Mark", False, "InvalidValues"), ("Mark", True, "Accepted")]
    assert on.state("b").outputs == {"n": 5}


def test_the_outputs_of_a_list_are_lists() -> None:
    listed = node("m", "a", outputs=[declared("n")], for_each=ForEach(items=Value([1, 2])))
    on = bench(node("a"), listed)
    on.tell(asked("Mark", "m", uid="1", phase=Phase.SUCCEEDED, values={"n": 5}))
    on.tell(asked("Mark", "m", uid="2", phase=Phase.SUCCEEDED, values={"n": ["five"]}))
    on.tell(asked("Mark", "m", uid="3", phase=Phase.SUCCEEDED, values={"n": [5, None]}))
    assert verdicts(on) == [*2 * [("Mark", False, "InvalidValues")], ("Mark", True, "Accepted")]
    assert "an array, of integer for each item; it is 5" in on.run.actions[0].message
    assert on.state("m").outputs == {"n": [5, None]}


# Stop.


@pytest.mark.row("G3")
def test_graceful_lets_what_runs_finish() -> None:
    on = bench(
        node("a", retry=retries(3)), node("b", "a"), node("w", work=FakeWork({"seconds": 900}, kind=WorkKind.WAIT))
    )
    on.tell(seen("a", running=1))
    assert on.ended(asked("Stop", mode=StopMode.GRACEFUL)) == [("w/1", "Stopped")]
    assert on.phases() == {"a": "Running", "b": "Cancelled", "w": "Cancelled"}
    on.tell(succeeded("a"))
    assert on.run.outcome is not None
    assert (on.run.outcome.cancelled, on.run.outcome.reason) == (True, "Stopped")


@pytest.mark.row("fine:cancelled")
def test_nothing_is_tried_again_after_a_stop() -> None:
    on = bench(node("a", retry=retries(3)), node("b", "a"))
    on.tell(seen("a", running=1))
    on.tell(asked("Stop", mode=StopMode.GRACEFUL))
    on.tell(failed("a", end=2), after=60)
    assert on.phase("a") == "Cancelled"


def test_nothing_of_finally_is_tried_again_after_it_was_terminated() -> None:
    on = bench(node("a"), node("f", retry=retries(3), final=True))
    on.tell(succeeded("a"))
    on.recorded()
    on.tell(seen("f", running=2))
    on.tell(asked("Stop", mode=StopMode.TERMINATE))
    on.tell(failed("f", end=3), after=60)
    assert on.phase("f") == "Cancelled"
    assert on.run.outcome is not None
    assert on.run.outcome.reason == "Terminated"


@pytest.mark.row("G3")
def test_cancel_ends_what_runs_and_is_over_only_when_that_is_gone() -> None:
    on = bench(node("a"), node("b", "a"))
    on.tell(seen("a", running=1))
    assert on.ended(asked("Stop", mode=StopMode.CANCEL)) == [("a/1", "Cancelled")]
    assert on.run.outcome is None
    on.tell(cut_off("a"), after=2)
    assert on.run.outcome is not None
    assert (on.run.outcome.cancelled, on.run.outcome.reason) == (True, "Cancelled")


def test_a_stop_can_be_hastened_and_not_be_slowed_down() -> None:
    on = bench(node("a"), node("f", final=True))
    on.tell(seen("a", running=1))
    on.tell(asked("Stop", uid="1", mode=StopMode.GRACEFUL))
    on.tell(asked("Stop", uid="2", mode=StopMode.TERMINATE))
    on.tell(asked("Stop", uid="3", mode=StopMode.CANCEL))
    assert [accepted for _, accepted, _ in verdicts(on)] == [True, True, False]
    assert on.phase("f") == "Cancelled"


def test_a_stop_survives_a_restart() -> None:
    on = bench(node("a"), node("b", "a"))
    on.tell(seen("a", running=1))
    on.tell(asked("Stop", mode=StopMode.CANCEL))
    again = on.restarted()
    assert again.ended(seen("a", running=1)) == [("a/1", "Cancelled")]
    assert again.phase("b") == "Cancelled"


def test_what_a_stop_has_ended_before_it_was_on_record_has_no_consequences_after_a_restart() -> None:
    on = bench(node("a"), node("b", "a"))
    on.tell(seen("a", running=1))
    again = on.restarted()
    stop = asked("Stop", mode=StopMode.CANCEL)
    on.tell(stop)
    again.tell(cut_off("a"), stop)
    assert again.phases() == {"a": "Cancelled", "b": "Cancelled"}
    assert verdicts(again) == [("Stop", True, "Accepted")]


def test_a_stopped_run_can_be_retried() -> None:
    on = bench(node("a"), node("b", "a"), node("w", "b", repeat=Repeat(until=Value(True), max_iterations=2)))
    on.tell(succeeded("a"))
    on.tell(asked("Stop", mode=StopMode.CANCEL))
    on.tell(cut_off("b"))
    on.recorded()
    on.tell(asked("Retry"))
    assert on.recorded() == ["b/2"]
    assert on.run.stopping == ""
