"""S2: nothing is created before what it depends on is durable: on record, or in a finished object that we hold.

Judged when the create leaves. A task that had an object in this epoch must be on record as ended, or the object must
have ended while our finalizer was on it. A child Workflow is held by nothing, and a wait, an approval or a request has
no object: of these only the record counts.

What ends without an attempt (skipped, for want of a parent's success, by its values, by an expression) is a pure
function of other durable ends and may be computed anew; it is enough that those ends are durable. What that function
gives is not computed here, so that too little may be demanded:

- A task that may end by an expression or a limit is not asked for more than that its parents have ended.
- A failed pod counts as the end of its task unless its user's budget plainly allows another attempt.
- The items of a list are those that are known. That some are missing is only told where the record says how many there
  are, all others have succeeded, and the run is not being stopped.
- For `finally`, a main task without an object counts as cancelled if the run was stopped or has a deadline.
- Edges that only an expression implies are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.engine.model import TriggerRule
from fairlead.kube.resources import WORKFLOWS

from .budgets import failures_of_its_own
from .definition import Task
from .departures import Departure
from .objects import succeeded
from .world import Carrier, Run

__all__ = ["parents_are_durable"]

_ONE = frozenset({TriggerRule.ONE_DONE, TriggerRule.ONE_FAILED, TriggerRule.ONE_SUCCESS})

#: Kinds whose ends are on record before anything follows: no object of ours shows them.
_RECORDED = frozenset({"wait", "approval", "http", "resource"})


def parents_are_durable(departure: Departure) -> Iterator[str]:
    """S2: see above."""
    task = departure.task
    if task is None:
        return
    durable = _Durable(departure)
    missing = [name for name in task.needs if not durable(name)]
    if task.trigger in _ONE:
        missing = [] if len(missing) < len(task.needs) else missing
    elif task.trigger is TriggerRule.ALWAYS:
        missing = []
    if missing:
        yield f"{departure} was created before the end of {', '.join(missing)} was durable ({task.trigger.value})"
    if task.final:
        open_ = [each.name for each in departure.definition.main if not durable.for_finally(each)]
        if open_:
            yield f"{departure}, of `finally`, was created before the end of {', '.join(open_[:5])} was durable"


class _Durable:
    """Tells of each task of a run whether its end is durable. Asked once of each."""

    def __init__(self, departure: Departure) -> None:
        self._run: Run = departure.run
        self._tasks = departure.definition.tasks
        self._known: dict[str, bool] = {}
        run = self._run
        self._cut_off = run.stopped or any("deadlineSeconds" in each.spec for each in run.generations)

    def __call__(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._judge(self._tasks[name])
        return known

    def for_finally(self, task: Task) -> bool:
        """Tell whether the end of a main task is durable, as far as `finally` is concerned."""
        return self(task.name) or (self._cut_off and not self._began(task) and not self._is_open(task))

    def _judge(self, task: Task) -> bool:
        if self._run.record.end_of(task.name):
            return True
        if self._began(task):
            return self._objects_show_it(task)
        if self._is_open(task):
            return False
        return self._may_follow(task)

    def _began(self, task: Task) -> bool:
        return next(self._carriers(task), None) is not None

    def _is_open(self, task: Task) -> bool:
        return task.kind in _RECORDED and self._run.record.has_open_attempt(task.name)

    def _carriers(self, task: Task) -> Iterator[Carrier]:
        found = self._run.of_task(task.name) if task.for_each else iter(self._run.carriers.get(task.name, ()))
        return (each for each in found if each.epoch == self._run.record.epoch)

    def _objects_show_it(self, task: Task) -> bool:
        last = {each.node: each for each in self._carriers(task)}  # in the order of their creation
        if any(not self._is_witnessed(each) for each in last.values()):
            return False
        if task.for_each:
            return not self._lacks_items(task, last)
        return task.may_give_up or not self._is_tried_again(task, last[task.name])

    def _lacks_items(self, task: Task, last: Mapping[str, Carrier]) -> bool:
        record = self._run.record
        total = (record.entries.get(task.name, {}).get("items") or {}).get("total", 0)
        if self._cut_off or task.may_skip_items or not total:
            return False
        names = [f"{task.name}[{index}]" for index in range(total)]
        ends = [record.end_of(name) for name in names if name not in last]
        well = all(succeeded(each.plural, each.obj) for each in last.values())
        return well and "" in ends and not set(ends) - {"", "Succeeded"}

    def _is_witnessed(self, carrier: Carrier) -> bool:
        if self._run.record.end_of(carrier.node) or carrier.tampered:
            return True
        return carrier.plural != WORKFLOWS.plural and carrier.witnessed

    def _is_tried_again(self, task: Task, last: Carrier) -> bool:
        if self._cut_off:
            return False  # a run that is stopped tries nothing again
        attempts = list(self._carriers(task))
        failures = failures_of_its_own(attempts)
        # Time-outs may count like failures of its own, so every attempt is taken for one.
        return bool(failures) and failures[-1] is last and len(attempts) <= task.retries.limit

    def _may_follow(self, task: Task) -> bool:
        """Tell whether a task without an attempt may have ended by what is durable of its parents."""
        ends = [name for name in task.needs if self(name)]
        plain = task.trigger is TriggerRule.ALL_SUCCEEDED
        cut_short = any(not plain or not self._succeeded(name) for name in ends)
        if task.may_end_alone:
            return task.trigger is TriggerRule.ALWAYS or len(ends) == len(task.needs) or cut_short
        return cut_short

    def _succeeded(self, name: str) -> bool:
        end = self._run.record.end_of(name)
        if end:
            return end == "Succeeded"
        last = {each.node: each for each in self._carriers(self._tasks[name])}
        return bool(last) and all(succeeded(each.plural, each.obj) for each in last.values())
