"""What `plan()` decides for a whole run: the order of starts, slots, conditions, and how a run ends."""

import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from tests.unit.engine.kit import (
    RUN,
    UID,
    Bench,
    Cluster,
    FakeWork,
    Script,
    Value,
    at,
    bench,
    declared,
    driven,
    failed,
    name_of,
    node,
    refused,
    retries,
    seen,
    succeeded,
)

import fairlead
from fairlead.engine.commands import RecordEvent, StartAttempt
from fairlead.engine.model import Clocks, FailureClass, Phase, Settings, TriggerRule, WorkKind
from fairlead.engine.state import Result

DIAMOND = (node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))


# Starting.


def test_roots_are_started_in_the_order_of_the_definition() -> None:
    on = bench(node("z"), node("a"), node("m"), begun=False)
    assert on.started() == ["z/1", "a/1", "m/1"]


def test_no_more_objects_are_begun_than_there_is_room_for() -> None:
    on = bench(*(node(f"n{i}") for i in range(4)), begun=False)
    on.room = 2
    assert on.started() == ["n0/1", "n1/1"]
    on.room = 0
    assert on.started() == []
    on.room = 1
    assert on.started() == ["n2/1"]
    on.room = None
    assert on.started() == ["n3/1"]


def test_what_fails_before_anything_is_asked_for_takes_no_room() -> None:
    wrong = FakeWork(error="no such key")
    on = bench(node("x", work=wrong), node("y", work=wrong), node("z"), begun=False)
    on.room = 1
    assert on.started() == ["z/1"]


def test_what_has_no_object_needs_no_room_and_does_not_overtake_what_has_one() -> None:
    values = FakeWork({"values": {}}, kind=WorkKind.SET)
    on = bench(node("set", work=values), node("pod"), node("http", work=FakeWork({}, kind=WorkKind.HTTP)), begun=False)
    on.room = 0
    on.tell()
    assert on.phases() == {"set": "Succeeded", "pod": "Queued", "http": "Queued"}
    on.room = 1
    assert on.started() == ["pod/1"]


def test_a_start_says_everything_that_is_needed() -> None:
    on = bench(node("a", work=FakeWork({"do": "it"}, kind=WorkKind.JOB)), begun=False)
    assert on.orders() == [
        StartAttempt(node="a", number=1, object_name=name_of("a"), kind=WorkKind.JOB, work={"do": "it"})
    ]


def test_a_child_starts_in_the_same_call_that_learns_of_its_last_parents_end() -> None:
    on = bench(*DIAMOND)
    assert on.started(succeeded("a")) == ["b/1", "c/1"]
    assert on.started(succeeded("b")) == []
    assert on.started(succeeded("c")) == ["d/1"]


def test_several_ends_in_one_call() -> None:
    on = bench(*DIAMOND)
    on.tell(succeeded("a"))
    assert on.started(succeeded("c"), succeeded("b")) == ["d/1"]


def test_work_that_cannot_be_rendered_fails_its_node_without_an_attempt() -> None:
    on = bench(node("a", work=FakeWork(error="no such param")), node("b", "a"), begun=False)
    assert on.orders() == []
    assert on.phases() == {"a": "Failed", "b": "UpstreamFailed"}
    assert (on.state("a").reason, on.state("a").message, on.state("a").attempts) == (
        "ExpressionError",
        "no such param",
        [],
    )


def test_an_expression_sees_params_the_run_and_the_tasks_it_reads() -> None:
    scopes: list[object] = []
    spy = FakeWork(lambda scope: scopes.append(scope))
    on = bench(
        node("a", outputs=(declared("rows"),)),
        node("unread", "a"),
        node("b", "a", reads=("a",), work=spy),
        params={"day": "2026-11-22"},
    )
    on.tell(succeeded("a", text='{"rows": 3}'))
    assert scopes == [
        {
            "params": {"day": "2026-11-22"},
            "run": {"name": RUN, "namespace": "default", "uid": UID, "attempt": 1, "startTime": "2026-11-22T08:00:00Z"},
            "tasks": {"a": {"phase": "Succeeded", "outputs": {"rows": 3}}},
        }
    ]


# `when`.


@pytest.mark.parametrize(
    ("when", "phase", "reason"),
    [
        pytest.param(Value(True), "Starting", "", id="true"),
        pytest.param(Value(False), "Skipped", "WhenFalse", id="false"),
        pytest.param(Value(error="no such task"), "Failed", "ExpressionError", id="an error"),
        pytest.param(Value("true"), "Failed", "ExpressionError", id="a text"),
        pytest.param(Value(1), "Failed", "ExpressionError", id="a number"),
        pytest.param(Value(None), "Failed", "ExpressionError", id="null"),
    ],
)
@pytest.mark.row("B2")
def test_conditions(when: Value, phase: str, reason: str) -> None:
    on = bench(node("a", when=when))
    assert (on.phase("a"), on.state("a").reason) == (phase, reason)


@pytest.mark.row("fine:when")
def test_a_condition_is_evaluated_once() -> None:
    asked: list[object] = []

    def when(scope: object) -> bool:
        asked.append(scope)
        return True

    on = bench(node("a", when=Value(when), retry=retries(1)))
    on.tell(refused("a", until=1))
    on.tell(after=1)
    on.tell(failed("a"), after=2)
    assert len(asked) == 1


# Parallelism (invariant S6).


def test_no_more_attempts_than_the_limit() -> None:
    on = bench(*(node(f"n{i}") for i in range(5)), settings=Settings(parallelism=2), begun=False)
    assert on.started() == ["n0/1", "n1/1"]
    assert on.started(seen("n0"), seen("n1", running=1)) == []
    assert on.started(succeeded("n1")) == ["n2/1"]
    assert on.started(failed("n0"), failed("n2")) == ["n3/1", "n4/1"]


def test_a_node_in_back_off_holds_no_slot_and_goes_before_later_ones() -> None:
    on = bench(
        node("a", retry=retries(1, seconds=10)),
        node("b"),
        node("c"),
        settings=Settings(parallelism=1),
    )
    assert on.started(failed("a", end=0)) == ["b/1"]
    assert on.started(after=10) == []
    assert on.started(succeeded("b")) == ["a/2"]


def test_the_limit_may_change_while_the_run_goes_on() -> None:
    on = bench(*(node(f"n{i}") for i in range(5)), settings=Settings(parallelism=1))
    on.settings = Settings(parallelism=3)
    assert on.started() == ["n1/1", "n2/1"]
    on.settings = Settings(parallelism=1)
    assert on.started(succeeded("n0"), succeeded("n1")) == []
    assert on.started(succeeded("n2")) == ["n3/1"]
    on.settings = Settings()
    assert on.started() == ["n4/1"]


def test_adopted_attempts_hold_slots() -> None:
    on = bench(*(node(f"n{i}") for i in range(4)), settings=Settings(parallelism=2), begun=False)
    assert on.started(seen("n3"), seen("n2")) == []
    assert on.run.live == 2
    assert on.started(succeeded("n3")) == ["n0/1"]


def test_a_slot_freed_by_work_that_cannot_be_rendered_is_used_at_once() -> None:
    on = bench(node("a", work=FakeWork(error="bad")), node("b"), settings=Settings(parallelism=1), begun=False)
    assert on.started() == ["b/1"]


def test_the_queue_skips_entries_that_are_no_longer_true() -> None:
    on = bench(node("a"), node("b"), node("c"), settings=Settings(parallelism=1))
    on.tell(seen("b", running=1))  # another controller has started it
    assert on.started(succeeded("a"), succeeded("b")) == ["c/1"]


# How a run ends.


@pytest.mark.parametrize(
    ("facts", "succeeded_", "reason", "message"),
    [
        pytest.param([succeeded("a"), succeeded("b")], True, "Succeeded", "2 tasks: 2 Succeeded", id="all succeeded"),
        pytest.param(
            [succeeded("a"), failed("b")], False, "TaskFailed", "task 'b' failed: ExitCode: ", id="one failed"
        ),
        pytest.param(
            [failed("b"), failed("a")],
            False,
            "TaskFailed",
            "task 'a' failed: ExitCode:  (and 1 more tasks failed)",
            id="several failed",
        ),
    ],
)
def test_outcomes(facts: list, succeeded_: bool, reason: str, message: str) -> None:  # type: ignore[type-arg]
    on = bench(node("a"), node("b"))
    planned = on.tell(*facts, after=7)
    outcome = on.run.outcome
    assert outcome is not None
    assert (outcome.succeeded, outcome.reason, outcome.message) == (succeeded_, reason, message)
    assert outcome.finished_at == at(7)
    assert planned.wake_at is None


def test_a_failure_upstream_of_a_success_fails_the_run() -> None:
    # Whatever the leaves are.
    on = bench(node("a"), node("b", "a", trigger=TriggerRule.ALL_DONE))
    on.tell(failed("a"))
    on.tell(succeeded("b"))
    assert on.run.outcome is not None
    assert not on.run.outcome.succeeded


def test_skipped_tasks_do_not_fail_a_run() -> None:
    on = bench(node("a", when=Value(False)), node("b", "a"))
    assert on.run.outcome is not None
    assert (on.run.outcome.succeeded, on.run.outcome.message) == (True, "2 tasks: 2 Skipped")


def test_a_run_of_no_tasks_succeeds() -> None:
    on = bench()
    assert on.run.outcome is not None
    assert on.run.outcome.succeeded


def test_a_run_does_not_end_before_its_last_attempt() -> None:
    on = bench(node("a"), node("b"))
    on.tell(failed("a"))
    assert on.run.outcome is None


def test_the_outputs_of_a_run_are_evaluated_when_it_succeeds() -> None:
    total = Value(lambda scope: scope["tasks"]["a"]["outputs"]["rows"] * 2)
    on = bench(node("a", outputs=(declared("rows"),)), outputs=[("total", total)], reads=["a"])
    on.tell(succeeded("a", text='{"rows": 21}'))
    assert on.run.outputs == {"total": 42}


def test_an_output_of_the_run_that_cannot_be_evaluated_fails_it() -> None:
    on = bench(node("a"), outputs=[("total", Value(error="no such key"))])
    on.tell(succeeded("a"))
    assert on.run.outcome is not None
    assert (on.run.outcome.reason, on.run.outcome.message) == ("ExpressionError", "no such key")


def test_a_run_that_is_over_stays_over() -> None:
    on = bench(node("a"))
    on.tell(failed("a"))
    outcome, revision = on.run.outcome, on.run.revision
    on.settings = Settings(suspend=True, deadline_seconds=1)
    assert on.tell(succeeded("a"), after=1000).commands == ()
    assert (on.run.outcome, on.run.revision, on.phase("a")) == (outcome, revision, "Failed")


# What people are told.


def told(on: Bench, *facts: object, after: float | None = None) -> list[tuple[str, str, str]]:
    commands = on.tell(*facts, after=after).commands  # type: ignore[arg-type]
    return [(c.type.value, c.reason, c.key) for c in commands if isinstance(c, RecordEvent)]


def test_transitions_are_told_with_a_key_each() -> None:
    on = bench(node("a", retry=retries(1)), node("b", "a"), node("c"))
    assert told(on, failed("a"), after=1) == [("Warning", "TaskRetrying", "a/1/retry")]
    assert told(on, failed("a", 2, end=2), after=2) == [
        ("Warning", "TaskFailed", "a/end"),
        ("Normal", "TaskUpstreamFailed", "b/end"),
    ]
    assert told(on, succeeded("c")) == [("Normal", "TaskSucceeded", "c/end"), ("Warning", "Failed", "end")]


def test_a_skip_is_not_worth_telling() -> None:
    on = bench(node("a", when=Value(False)), node("b"), begun=False)
    assert told(on) == []


def test_a_retry_tells_when() -> None:
    on = bench(node("a", retry=retries(1, seconds=30)))
    (event,) = on.tell(failed("a", end=5), after=10).commands
    assert isinstance(event, RecordEvent)
    assert event.message == "task 'a', attempt 1: ExitCode: ; next attempt in 25 s"


@pytest.mark.parametrize("length", [1024, 1025, 100_000])
def test_messages_are_cut(length: int) -> None:
    on = bench(node("a", when=Value(error="x" * length)))
    assert len(on.state("a").message) <= 1024
    assert on.run.outcome is not None
    assert len(on.run.outcome.message) <= 1024


# The order of facts.


def test_the_order_of_facts_that_come_together_does_not_matter() -> None:
    facts = [
        failed("a", 1, end=1),
        succeeded("a", 2, end=4),
        failed("b", end=3),
        seen("c", running=2),
        succeeded("d", end=2),
    ]
    plans = set()
    for order in permutations(facts):
        on = bench(*(node(name, retry=retries(1)) for name in "abcd"), node("e", "a", "b"), node("f", "d"))
        plans.add(repr((on.tell(*order, after=5), on.phases())))
    assert len(plans) == 1


# Whole runs.


def test_a_run_of_every_kind_of_end() -> None:
    on = bench(
        node("ok"),
        node("flaky", retry=retries(2, seconds=5)),
        node("evicted", "ok", retry=retries(0, 3, seconds=5)),
        node("broken", "ok"),
        node("after", "broken"),
        node("cleanup", "after", trigger=TriggerRule.ALL_DONE),
        node("hung", clocks=Clocks(run_seconds=20)),
        begun=False,
    )
    script: dict[tuple[str, int], Script] = {
        ("hung", 1): None,
        ("flaky", 1): FailureClass.USER,
        ("flaky", 2): FailureClass.USER,
        ("evicted", 1): FailureClass.INFRASTRUCTURE,
        ("broken", 1): FailureClass.USER,
    }
    cluster = Cluster(lambda name, number: script.get((name, number), Result.SUCCEEDED))
    driven(on, cluster)
    assert on.phases() == {
        "ok": "Succeeded",
        "flaky": "Succeeded",
        "evicted": "Succeeded",
        "broken": "Failed",
        "after": "UpstreamFailed",
        "cleanup": "Succeeded",
        "hung": "Failed",
    }
    assert len(on.state("flaky").attempts) == 3
    assert len(cluster.created) == len(set(cluster.created)) == 9
    assert on.run.counts[Phase.SUCCEEDED] == 4
    assert on.run.live == 0


# Determinism (invariant S11).

_SCRIPT = """
from fairlead.engine.model import TriggerRule
from tests.unit.engine.kit import bench, failed, node, retries, succeeded
rules = list(TriggerRule)
on = bench(*(node(f"n{i}", *(f"n{j}" for j in range(i) if (i * j) % 3 == 1), trigger=rules[i % 12], retry=retries(1))
             for i in range(40)), node("r"), *(node(f"c{i}", "r") for i in range(9)), begun=False)
said = [on.tell().commands]
for i in range(40):
    if on.state(f"n{i}").current:
        said.append(on.tell(*(failed(f"n{i}", k, end=i) for k in (1, 2)), succeeded(f"n{i}"), after=i).commands)
said.append(on.tell(failed("r")).commands)
print(said)
"""


def test_the_same_facts_give_the_same_commands_whatever_the_hash_seed() -> None:
    package, root = Path(fairlead.__file__).parents[1], Path(__file__).parents[3]
    said = {
        subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": f"{package}:{root}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(said) == 1
    assert "StartAttempt" in said.pop()
