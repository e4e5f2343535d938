"""Between the engine's state of one node and its entry in `status.tasks[]` (or a shard's `tasks[]`): both ways, pure.

What is written here is what a restarted operator believes, so `recorded_nodes(entries(run, …))` keeps every terminal
fact, and what only a newer release knows (invariant S16). A task has one entry, each item of a `forEach` task one of
its own; an item that waits has none. The outputs of a task with items are lists of theirs, so they are put together
again and not written twice.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from fairlead.api.status import AttemptStatus, TaskStatus
from fairlead.controllers.views import time_of
from fairlead.engine.model import OBJECT_KINDS, FailureClass, Phase, Settings
from fairlead.engine.reasons import why
from fairlead.engine.state import Attempt, Items, NodeRecord, NodeState, RunState
from fairlead.engine.wording import timestamp

__all__ = ["entries", "entry", "has_entry", "past_entries", "recorded_nodes", "text_of"]

_Json = dict[str, Any]

#: The members of `items`, by the phase in which an item has ended.
_ENDS = {
    "succeeded": Phase.SUCCEEDED,
    "failed": Phase.FAILED,
    "skipped": Phase.SKIPPED,
    "cancelled": Phase.CANCELLED,
}


_OF_A_NODE = frozenset(info.alias for info in TaskStatus.model_fields.values())
_OF_AN_ATTEMPT = frozenset(info.alias for info in AttemptStatus.model_fields.values())


def entries(run: RunState, settings: Settings, characters: int) -> Iterator[_Json]:
    """Yield the entry of each task, the items of a task right after it. O(nodes).

    Messages are cut to so many `characters`.
    """
    for state in run.nodes.values():
        if state.parent is not None:
            continue
        yield entry(run, settings, state, characters)
        for item in () if state.items is None else state.items.states:
            if has_entry(item):
                yield entry(run, settings, item, characters)
        yield from past_entries(state, characters)


def past_entries(state: NodeState, characters: int, known: Container[str] = ()) -> Iterator[_Json]:
    """Yield the entries of a task's items that are known from earlier only, as long as its list is not known.

    `known` have an entry already: it must not go on showing them as they were.
    """
    for record in state.past.values():
        if record.phase is Phase.WAITING and not record.attempts and record.name not in known:
            continue
        attempts = [_attempt(each, characters) for each in record.attempts]
        yield {**(record.more or {}), "name": record.name, "phase": record.phase.value} | _present(
            reason=record.reason,
            message=record.message[:characters],
            queuedTime=text_of(record.queued_at),
            startTime=text_of(record.started_at) or (attempts[0].get("startTime") if attempts else None),
            completionTime=text_of(record.completed_at),
            outputs=record.outputs,
            attempts=attempts,
        )


def has_entry(state: NodeState) -> bool:
    """Tell whether a node is shown at all: an item of which nothing has happened is not."""
    return state.parent is None or state.phase is not Phase.WAITING or bool(state.attempts)


def entry(run: RunState, settings: Settings, state: NodeState, characters: int) -> _Json:
    """Return the entry of one node. O(attempts)."""
    reason, message = why(run, settings, state)
    attempts = [_attempt(each, characters) for each in state.attempts if _is_known(state, each)]
    started_at = text_of(state.started_at) or (attempts[0].get("startTime") if attempts else None)
    return {**(state.more or {}), "name": state.name, "phase": state.phase.value} | _present(
        reason=reason,
        message=message[:characters],
        queuedTime=text_of(state.queued_at),
        startTime=started_at,
        completionTime=text_of(state.completed_at),
        outputs=None if state.items is not None else state.outputs,
        items=None if state.items is None else _counts(state.items),
        itemsDigest=state.past_digest if state.items is None else state.items.digest,
        attempts=attempts,
    )


def _is_known(state: NodeState, attempt: Attempt) -> bool:
    """Tell whether an attempt is more than an intent. What has no object is begun by its being on record."""
    return attempt.created or attempt.finished_at is not None or state.node.work.kind not in OBJECT_KINDS


def _counts(items: Items) -> _Json:
    ended = {name: items.ended.get(phase, 0) for name, phase in _ENDS.items()}
    return {"total": len(items.states)} | _present(running=items.active, **ended)


def _attempt(attempt: Attempt, characters: int) -> _Json:
    shown: _Json = {**(attempt.more or {}), "number": attempt.number} | _present(
        epoch=attempt.epoch if attempt.epoch > 1 else None,
        iteration=attempt.iteration if attempt.iteration > 1 else None,
        podName=attempt.object_name,
        nodeName=attempt.node_name,
        startTime=text_of(attempt.started_at),
        runningTime=text_of(attempt.running_at),
        dueTime=text_of(attempt.due_at),
        heartbeatTime=text_of(attempt.heard_at),
        completionTime=text_of(attempt.finished_at),
        reason=attempt.reason,
        message=attempt.message[:characters],
    )
    if attempt.failure_class is not None:
        shown["class"] = attempt.failure_class.value
    if attempt.exit_code is not None:
        shown["exitCode"] = attempt.exit_code
    return shown


def recorded_nodes(shown: Iterable[Mapping[str, Any]]) -> list[NodeRecord]:
    """Return what entries say of each node, for `restore`."""
    return [
        NodeRecord(
            name=each["name"],
            phase=Phase(each["phase"]),
            reason=each.get("reason", ""),
            message=each.get("message", ""),
            queued_at=time_of(each.get("queuedTime")),
            started_at=time_of(each.get("startTime")),
            completed_at=time_of(each.get("completionTime")),
            outputs=each.get("outputs", {}),
            attempts=tuple(_read_attempt(attempt) for attempt in each.get("attempts", ())),
            digest=each.get("itemsDigest", ""),
            total=each.get("items", {}).get("total"),
            more=_unknown(each, _OF_A_NODE),
        )
        for each in shown
    ]


def _read_attempt(shown: Mapping[str, Any]) -> Attempt:
    failure_class = shown.get("class")
    return Attempt(
        number=shown["number"],
        epoch=shown.get("epoch", 1),
        iteration=shown.get("iteration", 1),
        object_name=shown.get("podName", ""),
        created=True,
        node_name=shown.get("nodeName", ""),
        started_at=time_of(shown.get("startTime")),
        running_at=time_of(shown.get("runningTime")),
        due_at=time_of(shown.get("dueTime")),
        heard_at=time_of(shown.get("heartbeatTime")),
        finished_at=time_of(shown.get("completionTime")),
        exit_code=shown.get("exitCode"),
        failure_class=FailureClass(failure_class) if failure_class else None,
        reason=shown.get("reason", ""),
        message=shown.get("message", ""),
        more=_unknown(shown, _OF_AN_ATTEMPT),
    )


def _unknown(shown: Mapping[str, Any], ours: Container[str | None]) -> _Json | None:
    return {name: value for name, value in shown.items() if name not in ours} or None


def text_of(moment: datetime | None) -> str | None:
    """Return a moment as the API writes it, in whole seconds."""
    return None if moment is None else timestamp(moment)


def _present(**fields: Any) -> _Json:
    return {name: value for name, value in fields.items() if value}
