"""A controller that starts afresh: what was recorded is believed, what lies between is derived."""

import pytest
from tests.unit.engine.kit import (
    Bench,
    FakeWork,
    Value,
    asked,
    at,
    bench,
    declared,
    failed,
    gone,
    name_of,
    node,
    records_of,
    refused,
    retries,
    seen,
    succeeded,
)

from fairlead.engine.events import Event, StatusRecorded
from fairlead.engine.model import (
    TERMINAL,
    Backoff,
    Clocks,
    FailureClass,
    ForEach,
    Node,
    Phase,
    RetryPolicy,
    RetryRule,
    Settings,
    StopMode,
    TriggerRule,
    WorkKind,
)
from fairlead.engine.restore import NodeRecord
from fairlead.engine.state import Attempt

INFRA = FailureClass.INFRASTRUCTURE


def mixed() -> Bench:
    """A run with a node in every phase."""
    on = bench(
        node("ok", outputs=(declared("rows"),)),
        node("bad"),
        node("skipped", when=Value(False)),
        node("upstream", "bad"),
        node("waiting", "starting"),
        node("queued"),
        node("starting"),
        node("running", clocks=Clocks(run_seconds=1000)),
        node("backoff", retry=retries(1, seconds=100)),
    )
    on.tell(
        succeeded("ok", text='{"rows": 3}', end=5),
        failed("bad", end=5),
        refused("queued", until=1000, reason="QuotaExceeded"),
        seen("starting"),
        seen("running", running=5, node_name="n1"),
        failed("backoff", end=5),
        after=6,
    )
    return on


def test_the_example_has_every_phase_but_cancelled() -> None:
    assert set(mixed().phases().values()) == set(Phase) - {Phase.CANCELLED}


def test_terminal_facts_are_kept() -> None:
    before = mixed()
    after = before.restarted()
    for name, state in before.run.nodes.items():
        if state.phase in TERMINAL:
            restored = after.state(name)
            assert (restored.phase, restored.reason, restored.message) == (state.phase, state.reason, state.message)
            assert (restored.outputs, restored.completed_at) == (state.outputs, state.completed_at)
            assert len(restored.attempts) == len(state.attempts)


def test_phases_between_are_derived() -> None:
    after = mixed().restarted()
    derived = {name: phase for name, phase in after.phases().items() if Phase(phase) not in TERMINAL}
    assert derived == {
        "waiting": "Waiting",
        "queued": "Queued",
        "starting": "Starting",
        "running": "Starting",
        "backoff": "Backoff",
    }
    assert after.run.live == 2
    assert sum(after.run.counts.values()) == len(after.run.nodes)


def test_nothing_is_to_be_written_for_a_restart_alone() -> None:
    assert mixed().restarted().run.revision == 0


def test_the_live_objects_bring_it_up_to_date() -> None:
    before = mixed()
    after = before.restarted()
    facts: list[Event] = [
        succeeded("ok", text='{"rows": 3}', end=5),
        failed("bad", end=5),
        seen("starting"),
        seen("running", running=5, node_name="n1"),
        failed("backoff", end=5),
    ]
    assert after.started(*facts, after=7) == ["queued/1"]
    assert after.phases() == before.phases() | {"queued": "Starting"}


def test_a_child_starts_whose_parent_was_recorded_and_released() -> None:
    on = bench(node("a"), node("b", "a"))
    on.tell(succeeded("a"))
    records = [record for record in records_of(on.run) if record.name == "a"]
    assert on.restarted(records).started() == ["b/1"]


@pytest.mark.parametrize("rule", TriggerRule)
@pytest.mark.parametrize("end", sorted(TERMINAL))
def test_counters_of_parents_are_those_of_a_run_without_a_restart(rule: TriggerRule, end: Phase) -> None:
    graph = (node("p"), node("q"), node("c", "p", "q", trigger=rule))
    after = bench(*graph).restarted([NodeRecord(name="p", phase=end)])
    state = after.state("c")
    assert (state.pending, state.succeeded + state.failed + state.upstream_failed + state.skipped) == (1, 1)


def test_back_off_goes_on_from_the_recorded_end() -> None:
    on = bench(node("a", retry=retries(2, seconds=100)))
    on.tell(failed("a", end=5), after=6)
    due = on.state("a").not_before
    after = on.restarted()
    assert after.state("a").not_before == due == at(105)
    assert after.started(after=104) == []
    assert after.started(after=105) == ["a/2"]


def test_the_budget_goes_on() -> None:
    on = bench(node("a", retry=retries(1, 1)))
    on.tell(failed("a", 1, INFRA, end=1), after=1)
    on.tell(failed("a", 2, end=2), after=2)
    after = on.restarted()
    assert after.started(after=3) == ["a/3"]
    after.tell(failed("a", 3, end=4), after=4)
    assert after.phase("a") == "Failed"


def test_numbers_of_attempts_go_on() -> None:
    on = bench(node("a", retry=retries(9)))
    for number in (1, 2, 3):
        on.tell(failed("a", number, end=number), after=number)
    assert on.restarted().started(after=4) == ["a/4"]


def test_a_recorded_attempt_whose_object_is_gone() -> None:
    on = bench(node("a", retry=retries(infrastructure=1)))
    on.tell(seen("a", running=1), after=2)
    after = on.restarted()
    assert after.started(gone("a", when=50), after=50) == []
    assert after.started(StatusRecorded(revision=after.run.revision)) == ["a/2"]


def test_an_attempt_that_was_only_asked_for_is_asked_for_again() -> None:
    # The create may or may not have been applied: the name is the same, so it does not matter.
    on = bench(node("a"))
    assert on.phase("a") == "Starting"
    assert on.restarted().started() == ["a/1"]


def test_live_attempts_keep_their_slots() -> None:
    on = bench(node("a"), node("b"), node("c"), settings=Settings(parallelism=2))
    on.tell(seen("a"), seen("b"))
    after = on.restarted()
    assert after.started() == []
    assert after.started(succeeded("a")) == ["c/1"]


def test_records_of_nodes_that_the_graph_does_not_have_are_left_out() -> None:
    after = bench(node("a")).restarted([NodeRecord(name="other", phase=Phase.FAILED)])
    assert after.phases() == {"a": "Waiting"}


def test_a_run_whose_last_node_was_recorded_ends() -> None:
    on = bench(node("a"), node("b", "a"))
    on.tell(succeeded("a"))
    on.tell(failed("b"))
    after = on.restarted()
    after.tell()
    assert after.run.outcome is not None
    assert (after.run.outcome.succeeded, after.run.outcome.reason) == (False, "TaskFailed")


def test_what_is_shared_with_the_record_is_not_changed() -> None:
    on = bench(node("a"))
    on.tell(seen("a"))
    records = records_of(on.run)
    after = on.restarted(records)
    after.tell(succeeded("a"))
    assert on.state("a").phase is Phase.STARTING


def test_a_recorded_queue_is_believed_since_its_condition_was_true() -> None:
    after = mixed().restarted()
    assert after.state("queued").phase is Phase.QUEUED


def test_a_stop_that_had_begun_is_not_taken_back_by_a_later_deadline() -> None:
    on = bench(node("runs"), node("waits", "runs"), settings=Settings(deadline_seconds=10))
    on.tell(seen("runs"), after=1)
    on.tell(after=20)
    assert on.phases() == {"runs": "Starting", "waits": "Cancelled"}

    after = on.restarted()
    after.settings = Settings(deadline_seconds=1000)

    assert after.ended(seen("runs"), after=22) == [("runs/1", "RunDeadlineExceeded")]


def test_a_stop_of_which_only_the_effects_are_on_record_goes_on() -> None:
    on = bench(node("runs"), node("waits", "runs"), settings=Settings(deadline_seconds=10))
    on.tell(seen("runs"), after=1)
    on.tell(after=20)
    on.run.stopping, on.run.stop_mode = "", None  # the releases before this was recorded

    after = on.restarted()
    after.settings = Settings(deadline_seconds=1000)

    assert after.ended(seen("runs"), after=22) == [("runs/1", "RunDeadlineExceeded")]


def test_a_list_that_has_become_shorter_keeps_the_attempts_of_the_items_it_has_no_more() -> None:
    attempts = (Attempt(number=1, object_name="old", created=True, finished_at=at(1)),)
    on = bench(node("m", for_each=ForEach(items=Value(["x"])), outputs=[declared("n")]), begun=False)
    after = on.restarted(
        [
            NodeRecord(name="m", phase=Phase.SUCCEEDED, digest="d", total=1),
            NodeRecord(name="m[0]", phase=Phase.SUCCEEDED, outputs={"n": 1}),
            NodeRecord(name="m[1]", phase=Phase.WAITING, attempts=attempts),
        ]
    )
    assert after.phases() == {"m": "Succeeded", "m[0]": "Succeeded"}
    assert after.state("m").outputs == {"n": [1]}
    assert [len(past.attempts) for past in after.state("m").past.values()] == [1]


# Items that a restarted controller sees before it knows the list.


def listed(*needs: str) -> Node:
    return node("m", *needs, for_each=ForEach(items=Value(["x", "y"])))


def test_a_stop_that_is_told_again_waits_for_the_items_that_there_are() -> None:
    on = bench(listed(), begun=False)
    stop = asked("Stop", mode=StopMode.CANCEL)
    assert on.ended(seen("m[0]", running=1), stop) == [("m[0]/1", "Cancelled")]
    assert on.phases() == {"m": "Running", "m[0]": "Running", "m[1]": "Cancelled"}


def test_it_does_so_where_the_list_comes_after_values_that_are_only_set() -> None:
    values = node("s", work=FakeWork({"values": {}}, kind=WorkKind.SET))
    on = bench(values, listed("s"), begun=False)
    stop = asked("Stop", mode=StopMode.CANCEL)
    assert on.ended(seen("m[0]", running=1), stop) == [("m[0]/1", "Cancelled")]
    assert on.phase("s") == "Succeeded"


def test_the_number_of_an_item_that_its_task_does_not_have_is_not_used_again() -> None:
    on = bench(node("a"), listed("a"), begun=False)
    after = on.restarted([NodeRecord(name=name, phase=Phase.CANCELLED, completed_at=at(1)) for name in ("a", "m")])
    assert after.ended(seen("m[0]", running=1)) == []
    assert after.ended(after.record()) == [("m[0]/1", "Superseded")]
    after.tell(asked("Clear", "a"), after=9)
    after.recorded()
    after.tell(seen("a", running=10), after=10)
    assert after.started(succeeded("a", end=11), after=11) == ["m[0]/2", "m[1]/1"]


def test_an_attempt_of_an_earlier_epoch_has_ended_whatever_its_record_says() -> None:
    unfinished = Attempt(number=1, object_name=name_of("a"), created=True)
    on = bench(node("a"), begun=False)
    on.run.epoch, on.run.epoch_at = 2, at(5)
    after = on.restarted([NodeRecord(name="a", phase=Phase.WAITING, attempts=(unfinished,))])
    assert after.started(failed("a", end=1), after=6) == ["a/2"]
    assert [attempt.finished_at for attempt in after.state("a").attempts] == [at(1), None]


def test_rules_about_retries_read_what_the_controller_before_read() -> None:
    of_list = Value(lambda scope: scope["tasks"]["list"]["outputs"].get("x") == [1])
    rule = RetryRule(when=of_list, limit=3, backoff=Backoff(initial_seconds=600, factor=1))
    on = bench(
        node("b", "list", reads=("list",), retry=RetryPolicy(rules=(rule,))),
        node("list", for_each=ForEach(items=Value([1])), outputs=(declared("x"),)),
    )
    on.tell(succeeded("list[0]", text='{"x": 1}', end=5), after=5)
    on.tell(failed("b", end=10), after=10)
    assert on.phase("b") == "Backoff"
    again = on.restarted()
    assert again.started(after=60) == []
    assert again.started(after=610) == ["b/2"]
