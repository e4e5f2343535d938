"""What a trace says of a run: one span for it, one for each attempt, the same ones whoever makes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead.engine.model import FailureClass, Phase
from fairlead.engine.state import Attempt, NodeRecord
from fairlead.telemetry.traces import RecordedRun, Span, attempt_parent, context_of, read_parent, spans_of

T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def at(seconds: int) -> datetime:
    return T0 + timedelta(seconds=seconds)


def run(**more: Any) -> RecordedRun:
    fields = {"namespace": "ns", "name": "daily", "uid": "u1", "epoch": 1, "started_at": T0, "finished_at": at(9)}
    return RecordedRun(**{**fields, **more})


def attempt(number: int = 1, **more: Any) -> Attempt:
    fields = {"object_name": f"daily-a-{number}", "started_at": at(1), "finished_at": at(3)}
    return Attempt(number=number, **{**fields, **more})


def node(name: str, *attempts: Attempt) -> NodeRecord:
    return NodeRecord(name=name, phase=Phase.SUCCEEDED, attempts=attempts)


def spans(*nodes: NodeRecord, traceparent: str = "", **more: Any) -> list[Span]:
    return list(spans_of(context_of("u1", traceparent), run(**more), nodes))


def test_a_run_is_one_trace_with_a_span_for_each_attempt() -> None:
    root, first, second, other = spans(node("a", attempt(1), attempt(2)), node("b", attempt()))
    assert {each.trace_id for each in (root, first, second, other)} == {root.trace_id}
    assert (root.name, root.parent_id) == ("workflow daily", "")
    assert [each.name for each in (first, second, other)] == ["a", "a", "b"]
    assert {each.parent_id for each in (first, second, other)} == {root.span_id}
    assert len({each.span_id for each in (root, first, second, other)}) == 4


def test_ids_have_the_form_of_w3c_and_differ_between_runs() -> None:
    one, two = (context_of(uid) for uid in ("u1", "u2"))
    assert one.trace_id != two.trace_id
    parents = [attempt_parent(context, *who) for context in (one, two) for who in (("a", 1), ("a", 2), ("a[1]", 1))]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", each) for each in parents)
    assert len(set(parents)) == 6


def test_what_a_pod_is_told_is_the_span_that_its_attempt_becomes() -> None:
    _, made = spans(node("m[3]", attempt(2)))
    assert attempt_parent(context_of("u1"), "m[3]", 2) == f"00-{made.trace_id}-{made.span_id}-01"


def test_times_are_those_on_record() -> None:
    root, made = spans(node("a", attempt(running_at=at(2))))
    assert (root.start, root.end) == (T0, at(9))
    assert (made.start, made.end, made.moments) == (at(1), at(3), (("running", at(2)),))


def test_no_span_ends_before_it_begins_whatever_clocks_say() -> None:
    _, made = spans(node("a", attempt(finished_at=T0)))
    assert made.end == made.start


def test_an_attempt_says_who_it_was() -> None:
    _, made = spans(node("m[3]", attempt(node_name="n1", exit_code=0)))
    assert made.attributes == {
        "k8s.namespace.name": "ns",
        "k8s.node.name": "n1",
        "fairlead.workflow.name": "daily",
        "fairlead.workflow.uid": "u1",
        "fairlead.task": "m",
        "fairlead.item.index": 3,
        "fairlead.attempt": 1,
        "fairlead.object.name": "daily-a-1",
        "fairlead.exit_code": 0,
    }


def test_a_failure_says_its_reason_and_not_what_the_task_printed() -> None:
    failed = attempt(failure_class=FailureClass.USER, reason="Error", message="password=hunter2", exit_code=1)
    root, made = spans(node("a", failed), failure="TaskFailed")
    assert (root.failure, made.failure, made.attributes["fairlead.failure.class"]) == ("TaskFailed", "Error", "User")
    assert "hunter2" not in repr(made)


def test_a_retried_run_tells_its_new_attempts_below_a_span_of_their_own() -> None:
    before = spans(node("a", attempt(1)))
    root, made = spans(node("a", attempt(1), attempt(2, epoch=2)), epoch=2)
    assert root.span_id != before[0].span_id
    assert root.trace_id == before[0].trace_id
    assert (made.attributes["fairlead.attempt"], made.parent_id) == (2, root.span_id)


def test_what_has_not_ended_has_no_span() -> None:
    assert len(spans(node("a", attempt(finished_at=None)), node("b", attempt(started_at=None)))) == 1


def test_a_run_may_belong_to_somebody_elses_trace() -> None:
    root, made = spans(node("a", attempt()), traceparent=ABOVE)
    assert (root.trace_id, root.parent_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert (made.trace_id, made.parent_id) == (root.trace_id, root.span_id)


def test_a_trace_that_is_not_sampled_is_passed_on_as_such() -> None:
    context = context_of("u1", ABOVE[:-1] + "0")
    assert not context.sampled
    assert attempt_parent(context, "a", 1).endswith("-00")


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", ABOVE + "\n", ABOVE.upper(), "01" + ABOVE[2:], f"00-{'0' * 32}-{'1' * 16}-01", ABOVE + "-x"],
)
def test_what_is_no_traceparent_is_as_good_as_none(text: str) -> None:
    assert read_parent(text) is None
    assert context_of("u1", text) == context_of("u1")
