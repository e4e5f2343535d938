"""What traces say of runs: one trace a run, one span an attempt, made of what is on record. Pure; nothing is sent here.

The ids follow from the run's UID and the attempt, so whoever makes a span again (an operator that was restarted,
another replica) makes the same one, and a pod can be told which span is its own before that span exists. Times are
those of the record, in whole seconds. No message is told: what a task printed may be in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Protocol, TypeAlias

from fairlead.engine.names import task_and_index
from fairlead.engine.state import Attempt, NodeRecord

__all__ = [
    "RecordedRun",
    "Span",
    "SpanSink",
    "TraceContext",
    "attempt_parent",
    "context_of",
    "read_parent",
    "spans_of",
]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

_Value: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where the spans of a run belong: its trace, and the span of others above them, "" for none.

    Of a run that somebody else's trace does not sample, nothing is sent.
    """

    run_uid: str
    trace_id: str
    parent_id: str = ""
    sampled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span. `failure` says why it counts as failed, "" for one that does not; `moments` are named times in it."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: datetime
    end: datetime
    failure: str = ""
    attributes: Mapping[str, _Value] = field(default_factory=dict)
    moments: tuple[tuple[str, datetime], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run that is over, as it is on record. `failure` is the reason of its failure, "" for one that succeeded."""

    namespace: str
    name: str
    uid: str
    epoch: int
    started_at: datetime
    finished_at: datetime
    failure: str = ""


class SpanSink(Protocol):
    """Takes spans and sends them, some time later, or never: whoever hands them over does not wait."""

    def submit(self, spans: Iterable[Span], count: int) -> None:
        """Take `count` spans; they may be made in another thread, and later."""
        ...

    def close(self, seconds: float) -> None:
        """Send what was handed over, for at most so long. Blocks."""
        ...


def read_parent(text: str) -> tuple[str, str, bool] | None:
    """Read a W3C `traceparent`: trace, span, and whether it is sampled. None where it is none."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return found[1], found[2], bool(int(found[3], 16) & 1)


def context_of(uid: str, traceparent: str = "") -> TraceContext:
    """Return where the spans of a run belong: below the span that the run was given, else in a trace of its own."""
    above = read_parent(traceparent)
    return TraceContext(uid, _id(16, uid)) if above is None else TraceContext(uid, *above)


def attempt_parent(context: TraceContext, node: str, number: int) -> str:
    """Return the `traceparent` by which what an attempt does becomes part of its span."""
    return f"00-{context.trace_id}-{_attempt_id(context.run_uid, node, number)}-{int(context.sampled):02x}"


def spans_of(context: TraceContext, run: RecordedRun, nodes: Iterable[NodeRecord]) -> Iterator[Span]:
    """Yield the span of a run, then one for each attempt of its epoch that has an end. O(attempts)."""
    root = _id(8, context.run_uid, "run", str(run.epoch))
    about: dict[str, _Value] = {
        "k8s.namespace.name": run.namespace,
        "fairlead.workflow.name": run.name,
        "fairlead.workflow.uid": run.uid,
    }
    yield Span(
        trace_id=context.trace_id,
        span_id=root,
        parent_id=context.parent_id,
        name=f"workflow {run.name}",
        start=run.started_at,
        end=max(run.finished_at, run.started_at),
        failure=run.failure,
        attributes={**about, "fairlead.epoch": run.epoch},
    )
    for node in nodes:
        for attempt in node.attempts:
            if attempt.epoch == run.epoch and attempt.started_at is not None and attempt.finished_at is not None:
                yield _span(context, root, about, node.name, attempt, attempt.started_at, attempt.finished_at)


def _span(
    context: TraceContext,
    root: str,
    about: Mapping[str, _Value],
    node: str,
    attempt: Attempt,
    start: datetime,
    end: datetime,
) -> Span:
    task, index = task_and_index(node)
    attributes: dict[str, _Value] = {**about, "fairlead.task": task, "fairlead.attempt": attempt.number}
    if index is not None:
        attributes["fairlead.item.index"] = index
    if attempt.object_name:
        attributes["fairlead.object.name"] = attempt.object_name
    if attempt.node_name:
        attributes["k8s.node.name"] = attempt.node_name
    if attempt.exit_code is not None:
        attributes["fairlead.exit_code"] = attempt.exit_code
    if attempt.failure_class is not None:
        attributes["fairlead.failure.class"] = attempt.failure_class.value
    return Span(
        trace_id=context.trace_id,
        span_id=_attempt_id(context.run_uid, node, attempt.number),
        parent_id=root,
        name=task,
        start=start,
        end=max(end, start),  # clocks of nodes and of the API server differ
        failure="" if attempt.failure_class is None else attempt.reason or attempt.failure_class.value,
        attributes=attributes,
        moments=() if attempt.running_at is None else (("running", attempt.running_at),),
    )


def _attempt_id(uid: str, node: str, number: int) -> str:
    return _id(8, uid, "attempt", node, str(number))


def _id(size: int, *parts: str) -> str:
    """Return an id of so many bytes, in hexadecimal; never all zeros, which stands for none."""
    digest = blake2b("\0".join(parts).encode(), digest_size=size).digest()
    return (digest if any(digest) else b"\1" * size).hex()
