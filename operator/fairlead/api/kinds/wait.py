"""`wait`: for some time, until a moment, for a condition on an object, or for somebody outside to call back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from fairlead.api.kinds.asking import about, bound
from fairlead.api.kinds.kind import NO_POD, CompiledKind, Context, Kind
from fairlead.api.problems import listed
from fairlead.api.task import Task
from fairlead.api.task_kinds import Wait, WaitCondition
from fairlead.api.work import RenderedCondition, RenderedWait
from fairlead.engine.model import Scope, ValueType, WorkKind
from fairlead.engine.templates import CompiledTree, FieldReference
from fairlead.engine.texts import to_text

__all__ = ["WAIT", "WaitWork"]

_INTERVAL_SECONDS = 10
_WAYS = ("seconds", "until", "condition", "callback")


@dataclass(frozen=True, slots=True, kw_only=True)
class _CompiledCondition:
    api_version: str
    kind: str
    name: CompiledTree
    when: CompiledTree
    interval_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitWork:
    """What a `wait` waits for; implements `fairlead.engine.model.Work`."""

    seconds: int | None = None
    until: CompiledTree | None = None
    condition: _CompiledCondition | None = None
    callback: bool = False
    heartbeat_seconds: int | None = None
    kind: WorkKind = WorkKind.WAIT

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return tuple(reference for tree in self._trees() for reference in tree.references)

    def _trees(self) -> Iterator[CompiledTree]:
        if self.until is not None:
            yield self.until
        if self.condition is not None:
            yield self.condition.name
            yield self.condition.when

    def evaluate(self, scope: Scope) -> RenderedWait:
        """Return what to wait for, with values in place of expressions. Raises `ExpressionError`."""
        return RenderedWait(
            seconds=self.seconds,
            until=to_text(self.until.evaluate(scope)) if self.until is not None else None,
            condition=_rendered(self.condition, scope) if self.condition is not None else None,
            callback=True if self.callback else None,
            heartbeatSeconds=self.heartbeat_seconds,
        )


def _rendered(condition: _CompiledCondition, scope: Scope) -> RenderedCondition:
    return RenderedCondition(
        apiVersion=condition.api_version,
        kind=condition.kind,
        name=condition.name.evaluate(scope),
        when=bound(condition.when, scope),
        intervalSeconds=condition.interval_seconds,
    )


def _compile(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.wait is not None
    wait, at = task.wait, f"{path}.wait"
    _check(context, task, wait, path)
    work = WaitWork(
        seconds=wait.seconds,
        until=_until(context, wait.until, f"{at}.until") if wait.until is not None else None,
        condition=_condition(context, wait.condition, f"{at}.condition") if wait.condition is not None else None,
        callback=bool(wait.callback),
        heartbeat_seconds=wait.heartbeat_seconds,
    )
    return CompiledKind(work=work)


def _check(context: Context, task: Task, wait: Wait, path: str) -> None:
    given = [name for name in _WAYS if getattr(wait, name) is not None and getattr(wait, name) is not False]
    if len(given) != 1:
        found = f"not {listed(given)}" if given else "none is there"
        context.report(f"{path}.wait", f"must have exactly one of {listed(_WAYS)}; {found}")
        return
    if given != ["callback"]:
        if wait.heartbeat_seconds is not None:
            context.report(f"{path}.wait.heartbeatSeconds", "must not be set without `callback`")
        if task.outputs:
            context.report(f"{path}.outputs", "must not be set but with `wait.callback`: no other wait gets values")
    if task.timeout_seconds is not None and given[0] in {"seconds", "until"}:
        message = f"must not be set with `wait.{given[0]}`, which says how long the task takes"
        context.report(f"{path}.timeoutSeconds", message)


def _until(context: Context, text: str, path: str) -> CompiledTree:
    tree = context.trees.value(text, path)
    if tree.is_constant:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            # What could not be compiled was reported, and holds a `${`.
            if "${" not in text:
                context.report(path, f"must be a time such as 2026-01-31T08:00:00Z, or a date, not {text!r}")
    elif tree.type not in {ValueType.STRING, None}:
        context.report(path, f"must be a time or a date, but the expression is of type {tree.type}")
    return tree


def _condition(context: Context, given: WaitCondition, path: str) -> _CompiledCondition:
    return _CompiledCondition(
        api_version=given.api_version,
        kind=given.kind,
        name=context.trees.tree(given.name, f"{path}.name"),
        when=about(context.trees, "object").condition(given.when, f"{path}.when"),
        interval_seconds=given.interval_seconds or _INTERVAL_SECONDS,
    )


WAIT = Kind(
    name="wait",
    compile=_compile,
    default_timeout=False,
    unfit=NO_POD
    | {
        "retry": "what it waits for is waited for once",
        "startTimeoutSeconds": "it starts at once",
        "queueTimeoutSeconds": "it waits for no slot",
        "priority": "it waits for no slot",
    },
)
