"""Which scripts are simulated, as Workflows: `tests.property` thinks them up, here they are written as people would.

What needs a network or a controller that the cluster in memory has not (requests over HTTP, Jobs, other resources) is
played by pods; how an attempt ends stays as the script says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.property.compiled import DEADLINE, FOREVER, QUEUE, RUNS, WAIT
from tests.property.scenarios import Scenario
from tests.property.script import (
    Blind,
    Broken,
    Each,
    End,
    Ended,
    ExitedWith,
    Fixed,
    Formula,
    Odd,
    Reached,
    Repeat,
    Round,
    Rule,
    Sum,
    Tally,
    Task,
    Upto,
    Wait,
    Way,
)

from fairlead.engine.model import SLOT_KINDS, TriggerRule, WorkKind
from fairlead.testing.cluster import START as BEGINNING

__all__ = ["CHILD", "as_played", "spec_of"]

JsonObject = dict[str, Any]

#: The template of all sub-workflows.
CHILD = "child"

#: Seconds; so long that no outage makes somebody's answer, or a start, come too late.
START, HEARTBEAT, APPROVAL = 4_000, 5_000, 6_000

#: What expressions outside of a task's work do not see.
_ROUNDS = ("iteration", "previous")
_INSIDE = ("item", "index", *_ROUNDS)

#: Kinds that are tried again.
_RETRIED = (WorkKind.POD, WorkKind.WORKFLOW)

_PLAYED = {WorkKind.JOB: WorkKind.POD, WorkKind.HTTP: WorkKind.POD, WorkKind.RESOURCE: WorkKind.POD}


def as_played(scenario: Scenario) -> Scenario:
    """Return a scenario with only such kinds of tasks as the cluster in memory can play."""
    return replace(scenario, tasks=[_as_played(task) for task in scenario.tasks])


def _as_played(task: Task) -> Task:
    task = replace(task, kind=_PLAYED.get(task.kind, task.kind))
    if task.when is not None:
        task = replace(task, when=Blind(task.when, _INSIDE))
    if task.each is not None:
        # The limit is the contract's own.
        items, when = Blind(task.each.items, _INSIDE), task.each.when and Blind(task.each.when, _ROUNDS)
        task = replace(task, each=replace(task.each, items=items, when=when, limit=10_000))
    if task.kind is WorkKind.WAIT:
        task = replace(task, value=None)
    if task.kind not in _RETRIED:
        task = replace(task, limit=0, on_timeout=False, rules=())  # it is waited for once
    if task.kind not in SLOT_KINDS:
        task = replace(task, priority=0)  # it waits for no slot
    if task.wait is Wait.CONDITION:
        task = replace(task, wait=Wait.SECONDS, declared={}, ends=[End()], item_ends=[])
    if task.kind is WorkKind.WORKFLOW:
        # Its run is tried again as a whole, with what goes wrong in it; here it goes well.
        task = replace(task, ends=[End()], item_ends=[], declared={"x": None} if task.declared else {}, rules=())
    if task.kind is WorkKind.POD:
        ends = [_of_a_pod(end) for end in task.ends]
        task = replace(task, ends=ends, item_ends=[[_of_a_pod(end) for end in each] for each in task.item_ends])
    return task


def _of_a_pod(end: End) -> End:
    """An end that a pod can have: a failure has an exit code; that its node has evicted it, is called otherwise."""
    if end.way is Way.EVICTED:
        return replace(end, reason="TerminationByKubelet")
    return replace(end, exit_code=1) if end.way is Way.EXIT and not end.exit_code else end


def spec_of(scenario: Scenario) -> JsonObject:
    """Return the spec of the Workflow."""
    tasks = {task.name: task for task in scenario.tasks}
    spec: JsonObject = {
        "tasks": [_task(task, tasks) for task in scenario.tasks if not task.final],
        "finallyDeadlineSeconds": scenario.final_deadline or FOREVER,
    }
    if final := [_task(task, tasks) for task in scenario.tasks if task.final]:
        spec["finally"] = final
    if scenario.parallelism is not None:
        spec["parallelism"] = scenario.parallelism
    if scenario.deadline is not None:
        spec["deadlineSeconds"] = scenario.deadline
    if scenario.limits:
        spec["overrides"] = [
            {"task": name, **_limits(limits.max_parallel, limits.count, limits.percent)}
            for name, limits in scenario.limits.items()
        ]
    if scenario.result is not None:
        spec["outputs"] = [{"name": "x", "value": _text(scenario.result, None, tasks)}]
    return spec


def _limits(max_parallel: int | None, count: int | None, percent: float | None) -> JsonObject:
    tolerate = {} if count is None and percent is None else {"tolerate": _only(count=count, percent=percent)}
    return {**_only(maxParallel=max_parallel), **tolerate}


def _task(task: Task, tasks: Mapping[str, Task]) -> JsonObject:
    ways = {end.way for ends in (task.ends, *task.item_ends) for end in ends}
    declares = task.declared and task.kind not in (WorkKind.SET, WorkKind.APPROVAL)
    return {
        "name": task.name,
        **_work(task, tasks),
        **_only(
            needs=list(task.needs) or None,
            trigger=None if task.trigger is TriggerRule.ALL_SUCCEEDED else task.trigger.value,
            when=None if task.when is None else _condition(task.when, None, tasks),
            forEach=None if task.each is None else _each(task, task.each, tasks),
            repeat=None if task.repeat is None else _repeat(task, task.repeat, tasks),
            outputs=_outputs(task) if declares else None,
            onFailure="Continue" if task.proceeds else None,
            handles=task.handles or None,
            required=task.required or None,
            skipExitCodes=sorted(task.skip_codes) or None,
            priority=task.priority or None,
            retry=_retry(task) if task.kind in _RETRIED else None,
        ),
        **_clocks(task, ways),
    }


def _repeat(task: Task, repeat: Repeat, tasks: Mapping[str, Task]) -> JsonObject:
    until = _text(repeat.until, task, tasks)
    return {"until": until, "maxIterations": repeat.most, "delaySeconds": repeat.delay}


def _outputs(task: Task) -> list[JsonObject]:
    return [
        {"name": name, "type": "integer", **({} if default is None else {"default": default})}
        for name, default in task.declared.items()
    ]


def _clocks(task: Task, ways: set[Way]) -> JsonObject:
    return _only(
        queueTimeoutSeconds=QUEUE if Way.STARVES in ways else None,
        startTimeoutSeconds=START if Way.NEVER_STARTS in ways else None,
        timeoutSeconds=RUNS if Way.TOO_LONG in ways else None,
        deadlineSeconds=DEADLINE if Way.OUTLASTS in ways else None,
    )


def _work(task: Task, tasks: Mapping[str, Task]) -> JsonObject:
    value = Fixed(0) if task.value is None else task.value
    match task.kind, task.wait:
        case WorkKind.SET, _:
            return {"set": {"values": [{"name": "x", "value": _text(value, task, tasks)}]}}
        case WorkKind.APPROVAL, _:
            ways = {end.way for ends in (task.ends, *task.item_ends) for end in ends}
            form = [{"name": "x", "type": "integer", "default": task.declared["x"]}]
            default = "Approve" if task.lapse_approves else "Reject"
            lapses = {"timeoutSeconds": APPROVAL, "onTimeout": default} if Way.LAPSES in ways else {}
            return {"approval": {"message": _text(value, task, tasks), "form": form, **lapses}}
        case WorkKind.WAIT, Wait.SECONDS:
            return {"wait": {"seconds": WAIT}}
        case WorkKind.WAIT, Wait.UNTIL:
            return {"wait": {"until": BEGINNING.replace(minute=1).strftime("%Y-%m-%dT%H:%M:%SZ")}}
        case WorkKind.WAIT, _:
            return {"wait": {"callback": True, "heartbeatSeconds": HEARTBEAT}}
        case WorkKind.WORKFLOW, _:
            return {
                "workflow": {
                    "templateRef": {"name": CHILD},
                    "arguments": [{"name": "x", "value": _text(value, task, tasks)}],
                }
            }
        case _:
            return {"container": {"image": "i", "args": [f"${{string({_cel(value, task, tasks)})}}"]}}


def _each(task: Task, each: Each, tasks: Mapping[str, Task]) -> JsonObject:
    items = _plain(each.items)
    listed: Any = "${[int(run.name)]}" if isinstance(items, Broken) else _text(items, None, tasks)
    if isinstance(items, Fixed) and isinstance(items.value, list):
        listed = items.value
    return {
        "in": listed,
        **({} if each.when is None else {"when": _condition(each.when, replace(task, repeat=None), tasks)}),
        **_only(batchSize=each.batch_size, limit=None if each.limit == 10_000 else each.limit),
        **_limits(each.max_parallel, each.count, each.percent),
    }


def _retry(task: Task) -> JsonObject:
    rules = [_rule(rule) for rule in task.rules]
    return {
        "limit": task.limit,
        "infrastructureLimit": task.infrastructure_limit,
        "onTimeout": task.on_timeout,
        "backoff": {"initialSeconds": 10, "factor": 2, "maxSeconds": 60},
        **({"rules": rules} if rules else {}),
    }


def _rule(rule: Rule) -> JsonObject:
    return _only(
        exitCodes=sorted(rule.exit_codes) or None,
        reasons=sorted(rule.reasons) or None,
        when=None if rule.when is None else _text(rule.when, None, {}),
        limit=rule.limit,
        resources=rule.resources,
    )


def _only(**fields: Any) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}


def _condition(formula: Formula, task: Task | None, tasks: Mapping[str, Task]) -> str:
    return "${int(run.name) == 0}" if isinstance(_plain(formula), Broken) else _text(formula, task, tasks)


def _plain(formula: Formula) -> Formula:
    return formula.of if isinstance(formula, Blind) else formula


def _text(formula: Formula, task: Task | None, tasks: Mapping[str, Task]) -> str:
    return f"${{{_cel(formula, task, tasks)}}}"


def _cel(formula: Formula, task: Task | None, tasks: Mapping[str, Task]) -> str:
    """Write a formula as an expression; of a `task` that sees its item and its round, where there is one."""
    match formula:
        case Fixed():
            return _fixed(formula.value)
        case Broken():
            return "int(run.name)"
        case Sum():
            return " + ".join([str(formula.base), *_terms(formula.of, task, tasks)])
        case Blind():
            return _cel(formula.of, task, tasks)
        case Odd():
            return f"({_cel(formula.of, task, tasks)}) % 2 == 1"
        case Ended():
            return f"tasks.{formula.name}.phase == '{formula.phase.value}'"
        case Upto():
            total = _cel(formula.of, None, tasks)
            whole = ", ".join(map(str, range(1, formula.most + 1)))
            return f"[{whole}].filter(n, n <= ({total}) % {formula.most + 1})"
        case Round():
            return f"iteration >= {formula.number}"
        case Reached():
            return f"outputs.?x.orValue(0) >= {formula.least}" if task and "x" in task.declared else "false"
        case ExitedWith():
            return f"attempt.exitCode == {formula.code}"
        case Tally():
            stopped = "(run.summary.counts.Cancelled > 0 && run.summary.stopped != '' ? 1000 : 0)"
            return f"{stopped} + 100 * run.summary.counts.Failed + run.summary.total"
        case _:
            raise TypeError(formula)


def _fixed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # What is not of the type that is wanted there: the type is hidden, else it would be refused beforehand.
    return f"dyn('{value}')" if isinstance(value, str) else str(value)


def _terms(of: Sequence[str], task: Task | None, tasks: Mapping[str, Task]) -> list[str]:
    terms = []
    for name in of:
        if "x" not in tasks[name].declared:
            continue
        listed = tasks[name].each is not None
        terms.append(f"tasks.{name}.outputs.?x.orValue([]).sum()" if listed else f"tasks.{name}.outputs.?x.orValue(0)")
    if task is None:
        return terms
    if task.each is not None:
        terms += ["10 * item.sum()" if task.each.batch_size else "10 * item", "index"]
    if task.repeat is not None:
        terms.append("100 * iteration")
        if "x" in task.declared:
            terms.append("previous.?x.orValue(0)")
    return terms
