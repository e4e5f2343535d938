"""What people are shown of a run, wherever it runs: made from the engine's state or from a Workflow object.

:func:`view_of_object` reads a Workflow's status. Where a large run has its tasks in objects of their own, `cluster.py`
has put them into it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from fairlead.engine.model import ACTIVE, TERMINAL, Phase, Settings
from fairlead.engine.names import task_and_index
from fairlead.engine.reasons import why
from fairlead.engine.state import Items, NodeState, RunOutcome, RunState

__all__ = [
    "ItemCounts",
    "RunView",
    "TaskView",
    "condition",
    "declared_final",
    "declared_needs",
    "tasks_of_state",
    "view_of_object",
    "view_of_state",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """How far the items of a `forEach` task have come."""

    total: int
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        """How many are in a final phase."""
        return self.succeeded + self.failed + self.skipped + self.cancelled


#: The ends that items come to.
_ITEM_ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED)
_COUNTS = tuple(each.name for each in fields(ItemCounts))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """One task, or one item of a `forEach` task, which is called `m[3]` after its task `m`.

    `started_at` is the start of its first attempt, `attempts` counts those that exist; `retried` has the messages of
    those that failed and were, or will be, tried again. `round` is that of a `repeat`, `items` is of a task whose list
    is known. `final` tasks belong to `finally`.
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
    round: int = 1
    items: ItemCounts | None = None
    final: bool = False

    @property
    def task(self) -> str:
        """The name of its task, for an item; else its own."""
        return task_and_index(self.name)[0]

    @property
    def is_item(self) -> bool:
        """Whether it is one item of a task."""
        return self.name.endswith("]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run. `phase` is the summary for people; `succeeded` is None while it is not finished.

    The items of `forEach` tasks are among its `tasks`.
    """

    name: str
    phase: str
    message: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    succeeded: bool | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[TaskView, ...] = ()

    @property
    def whole(self) -> tuple[TaskView, ...]:
        """The tasks, without their items."""
        return tuple(task for task in self.tasks if not task.is_item)

    @property
    def ended(self) -> int:
        """How many tasks are in a final phase; items are not counted."""
        return sum(task.phase in TERMINAL for task in self.tasks if not task.is_item)


def view_of_state(run: RunState, settings: Settings) -> RunView:
    """Return what to show of a run in this process. O(nodes)."""
    outcome = run.outcome
    succeeded = None if outcome is None else outcome.succeeded
    return RunView(
        name=run.name,
        phase="Running" if outcome is None else _phase_of(outcome),
        message="" if outcome is None or outcome.succeeded else outcome.message,
        started_at=run.started_at,
        completed_at=None if outcome is None else outcome.finished_at,
        succeeded=succeeded,
        outputs=run.outputs,
        tasks=tasks_of_state(run, settings, run.nodes),
    )


def tasks_of_state(run: RunState, settings: Settings, names: Iterable[str]) -> tuple[TaskView, ...]:
    """Return some tasks and items of a run in this process."""
    return tuple(_task_of_state(run, settings, run.nodes[name]) for name in names if name in run.nodes)


def _phase_of(outcome: RunOutcome) -> str:
    if outcome.cancelled:
        return "Cancelled"
    return "Succeeded" if outcome.succeeded else "Failed"


def _task_of_state(run: RunState, settings: Settings, state: NodeState) -> TaskView:
    reason, message = why(run, settings, state)
    return TaskView(
        name=state.name,
        phase=state.phase,
        reason=reason,
        message=message,
        attempts=len(state.attempts),
        retried=_retried(state.phase, [(attempt.failure_class, attempt.message) for attempt in state.attempts]),
        started_at=state.attempts[0].started_at if state.attempts else state.started_at,
        completed_at=state.completed_at,
        needs=state.node.needs if state.parent is None else (),
        round=state.attempts[-1].iteration if state.attempts else 1,
        items=None if state.items is None else _count(state.items),
        final=state.node.final,
    )


def _count(items: Items) -> ItemCounts:
    ended = {phase.value.lower(): items.ended.get(phase, 0) for phase in _ITEM_ENDS}
    return ItemCounts(total=len(items.states), running=sum(item.phase in ACTIVE for item in items.states), **ended)


def view_of_object(
    workflow: Mapping[str, Any], needs: Mapping[str, Sequence[str]], final: Collection[str] = ()
) -> RunView:
    """Return what to show of a Workflow as the API server has it.

    `needs` are the parents of each task, `final` the names of those that belong to `finally`.
    """
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
        tasks=tuple(_task_of_status(task, needs, final) for task in _listed(status, needs)),
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


def _task_of_status(task: Mapping[str, Any], needs: Mapping[str, Sequence[str]], final: Collection[str]) -> TaskView:
    attempts, phase, items = task.get("attempts") or (), Phase(task["phase"]), task.get("items")
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
        round=attempts[-1].get("iteration", 1) if attempts else 1,
        items=ItemCounts(**{name: items[name] for name in _COUNTS if name in items}) if items else None,
        final=task_and_index(task["name"])[0] in final,
    )


def _retried(phase: Phase, attempts: Sequence[tuple[str | None, str]]) -> tuple[str, ...]:
    """Return the messages of failed attempts (those with a class of failure), without the one that was the end."""
    considered = attempts[:-1] if phase in TERMINAL else attempts
    return tuple(message for failure_class, message in considered if failure_class)


def declared_needs(spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the parents that each task of a spec names, groups resolved; what expressions imply is not among them."""
    tasks = [*(spec.get("tasks") or ()), *(spec.get("finally") or ())]
    members: dict[str, list[str]] = {}
    for task in tasks:
        members.setdefault(task["name"], []).append(task["name"])
        if task.get("group"):
            members.setdefault(task["group"], []).append(task["name"])
    return {
        task["name"]: tuple(dict.fromkeys(name for need in task.get("needs") or () for name in members.get(need, ())))
        for task in tasks
    }


def declared_final(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the tasks of `finally`."""
    return frozenset(task["name"] for task in spec.get("finally") or ())


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
