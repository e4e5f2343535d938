"""One task: what the schema cannot say about it, and its expressions compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from fairlead.api.flow import compile_flow
from fairlead.api.kinds import KINDS, OF_POD, CompiledKind, Context, Kind
from fairlead.api.pod_rules import Report, check_containers, check_env, check_resources, check_volumes, volume_names
from fairlead.api.problems import listed
from fairlead.api.rendering import Defaults, TreeCompiler
from fairlead.api.retries import Rules, compile_retry, compile_rules
from fairlead.api.task import FinalTask, Task, TaskDefaults
from fairlead.api.task_flow import OnFailure
from fairlead.api.workspace import Workspace
from fairlead.engine.model import Clocks, Node, OutputDeclaration, OutputSource, RetryPolicy, TriggerRule, ValueType
from fairlead.engine.outputs import has_type
from fairlead.engine.templates import FieldReference

__all__ = ["CompiledDefaults", "CompiledTask", "TaskCompiler", "compile_defaults"]

_DEFAULTS = "spec.taskDefaults"
_CONTAINER_DEFAULTS = {"image": "image", "env": "env", "resources": "resources", "volume_mounts": "volumeMounts"}

#: Triggers that let a task run after a failure.
_CONSUMES_FAILURE = (TriggerRule.ONE_FAILED, TriggerRule.ALL_FAILED, TriggerRule.ALL_DONE, TriggerRule.ONE_DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTask:
    """A task without its place in the graph: `needs` and `reads` of the node are not set yet."""

    node: Node
    references: tuple[FieldReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledDefaults:
    """`taskDefaults`, compiled once for all tasks. `known` is off when they are broken, and so not what was written.

    `retry` is the policy of a task that has none of its own.
    """

    given: TaskDefaults
    pods: Defaults
    rules: Rules
    retry: RetryPolicy
    known: bool = True


def compile_defaults(defaults: TaskDefaults, trees: TreeCompiler, *, known: bool) -> CompiledDefaults:
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
    rules = compile_rules(defaults.retry, f"{_DEFAULTS}.retry", trees)
    compiled = CompiledDefaults(
        given=defaults,
        pods=Defaults(container=trees.container(container, _DEFAULTS), pod=trees.pod(pod, f"{_DEFAULTS}.pod")),
        rules=rules,
        retry=compile_retry(None, defaults.retry, rules),
        known=known,
    )
    for found in (*compiled.pods.references, *compiled.rules.references):
        if found.reference.path[0] == "tasks":
            report(found.field, "must not refer to tasks: the defaults are the same for all of them")
    return compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompiler:
    """Compiles the tasks of one workflow.

    outputs
        what each task hands on when it runs once, by its name.
    item_types
        the declared types of the items of parameters that are lists.
    clocks
        those of the tasks so far: most of ten thousand tasks have the same.
    """

    trees: TreeCompiler
    defaults: CompiledDefaults
    workspace: Workspace | None
    warn: Report
    outputs: Mapping[str, Mapping[str, ValueType | None]] = field(default_factory=dict)
    item_types: Mapping[str, ValueType] = field(default_factory=dict)
    clocks: dict[Clocks, Clocks] = field(default_factory=dict)

    def compile(self, task: Task, path: str) -> CompiledTask | None:
        """Check a task and compile it; None when it has no kind."""
        report = self.trees.report
        check_env(task.env or (), f"{path}.env", report)
        _check_handles(task, path, report)
        when = self.trees.condition(task.when, f"{path}.when") if task.when is not None else None
        own_outputs = self.outputs.get(task.name, {})
        flow = compile_flow(task, path, self.trees, item_types=self.item_types, outputs=own_outputs)
        trees = replace(self.trees, declarations=flow.declarations)
        rules = compile_rules(task.retry, f"{path}.retry", trees)
        kind = _kind_of(task, path, report)
        _check_outputs(task, kind, path, report)
        if kind is None:
            return None
        _check_fit(kind, task, path, report)
        done = kind.compile(self._context(trees), task, path)
        references = (*done.work.references, *rules.references, *flow.references, *(when.references if when else ()))
        _check_previous(references, report)
        node = Node(
            name=task.name,
            work=done.work,
            trigger=task.trigger or TriggerRule.ALL_SUCCEEDED,
            when=when,
            retry=self._retry(task, kind, rules),
            clocks=self._clocks(task, kind, done),
            outputs=tuple(_declarations(task)) if done.outputs is None else done.outputs,
            for_each=flow.for_each,
            repeat=flow.repeat,
            continue_on_failure=task.on_failure is OnFailure.CONTINUE,
            handles=bool(task.handles),
            skip_exit_codes=frozenset(task.skip_exit_codes or ()),
            replace_lost_after_seconds=task.on_node_lost.replace_after_seconds if task.on_node_lost else None,
            priority=task.priority or 0,
            final=isinstance(task, FinalTask),
            required=isinstance(task, FinalTask) and bool(task.required),
        )
        return CompiledTask(node=node, references=references)

    def _context(self, trees: TreeCompiler) -> Context:
        return Context(
            trees=trees,
            defaults=self.defaults.given,
            compiled_defaults=self.defaults.pods,
            judge_pods=self.defaults.known,
            workspace=self.workspace,
            warn=self.warn,
        )

    def _retry(self, task: Task, kind: Kind, rules: Rules) -> RetryPolicy:
        if "retry" in kind.unfit:
            return RetryPolicy()
        own, default = task.retry, self.defaults.given.retry
        if own is None:
            return self.defaults.retry
        if own.rules is None:
            rules = self.defaults.rules
        return compile_retry(own, default, rules)

    def _clocks(self, task: Task, kind: Kind, done: CompiledKind) -> Clocks:
        defaults = self.defaults.given
        run_seconds = done.run_seconds if done.run_seconds is not None else task.timeout_seconds
        if run_seconds is None and kind.default_timeout:
            run_seconds = defaults.timeout_seconds
        start_seconds, queue_seconds = task.start_timeout_seconds, task.queue_timeout_seconds
        if start_seconds is None and "startTimeoutSeconds" not in kind.unfit:
            start_seconds = defaults.start_timeout_seconds
        if queue_seconds is None and "queueTimeoutSeconds" not in kind.unfit:
            queue_seconds = defaults.queue_timeout_seconds
        clocks = Clocks(
            queue_seconds=queue_seconds,
            start_seconds=start_seconds,
            run_seconds=run_seconds,
            deadline_seconds=task.deadline_seconds,
            heartbeat_seconds=task.wait.heartbeat_seconds if task.wait is not None else None,
        )
        return self.clocks.setdefault(clocks, clocks)


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
        alias = info.alias or name
        if alias in kind.unfit and getattr(task, name) is not None:
            report(f"{path}.{alias}", f"must not be set with `{kind.name}`: {kind.unfit[alias]}")
    for index, rule in enumerate((task.retry and task.retry.rules) or ()):
        at = f"{path}.retry.rules[{index}]"
        if rule.exit_codes is not None and "skipExitCodes" in kind.unfit:
            report(f"{at}.exitCodes", f"must not be set with `{kind.name}`: {kind.unfit['skipExitCodes']}")
        if rule.resources is not None and "env" in kind.unfit:
            report(f"{at}.resources", f"must not be set with `{kind.name}`: {kind.unfit['env']}")


def _check_handles(task: Task, path: str, report: Report) -> None:
    if task.handles and isinstance(task, FinalTask):
        report(f"{path}.handles", "must not be set in `finally`, which never turns a failure into a success")
        return
    trigger = task.trigger or TriggerRule.ALL_SUCCEEDED
    if task.handles and trigger not in _CONSUMES_FAILURE:
        report(
            f"{path}.handles",
            f"must not be set with the trigger {trigger}, under which the task does not run after a failure: "
            f"set `trigger` to one of {', '.join(_CONSUMES_FAILURE)}",
        )


def _check_previous(references: tuple[FieldReference, ...], report: Report) -> None:
    for found in references:
        root, *rest = found.reference.path
        if root == "previous" and rest and not found.reference.optional:
            message = f"there is nothing before the first round: read it as previous.?{rest[0]}.orValue(…)"
            report(found.field, message)


def _check_outputs(task: Task, kind: Kind | None, path: str, report: Report) -> None:
    seen: set[str] = set()
    for index, output in enumerate(task.outputs or ()):
        at = f"{path}.outputs[{index}]"
        if output.name in seen:
            report(f"{at}.name", f"another output is named {output.name!r}, too; names must be unique")
        seen.add(output.name)
        if "default" in output.model_fields_set and not has_type(output.default, output.type):
            report(f"{at}.default", f"must be of type {output.type}, not {output.default!r}")
        if output.source is None or kind is None or "outputs" in kind.unfit:
            continue
        if not kind.output_source:
            report(f"{at}.from", f"must not be set with `{kind.name}`")
        elif kind.output_source == OF_POD and output.source not in set(OutputSource):
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
