"""What a kind of task is to the compile step: an entry in the table of kinds, and what compiling with it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fairlead.api.pod_rules import Report
from fairlead.api.rendering import Defaults, TreeCompiler
from fairlead.api.task import Task, TaskDefaults
from fairlead.api.workspace import Workspace
from fairlead.engine.model import Json, OutputDeclaration, Scope, ValueType, WorkKind
from fairlead.engine.templates import FieldReference

__all__ = ["NO_POD", "OF_POD", "CompiledKind", "Context", "Kind", "TaskWork"]

#: Outputs come from a pod: from a file or what it prints (`OutputSource`).
OF_POD = "pod"

#: `unfit` of every kind that runs no pod of ours.
NO_POD = {
    "env": "it runs no container",
    "files": "it runs no container",
    "pod": "it runs no pod",
    "skipExitCodes": "it has no exit code",
    "onNodeLost": "it runs on no node",
}


class TaskWork(Protocol):
    """A task's work with its expressions compiled: the engine's `Work`, and what it refers to."""

    @property
    def kind(self) -> WorkKind:
        """What carries an attempt."""
        ...

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that the task's own expressions name."""
        ...

    def evaluate(self, scope: Scope) -> Json:
        """Return one of the types of `fairlead.api.work`. Raises `ExpressionError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a task is compiled with.

    `trees` knows the names that this task's expressions may use, `workspace` is what the tasks of the run share.
    `judge_pods` is off when `taskDefaults` are not known, being broken: then nothing can be said about what they may
    complete.
    """

    trees: TreeCompiler
    defaults: TaskDefaults
    compiled_defaults: Defaults
    workspace: Workspace | None
    judge_pods: bool
    warn: Report

    @property
    def report(self) -> Report:
        """Takes the path of a field, and what is wrong with it."""
        return self.trees.report


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledKind:
    """What a task does, compiled.

    `outputs` are what it hands on where the task does not declare that itself, and `run_seconds` its time limit where
    that is a field of the kind; None leaves both to the fields of the task.
    """

    work: TaskWork
    outputs: tuple[OutputDeclaration, ...] | None = None
    run_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of task.

    name
        the field of a task that makes it one of this kind.
    compile
        called with a task of this kind and its path. Reports what is wrong, and goes on.
    unfit
        the fields of a task that mean nothing for this kind, each with the reason or the remedy, which ends the
        sentence "must not be set with `…`: ". What `taskDefaults` say of them does not apply.
    default_timeout
        whether `taskDefaults.timeoutSeconds` applies. It is meant for what runs, not for what waits.
    output_source
        what `outputs[].from` may say: with `OF_POD`, an `OutputSource`; with the name of what can be asked about
        (`response`), an expression, which `compile` sees to; "" when it must not be there.
    outputs
        the names and types of outputs that are known without the task's `outputs`, from the plain JSON of the kind's
        field; None when the task declares them. Never raises.
    """

    name: str
    compile: Callable[[Context, Task, str], CompiledKind]
    unfit: Mapping[str, str] = field(default_factory=dict)
    default_timeout: bool = True
    output_source: str = ""
    outputs: Callable[[Any], Mapping[str, ValueType | None]] | None = None
