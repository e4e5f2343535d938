"""Why is a node not running? Computed from the state when somebody asks, never stored, so it cannot be stale."""

from __future__ import annotations

from datetime import datetime

from fairlead.engine.items import limit_of
from fairlead.engine.model import ACTIVE, OBJECT_KINDS, TERMINAL, Phase, Settings, WorkKind
from fairlead.engine.state import Attempt, NodeState, RunState
from fairlead.engine.wording import few, timestamp

__all__ = ["waits", "why"]

_WAITING_ITEM, _WAITING_TASK = "WaitingForParallelism", "WaitingForTasks"


def why(run: RunState, settings: Settings, state: NodeState) -> tuple[str, str]:
    """Return a machine reason and a message for people; `("", "")` for a node that runs undisturbed or succeeded."""
    match state.phase:
        case Phase.WAITING:
            return _why_waiting(run, settings, state)
        case Phase.QUEUED:
            return _why_queued(run, settings, state)
        case Phase.BACKOFF:
            until = _time(state.not_before)
            if state.reason == "NextIteration":
                return "Backoff", f"round {state.iteration} begins at {until}"
            return "Backoff", f"next attempt at {until}; the last one: {state.reason}: {state.message}"
        case _:
            if state.reason or state.phase not in ACTIVE or state.items is not None:
                return state.reason, state.message
            attempt = state.current
            return ("", "") if attempt is None else _why_active(run, state, attempt)


def waits(run: RunState, settings: Settings) -> dict[str, int]:
    """Return how many tasks and items do not run, by the reason that :func:`why` gives. O(nodes).

    Without the messages, and most reasons are the same for all: of ten thousand nodes it takes a few milliseconds.
    """
    found: dict[str, int] = {}
    queued = ""
    for state in run.nodes.values():
        phase = state.phase
        if phase in TERMINAL or state.items is not None:
            continue
        if phase is Phase.WAITING:
            reason = _WAITING_ITEM if state.parent is not None else _WAITING_TASK
        elif phase is Phase.QUEUED and not state.reason:
            reason = queued = queued or _why_queued(run, settings, state)[0]
        else:
            reason = why(run, settings, state)[0]
        if reason:
            found[reason] = found.get(reason, 0) + 1
    return found


def _why_waiting(run: RunState, settings: Settings, state: NodeState) -> tuple[str, str]:
    if state.parent is not None:
        items = state.parent.items
        used = items.open if items is not None else 0
        return _WAITING_ITEM, f"{used}/{limit_of(state.parent, settings)} items of {state.parent.name}"
    if state.node.final and not run.is_finalizing:
        return _WAITING_TASK, "`finally` comes when all other tasks have ended"
    return _WAITING_TASK, few([name for name in state.node.needs if not run.nodes[name].is_over])


def _why_queued(run: RunState, settings: Settings, state: NodeState) -> tuple[str, str]:
    if state.reason:
        return state.reason, state.message
    if settings.suspend and not run.is_finalizing:
        return "Suspended", "spec.suspend is true"
    if not run.is_proven:
        return "WaitingForRecord", "an end that no object shows any more is written to the status first"
    if settings.parallelism is None or run.live < settings.parallelism:
        return "WaitingForApiServer", "those before it are created first"
    return "WaitingForParallelism", f"{run.live}/{settings.parallelism} running"


def _why_active(run: RunState, state: NodeState, attempt: Attempt) -> tuple[str, str]:
    kind = state.node.work.kind
    if kind in OBJECT_KINDS:
        if state.phase is Phase.RUNNING:
            return "", ""
        if not attempt.created and state.refused is not None:
            return state.refused  # it is asked again, now and then, and the answer has not come
        created = "exists and does not run yet" if attempt.created else "is being created"
        return "Starting", f"{kind.value} {attempt.object_name} {created}"
    if (state.name, attempt.number) in run.unsent:
        return "WaitingForRecord", "its start is written to the status before anything is sent"
    match kind:
        case WorkKind.APPROVAL:
            question = attempt.message or "somebody has to approve or reject it"
            return "WaitingForApproval", f"{question} (fairlead approve, fairlead reject)"
        case WorkKind.WAIT if attempt.due_at is not None:
            return "WaitingUntil", _time(attempt.due_at)
        case WorkKind.WAIT if attempt.heard_at is not None:
            return "WaitingForCallback", f"a WorkflowAction Complete with the token {attempt.object_name}"
        case WorkKind.WAIT:
            return "WaitingForCondition", "its condition does not hold yet"
        case _:
            return "", ""


def _time(moment: datetime | None) -> str:
    return "" if moment is None else timestamp(moment)
