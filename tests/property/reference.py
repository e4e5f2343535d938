"""What a run comes to, computed in the most naive way: no counters, no events, no order, no time, no memory.

Independent of the engine on purpose (it shares only the names of phases, rules, kinds and classes), and written
from the words of the contract: it looks at all tasks again and again until nothing changes any more, and lets each
attempt end as its script says. What depends on timing it does not know: which items were still to come when their list
went over its tolerance (`Told.loose`), and what ran when somebody stopped the run (`kept` is what is known then).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tests.property.script import End, Formula, Rule, Scope, Task, Unable, Way

from fairlead.engine.model import FailureClass, Phase, TriggerRule, WorkKind

_CLASSES = {
    **dict.fromkeys((Way.EXIT, Way.REJECTED), FailureClass.USER),
    Way.EVICTED: FailureClass.INFRASTRUCTURE,
    **dict.fromkeys((Way.REFUSED, Way.STUCK), FailureClass.CONFIGURATION),
    **dict.fromkeys(
        (Way.TOO_LONG, Way.NEVER_STARTS, Way.OUTLASTS, Way.STARVES, Way.LAPSES, Way.SILENT), FailureClass.TIMEOUT
    ),
}

#: Nothing is tried again after these, whatever the budget.
_FOR_GOOD = (Way.OUTLASTS, Way.STARVES, Way.REJECTED, Way.LAPSES)


@dataclass(frozen=True)
class Told:
    """What has become of a task, or of an item of one: `attempts` counts those of all epochs.

    `listed` is the list of a `forEach`; `loose` says that any item of it may have been Cancelled instead.
    """

    phase: Phase
    reason: str = ""
    attempts: int = 0
    outputs: Mapping[str, Any] = field(default_factory=dict)
    listed: Sequence[Any] = ()
    loose: bool = False


#: Tasks and items (`m[3]`) by name.
Story = Mapping[str, Told]

NOTHING: Story = {}

_NEW = Told(Phase.WAITING)


class Failure(NamedTuple):
    """An attempt that has failed."""

    end: End
    class_: FailureClass
    reason: str
    number: int


def interpret(
    tasks: Sequence[Task], kept: Story = NOTHING, before: Story = NOTHING, stopped: str = "", seen: Story = NOTHING
) -> Story:
    """Return what becomes of each task. `kept` is over already; `before` is the past of those that run (again).

    `stopped` is why the run was stopped, for `finally` to know. `seen` tells what a list that is `loose` has put out.
    """
    over = dict(kept)
    main = [task.name for task in tasks if not task.final]
    while left := [task for task in tasks if task.name not in over]:
        ready = [task for task in left if all(name in over for name in [*task.needs, *(main if task.final else ())])]
        assert ready, "a cycle"
        for task in ready:
            over |= _tell(task, tasks, over, before, stopped)
            if over[task.name].loose and task.name in seen:
                over[task.name] = replace(over[task.name], outputs=seen[task.name].outputs)
    return over


def succeeds(tasks: Sequence[Task], story: Story) -> bool:
    """Whether the run succeeds: nothing was cancelled or failed unhandled, and what `finally` has to do is done."""
    handlers = [task for task in tasks if task.handles and story[task.name].phase is Phase.SUCCEEDED]
    handled = {cause for task in handlers for parent in task.needs for cause in _causes(parent, tasks, story)}
    return all(_is_well(task, story[task.name].phase, handled) for task in tasks)


def _is_well(task: Task, phase: Phase, handled: Collection[str]) -> bool:
    if task.final:
        return not task.required or phase in (Phase.SUCCEEDED, Phase.SKIPPED)
    return phase is not Phase.CANCELLED and (phase is not Phase.FAILED or task.proceeds or task.name in handled)


def _causes(name: str, tasks: Sequence[Task], story: Story) -> set[str]:
    if story[name].phase is not Phase.UPSTREAM_FAILED:
        return {name}
    needs = next(task.needs for task in tasks if task.name == name)
    return {cause for parent in needs for cause in _causes(parent, tasks, story)}


def _tell(task: Task, tasks: Sequence[Task], over: Story, before: Story, stopped: str) -> Story:
    """Return what becomes of a task, and of its items."""
    past = before.get(task.name, _NEW)
    parents = {_seen_by_children(each, over[each.name].phase) for each in tasks if each.name in task.needs}
    instead = _RULES[task.trigger](parents) if parents else None
    if instead is not None:
        return {task.name: Told(instead, attempts=past.attempts)}
    scope: dict[str, Any] = {"tasks": {k: {"phase": v.phase.value, "outputs": v.outputs} for k, v in over.items()}}
    if task.repeat is not None:
        scope |= {"iteration": 1, "previous": {}}
    if task.final:
        ends = [over[each.name].phase.value for each in tasks if not each.final]
        counts = {phase: ends.count(phase) for phase in ends}
        scope["run"] = {"summary": {"total": len(ends), "counts": counts, "stopped": stopped}}
    try:
        if task.when is not None and past.phase is not Phase.RUNNING and not _is_true(task.when, scope):
            return {task.name: Told(Phase.SKIPPED, "WhenFalse", past.attempts)}
        if task.each is not None:
            return _items(task, scope, before)
        return {task.name: or_defaults(task, _work(task, scope, task.ends, past.attempts))}
    except Unable:
        return {task.name: or_defaults(task, Told(Phase.FAILED, "ExpressionError", past.attempts))}


def or_defaults(task: Task, told: Told, items: Sequence[Told] = ()) -> Told:
    """Return what a task comes to, with the outputs of one that counts as a success where it has failed."""
    if told.phase is not Phase.FAILED or not task.proceeds:
        return told
    if task.each is None:
        return replace(told, outputs={name: value for name, value in task.declared.items() if value is not None})
    return replace(
        told, outputs={n: [i.outputs.get(n, default) for i in items] for n, default in task.declared.items()}
    )


def _seen_by_children(task: Task, phase: Phase) -> Phase:
    if phase is Phase.CANCELLED:
        return Phase.FAILED
    return Phase.SUCCEEDED if phase is Phase.FAILED and task.proceeds else phase


def _is_true(condition: Formula, scope: Scope) -> bool:
    if not isinstance(value := condition(scope), bool):
        raise Unable
    return value


def _items(task: Task, scope: Scope, before: Story) -> Story:
    assert task.each is not None
    values, size, name = task.each.items(scope), task.each.batch_size, task.name
    if not isinstance(values, list):
        raise Unable
    listed = [values[i : i + size] for i in range(0, len(values), size)] if size else values
    if len(values) > task.each.limit:
        return {name: or_defaults(task, Told(Phase.FAILED, "TooManyItems"))}
    if not listed:
        return {name: Told(Phase.SKIPPED, "NoItems")}
    same = before.get(name, _NEW).listed == listed
    items = {f"{name}[{i}]": _item(task, scope, before, i, listed[i], same) for i in range(len(listed))}
    all_told = replace(_all_told(task, list(items.values())), listed=listed)
    return {name: or_defaults(task, all_told, list(items.values())), **items}


def _item(task: Task, scope: Scope, before: Story, index: int, item: Any, same: bool) -> Told:
    assert task.each is not None
    past = before.get(f"{task.name}[{index}]", _NEW)
    if same and past.phase is not Phase.WAITING:
        return past
    sees = {**scope, "item": item, "index": index}
    try:
        if task.each.when is not None and not _is_true(task.each.when, sees):
            return Told(Phase.SKIPPED, "WhenFalse", past.attempts)
        ends = task.item_ends[index % len(task.item_ends)] if task.item_ends else task.ends
        return _work(task, sees, ends, past.attempts)
    except Unable:
        return Told(Phase.FAILED, "ExpressionError", past.attempts)


def _all_told(task: Task, items: Sequence[Told]) -> Told:
    """Return what a `forEach` comes to, given the ends of all its items."""
    assert task.each is not None
    phases = [each.phase for each in items]
    if all(phase is Phase.SKIPPED for phase in phases):
        return Told(Phase.SKIPPED, "ItemsSkipped")
    share = 0.0 if task.each.percent is None else task.each.percent * len(items) / 100
    if phases.count(Phase.FAILED) > max(share, task.each.count or 0):
        return Told(Phase.FAILED, "ItemsFailed", loose=True)
    if Phase.CANCELLED in phases:
        return Told(Phase.CANCELLED)
    names = dict.fromkeys([*task.declared, *(name for each in items for name in each.outputs)])
    return Told(Phase.SUCCEEDED, outputs={name: [each.outputs.get(name) for each in items] for name in names})


def _work(task: Task, scope: Scope, ends: Sequence[End], number: int) -> Told:
    previous: Mapping[str, Any] = {}
    for iteration in range(1, task.repeat.most + 1 if task.repeat else 2):
        sees = {**scope, "iteration": iteration, "previous": previous} if task.repeat else scope
        told = _attempts(task, sees, ends, number)
        if told.phase is not Phase.SUCCEEDED or task.repeat is None:
            return told
        number, previous = told.attempts, told.outputs
        try:
            if _is_true(task.repeat.until, {**sees, "outputs": previous}):
                return told
        except Unable:
            return Told(Phase.FAILED, "ExpressionError", number)
    return Told(Phase.FAILED, "MaxIterations", number)


def _attempts(task: Task, scope: Scope, ends: Sequence[End], number: int) -> Told:
    """Try until an attempt ends well or its budget is spent."""
    failures: list[Failure] = []
    while True:
        try:
            value = None if task.value is None else task.value(scope)
        except Unable:
            return Told(Phase.FAILED, "ExpressionError", number)
        if task.kind is WorkKind.SET:
            return Told(Phase.SUCCEEDED, attempts=number, outputs={"x": value})
        end = ends[min(number, len(ends) - 1)]
        if end.way is Way.STARVES:
            return Told(Phase.FAILED, end.way.value, number)
        number += 1
        if end.way is Way.EXIT and end.exit_code in task.skip_codes:
            return Told(Phase.SKIPPED, "SkipExitCode", number)
        if end.way is Way.DONE or (end.way is Way.LAPSES and task.lapse_approves):
            outputs = _outputs(task, {"x": value} if end.writes is None else end.writes)
            if isinstance(outputs, Mapping):
                return Told(Phase.SUCCEEDED, attempts=number, outputs=outputs)
            end = replace(end, reason=outputs, exit_code=0)
        failures.append(Failure(end, _CLASSES.get(end.way, FailureClass.USER), end.reason or end.way.value, number))
        if not _tries_again(task, scope, failures):
            return Told(Phase.FAILED, failures[-1].reason, number)


def _outputs(task: Task, written: Scope) -> Scope | str:
    """Return the outputs of an attempt that has written these, or the reason for which they will not do."""
    for name, default in task.declared.items():
        if name not in written and default is None:
            return "OutputMissing"
        if name in written and not isinstance(written[name], int):
            return "OutputInvalid"
    return {name: written.get(name, default) for name, default in task.declared.items()}


def _tries_again(task: Task, scope: Scope, failures: Sequence[Failure]) -> bool:
    """Whether the last of these failures, those of one round, leaves budget for another attempt."""
    rules = [rule_of(task, scope, failure) for failure in failures]
    last, rule = failures[-1], rules[-1]
    if last.end.way in _FOR_GOOD:
        return False
    if rule is not None:
        return sum(each is rule for each in rules) <= (task.limit if rule.limit is None else rule.limit)
    charged = [each.class_ for each, by in zip(failures, rules, strict=True) if by is None]
    if last.class_ is FailureClass.INFRASTRUCTURE:
        return charged.count(last.class_) <= task.infrastructure_limit
    if last.class_ is FailureClass.CONFIGURATION or (last.class_ is FailureClass.TIMEOUT and not task.on_timeout):
        return False
    return charged.count(FailureClass.USER) + charged.count(FailureClass.TIMEOUT) <= task.limit


def rule_of(task: Task, scope: Scope, failure: Failure) -> Rule | None:
    """Return the first rule that matches a failure."""
    class_, code = failure.class_, failure.end.exit_code
    attempt = {"number": failure.number, "exitCode": code, "class": class_.value, "reason": failure.reason}
    for rule in task.rules:
        if (
            (not rule.exit_codes or (class_ is FailureClass.USER and code in rule.exit_codes))
            and (not rule.reasons or failure.reason in rule.reasons)
            and (rule.reasons or class_ in (FailureClass.USER, FailureClass.TIMEOUT))
            and (rule.when is None or rule.when({**scope, "attempt": attempt}))
        ):
            return rule
    return None


_BAD, _GOOD = {Phase.FAILED, Phase.UPSTREAM_FAILED}, Phase.SUCCEEDED


def _none_succeeded(ends: set[Phase]) -> Phase:
    return Phase.UPSTREAM_FAILED if ends & _BAD else Phase.SKIPPED


#: What becomes of a task that does not run, given how its parents have ended; None: it runs.
_RULES: Mapping[TriggerRule, Callable[[set[Phase]], Phase | None]] = {
    TriggerRule.ALL_SUCCEEDED: lambda p: _none_succeeded(p) if p - {Phase.SUCCEEDED} else None,
    TriggerRule.ALL_FAILED: lambda p: None if p <= _BAD else Phase.SKIPPED,
    TriggerRule.ALL_DONE: lambda p: None,
    TriggerRule.ALL_DONE_MIN_ONE_SUCCESS: lambda p: None if _GOOD in p else _none_succeeded(p),
    TriggerRule.ALL_SKIPPED: lambda p: None if p == {Phase.SKIPPED} else Phase.SKIPPED,
    TriggerRule.ONE_FAILED: lambda p: None if p & _BAD else Phase.SKIPPED,
    TriggerRule.ONE_SUCCESS: lambda p: None if _GOOD in p else _none_succeeded(p),
    TriggerRule.ONE_DONE: lambda p: None if p & {Phase.SUCCEEDED, Phase.FAILED} else Phase.SKIPPED,
    TriggerRule.NONE_FAILED: lambda p: Phase.UPSTREAM_FAILED if p & _BAD else None,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: lambda p: _none_succeeded(p) if p & _BAD or _GOOD not in p else None,
    TriggerRule.NONE_SKIPPED: lambda p: Phase.SKIPPED if Phase.SKIPPED in p else None,
    TriggerRule.ALWAYS: lambda p: None,
}
