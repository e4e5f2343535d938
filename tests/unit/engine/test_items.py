"""A task over a list: one node for each item, who of them may start, and what the task comes to."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.kit import (
    Bench,
    FakeWork,
    Value,
    bench,
    declared,
    failed,
    node,
    refused,
    retries,
    seen,
    succeeded,
)

from fairlead.engine import capacity
from fairlead.engine.events import StatusRecorded
from fairlead.engine.model import ForEach, Node, Override, Settings, Tolerance, WorkKind
from fairlead.engine.reasons import why


def over(
    items: Any, *, needs: tuple[str, ...] = (), name: str = "m", work: FakeWork | None = None, **more: Any
) -> Node:
    """A task over a list; fields of `ForEach` and of `Node` alike."""
    own = {key: more.pop(key) for key in ForEach.__dataclass_fields__ if key in more}
    value = items if isinstance(items, Value) else Value(items)
    return node("m", *needs, work=work, for_each=ForEach(items=value, **own), **more)


def names(on: Bench) -> list[str]:
    return [name for name in on.run.nodes if name.startswith("m[")]


@pytest.mark.row("B3")
def test_each_item_is_a_node_of_its_own() -> None:
    on = bench(over(["x", "y"]), begun=False)
    assert on.started() == ["m[0]/1", "m[1]/1"]
    assert on.phase("m") == "Running"
    assert [on.state(name).item for name in names(on)] == ["x", "y"]


def test_an_item_sees_itself_by_two_names_and_its_place() -> None:
    scopes: list[Any] = []
    work = FakeWork(lambda scope: scopes.append({key: scope[key] for key in ("item", "region", "index")}))
    bench(over(["eu", "us"], variable="region", work=work))
    assert scopes == [{"item": "eu", "region": "eu", "index": 0}, {"item": "us", "region": "us", "index": 1}]


def test_a_list_may_come_from_a_task() -> None:
    tasks = (
        node("a", outputs=[declared("rows")]),
        over(Value(lambda scope: [scope["tasks"]["a"]["outputs"]["rows"]] * 2), needs=("a",), reads=("a",)),
    )
    on = bench(*tasks)
    assert on.started(succeeded("a", text='{"rows": 7}')) == ["m[0]/1", "m[1]/1"]
    assert on.state("m[1]").item == 7


def test_it_succeeds_when_its_items_have_and_its_outputs_are_lists_in_their_order() -> None:
    on = bench(over(["x", "y"], outputs=[declared("n")]), node("after", "m"))
    on.tell(succeeded("m[1]", text='{"n": 2}', end=3))
    assert on.phase("m") == "Running"
    assert on.started(succeeded("m[0]", text='{"n": 1}', end=5)) == ["after/1"]
    assert (on.phase("m"), on.state("m").outputs) == ("Succeeded", {"n": [1, 2]})


@pytest.mark.row("B3")
def test_an_empty_list_is_skipped() -> None:
    on = bench(over([]), node("after", "m"))
    assert (on.phase("m"), on.state("m").reason) == ("Skipped", "NoItems")
    assert on.phase("after") == "Skipped"


@pytest.mark.row("B3")
@pytest.mark.row("C3")
def test_a_list_that_is_too_long_is_refused_before_anything_starts() -> None:
    on = bench(over(list(range(11)), limit=10))
    assert (on.phase("m"), on.state("m").reason) == ("Failed", "TooManyItems")
    assert "11 items, at most 10" in on.state("m").message
    assert names(on) == []


@pytest.mark.row("C3")
def test_so_are_more_nodes_than_a_run_can_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "NODES", 5)
    on = bench(over(list(range(5))))
    assert on.state("m").reason == "TooManyItems"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        pytest.param(Value("abc"), 'must be a list, it is "abc"', id="no list"),
        pytest.param(Value(error="no such key"), "no such key", id="cannot be evaluated"),
    ],
)
def test_what_is_no_list_fails_the_task(items: Value, message: str) -> None:
    on = bench(over(items))
    assert (on.phase("m"), on.state("m").reason) == ("Failed", "ExpressionError")
    assert message in on.state("m").message


@pytest.mark.row("B3")
def test_at_most_max_parallel_items_are_in_line_or_live() -> None:
    on = bench(over([1, 2, 3, 4], max_parallel=2), begun=False)
    assert on.started() == ["m[0]/1", "m[1]/1"]
    assert why(on.run, on.settings, on.state("m[2]")) == ("WaitingForParallelism", "2/2 items of m")
    assert on.started(succeeded("m[1]")) == ["m[2]/1"]
    assert on.started(succeeded("m[0]"), succeeded("m[2]")) == ["m[3]/1"]


def test_an_item_that_waits_for_its_next_attempt_keeps_its_place() -> None:
    on = bench(over([1, 2], max_parallel=1, retry=retries(1, seconds=10)))
    assert on.started(failed("m[0]")) == []
    assert on.started(after=30) == ["m[0]/2"]


def test_the_run_s_parallelism_counts_items() -> None:
    on = bench(over([1, 2, 3]), node("z"), settings=Settings(parallelism=2), begun=False)
    assert on.started() == ["m[0]/1", "m[1]/1"]
    assert on.started(succeeded("m[0]")) == ["m[2]/1"]
    assert on.started(succeeded("m[1]")) == ["z/1"]


def test_an_item_is_retried_on_its_own() -> None:
    on = bench(over([1, 2], retry=retries(1)))
    assert on.started(failed("m[0]"), succeeded("m[1]"), after=2) == ["m[0]/2"]
    on.tell(succeeded("m[0]", 2))
    assert on.phase("m") == "Succeeded"
    assert len(on.state("m[0]").attempts) == 2


def test_by_default_no_failure_is_tolerated() -> None:
    on = bench(over([1, 2, 3], max_parallel=1), node("after", "m"))
    on.tell(failed("m[0]"))
    assert on.phases() == {
        "m": "Failed",
        "after": "UpstreamFailed",
        "m[0]": "Failed",
        "m[1]": "Cancelled",
        "m[2]": "Cancelled",
    }
    assert on.state("m").reason == "ItemsFailed"
    assert on.state("m").message.startswith("1 of 3 items failed, 0 tolerated; m[0]: ExitCode")
    assert on.state("m[1]").reason == "ToleranceExceeded"


@pytest.mark.row("fine:over-tolerance")
def test_over_tolerance_nothing_starts_and_what_runs_finishes() -> None:
    on = bench(over([1, 2, 3, 4], max_parallel=3, retry=retries(1)))
    on.tell(seen("m[1]", running=1), seen("m[2]", running=1))
    on.tell(failed("m[0]"), after=2)
    on.tell(failed("m[0]", 2))
    assert [on.phase(name) for name in names(on)] == ["Failed", "Running", "Running", "Cancelled"]
    assert on.phase("m") == "Running"
    assert on.started(failed("m[1]")) == []
    assert on.phase("m[1]") == "Cancelled"
    on.tell(succeeded("m[2]"))
    assert (on.phase("m"), on.phase("m[2]")) == ("Failed", "Succeeded")


@pytest.mark.row("fine:over-tolerance")
def test_over_tolerance_an_item_whose_start_was_refused_does_not_ask_again() -> None:
    on = bench(over([1, 2, 3], max_parallel=2))
    on.tell(failed("m[0]"))
    assert on.phase("m") == "Running"
    on.tell(refused("m[1]", until=5))
    assert (on.phase("m"), on.phase("m[1]")) == ("Failed", "Cancelled")


def test_what_is_over_tolerance_is_looked_through_once() -> None:
    on = bench(over(list(range(20)), retry=retries(1)), settings=Settings(parallelism=3))
    items = on.state("m").items
    assert items is not None
    on.tell(failed("m[0]"), after=2)
    on.tell(failed("m[0]", 2))
    assert items.exceeded
    items.states.clear()  # whatever is asked of all of them from now on would see none
    on.tell(failed("m[1]"))
    assert on.phase("m[1]") == "Cancelled"


@pytest.mark.parametrize(
    ("tolerance", "items", "failures", "phase"),
    [
        pytest.param(Tolerance(count=1), 4, 1, "Succeeded", id="as many as tolerated"),
        pytest.param(Tolerance(count=1), 4, 2, "Failed", id="one more"),
        pytest.param(Tolerance(percent=50), 4, 2, "Succeeded", id="exactly the percentage"),
        pytest.param(Tolerance(percent=50), 4, 3, "Failed", id="strictly more"),
        pytest.param(Tolerance(percent=10), 3, 0, "Succeeded", id="a percentage of few"),
        pytest.param(Tolerance(percent=10), 3, 1, "Failed", id="is less than one"),
        pytest.param(Tolerance(percent=100), 3, 3, "Succeeded", id="all of them"),
    ],
)
@pytest.mark.row("B3")
def test_tolerance(tolerance: Tolerance, items: int, failures: int, phase: str) -> None:
    on = bench(over(list(range(items)), tolerance=tolerance))
    for index in range(failures):
        on.tell(failed(f"m[{index}]"))
    for index in range(failures, items):
        on.tell(succeeded(f"m[{index}]"))
    assert on.phase("m") == phase


@pytest.mark.row("fine:aggregates")
def test_a_tolerated_failure_is_null_in_the_outputs() -> None:
    on = bench(over([1, 2], tolerance=Tolerance(count=1), outputs=[declared("n")]))
    on.tell(failed("m[0]"))
    on.tell(succeeded("m[1]", text='{"n": 2}'))
    assert on.state("m").outputs == {"n": [None, 2]}
    assert on.state("m").message == "1 of 2 items failed, which is tolerated"
    assert on.run.outcome is not None
    assert on.run.outcome.succeeded


@pytest.mark.row("B3")
def test_limits_may_be_changed_while_it_runs() -> None:
    on = bench(over([1, 2, 3], max_parallel=1))
    on.settings = Settings(overrides={"m": Override(max_parallel=3, tolerance=Tolerance(count=1))})
    assert on.started() == ["m[1]/1", "m[2]/1"]
    on.tell(failed("m[0]"))
    on.tell(succeeded("m[1]"), succeeded("m[2]"))
    assert on.phase("m") == "Succeeded"


@pytest.mark.row("fine:when")
def test_when_is_asked_for_each_item() -> None:
    on = bench(over([1, 2, 3], when=Value(lambda scope: scope["item"] != 2)), begun=False)
    assert on.started() == ["m[0]/1", "m[2]/1"]
    assert (on.phase("m[1]"), on.state("m[1]").reason) == ("Skipped", "WhenFalse")
    on.tell(succeeded("m[0]"), succeeded("m[2]"))
    assert on.phase("m") == "Succeeded"


@pytest.mark.row("fine:when")
def test_all_items_skipped_is_a_task_skipped() -> None:
    on = bench(over([1, 2], when=Value(False)))
    assert (on.phase("m"), on.state("m").reason) == ("Skipped", "ItemsSkipped")


def test_a_condition_that_cannot_be_evaluated_fails_its_item() -> None:
    on = bench(over([1, 2], when=Value(error="no"), tolerance=Tolerance(count=2)))
    assert on.phase("m[0]") == "Failed"
    assert on.state("m[0]").message == "forEach.when: no"


@pytest.mark.row("B3")
@pytest.mark.row("fine:aggregates")
def test_a_batch_is_the_node_and_the_unit_of_tolerance() -> None:
    on = bench(over([1, 2, 3, 4, 5], batch_size=2, tolerance=Tolerance(percent=34), outputs=[declared("n")]))
    assert [on.state(name).item for name in names(on)] == [[1, 2], [3, 4], [5]]
    on.tell(failed("m[0]"), succeeded("m[1]", text='{"n": 7}'), succeeded("m[2]", text='{"n": 5}'))
    assert (on.phase("m"), on.state("m").outputs) == ("Succeeded", {"n": [None, 7, 5]})


def test_items_that_only_set_values_need_no_attempts() -> None:
    work = FakeWork(lambda scope: {"values": {"n": scope["item"] * 2}}, kind=WorkKind.SET)
    on = bench(over([1, 2, 3], work=work, outputs=[declared("n")]))
    assert on.state("m").outputs == {"n": [2, 4, 6]}
    assert on.run.outcome is not None


def test_after_a_restart_the_list_goes_on_where_it_was() -> None:
    on = bench(over([1, 2, 3, 4], max_parallel=2, outputs=[declared("n")]))
    on.tell(succeeded("m[0]", text='{"n": 1}'), seen("m[1]", running=1))
    again = on.restarted()
    assert again.started(seen("m[1]", running=1)) == ["m[2]/1"]
    again.tell(succeeded("m[1]", text='{"n": 2}'), succeeded("m[2]", text='{"n": 3}'))
    again.tell(succeeded("m[3]", text='{"n": 4}'))
    assert again.state("m").outputs == {"n": [1, 2, 3, 4]}


def test_an_ended_list_is_restored_with_its_outputs() -> None:
    on = bench(over([1, 2], outputs=[declared("n")]), node("after", "m", reads=("m",)))
    on.tell(succeeded("m[0]", text='{"n": 1}'), succeeded("m[1]", text='{"n": 2}'))
    again = on.restarted()
    assert again.state("m").outputs == {"n": [1, 2]}
    assert again.started() == ["after/1"]
    assert again.phases() == on.phases()
    assert again.run.counts == on.run.counts


def test_items_seen_before_their_list_is_known_are_taken_in_once_it_is() -> None:
    """A controller that starts afresh with an old record sees all objects at once."""
    tasks = (
        node("a", outputs=[declared("n")]),
        over(Value(lambda scope: list(range(scope["tasks"]["a"]["outputs"]["n"]))), needs=("a",), reads=("a",)),
    )
    fresh = bench(*tasks)
    facts = [seen("m[1]", running=2), succeeded("m[0]"), succeeded("a", text='{"n": 3}')]
    assert fresh.started(*facts) == ["m[2]/1"]
    assert [fresh.phase(name) for name in names(fresh)] == ["Succeeded", "Running", "Starting"]


def test_a_pod_that_claims_to_be_the_task_itself_is_not_believed() -> None:
    on = bench(over([1]))
    on.tell(succeeded("m"))
    assert on.phase("m") == "Running"


def test_counts_and_slots_stay_in_step() -> None:
    on = bench(over([1, 2, 3], max_parallel=2), node("z"))
    assert sum(on.run.counts.values()) == 4
    assert on.run.live == 3
    on.tell(succeeded("m[0]"), succeeded("m[1]"))
    on.tell(succeeded("m[2]"), succeeded("z"))
    assert on.run.live == 0
    assert (on.run.open_main, on.run.open_final) == (0, 0)


def test_a_restart_after_the_record_needs_no_facts() -> None:
    on = bench(over([1, 2]))
    on.tell(succeeded("m[0]"), succeeded("m[1]"), StatusRecorded(revision=99))
    again = on.restarted()
    again.tell()
    assert again.run.outcome is not None
    assert again.run.outcome.succeeded
