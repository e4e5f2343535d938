"""Between the engine's state of a run and the `status` of its Workflow: both ways, pure.

What is written here is what a restarted operator believes, so `recorded(encode(state))` keeps every terminal fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fairlead.api.problems import Problem
from fairlead.api.status import PHASE_FIELDS, WorkflowStatus
from fairlead.controllers.refusals import OPERATOR_FORBIDDEN
from fairlead.controllers.views import time_of
from fairlead.engine.capacity import MESSAGE_CHARACTERS, message_characters
from fairlead.engine.model import TERMINAL, FailureClass, Phase, Settings
from fairlead.engine.reasons import why
from fairlead.engine.restore import NodeRecord
from fairlead.engine.state import Attempt, NodeState, RunState

__all__ = [
    "condition",
    "encode",
    "finished_at",
    "invalid_status",
    "is_finished",
    "is_invalid",
    "operations",
    "recorded_nodes",
    "refused_status",
    "suspension",
]

_Json = dict[str, Any]

#: Members of a status that we may remove again.
_OUR_MEMBERS = frozenset(info.alias for info in WorkflowStatus.model_fields.values()) - {"revision"}


def encode(
    run: RunState, settings: Settings, *, generation: int, previous: Mapping[str, Any], now: datetime, stalled: str = ""
) -> _Json:
    """Return the whole status of a run. O(nodes).

    `previous` is the status written before, whose transition times are kept for conditions that have not changed.
    `stalled` says what keeps the operator itself from getting on (missing rights), else "".
    """
    stalled = stalled or _blocked(run)
    total = len(run.nodes)
    ended = sum(run.counts[phase] for phase in TERMINAL)
    phase, message = _summary(run, settings, stalled)
    characters = message_characters(max(total, run.ended_attempts))
    status: _Json = {
        "observedGeneration": generation,
        "startTime": _text(run.started_at),
        "phase": phase,
        "message": message[:MESSAGE_CHARACTERS],
        "progress": f"{ended}/{total}",
        "counts": {
            "total": total,
            **{PHASE_FIELDS[phase]: run.counts[phase] for phase in Phase if run.counts[phase]},
        },
        "conditions": _conditions(run, settings, generation, previous, now, stalled, message),
        "tasks": [_task(run, settings, state, characters) for state in run.nodes.values()],
    }
    if run.suspended_seconds:
        status["suspendedSeconds"] = round(run.suspended_seconds)
    if run.outcome is not None:
        status["completionTime"] = _text(run.outcome.finished_at)
        if run.outputs:
            status["outputs"] = run.outputs
    return status


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
    before = _find(previous, kind)
    changed_at = before["lastTransitionTime"] if before.get("status") == value else _text(now)
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
    message = "; ".join(str(problem) for problem in problems)[:4096]
    kept = [each for each in previous.get("conditions") or () if each["type"] != "Stalled"]
    stalled = condition("Stalled", "True", "InvalidSpec", message, generation=generation, previous=previous, now=now)
    return {
        **previous,
        "observedGeneration": generation,
        "message": message[:MESSAGE_CHARACTERS],
        "conditions": [*kept, stalled],
    }


def finished_at(status: Mapping[str, Any]) -> datetime | None:
    """Return when a run ended, or was refused; None while it has not."""
    if not is_finished(status):
        return None
    return time_of(status.get("completionTime") or _find(status, "Finished")["lastTransitionTime"])


def is_finished(status: Mapping[str, Any]) -> bool:
    """Tell whether a run is over, by its recorded status."""
    return _find(status, "Finished").get("status") == "True"


def is_invalid(status: Mapping[str, Any]) -> bool:
    """Tell whether the definition was refused, so that a corrected one may still run."""
    return is_finished(status) and _find(status, "Succeeded").get("reason") == "InvalidSpec"


def suspension(status: Mapping[str, Any]) -> tuple[datetime | None, float]:
    """Return since when a run is suspended (None: it is not) and for how many seconds it was before that."""
    found = _find(status, "Suspended")
    since = time_of(found["lastTransitionTime"]) if found.get("status") == "True" else None
    return since, float(status.get("suspendedSeconds", 0))


def recorded_nodes(status: Mapping[str, Any]) -> list[NodeRecord]:
    """Return what a status says of each node, for `restore`."""
    return [
        NodeRecord(
            name=task["name"],
            phase=Phase(task["phase"]),
            reason=task.get("reason", ""),
            message=task.get("message", ""),
            completed_at=time_of(task.get("completionTime")),
            outputs=task.get("outputs", {}),
            attempts=tuple(_read_attempt(attempt) for attempt in task.get("attempts", ())),
        )
        for task in status.get("tasks", ())
    ]


def _summary(run: RunState, settings: Settings, stalled: str) -> tuple[str, str]:
    """Return the phase and the message that people see in `kubectl get`."""
    if run.outcome is not None:
        return ("Succeeded" if run.outcome.succeeded else "Failed"), run.outcome.message
    if stalled:
        return "Running", stalled
    if run.stopping:
        return "Running", "stopping: " + run.stopping
    active = [state.node.name for state in run.nodes.values() if state.phase in (Phase.STARTING, Phase.RUNNING)]
    if settings.suspend:
        return "Suspended", "spec.suspend is true" + (f"; still running: {_few(active)}" if active else "")
    return "Running", f"running: {_few(active)}" if active else ""


def _blocked(run: RunState) -> str:
    """Return what a task waits for that only somebody with rights over the operator can give; "" for nothing."""
    if run.outcome is not None or not run.counts[Phase.QUEUED]:
        return ""
    for state in run.nodes.values():
        if state.phase is Phase.QUEUED and state.reason == OPERATOR_FORBIDDEN:
            return f"the operator may not go on: {state.message}"
    return ""


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _conditions(
    run: RunState,
    settings: Settings,
    generation: int,
    previous: Mapping[str, Any],
    now: datetime,
    stalled: str,
    message: str,
) -> list[_Json]:
    outcome = run.outcome
    if outcome is None:
        verdict = {
            "Succeeded": ("Unknown", "Suspended" if settings.suspend else "Running", message),
            "Finished": ("False", "Running", ""),
            # kstatus: a suspended run is not "current" either, so it goes on reconciling.
            "Reconciling": ("True", "Running", message),
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
        result[-1]["lastTransitionTime"] = _text(run.suspended_at)
    return result


def _task(run: RunState, settings: Settings, state: NodeState, characters: int) -> _Json:
    reason, message = why(run, settings, state)
    task: _Json = {"name": state.node.name, "phase": state.phase.value}
    attempts = [_attempt(attempt, characters) for attempt in state.attempts if attempt.created or attempt.finished_at]
    task |= _present(
        reason=reason,
        message=message[:characters],
        startTime=attempts[0].get("startTime") if attempts else None,
        completionTime=_text(state.completed_at),
        outputs=state.outputs,
        attempts=attempts,
    )
    return task


def _attempt(attempt: Attempt, characters: int) -> _Json:
    record: _Json = {"number": attempt.number} | _present(
        podName=attempt.object_name,
        nodeName=attempt.node_name,
        startTime=_text(attempt.started_at),
        runningTime=_text(attempt.running_at),
        completionTime=_text(attempt.finished_at),
        reason=attempt.reason,
        message=attempt.message[:characters],
    )
    record["class"] = attempt.failure_class.value if attempt.failure_class else None
    record["exitCode"] = attempt.exit_code
    return {key: value for key, value in record.items() if value is not None}


def _read_attempt(record: Mapping[str, Any]) -> Attempt:
    failure_class = record.get("class")
    return Attempt(
        number=record["number"],
        object_name=record.get("podName", ""),
        created=True,
        node_name=record.get("nodeName", ""),
        started_at=time_of(record.get("startTime")),
        running_at=time_of(record.get("runningTime")),
        finished_at=time_of(record.get("completionTime")),
        exit_code=record.get("exitCode"),
        failure_class=FailureClass(failure_class) if failure_class else None,
        reason=record.get("reason", ""),
        message=record.get("message", ""),
    )


def _present(**fields: Any) -> _Json:
    return {name: value for name, value in fields.items() if value}


def _find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for each in status.get("conditions") or ():
        if each.get("type") == kind:
            return each  # type: ignore[no-any-return]
    return {}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
