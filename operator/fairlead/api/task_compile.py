"""One task: what the schema cannot say about it, and its expressions compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.api.defaults import retry_policy
from fairlead.api.kinds import KINDS, CompiledKind, Context, Kind
from fairlead.api.pod_rules import Report, check_containers, check_env, check_resources, check_volumes, volume_names
from fairlead.api.problems import listed
from fairlead.api.rendering import Defaults, TreeCompiler
from fairlead.api.task import Task, TaskDefaults
from fairlead.engine.model import Clocks, Node, OutputDeclaration, OutputSource, RetryPolicy
from fairlead.engine.outputs import has_type
from fairlead.engine.templates import FieldReference

__all__ = ["CompiledTask", "TaskCompiler", "compile_defaults"]

_DEFAULTS = "spec.taskDefaults"
_CONTAINER_DEFAULTS = {"image": "image", "env": "env", "resources": "resources", "volume_mounts": "volumeMounts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTask:
    """A task without its place in the graph: `needs`, `reads` and `trigger` of the node are not set yet."""

    node: Node
    references: tuple[FieldReference, ...]


def compile_defaults(defaults: TaskDefaults, trees: TreeCompiler) -> Defaults:
    """Check and compile `taskDefaults`."""
    report = trees.report
    container = {
        name: getattr(defaults, field) for field, name in _CONTAINER_DEFAULTS.items() if getattr(defaults, field)
    }
    check_env(defaults.env or (), f"{_DEFAULTS}.env", report)
    check_resources(defaults.resources or {}, f"{_DEFAULTS}.resources", report)
    pod = defaults.pod or {}
    check_volumes(pod, f"{_DEFAULTS}.pod", report)
    check_containers(pod, f"{_DEFAULTS}.pod", volume_names(pod), report)
    compiled = Defaults(container=trees.container(container, _DEFAULTS), pod=trees.pod(pod, f"{_DEFAULTS}.pod"))
    for found in compiled.references:
        if found.reference.path[0] == "tasks":
            report(found.field, "must not refer to tasks: the defaults are the same for all of them")
    return compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompiler:
    """Compiles the tasks of one workflow. `judge_pods` is off when `taskDefaults` are not known, being broken."""

    trees: TreeCompiler
    defaults: TaskDefaults
    compiled_defaults: Defaults
    judge_pods: bool
    warn: Report

    def compile(self, task: Task, path: str) -> CompiledTask | None:
        """Check a task and compile it; None when it has no kind."""
        report = self.trees.report
        _check_outputs(task, path, report)
        check_env(task.env or (), f"{path}.env", report)
        when = self.trees.condition(task.when, f"{path}.when") if task.when is not None else None
        kind = _kind_of(task, path, report)
        if kind is None:
            return None
        _check_fit(kind, task, path, report)
        done = kind.compile(self._context(), task, path)
        node = Node(
            name=task.name,
            work=done.work,
            when=when,
            retry=self._retry(task, kind),
            clocks=self._clocks(task, kind, done),
            outputs=tuple(_declarations(task)) if done.outputs is None else done.outputs,
        )
        return CompiledTask(node=node, references=(*done.work.references, *(when.references if when else ())))

    def _context(self) -> Context:
        return Context(
            trees=self.trees,
            defaults=self.defaults,
            compiled_defaults=self.compiled_defaults,
            judge_pods=self.judge_pods,
            warn=self.warn,
        )

    def _retry(self, task: Task, kind: Kind) -> RetryPolicy:
        return RetryPolicy() if "retry" in kind.unfit else retry_policy(task.retry, self.defaults.retry)

    def _clocks(self, task: Task, kind: Kind, done: CompiledKind) -> Clocks:
        run_seconds = done.run_seconds if done.run_seconds is not None else task.timeout_seconds
        if run_seconds is None and kind.default_timeout:
            run_seconds = self.defaults.timeout_seconds
        return Clocks(run_seconds=run_seconds, deadline_seconds=task.deadline_seconds)


def _kind_of(task: Task, path: str, report: Report) -> Kind | None:
    given = [name for name in KINDS if getattr(task, name) is not None]
    if len(given) == 1:
        return KINDS[given[0]]
    found = f"not {listed(given)}" if given else "none is there"
    report(path, f"must have exactly one of {listed(KINDS)}; {found}")
    return None


def _check_fit(kind: Kind, task: Task, path: str, report: Report) -> None:
    """Report the fields that are there and mean nothing for the kind: they would be passed over in silence."""
    for name, info in Task.model_fields.items():
        field = info.alias or name
        if field in kind.unfit and getattr(task, name) is not None:
            report(f"{path}.{field}", f"must not be set with `{kind.name}`: {kind.unfit[field]}")


def _check_outputs(task: Task, path: str, report: Report) -> None:
    seen: set[str] = set()
    for index, output in enumerate(task.outputs or ()):
        at = f"{path}.outputs[{index}]"
        if output.name in seen:
            report(f"{at}.name", f"another output is named {output.name!r}, too; names must be unique")
        seen.add(output.name)
        if "default" in output.model_fields_set and not has_type(output.default, output.type):
            report(f"{at}.default", f"must be of type {output.type}, not {output.default!r}")
        if output.source is not None and output.source not in set(OutputSource):
            report(f"{at}.from", f"must be {listed(OutputSource, 'or')}, not {output.source!r}")


def _declarations(task: Task) -> Iterator[OutputDeclaration]:
    for output in task.outputs or ():
        yield OutputDeclaration(
            name=output.name,
            type=output.type,
            has_default="default" in output.model_fields_set,
            default=output.default,
            source=OutputSource(output.source) if output.source in set(OutputSource) else OutputSource.FILE,
        )
