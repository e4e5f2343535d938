"""Between the engine's state of a run and the `status` of its Workflow: both ways, pure.

The entries of its nodes are made in `records.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fairlead.api.problems import Problem
from fairlead.api.status import PHASE_FIELDS, WorkflowStatus
from fairlead.controllers.asked import encode_asked
from fairlead.controllers.records import entries, text_of
from fairlead.controllers.refusals import OPERATOR_FORBIDDEN
from fairlead.controllers.views import time_of
from fairlead.engine.capacity import MESSAGE_CHARACTERS, message_characters
from fairlead.engine.model import ACTIVE, TERMINAL, Phase, Settings
from fairlead.engine.state import RunOutcome, RunState
from fairlead.engine.wording import few

__all__ = [
    "blocked",
    "condition",
    "condition_of",
    "encode",
    "finished_at",
    "invalid_status",
    "is_finished",
    "is_invalid",
    "operations",
    "recorded_outcome",
    "refused_status",
    "stalled_status",
    "suspension",
    "unready_status",
]

_Json = dict[str, Any]

#: Members of a status that we may remove again.
_OUR_MEMBERS = frozenset(info.alias for info in WorkflowStatus.model_fields.values()) - {"revision"}


def encode(
    run: RunState,
    settings: Settings,
    *,
    generation: int,
    previous: Mapping[str, Any],
    now: datetime,
    stalled: str = "",
    slow: str = "",
    definition: Mapping[str, Any] | None = None,
    shards: int | None = None,
) -> _Json:
    """Return the whole status of a run. O(nodes).

    Without its tasks, where those are in that many `shards`.
    `previous` is the status written before, whose transition times are kept for conditions that have not changed, and
    whose key. `stalled` says what keeps the operator itself from getting on (missing rights), else ""; `slow` what has
    been asked of the API server and is not answered. `definition` is where what a run of a template runs is kept.
    """
    stalled = stalled or blocked(run)
    # Of a task with items, the items are counted.
    total = sum(run.counts.values())
    ended = sum(run.counts[phase] for phase in TERMINAL)
    phase, message = _summary(run, settings, stalled, in_full=shards is None)
    status: _Json = {
        "observedGeneration": generation,
        "startTime": text_of(run.started_at),
        "phase": phase,
        "message": message[:MESSAGE_CHARACTERS],
        "progress": f"{ended}/{total}",
        "counts": {
            "total": total,
            **{PHASE_FIELDS[phase]: run.counts[phase] for phase in Phase if run.counts[phase]},
        },
        "conditions": _conditions(run, settings, generation, previous, now, stalled, slow, message),
    }
    status |= encode_asked(run)
    if definition is not None:
        status["definition"] = dict(definition)
    if "concurrencyKey" in previous:
        status["concurrencyKey"] = previous["concurrencyKey"]
    if shards is None:
        status["tasks"] = list(entries(run, settings, message_characters(max(total, run.ended_attempts))))
    else:
        status["shards"] = {"count": shards}
    if run.suspended_seconds:
        status["suspendedSeconds"] = round(run.suspended_seconds)
    if run.outcome is not None:
        status["completionTime"] = text_of(run.outcome.finished_at)
        if run.outputs:
            status["outputs"] = run.outputs
    return status


def unready_status(
    problem: Problem, *, reason: str, generation: int, previous: Mapping[str, Any], now: datetime
) -> _Json:
    """Return the status of a Workflow that cannot begin yet, for want of something that somebody may still bring."""
    message = str(problem)[:4096]
    verdict = {
        "Succeeded": ("Unknown", reason, message),
        "Finished": ("False", reason, ""),
        "Reconciling": ("True", reason, message),
        "Stalled": ("True", reason, message),
    }
    return {
        "observedGeneration": generation,
        "phase": "Pending",
        "message": message[:MESSAGE_CHARACTERS],
        "conditions": [
            condition(kind, *verdict[kind], generation=generation, previous=previous, now=now) for kind in verdict
        ],
    }


def invalid_status(
    problems: Sequence[Problem], *, generation: int, previous: Mapping[str, Any], now: datetime
) -> _Json:
    """Return the status of a Workflow that cannot run: every problem, with its field's path, before any pod."""
    message = "; ".join(str(problem) for problem in problems)
    shown = message if len(message) <= 4096 else message[:4095] + "…"
    verdict = {
        "Succeeded": ("False", "InvalidSpec", shown),
        "Finished": ("True", "InvalidSpec", shown),
        "Reconciling": ("False", "InvalidSpec", ""),
        "Stalled": ("True", "InvalidSpec", shown),
    }
    return {
        "observedGeneration": generation,
        "phase": "Failed",
        "message": shown[:MESSAGE_CHARACTERS],
        "conditions": [
            condition(kind, *verdict[kind], generation=generation, previous=previous, now=now) for kind in verdict
        ],
    }


def operations(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[_Json]:
    """Return the JSON patch (RFC 6902) that turns the status `before` into `after`; empty where nothing changed.

    Whole members are replaced. A merge patch would read a null inside somebody's outputs as "remove".
    """
    changed = [key for key, value in after.items() if key not in before or before[key] != value]
    # Members that only a newer release knows stay (invariant S16).
    gone = [key for key in before if key not in after and key in _OUR_MEMBERS]
    if not changed and not gone:
        return []
    if not before:
        return [{"op": "add", "path": "/status", "value": {**after, "revision": 1}}]
    return [
        *({"op": "add", "path": f"/status/{key}", "value": after[key]} for key in changed),
        # Removing what is not there is an error, and the whole patch with it. It is not there when the answer to our
        # last write was lost: written again, it must come as far as the precondition that tells us so.
        *({"op": "add", "path": f"/status/{key}", "value": None} for key in gone),
        *({"op": "remove", "path": f"/status/{key}"} for key in gone),
        # By this the CRD's rules tell a write of the status from one of the spec, and skip what the latter must obey.
        {"op": "add", "path": "/status/revision", "value": before.get("revision", 0) + 1},
    ]


def condition(
    kind: str,
    value: str,
    reason: str,
    message: str,
    *,
    generation: int,
    previous: Mapping[str, Any],
    now: datetime,
) -> _Json:
    """Return one metav1.Condition; its transition time moves only with its status (API conventions)."""
    before = condition_of(previous, kind)
    changed_at = before["lastTransitionTime"] if before.get("status") == value else text_of(now)
    return {
        "type": kind,
        "status": value,
        "observedGeneration": generation,
        "lastTransitionTime": changed_at,
        "reason": reason,
        "message": message,
    }


def refused_status(
    problems: Sequence[Problem], *, generation: int, previous: Mapping[str, Any], now: datetime
) -> _Json:
    """Return the status of a run that was begun and whose definition is refused now: what is recorded stays.

    Its definition cannot have changed, so it is the rules that did: a newer operator, with stricter ones.
    """
    message = "; ".join(str(problem) for problem in problems)
    return stalled_status(previous, "InvalidSpec", message, generation=generation, now=now)


def stalled_status(previous: Mapping[str, Any], reason: str, message: str, *, generation: int, now: datetime) -> _Json:
    """Return the status of a run that was begun and cannot be gone on with: what is recorded stays."""
    shown = message[:4096]
    verdict = {"Reconciling": ("False", reason, ""), "Stalled": ("True", reason, shown)}
    kept = [each for each in previous.get("conditions") or () if each["type"] not in verdict]
    told = [condition(kind, *verdict[kind], generation=generation, previous=previous, now=now) for kind in verdict]
    return {
        **previous,
        "observedGeneration": generation,
        "message": shown[:MESSAGE_CHARACTERS],
        "conditions": [*kept, *told],
    }


def finished_at(status: Mapping[str, Any]) -> datetime | None:
    """Return when a run ended, or was refused; None while it has not."""
    if not is_finished(status):
        return None
    return time_of(status.get("completionTime") or condition_of(status, "Finished")["lastTransitionTime"])


def is_finished(status: Mapping[str, Any]) -> bool:
    """Tell whether a run is over, by its recorded status."""
    return condition_of(status, "Finished").get("status") == "True"


def is_invalid(status: Mapping[str, Any]) -> bool:
    """Tell whether the definition was refused, so that a corrected one may still run."""
    return is_finished(status) and condition_of(status, "Succeeded").get("reason") == "InvalidSpec"


def suspension(status: Mapping[str, Any]) -> tuple[datetime | None, float]:
    """Return since when a run is suspended (None: it is not) and for how many seconds it was before that."""
    found = condition_of(status, "Suspended")
    since = time_of(found["lastTransitionTime"]) if found.get("status") == "True" else None
    return since, float(status.get("suspendedSeconds", 0))


def recorded_outcome(status: Mapping[str, Any]) -> RunOutcome | None:
    """Return how a run has ended, for one that is taken up again because something is asked of it; None: it has not."""
    moment = finished_at(status)
    if moment is None:
        return None
    verdict = condition_of(status, "Succeeded")
    return RunOutcome(
        succeeded=verdict["status"] == "True",
        reason=verdict["reason"],
        message=verdict["message"],
        finished_at=moment,
        cancelled=status.get("phase") == "Cancelled",
    )


def _summary(run: RunState, settings: Settings, stalled: str, *, in_full: bool) -> tuple[str, str]:
    """Return the phase and the message that people see in `kubectl get`. `in_full` names tasks, which is O(nodes)."""
    if run.outcome is not None:
        return _phase_of(run.outcome), run.outcome.message
    if stalled:
        return "Running", stalled
    if run.stopping:
        return "Running", "stopping: " + run.stopping
    if in_full:
        names = [state.name for state in run.nodes.values() if state.parent is None and state.phase in ACTIVE]
        active = few(names, 3)
    else:
        running = sum(run.counts[phase] for phase in ACTIVE)
        active = f"{running} tasks and items" if running else ""
    if settings.suspend:
        return "Suspended", "spec.suspend is true" + (f"; still running: {active}" if active else "")
    return "Running", f"running: {active}" if active else ""


def _phase_of(outcome: RunOutcome) -> str:
    if outcome.cancelled:
        return "Cancelled"
    return "Succeeded" if outcome.succeeded else "Failed"


def blocked(run: RunState) -> str:
    """Return what a task waits for that only somebody with rights over the operator can give; "" for nothing."""
    if run.outcome is not None or run.hold_until is None:
        return ""
    for state in run.nodes.values():
        # Also while one of them asks again: the condition is not to come and go.
        if state.phase in (Phase.QUEUED, Phase.STARTING) and state.refused and state.refused[0] == OPERATOR_FORBIDDEN:
            return f"the operator may not go on: {state.refused[1]}"
    return ""


def _conditions(
    run: RunState,
    settings: Settings,
    generation: int,
    previous: Mapping[str, Any],
    now: datetime,
    stalled: str,
    slow: str,
    message: str,
) -> list[_Json]:
    outcome = run.outcome
    if outcome is None:
        verdict = {
            "Succeeded": ("Unknown", "Suspended" if settings.suspend else "Running", message),
            "Finished": ("False", "Running", ""),
            # kstatus: a suspended run is not "current" either, so it goes on reconciling.
            "Reconciling": ("True", "WaitingForApiServer", slow) if slow else ("True", "Running", message),
            "Stalled": ("True", "OperatorBlocked", stalled) if stalled else ("False", "Running", ""),
        }
    else:
        reason, text = outcome.reason, outcome.message
        verdict = {
            "Succeeded": ("True" if outcome.succeeded else "False", reason, text),
            "Finished": ("True", reason, text),
            "Reconciling": ("False", reason, ""),
            "Stalled": ("False", reason, "") if outcome.succeeded else ("True", reason, text),
        }
    suspended = run.suspended_at is not None and outcome is None
    verdict["Suspended"] = ("True", "Suspended", "spec.suspend is true") if suspended else ("False", "NotSuspended", "")
    result = [condition(kind, *verdict[kind], generation=generation, previous=previous, now=now) for kind in verdict]
    if suspended and run.suspended_at is not None:
        # The clock of the run's deadline stands still from here: a restarted operator must read the same moment.
        result[-1]["lastTransitionTime"] = text_of(run.suspended_at)
    return result


def condition_of(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return one condition of a status; empty where it has none."""
    for each in status.get("conditions") or ():
        if each.get("type") == kind:
            return each  # type: ignore[no-any-return]
    return {}
