"""Waits, approvals, requests and values: tasks without a pod, from their start to their end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.kit import Bench, FakeWork, asked, at, bench, declared, node, seen, succeeded

from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.events import AttemptSeen, StatusRecorded
from fairlead.engine.model import Clocks, FailureClass, Node, Settings, StopMode, ValueType, WorkKind
from fairlead.engine.reasons import why
from fairlead.engine.state import Outcome, Result


def wait(name: str = "w", **work: Any) -> Node:
    more = {key: work.pop(key) for key in ("needs", "outputs", "clocks") if key in work}
    return node(name, *more.pop("needs", ()), work=FakeWork(work, kind=WorkKind.WAIT), **more)


def approval(name: str = "sign", *, clocks: Clocks | None = None, **work: Any) -> Node:
    values = {"message": "ok?", "options": [], "form": [], "users": [], "groups": [], "onTimeout": "Reject", **work}
    outputs = [declared(key, ValueType.STRING) for key in ("option", "by", "at")]
    outputs += [declared(each["name"], ValueType(each["type"])) for each in values["form"]]
    return node(name, work=FakeWork(values, kind=WorkKind.APPROVAL), outputs=outputs, clocks=clocks or Clocks())


def http(name: str = "call", **more: Any) -> Node:
    return node(name, work=FakeWork({"method": "POST", "url": "https://x"}, kind=WorkKind.HTTP), **more)


def reason(on: Bench, name: str) -> str:
    return why(on.run, on.settings, on.state(name))[0]


def sent(on: Bench, *facts: Any, after: float | None = None) -> list[StartAttempt]:
    return [each for each in on.tell(*facts, after=after).commands if isinstance(each, StartAttempt)]


def answered(on: Bench, name: str, number: int = 1, **outcome: Any) -> AttemptSeen:
    attempt = on.state(name).attempts[number - 1]
    given = {"result": Result.SUCCEEDED, "finished_at": at(on.seconds), **outcome}
    return AttemptSeen(
        node=name, number=number, object_name=attempt.object_name, started_at=at(0), outcome=Outcome(**given)
    )


# Values.


@pytest.mark.row("E5")
def test_values_are_set_at_once_and_without_an_attempt() -> None:
    work = FakeWork({"values": {"n": 3}}, kind=WorkKind.SET)
    on = bench(node("s", work=work, outputs=[declared("n")]), node("after", "s"), begun=False)
    assert on.started() == ["after/1"]
    assert (on.state("s").outputs, on.state("s").attempts) == ({"n": 3}, [])


def test_values_of_the_wrong_type_fail_the_task() -> None:
    work = FakeWork({"values": {"n": "three"}}, kind=WorkKind.SET)
    on = bench(node("s", work=work, outputs=[declared("n")]))
    assert (on.phase("s"), on.state("s").reason) == ("Failed", "OutputInvalid")


def test_values_that_cannot_be_evaluated_fail_the_task() -> None:
    on = bench(node("s", work=FakeWork(error="no", kind=WorkKind.SET)))
    assert (on.phase("s"), on.state("s").reason) == ("Failed", "ExpressionError")


# Waiting for a time.


@pytest.mark.row("E5")
def test_a_wait_takes_its_time_and_no_slot() -> None:
    on = bench(wait(seconds=60), node("b"), node("after", "w"), settings=Settings(parallelism=1), begun=False)
    assert on.started() == ["b/1"]
    assert why(on.run, on.settings, on.state("w")) == ("WaitingUntil", "2026-11-22T08:01:00Z")
    on.tell(succeeded("b"))
    assert on.phase("w") == "Running"
    on.tell(after=60)
    assert on.phase("w") == "Succeeded"


@pytest.mark.row("fine:durable-without-a-pod")
def test_its_end_is_recorded_before_anything_starts_from_it() -> None:
    on = bench(wait(seconds=60), node("after", "w"))
    assert on.started(after=60) == []
    assert on.run.awaits_record
    assert on.recorded() == ["after/1"]


@pytest.mark.parametrize("until", ["2026-11-22T08:05:00Z", "2026-11-22T09:05:00+01:00", "2026-11-22T08:05:00"])
def test_a_wait_until_a_time(until: str) -> None:
    on = bench(wait(until=until))
    assert on.tell(after=299).wake_at == at(300)
    on.tell(after=300)
    assert on.phase("w") == "Succeeded"


def test_a_time_that_has_passed_is_no_wait() -> None:
    on = bench(wait(until="2020-01-01T00:00:00Z"))
    on.tell()
    assert on.phase("w") == "Succeeded"


def test_what_is_no_time_fails_the_task() -> None:
    on = bench(wait(until="tomorrow"))
    assert (on.phase("w"), on.state("w").reason) == ("Failed", "ExpressionError")


@pytest.mark.row("fine:suspend")
def test_a_wait_keeps_its_time_in_suspension_and_over_a_restart() -> None:
    on = bench(wait(seconds=60), node("after", "w"))
    on.settings = Settings(suspend=True)
    on.tell(after=10)
    again = on.restarted()
    assert again.tell(after=20).wake_at == at(60)
    again.tell(after=60)
    assert again.phase("w") == "Succeeded"
    assert again.recorded() == []
    again.settings = Settings()
    assert again.started(after=70) == ["after/1"]


def test_a_wait_that_is_cancelled_has_ended_at_once() -> None:
    on = bench(wait(seconds=60), node("b"))
    on.tell(asked("Stop", mode=StopMode.CANCEL))
    assert (on.phase("w"), on.state("w").attempts[0].reason) == ("Cancelled", "Cancelled")


# Waiting for a condition, and sending requests: somebody else carries them out.


@pytest.mark.row("fine:durable-without-a-pod")
@pytest.mark.parametrize("task", [http("t"), wait("t", condition={"kind": "Pod"})], ids=["http", "condition"])
def test_it_is_begun_only_once_its_start_is_on_record(task: Node) -> None:
    on = bench(task, begun=False)
    assert sent(on) == []
    assert reason(on, "t") == "WaitingForRecord"
    assert on.run.awaits_record
    [start] = sent(on, StatusRecorded(revision=on.run.revision))
    assert (start.node, start.number, start.resumed) == ("t", 1, False)
    assert sent(on, StatusRecorded(revision=on.run.revision)) == []


@pytest.mark.row("fine:durable-without-a-pod")
def test_after_a_restart_it_is_begun_again_and_told_that_it_may_have_been_before() -> None:
    on = bench(http())
    on.recorded()
    [start] = sent(on.restarted())
    assert (start.number, start.resumed, start.object_name) == (1, True, on.state("call").attempts[0].object_name)


def test_the_answer_gives_the_outputs_and_is_recorded_before_anything_starts_from_it() -> None:
    on = bench(http(outputs=[declared("n")]), node("after", "call"))
    on.recorded()
    assert on.started(answered(on, "call", values={"n": 7})) == []
    assert on.state("call").outputs == {"n": 7}
    assert on.recorded() == ["after/1"]


def test_a_failed_request_is_charged_as_any_failure() -> None:
    on = bench(http())
    on.recorded()
    on.tell(answered(on, "call", result=Result.FAILED, failure_class=FailureClass.USER, reason="HttpStatus"))
    assert (on.phase("call"), on.state("call").reason) == ("Failed", "HttpStatus")


def test_a_request_takes_a_slot() -> None:
    on = bench(http(), node("b"), settings=Settings(parallelism=1))
    assert on.phase("b") == "Queued"


def test_one_that_takes_too_long_is_ended_at_once_and_a_late_answer_is_ignored() -> None:
    on = bench(http(clocks=Clocks(run_seconds=30)))
    on.recorded()
    late = answered(on, "call", values={})
    commands = on.tell(after=30).commands
    assert [each.reason for each in commands if isinstance(each, EndAttempt)] == ["TimedOut"]
    assert (on.phase("call"), on.state("call").reason) == ("Failed", "TimedOut")
    on.tell(late)
    assert on.phase("call") == "Failed"


def test_a_pod_that_claims_to_be_its_attempt_is_not_believed() -> None:
    on = bench(node("a"), node("w", "a", work=FakeWork({"seconds": 60}, kind=WorkKind.WAIT)))
    on.tell(succeeded("w"))
    assert on.phase("w") == "Waiting"


# Approvals.


@pytest.mark.row("G4")
def test_an_approval_waits_without_a_pod_and_records_who_and_when() -> None:
    on = bench(approval(), node("after", "sign"))
    assert reason(on, "sign") == "WaitingForApproval"
    on.tell(asked("Approve", "sign", by="ann"), after=90)
    assert on.state("sign").outputs == {"option": "Approve", "by": "ann", "at": "2026-11-22T08:01:30Z"}
    assert on.recorded() == ["after/1"]


def test_what_is_asked_is_shown_and_after_a_restart_too() -> None:
    on = bench(approval(message="Publish 12 rows?"))
    shown = ("WaitingForApproval", "Publish 12 rows? (fairlead approve, fairlead reject)")
    assert why(on.run, on.settings, on.state("sign")) == shown
    again = on.restarted()
    assert why(again.run, again.settings, again.state("sign")) == shown
    again.tell(asked("Approve", "sign"))
    assert again.state("sign").attempts[0].message == ""


@pytest.mark.row("G4")
def test_rejecting_fails_the_task_and_is_final() -> None:
    on = bench(approval(), node("after", "sign"))
    on.tell(asked("Reject", "sign", by="bob", reason="not today"))
    assert (on.phase("sign"), on.state("sign").reason) == ("Failed", "Rejected")
    assert on.state("sign").message == "rejected by bob: not today"
    assert on.phase("after") == "UpstreamFailed"


@pytest.mark.row("G4")
@pytest.mark.parametrize(
    ("by", "groups", "verified", "reason_"),
    [
        pytest.param("ann", (), True, "Accepted", id="by name"),
        pytest.param("eve", ("ops",), True, "Accepted", id="by group"),
        pytest.param("eve", ("dev",), True, "NotAllowed", id="neither"),
        pytest.param("ann", (), False, "IdentityNotVerified", id="nobody has checked"),
    ],
)
def test_only_some_may_approve(by: str, groups: tuple[str, ...], verified: bool, reason_: str) -> None:
    on = bench(approval(users=["ann"], groups=["ops"]))
    on.tell(asked("Approve", "sign", by=by, groups=groups, verified=verified))
    assert on.run.actions[0].reason == reason_
    assert on.phase("sign") == ("Succeeded" if reason_ == "Accepted" else "Running")


@pytest.mark.row("G4")
def test_a_form_is_typed() -> None:
    form = [{"name": "rows", "type": "integer", "minimum": 1}, {"name": "why", "type": "string", "default": ""}]
    on = bench(approval(form=form, options=["yes", "later"]))
    wrong = ({}, {"rows": "x"}, {"rows": 0}, {"rows": 1, "other": 2}, {"rows": 1, "option": "no"})
    for number, values in enumerate(wrong):
        on.tell(asked("Approve", "sign", uid=str(number), values=values))
    assert {record.reason for record in on.run.actions} == {"InvalidValues"}
    on.tell(asked("Approve", "sign", uid="9", values={"rows": 4, "option": "later"}))
    assert {"rows": 4, "why": "", "option": "later"}.items() <= on.state("sign").outputs.items()


@pytest.mark.row("G4")
@pytest.mark.parametrize(
    ("default", "phase", "why_"), [("Reject", "Failed", "ApprovalTimeout"), ("Approve", "Succeeded", "")]
)
def test_a_deadline_has_a_default(default: str, phase: str, why_: str) -> None:
    on = bench(approval(clocks=Clocks(run_seconds=60), onTimeout=default))
    on.tell(after=59)
    assert on.phase("sign") == "Running"
    on.tell(after=60)
    assert (on.phase("sign"), on.state("sign").reason) == (phase, why_)


def test_an_approval_survives_a_restart() -> None:
    on = bench(approval(clocks=Clocks(run_seconds=60)))
    again = on.restarted()
    again.tell(after=10)
    assert reason(again, "sign") == "WaitingForApproval"
    again.tell(asked("Approve", "sign"), after=20)
    assert again.phase("sign") == "Succeeded"


# Callbacks.


def callback(**more: Any) -> Node:
    return wait(callback=True, outputs=[declared("n")], **more)


def token(on: Bench) -> str:
    return on.state("w").attempts[-1].object_name


def test_a_callback_ends_when_somebody_brings_its_values() -> None:
    on = bench(callback())
    assert why(on.run, on.settings, on.state("w")) == (
        "WaitingForCallback",
        f"a WorkflowAction Complete with the token {token(on)}",
    )
    on.tell(asked("Complete", "w", token=token(on), values={"n": 4}))
    assert (on.phase("w"), on.state("w").outputs) == ("Succeeded", {"n": 4})


def test_values_that_are_not_what_was_declared_are_refused_and_it_goes_on_waiting() -> None:
    on = bench(callback())
    on.tell(asked("Complete", "w", values={"n": "x"}))
    assert (on.run.actions[0].reason, on.phase("w")) == ("InvalidValues", "Running")


def test_the_token_of_another_attempt_is_stale() -> None:
    on = bench(callback())
    on.tell(asked("Complete", "w", token="another", values={"n": 4}))
    assert on.run.actions[0].reason == "StaleToken"


def test_silence_ends_it_and_a_heartbeat_keeps_it() -> None:
    on = bench(callback(clocks=Clocks(heartbeat_seconds=30)))
    on.tell(asked("Heartbeat", "w", token=token(on)), after=25)
    on.tell(after=54)
    assert on.phase("w") == "Running"
    on.tell(after=55)
    assert (on.phase("w"), on.state("w").reason) == ("Failed", "HeartbeatTimeout")


def test_what_is_heard_survives_a_restart() -> None:
    on = bench(callback(clocks=Clocks(heartbeat_seconds=30)))
    on.tell(asked("Heartbeat", "w"), after=25)
    again = on.restarted()
    again.tell(after=54)
    assert again.phase("w") == "Running"
    again.tell(after=55)
    assert again.phase("w") == "Failed"


def test_it_can_be_rejected() -> None:
    on = bench(callback())
    on.tell(asked("Reject", "w", by="job-17", reason="exit 3"))
    assert on.state("w").message == "rejected by job-17: exit 3"


def test_an_attempt_that_is_live_is_not_confused_with_another_kind() -> None:
    on = bench(node("a"), callback())
    on.tell(seen("a", running=1), asked("Heartbeat", "a"))
    assert on.run.actions[0].reason == "WrongKind"
