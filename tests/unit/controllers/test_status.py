"""Between the engine's state and the status: nothing that is over is forgotten, and conditions keep their times."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.kit import (
    RUN,
    T0,
    UID,
    Bench,
    Value,
    at,
    bench,
    declared,
    failed,
    node,
    refused,
    retries,
    seen,
    succeeded,
)

from fairlead.api.problems import Problem
from fairlead.api.status import WorkflowStatus
from fairlead.controllers.records import recorded_nodes
from fairlead.controllers.status import (
    condition,
    encode,
    invalid_status,
    is_finished,
    is_invalid,
    operations,
    suspension,
)
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import TERMINAL, FailureClass, Phase, Settings, ValueType
from fairlead.engine.restore import restore

SUSPENDED = Settings(suspend=True)


def status_of(on: Bench, previous: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"generation": 1, "previous": previous or {}, "now": at(on.seconds)} | more
    return encode(on.run, on.settings, **arguments)


def restarted(on: Bench, status: dict[str, Any]) -> Bench:
    """The same run, taken up from a status as the API server gives it back."""
    stored = json.loads(json.dumps(status))
    run = restore(on.graph, recorded_nodes(stored["tasks"]), uid=UID, name=RUN, namespace="default", started_at=T0)
    run.suspended_at, run.suspended_seconds = suspension(stored)
    return Bench(on.graph, run, on.settings, on.seconds)


def mixed() -> Bench:
    """A run with every kind of end, and something of everything between."""
    on = bench(
        node("ok", outputs=(declared("rows"), declared("any", ValueType.OBJECT, has_default=True))),
        node("bad", retry=retries(1)),
        node("skipped", when=Value(False)),
        node("upstream", "bad"),
        node("waiting", "running"),
        node("queued"),
        node("running"),
        node("backoff", retry=retries(0, 1, seconds=100)),
    )
    on.tell(
        succeeded("ok", text='{"rows": 3}', running=2, end=5, node_name="n1"),
        failed("bad", 1, end=5),
        failed("bad", 2, end=6),
        refused("queued", until=1000, reason="QuotaExceeded"),
        seen("running", running=5, node_name="n1"),
        failed("backoff", 1, FailureClass.INFRASTRUCTURE, end=5, reason="Evicted"),
        after=7,
    )
    return on


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["status"] for each in status["conditions"]}


def times(status: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["lastTransitionTime"] for each in status["conditions"]}


def task(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in status["tasks"] if each["name"] == name)


# What a status shows.


def test_a_status_is_what_the_api_describes() -> None:
    WorkflowStatus.model_validate_json(json.dumps(status_of(mixed())), strict=False)


def test_the_summary() -> None:
    status = status_of(mixed(), generation=3)
    assert (status["observedGeneration"], status["phase"], status["progress"]) == (3, "Running", "4/8")
    assert status["startTime"] == "2026-11-22T08:00:00Z"
    assert status["message"] == "running: running"
    assert status["counts"] == {
        "total": 8,
        "waiting": 1,
        "queued": 1,
        "running": 1,
        "backoff": 1,
        "succeeded": 1,
        "failed": 1,
        "skipped": 1,
        "upstreamFailed": 1,
    }


def test_a_task_that_succeeded() -> None:
    assert task(status_of(mixed()), "ok") == {
        "name": "ok",
        "phase": "Succeeded",
        "startTime": "2026-11-22T08:00:00Z",
        "completionTime": "2026-11-22T08:00:05Z",
        "outputs": {"rows": 3, "any": None},
        "attempts": [
            {
                "number": 1,
                "podName": mixed().state("ok").attempts[0].object_name,
                "nodeName": "n1",
                "startTime": "2026-11-22T08:00:00Z",
                "runningTime": "2026-11-22T08:00:02Z",
                "completionTime": "2026-11-22T08:00:05Z",
                "exitCode": 0,
            }
        ],
    }


def test_a_task_that_failed_shows_every_attempt() -> None:
    shown = task(status_of(mixed()), "bad")
    assert (shown["phase"], shown["reason"]) == ("Failed", "ExitCode")
    assert [(a["number"], a["class"], a["exitCode"]) for a in shown["attempts"]] == [(1, "User", 1), (2, "User", 1)]


def test_a_task_that_does_not_run_says_why() -> None:
    status = status_of(mixed())
    assert [task(status, name)["reason"] for name in ("waiting", "queued", "backoff")] == [
        "WaitingForTasks",
        "QuotaExceeded",
        "Backoff",
    ]


def test_an_attempt_that_was_only_asked_for_is_not_shown() -> None:
    assert "attempts" not in task(status_of(bench(node("a"))), "a")


def test_many_running_tasks_are_not_all_named() -> None:
    on = bench(*(node(f"n{i}") for i in range(6)))
    assert status_of(on)["message"] == "running: n0, n1, n2 and 3 more"


# There and back.


def test_nothing_that_is_over_is_forgotten() -> None:
    on = mixed()
    again = restarted(on, status_of(on))
    for name, state in on.run.nodes.items():
        restored = again.state(name)
        if state.phase in TERMINAL:
            assert (restored.phase, restored.reason, restored.message) == (state.phase, state.reason, state.message)
            assert (restored.outputs, restored.completed_at) == (state.outputs, state.completed_at)
        known = [a for a in state.attempts if a.created]
        for before, after in zip(known, restored.attempts, strict=True):
            for field in ("number", "object_name", "node_name", "started_at", "running_at", "finished_at"):
                assert getattr(after, field) == getattr(before, field)
            for field in ("exit_code", "failure_class", "reason", "message"):
                assert getattr(after, field) == getattr(before, field)


def test_a_restart_with_the_same_objects_writes_the_same_status() -> None:
    on = mixed()
    on.tell(succeeded("running", running=5, end=8), failed("backoff", end=5), after=8)
    status = status_of(on)
    again = restarted(on, status)
    again.tell(refused("queued", until=1000, reason="QuotaExceeded"))
    again.tell(seen("waiting"), refused("queued", until=1000, reason="QuotaExceeded"))
    on.tell(seen("waiting"))
    on.state("queued").queued_at = again.state("queued").queued_at  # refused once more, it is in line anew
    assert status_of(again, status) == status_of(on, status)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=5), _JSON, max_size=4))
@settings(deadline=None, max_examples=50)
def test_outputs_come_back_as_they_were(value: dict[str, Any]) -> None:
    on = bench(node("a", outputs=(declared("x", ValueType.OBJECT),)), node("b"))
    on.tell(succeeded("a", text=json.dumps({"x": value})))
    if on.phase("a") == "Succeeded":
        assert restarted(on, status_of(on)).state("a").outputs == {"x": value}


def test_the_end_of_a_run_is_kept() -> None:
    on = bench(node("a"), outputs=[("total", Value(None))])
    on.tell(succeeded("a"), after=9)
    status = status_of(on)
    assert (status["phase"], status["completionTime"], status["outputs"]) == (
        "Succeeded",
        "2026-11-22T08:00:09Z",
        {"total": None},
    )


def test_suspended_time_survives_a_restart() -> None:
    on = bench(node("a"), settings=Settings(deadline_seconds=100))
    on.settings = Settings(deadline_seconds=100, suspend=True)
    on.tell(after=10)
    on.settings = Settings(deadline_seconds=100)
    on.tell(after=30)
    on.settings = Settings(deadline_seconds=100, suspend=True)
    on.tell(after=50)
    again = restarted(on, status_of(on))
    assert (again.run.suspended_at, again.run.suspended_seconds) == (at(50), 20)
    again.settings = Settings(deadline_seconds=100)
    assert again.tell(after=1050).wake_at == at(100 + 20 + 1000)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, (None, 0), id="nothing recorded"),
        pytest.param({"suspendedSeconds": 7}, (None, 7), id="not any more"),
        pytest.param(
            {"conditions": [{"type": "Suspended", "status": "False", "lastTransitionTime": "2026-11-22T08:00:00Z"}]},
            (None, 0),
            id="never",
        ),
        pytest.param(
            {"conditions": [{"type": "Suspended", "status": "True", "lastTransitionTime": "2026-11-22T08:00:00Z"}]},
            (T0, 0),
            id="since",
        ),
    ],
)
def test_suspension(status: dict[str, Any], expected: tuple[Any, float]) -> None:
    assert suspension(status) == expected


# Conditions: kstatus' rules, and times that move only with the status (invariant S9).


def running() -> Bench:
    on = bench(node("a"), node("b"))
    on.tell(seen("a"))
    return on


def ended(*facts: AttemptSeen) -> Bench:
    on = bench(node("a"))
    on.tell(*facts)
    return on


@pytest.mark.parametrize(
    ("on", "stalled", "expected"),
    [
        pytest.param(running(), "", ("Unknown", "False", "True", "False", "False"), id="running"),
        pytest.param(running(), "no rights", ("Unknown", "False", "True", "True", "False"), id="the operator is stuck"),
        pytest.param(
            bench(node("a"), settings=SUSPENDED), "", ("Unknown", "False", "True", "False", "True"), id="suspended"
        ),
        pytest.param(ended(succeeded("a")), "", ("True", "True", "False", "False", "False"), id="succeeded"),
        pytest.param(ended(failed("a")), "", ("False", "True", "False", "True", "False"), id="failed"),
    ],
)
def test_conditions(on: Bench, stalled: str, expected: tuple[str, ...]) -> None:
    found = conditions(status_of(on, stalled=stalled))
    assert tuple(found[kind] for kind in ("Succeeded", "Finished", "Reconciling", "Stalled", "Suspended")) == expected


def test_every_condition_has_a_reason_and_its_generation() -> None:
    for on in (running(), ended(succeeded("a")), ended(failed("a"))):
        for each in status_of(on, generation=4)["conditions"]:
            assert each["reason"].isalnum()
            assert each["observedGeneration"] == 4


def test_the_reason_of_the_end_is_everywhere() -> None:
    status = status_of(ended(failed("a")))
    reasons = {each["type"]: each["reason"] for each in status["conditions"]}
    assert (reasons["Succeeded"], reasons["Finished"], reasons["Stalled"]) == ("TaskFailed",) * 3


def test_times_of_conditions_that_do_not_change_stay() -> None:
    on = running()
    first = status_of(on, now=at(1))
    on.tell(seen("b"))
    second = status_of(on, first, now=at(60), generation=2)
    assert times(second) == times(first)


def test_times_of_conditions_that_change_move() -> None:
    on = running()
    first = status_of(on, now=at(1))
    on.tell(succeeded("a"), succeeded("b"))
    second = status_of(on, first, now=at(60))
    moved = {kind for kind in times(first) if times(first)[kind] != times(second)[kind]}
    assert moved == {"Succeeded", "Finished", "Reconciling"}
    assert times(second)["Finished"] == "2026-11-22T08:01:00Z"


def test_a_message_alone_moves_no_time() -> None:
    before = {"conditions": [condition("X", "True", "A", "m", generation=1, previous={}, now=at(0))]}
    after = condition("X", "True", "B", "n", generation=2, previous=before, now=at(60))
    assert after["lastTransitionTime"] == "2026-11-22T08:00:00Z"
    assert (after["reason"], after["message"], after["observedGeneration"]) == ("B", "n", 2)


def test_suspended_since_the_moment_the_clock_stood_still() -> None:
    on = running()
    first = status_of(on, now=at(1))
    on.settings = SUSPENDED
    on.tell(after=10)
    status = status_of(on, first, now=at(15))
    assert times(status)["Suspended"] == "2026-11-22T08:00:10Z"
    assert times(status_of(on, status, now=at(99)))["Suspended"] == "2026-11-22T08:00:10Z"
    assert status["phase"] == "Suspended"
    assert status["message"] == "spec.suspend is true; still running: a, b"


def test_the_message_says_what_the_operator_lacks() -> None:
    status = status_of(running(), stalled="cannot create pods")
    assert status["message"] == "cannot create pods"
    stalled = next(each for each in status["conditions"] if each["type"] == "Stalled")
    assert (stalled["reason"], stalled["message"]) == ("OperatorBlocked", "cannot create pods")


def test_a_world_at_rest_changes_no_status() -> None:
    on = mixed()
    status = status_of(on)
    assert status_of(on, status, now=at(1000)) == status
    assert operations(status, status_of(on, status, now=at(1000))) == []


# Definitions that cannot run.

PROBLEMS = [Problem("spec.tasks[0].needs[0]", "there is no task 'x'"), Problem("spec.params", "wrong")]


def test_an_invalid_definition_is_told_with_its_paths() -> None:
    status = invalid_status(PROBLEMS, generation=2, previous={}, now=T0)
    assert status["message"] == "spec.tasks[0].needs[0]: there is no task 'x'; spec.params: wrong"
    assert conditions(status) == {"Succeeded": "False", "Finished": "True", "Reconciling": "False", "Stalled": "True"}
    assert (status["phase"], status["observedGeneration"]) == ("Failed", 2)
    WorkflowStatus.model_validate_json(json.dumps(status), strict=False)


def test_many_problems_are_cut() -> None:
    many = [Problem(f"spec.tasks[{i}]", "x" * 100) for i in range(500)]
    status = invalid_status(many, generation=1, previous={}, now=T0)
    assert len(status["message"]) <= 1024
    assert all(len(each["message"]) <= 4096 for each in status["conditions"])


@pytest.mark.parametrize(
    ("status", "finished", "invalid"),
    [
        pytest.param({}, False, False, id="nothing recorded"),
        pytest.param(status_of(running()), False, False, id="running"),
        pytest.param(status_of(ended(succeeded("a"))), True, False, id="succeeded"),
        pytest.param(status_of(ended(failed("a"))), True, False, id="failed"),
        pytest.param(invalid_status(PROBLEMS, generation=1, previous={}, now=T0), True, True, id="invalid"),
    ],
)
def test_whether_it_is_over(status: dict[str, Any], finished: bool, invalid: bool) -> None:
    assert (is_finished(status), is_invalid(status)) == (finished, invalid)


# The patch from one status to the next.


def patched(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What the API server makes of the operations (RFC 6902, as far as they go)."""
    whole: dict[str, Any] = {"status": dict(before)} if before else {}
    for operation in operations(before, after):
        *_, last = operation["path"].split("/")
        target = whole if operation["path"] == "/status" else whole["status"]
        if operation["op"] == "add":
            target[last] = operation["value"]
        else:
            del target[last]
    return dict(whole.get("status", {}))


def without_revision(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key != "revision"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, {"a": 1}, id="the first"),
        pytest.param({"a": 1}, {"a": 2}, id="changed"),
        pytest.param({"a": 1}, {"a": 1, "b": None}, id="a new null"),
        pytest.param({"a": 1, "completionTime": "2026-01-01T00:00:00Z"}, {"a": 1}, id="gone"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, id="gone inside"),
        pytest.param({"a": {"x": 1}}, {"a": {"x": None}}, id="null inside"),
        pytest.param({"a": [{"x": 1}]}, {"a": [{"x": None}]}, id="null inside a list"),
        pytest.param({"a": 1, "revision": 7}, {"a": 2}, id="with a revision"),
    ],
)
def test_a_patch_makes_of_the_old_status_the_new_one(before: dict[str, Any], after: dict[str, Any]) -> None:
    result = patched(before, after)
    assert without_revision(result) == after
    assert result["revision"] == before.get("revision", 0) + 1


def test_a_member_of_a_newer_release_stays() -> None:
    assert patched({"a": 1, "ofNextYear": 2}, {"a": 2}).get("ofNextYear") == 2


@pytest.mark.parametrize("status", [{"a": 1}, {"a": 1, "revision": 7}], ids=["", "with a revision"])
def test_no_change_is_no_write(status: dict[str, Any]) -> None:
    assert operations(status, {"a": 1}) == []


def test_a_run_from_its_first_status_to_its_last() -> None:
    on = bench(node("a", outputs=(declared("x", ValueType.OBJECT),)), node("b", "a"), begun=False)
    stored: dict[str, Any] = {}
    for fact in ([], [seen("a", running=1)], [succeeded("a", text='{"x": {"y": null}}')], [failed("b")]):
        on.tell(*fact)
        status = status_of(on, stored)
        stored = json.loads(json.dumps(patched(stored, status)))
        assert without_revision(stored) == status
    assert task(stored, "a")["outputs"] == {"x": {"y": None}}
    assert stored["revision"] == 4
    assert Phase(task(stored, "b")["phase"]) is Phase.FAILED


@pytest.mark.parametrize(("tasks", "attempts"), [(1, 100), (20, 100), (40, 50)])
def test_a_status_of_many_attempts_with_long_messages_can_be_stored(tasks: int, attempts: int) -> None:
    on = bench(*(node(f"t{number}", retry=retries(attempts - 1)) for number in range(tasks)))
    for number in range(1, attempts + 1):
        for name in on.run.nodes:
            fact = failed(name, number, end=number)
            assert fact.outcome is not None
            on.tell(replace(fact, outcome=replace(fact.outcome, message="é" * 4000)), after=number)
    assert set(on.phases().values()) == {"Failed"}
    status = status_of(on)
    assert sum(len(task["attempts"]) for task in status["tasks"]) == tasks * attempts
    assert len(json.dumps(status, ensure_ascii=False).encode()) < 1_200_000


def test_creates_that_take_long_are_told() -> None:
    found = {each["type"]: each for each in status_of(running(), slow="3 objects wait to be created")["conditions"]}
    assert found["Reconciling"]["reason"] == "WaitingForApiServer"
    assert found["Reconciling"]["message"] == "3 objects wait to be created"
    ended_as_ever = {each["type"]: each for each in status_of(ended(succeeded("a")), slow="3")["conditions"]}
    assert ended_as_ever["Reconciling"]["status"] == "False"
