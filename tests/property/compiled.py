"""Scripts as the engine takes them: what the API's compiler would make of a task."""

from __future__ import annotations

from dataclasses import dataclass

from tests.property.script import Formula, Task, Unable, Wait, Way, read_by
from tests.unit.engine.kit import at

from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import (
    Backoff,
    Clocks,
    ForEach,
    Json,
    Node,
    OutputDeclaration,
    Repeat,
    RetryPolicy,
    RetryRule,
    Scope,
    Tolerance,
    ValueType,
    WorkKind,
)

#: How long things take, in seconds; far apart, so that one clock is never mistaken for another.
WAIT, HEARTBEAT, START, APPROVAL, RUNS, DEADLINE, QUEUE, FOREVER = 30, 300, 400, 500, 1_000, 100_000, 200, 10**7


@dataclass(frozen=True)
class Compiled:
    """A formula as the engine evaluates it."""

    formula: Formula

    def evaluate(self, scope: Scope) -> Json:
        try:
            return self.formula(scope)
        except Unable:
            raise ExpressionError("it cannot be computed") from None


@dataclass(frozen=True)
class Rendered:
    """The work of a task: what the API's compiler would make of it."""

    task: Task

    @property
    def kind(self) -> WorkKind:
        return self.task.kind

    def evaluate(self, scope: Scope) -> Json:
        value = None if self.task.value is None else Compiled(self.task.value).evaluate(scope)
        match self.task.kind, self.task.wait:
            case WorkKind.SET, _:
                return {"values": {"x": value}}
            case WorkKind.APPROVAL, _:
                form = [{"name": "x", "type": "integer", "default": self.task.declared["x"]}]
                default = "Approve" if self.task.lapse_approves else "Reject"
                return {"message": "?", "options": ["Approve"], "form": form, "users": ["ann"], "onTimeout": default}
            case WorkKind.WAIT, Wait.SECONDS:
                return {"seconds": WAIT}
            case WorkKind.WAIT, Wait.UNTIL:
                return {"until": f"{at(2 * WAIT):%Y-%m-%dT%H:%M:%SZ}"}
            case WorkKind.WAIT, Wait.CALLBACK:
                return {"callback": True, "heartbeatSeconds": HEARTBEAT}
            case WorkKind.WAIT, _:
                return {"condition": {"name": "thing"}, "x": value}
            case _:
                return {"x": value}


def node_of(task: Task) -> Node:
    """Compile a task."""
    ways = {end.way for ends in (task.ends, *task.item_ends) for end in ends}
    formulas = (task.when, task.value, task.each and task.each.items, task.each and task.each.when)
    each, repeat = task.each, task.repeat
    extra = [("option", ValueType.STRING), ("by", ValueType.STRING), ("at", ValueType.STRING)]
    return Node(
        name=task.name,
        work=Rendered(task),
        needs=tuple(task.needs),
        reads=tuple(sorted({name for formula in formulas for name in read_by(formula)})),
        trigger=task.trigger,
        when=_compiled(task.when),
        retry=RetryPolicy(
            limit=task.limit,
            infrastructure_limit=task.infrastructure_limit,
            on_timeout=task.on_timeout,
            backoff=Backoff(initial_seconds=4, factor=2, max_seconds=30),
            rules=tuple(
                RetryRule(
                    exit_codes=frozenset(rule.exit_codes),
                    reasons=frozenset(rule.reasons),
                    when=_compiled(rule.when),
                    limit=rule.limit,
                    resources=rule.resources,
                )
                for rule in task.rules
            ),
        ),
        clocks=Clocks(
            queue_seconds=QUEUE if Way.STARVES in ways else None,
            start_seconds=START if Way.NEVER_STARTS in ways else None,
            run_seconds=RUNS if Way.TOO_LONG in ways else APPROVAL if Way.LAPSES in ways else None,
            deadline_seconds=DEADLINE if Way.OUTLASTS in ways else None,
            heartbeat_seconds=HEARTBEAT if Way.SILENT in ways else None,
        ),
        outputs=(
            *(
                OutputDeclaration(name=name, type=ValueType.INTEGER, has_default=default is not None, default=default)
                for name, default in task.declared.items()
            ),
            *(OutputDeclaration(name=n, type=t) for n, t in extra if task.kind is WorkKind.APPROVAL),
        ),
        for_each=each
        and ForEach(
            items=Compiled(each.items),
            when=_compiled(each.when),
            max_parallel=each.max_parallel,
            tolerance=Tolerance(count=each.count, percent=each.percent),
            batch_size=each.batch_size,
            limit=each.limit,
        ),
        repeat=repeat and Repeat(until=Compiled(repeat.until), max_iterations=repeat.most, delay_seconds=repeat.delay),
        continue_on_failure=task.proceeds,
        handles=task.handles,
        final=task.final,
        required=task.required,
        skip_exit_codes=frozenset(task.skip_codes),
        priority=task.priority,
    )


def _compiled(formula: Formula | None) -> Compiled | None:
    return None if formula is None else Compiled(formula)
