"""What people are shown of a run, wherever it runs: made from the engine's state or from a Workflow object.

:func:`view_of_object` reads a Workflow's status. Where a large run has its tasks in objects of their own, `cluster.py`
has put them into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fairlead.engine.model import TERMINAL, Phase, Settings
from fairlead.engine.names import task_and_index
from fairlead.engine.reasons import why
from fairlead.engine.state import NodeState, RunState

__all__ = ["RunView", "TaskView", "condition", "declared_needs", "view_of_object", "view_of_state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """One task.

    `started_at` is the start of its first attempt, `attempts` counts those that exist; `retried` has the messages of
    those that failed and were, or will be, tried again.
    """

    name: str
    phase: Phase
    reason: str = ""
    message: str = ""
    attempts: int = 0
    retried: tuple[str, ...] = ()
    started_at: datetime | None = None
    completed_at: datetime | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run. `phase` is the summary for people; `succeeded` is None while it is not finished."""

    name: str
    phase: str
    message: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    succeeded: bool | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[TaskView, ...] = ()

    @property
    def ended(self) -> int:
        """How many tasks are in a final phase."""
        return sum(task.phase in TERMINAL for task in self.tasks)


def view_of_state(run: RunState, settings: Settings) -> RunView:
    """Return what to show of a run in this process. O(nodes)."""
    outcome = run.outcome
    succeeded = None if outcome is None else outcome.succeeded
    return RunView(
        name=run.name,
        phase="Running" if outcome is None else "Succeeded" if outcome.succeeded else "Failed",
        message="" if outcome is None or outcome.succeeded else outcome.message,
        started_at=run.started_at,
        completed_at=None if outcome is None else outcome.finished_at,
        succeeded=succeeded,
        outputs=run.outputs,
        tasks=tuple(_task_of_state(run, settings, state) for state in run.nodes.values()),
    )


def _task_of_state(run: RunState, settings: Settings, state: NodeState) -> TaskView:
    reason, message = why(run, settings, state)
    return TaskView(
        name=state.name,
        phase=state.phase,
        reason=reason,
        message=message,
        attempts=len(state.attempts),
        retried=_retried(state.phase, [(attempt.failure_class, attempt.message) for attempt in state.attempts]),
        started_at=state.attempts[0].started_at if state.attempts else None,
        completed_at=state.completed_at,
        needs=state.node.needs,
    )


def view_of_object(workflow: Mapping[str, Any], needs: Mapping[str, Sequence[str]]) -> RunView:
    """Return what to show of a Workflow as the API server has it; `needs` are the parents of each task."""
    status = workflow.get("status") or {}
    verdict = condition(status, "Succeeded")
    finished = condition(status, "Finished").get("status") == "True"
    succeeded = verdict.get("status") == "True" if finished else None
    return RunView(
        name=workflow["metadata"]["name"],
        phase=status.get("phase") or "Pending",
        message="" if succeeded else status.get("message") or _pending(status),
        started_at=_time(status.get("startTime")),
        completed_at=_time(status.get("completionTime")),
        succeeded=succeeded,
        outputs=status.get("outputs") or {},
        tasks=tuple(_task_of_status(task, needs) for task in _listed(status, needs)),
    )


def _listed(status: Mapping[str, Any], needs: Mapping[str, Sequence[str]]) -> Sequence[Mapping[str, Any]]:
    """Return the entries of all tasks, in the order of the definition where some have none.

    A run that was not taken up yet, or was refused, has none at all; a large one has none of what just waits.
    """
    tasks: Sequence[Mapping[str, Any]] = status.get("tasks") or ()
    if "tasks" in status and "shards" not in status:
        return tasks
    groups: dict[str, list[Mapping[str, Any]]] = {name: [] for name in needs}
    for task in tasks:
        groups.setdefault(task_and_index(task["name"])[0], []).append(task)
    for name, group in groups.items():
        if not group:
            reason = {"reason": "WaitingForTasks"} if "shards" in status else {}
            group.append({"name": name, "phase": Phase.WAITING} | reason)
    return [task for group in groups.values() for task in group]


def _task_of_status(task: Mapping[str, Any], needs: Mapping[str, Sequence[str]]) -> TaskView:
    attempts, phase = task.get("attempts") or (), Phase(task["phase"])
    return TaskView(
        name=task["name"],
        phase=phase,
        reason=task.get("reason", ""),
        message=task.get("message", ""),
        attempts=len(attempts),
        retried=_retried(phase, [(attempt.get("class"), attempt.get("message", "")) for attempt in attempts]),
        started_at=_time(task.get("startTime")),
        completed_at=_time(task.get("completionTime")),
        needs=tuple(needs.get(task["name"], ())),
    )


def _retried(phase: Phase, attempts: Sequence[tuple[str | None, str]]) -> tuple[str, ...]:
    """Return the messages of failed attempts (those with a class of failure), without the one that was the end."""
    considered = attempts[:-1] if phase in TERMINAL else attempts
    return tuple(message for failure_class, message in considered if failure_class)


def declared_needs(spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the parents that each task of a spec names, groups resolved; what expressions imply is not among them."""
    tasks = spec.get("tasks") or ()
    members: dict[str, list[str]] = {}
    for task in tasks:
        members.setdefault(task["name"], []).append(task["name"])
        if task.get("group"):
            members.setdefault(task["group"], []).append(task["name"])
    return {
        task["name"]: tuple(dict.fromkeys(name for need in task.get("needs") or () for name in members.get(need, ())))
        for task in tasks
    }


def _pending(status: Mapping[str, Any]) -> str:
    return "" if status else "no operator has recorded anything yet"


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition of a status, {} where there is none."""
    for each in status.get("conditions") or ():
        if each.get("type") == kind:
            found: Mapping[str, Any] = each
            return found
    return {}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
