"""From the spec of a Workflow to what the engine runs: a graph and its settings.

Everything that a schema cannot say is checked here: names that do not exist, values of the wrong type,
expressions that do not compile, cycles. Every problem is reported at once, with the path of its field, before
any pod exists. The same step runs in the operator, in `fairlead lint` and in `fairlead run --local`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fairlead.api.concurrency import CompiledKey, compile_key
from fairlead.api.declared import declared_types
from fairlead.api.flow import may_be_empty
from fairlead.api.inference import infer_types
from fairlead.api.ordering import Ordering, resolve_needs
from fairlead.api.parameters import resolve_parameters
from fairlead.api.parsing import Outline, ParsedSpec, outlines, parse_model, parse_spec, without_nulls
from fairlead.api.problems import InvalidSpec, Problem, Severity
from fairlead.api.reading import Reader
from fairlead.api.rendering import TreeCompiler
from fairlead.api.resolution import resolve
from fairlead.api.settings import settings_of
from fairlead.api.task import FinalTask, Task
from fairlead.api.task_compile import CompiledTask, TaskCompiler, compile_defaults
from fairlead.api.task_flow import OnFailure
from fairlead.api.template import OF_TEMPLATES_ALONE, WorkflowTemplateSpec
from fairlead.api.workflow import LIVE_FIELDS
from fairlead.api.workspace import Workspace, check_workspace
from fairlead.engine import capacity
from fairlead.engine import graph as engine_graph
from fairlead.engine.expressions import Declarations, Evaluator
from fairlead.engine.model import Graph, Settings, TriggerRule, ValueType
from fairlead.engine.templates import CompiledTree

__all__ = ["Compiled", "InvalidSpec", "Problem", "check_template", "compile_workflow"]

#: How long all of `finally` may take unless the spec says it.
FINALLY_DEADLINE_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A definition that can run.

    `graph.params` has the value of every parameter; each `Node.work.evaluate(scope)` yields a
    :class:`fairlead.api.work.RenderedWork`. `warnings` are advice (such as an edge implied by a reference)
    that lint prints and the operator publishes as an event.
    """

    name: str
    namespace: str
    graph: Graph
    settings: Settings
    ttl_seconds_after_finished: int | None = None
    concurrency: CompiledKey | None = None
    workspace: Workspace | None = None
    warnings: tuple[Problem, ...] = ()


def compile_workflow(
    spec: Mapping[str, Any],
    *,
    evaluator: Evaluator,
    name: str,
    namespace: str,
    definition: Mapping[str, Any] | None = None,
    started: bool = False,
) -> Compiled:
    """Check a Workflow's spec (plain JSON) and turn it into a graph.

    `definition` is the spec of the WorkflowTemplate that `templateRef` names, as it was when the run began. Without
    `templateRef` it means nothing. Of a run that has `started`, what may change on the way does not keep it from going
    on: an override that does not fit is left out, with a warning. Raises :class:`InvalidSpec` with every problem found.
    Never changes its arguments.
    """
    if not isinstance(spec, Mapping):
        raise InvalidSpec([Problem("spec", "must be an object")])
    source = resolve(without_nulls(spec), definition)
    compilation = _Compilation.of(source.spec, evaluator)
    settings = compilation.settings(started=started)
    graph = compilation.graph()
    problems = [*source.problems, *source.told(compilation.problems)]
    if graph is None or problems:
        raise InvalidSpec(_sorted(problems))
    parsed = compilation.parsed
    return Compiled(
        name=name,
        namespace=namespace,
        graph=graph,
        settings=settings,
        ttl_seconds_after_finished=parsed.live.ttl_seconds_after_finished,
        concurrency=compilation.concurrency,
        workspace=parsed.workspace,
        # Advice about a template is for whoever writes it, not for each run of it.
        warnings=() if source.template else _sorted(compilation.warnings),
    )


def check_template(spec: Any, *, evaluator: Evaluator) -> tuple[Problem, ...]:
    """Return everything that is wrong with the spec of a WorkflowTemplate, advice included.

    It is checked as a Workflow is, whatever the values of its parameters will be.
    """
    if not isinstance(spec, Mapping):
        return (Problem("spec", "must be an object"),)
    raw = without_nulls(spec)
    _, problems = parse_model(WorkflowTemplateSpec, raw, "spec")
    compilation = _Compilation.of({key: raw[key] for key in raw if key not in OF_TEMPLATES_ALONE}, evaluator)
    # None stands for an argument of which nothing is known: parameters without a default need no other.
    compilation.parsed = replace(compilation.parsed, arguments=(None,))
    compilation.graph()
    return _sorted([*problems, *compilation.problems, *compilation.warnings])


def _too_large(raw: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the size: the status of the run must have room beside its definition."""
    lists = [raw.get("tasks"), raw.get("finally")]
    count = sum(len(tasks) for tasks in lists if isinstance(tasks, list))
    if count > capacity.TASKS:
        message = f"{count} tasks; a run may have {capacity.TASKS}: divide it into several"
        return [Problem("spec.tasks", message)]
    fixed = {key: value for key, value in raw.items() if key not in LIVE_FIELDS}
    size = len(json.dumps(fixed, ensure_ascii=False, separators=(",", ":")).encode())
    if size > capacity.DEFINITION_BYTES:
        message = f"{size} bytes; a definition may have {capacity.DEFINITION_BYTES}: put long scripts into images"
        return [Problem("spec", message)]
    return []


@dataclass(slots=True, kw_only=True)
class _Compilation:
    """One run of the compile step: it goes on after a problem, to find the others, too."""

    raw: Mapping[str, Any]
    parsed: ParsedSpec
    evaluator: Evaluator
    problems: list[Problem]
    outlines: list[Outline]
    warnings: list[Problem] = field(default_factory=list)
    concurrency: CompiledKey | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any], evaluator: Evaluator) -> _Compilation:
        """Begin with a spec that has its tasks written out."""
        parsed, problems = parse_spec(raw)
        problems += _too_large(raw)
        return cls(raw=raw, parsed=parsed, evaluator=evaluator, problems=problems, outlines=outlines(raw))

    def report(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def warn(self, path: str, message: str) -> None:
        self.warnings.append(Problem(path, message, Severity.WARNING))

    def settings(self, *, started: bool) -> Settings:
        """Return what may change during the run."""
        return settings_of(self.parsed.live, self.outlines, self.warn if started else self.report)

    def graph(self) -> Graph | None:
        """Return the graph, or None when there are problems."""
        parsed = self.parsed
        declarations = Declarations(params=declared_types(self.raw.get("params")))
        params = resolve_parameters(
            parsed.params,
            parsed.arguments,
            names=declarations.params,
            evaluator=self.evaluator,
            report=self.report,
        )
        if parsed.workspace is not None:
            check_workspace(parsed.workspace, "spec.workspace", self.report)
        everything = TreeCompiler(
            evaluator=self.evaluator, declarations=self._with_tasks(declarations), report=self.report
        )
        everything = replace(everything, declarations=infer_types(self.outlines, everything))
        trees = self._before_finally(everything)
        if parsed.concurrency_key is not None:
            self.concurrency = compile_key(parsed.concurrency_key, trees)
        tasks = self._tasks(trees, everything)
        ordering = self._ordering()
        reader = Reader(tasks=tasks, ordering=ordering, report=self.report, warn=self.warn)
        reads = reader.of_tasks()
        outputs = self._outputs(trees)
        references = [found for tree in outputs.values() for found in tree.references]
        output_reads = reader.of_run(references, ordering.sure_in_success())
        if cycle := ordering.cycle():
            self._report_cycle(cycle)
        self._warn_of_idle_triggers(ordering)
        if self.problems:
            return None
        nodes = [replace(task.node, needs=ordering.parents(name), reads=reads[name]) for name, task in tasks.items()]
        return engine_graph.build(
            nodes,
            params=params,
            outputs=list(outputs.items()),
            reads=output_reads,
            final_deadline_seconds=parsed.finally_deadline_seconds or FINALLY_DEADLINE_SECONDS,
        )

    def _with_tasks(self, declarations: Declarations) -> Declarations:
        """Return what the expressions of `finally` may name, with everything that they may read."""
        tasks: dict[str, Mapping[str, ValueType | None]] = {}
        for task in self.outlines:
            tasks.setdefault(task.name, task.results)
        return replace(declarations, tasks=tasks, run={"summary": ValueType.OBJECT})

    def _before_finally(self, everything: TreeCompiler) -> TreeCompiler:
        """Return a compiler for what must not look ahead to `finally`."""
        names = {task.name for task in self.outlines if not task.final}
        declarations = everything.declarations
        tasks = {name: outputs for name, outputs in declarations.tasks.items() if name in names}
        return replace(everything, declarations=replace(declarations, tasks=tasks, run={}))

    def _tasks(self, trees: TreeCompiler, everything: TreeCompiler) -> dict[str, CompiledTask]:
        """Return the tasks that could be compiled, by name, those of `finally` last."""
        parsed = self.parsed
        compiler = TaskCompiler(
            trees=trees,
            defaults=compile_defaults(parsed.task_defaults, trees, known=parsed.has_defaults),
            workspace=parsed.workspace,
            warn=self.warn,
            outputs={task.name: task.outputs for task in self.outlines},
            item_types={each.name: each.items.type for each in parsed.params if each is not None and each.items},
        )
        final_compiler = replace(compiler, trees=everything)
        compiled: dict[str, CompiledTask] = {}
        seen: dict[str, str] = {}
        for path, task in self._good_tasks():
            if task.name in seen:
                self.report(f"{path}.name", f"{seen[task.name]} is named {task.name!r}, too; names must be unique")
            seen.setdefault(task.name, path)
            result = (final_compiler if isinstance(task, FinalTask) else compiler).compile(task, path)
            if result is not None:
                compiled.setdefault(task.name, result)
        return compiled

    def _good_tasks(self) -> Iterable[tuple[str, Task]]:
        for name, tasks in (("tasks", self.parsed.tasks), ("finally", self.parsed.final)):
            yield from ((f"spec.{name}[{index}]", task) for index, task in enumerate(tasks) if task is not None)

    def _ordering(self) -> Ordering:
        good = [task for _, task in self._good_tasks()]
        return Ordering(
            needs=resolve_needs(self.outlines, self.report),
            triggers={task.name: task.trigger or TriggerRule.ALL_SUCCEEDED for task in good},
            skippable=frozenset(task.name for task in good if _may_skip(task)),
            continued=frozenset(task.name for task in good if task.on_failure is OnFailure.CONTINUE),
            handlers=frozenset(task.name for task in good if task.handles),
        )

    def _outputs(self, trees: TreeCompiler) -> dict[str, CompiledTree]:
        outputs: dict[str, CompiledTree] = {}
        for index, output in enumerate(self.parsed.outputs):
            if output is None:
                continue
            path = f"spec.outputs[{index}]"
            if output.name in outputs:
                self.report(f"{path}.name", f"another output is named {output.name!r}, too; names must be unique")
            outputs[output.name] = trees.value(output.value, f"{path}.value")
        return outputs

    def _warn_of_idle_triggers(self, ordering: Ordering) -> None:
        """Warn of rules about what comes before a task of those before which nothing comes: they run in any case."""
        for path, task in self._good_tasks():
            idle = task.trigger not in (None, TriggerRule.ALL_SUCCEEDED, TriggerRule.ALWAYS)
            if idle and not ordering.parents(task.name):
                self.warn(
                    f"{path}.trigger", f"looks at no task, so {task.name!r} runs in any case; name some in `needs`"
                )

    def _report_cycle(self, cycle: tuple[str, ...]) -> None:
        path = next(path for path, task in self._good_tasks() if task.name == cycle[0])
        self.report(
            f"{path}.needs",
            f"the tasks form a cycle, each needing the next: {' → '.join(cycle)}; remove one of these dependencies",
        )


def _may_skip(task: Task) -> bool:
    """Tell whether a task may be Skipped though everything before it has Succeeded."""
    return bool(
        task.when is not None or task.skip_exit_codes or (task.for_each is not None and may_be_empty(task.for_each))
    )


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems by field, each once, with `tasks[2]` before `tasks[10]`."""

    def key(problem: Problem) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d+)", problem.path)
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

    return tuple(sorted(dict.fromkeys(problems), key=key))
