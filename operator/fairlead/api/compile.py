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

from fairlead.api.declared import declared_types
from fairlead.api.ordering import Ordering, resolve_needs
from fairlead.api.parameters import resolve_parameters
from fairlead.api.parsing import Outline, ParsedSpec, outlines, parse_model, parse_spec, without_nulls
from fairlead.api.problems import InvalidSpec, Problem, Severity
from fairlead.api.rendering import TreeCompiler
from fairlead.api.task import Task
from fairlead.api.task_compile import CompiledTask, TaskCompiler, compile_defaults
from fairlead.api.workflow import LiveSpec
from fairlead.engine import capacity
from fairlead.engine import graph as engine_graph
from fairlead.engine.expressions import Declarations, Evaluator
from fairlead.engine.model import Evaluable, Graph, Settings, TriggerRule, ValueType
from fairlead.engine.templates import FieldReference, compile_tree

__all__ = ["Compiled", "InvalidSpec", "Problem", "compile_settings", "compile_workflow"]


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
    warnings: tuple[Problem, ...] = ()


def compile_workflow(spec: Mapping[str, Any], *, evaluator: Evaluator, name: str, namespace: str) -> Compiled:
    """Check a Workflow's spec (plain JSON) and turn it into a graph.

    Raises :class:`InvalidSpec` with every problem found. Never changes `spec`.
    """
    if not isinstance(spec, Mapping):
        raise InvalidSpec([Problem("spec", "must be an object")])
    raw = without_nulls(spec)
    parsed, problems = parse_spec(raw)
    problems += _too_large(raw)
    compilation = _Compilation(raw=raw, parsed=parsed, evaluator=evaluator, problems=problems, outlines=outlines(raw))
    graph = compilation.graph()
    if graph is None:
        raise InvalidSpec(_sorted(compilation.problems))
    return Compiled(
        name=name,
        namespace=namespace,
        graph=graph,
        settings=_settings(parsed.live),
        ttl_seconds_after_finished=parsed.live.ttl_seconds_after_finished,
        warnings=_sorted(compilation.warnings),
    )


def _too_large(raw: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the size: the status of the run must have room beside its definition."""
    tasks = raw.get("tasks")
    if isinstance(tasks, list) and len(tasks) > capacity.TASKS:
        message = f"{len(tasks)} tasks; a run may have {capacity.TASKS}: divide it into several"
        return [Problem("spec.tasks", message)]
    live = {info.alias for info in LiveSpec.model_fields.values()}
    fixed = {key: value for key, value in raw.items() if key not in live}
    size = len(json.dumps(fixed, ensure_ascii=False).encode())
    if size > capacity.DEFINITION_BYTES:
        message = f"{size} bytes; a definition may have {capacity.DEFINITION_BYTES}: put long scripts into images"
        return [Problem("spec", message)]
    return []


def compile_settings(spec: Mapping[str, Any]) -> Settings:
    """Return the part of a spec that may change while the run is going on, without compiling the rest.

    Raises :class:`InvalidSpec` when one of these fields does not fit the schema.
    """
    names = {info.alias for info in LiveSpec.model_fields.values()}
    live, problems = parse_model(
        LiveSpec, {key: value for key, value in spec.items() if key in names and value is not None}, "spec"
    )
    if live is None:
        raise InvalidSpec(problems)
    return _settings(live)


def _settings(live: LiveSpec) -> Settings:
    return Settings(suspend=bool(live.suspend), parallelism=live.parallelism, deadline_seconds=live.deadline_seconds)


@dataclass(slots=True, kw_only=True)
class _Compilation:
    """One run of the compile step: it goes on after a problem, to find the others, too."""

    raw: Mapping[str, Any]
    parsed: ParsedSpec
    evaluator: Evaluator
    problems: list[Problem]
    outlines: list[Outline]
    warnings: list[Problem] = field(default_factory=list)

    def report(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def warn(self, path: str, message: str) -> None:
        self.warnings.append(Problem(path, message, Severity.WARNING))

    def graph(self) -> Graph | None:
        """Return the graph, or None when there are problems."""
        parsed = self.parsed
        declarations = self._declarations()
        params = resolve_parameters(
            parsed.params,
            parsed.arguments,
            names=declarations.params,
            evaluator=self.evaluator,
            report=self.report,
        )
        trees = TreeCompiler(evaluator=self.evaluator, declarations=declarations, report=self.report)
        tasks = self._tasks(trees)
        ordering = self._ordering()
        reads = self._references(tasks, ordering)
        outputs, output_reads = self._outputs(trees, ordering)
        if cycle := ordering.cycle():
            self._report_cycle(cycle)
        if self.problems:
            return None
        nodes = [
            replace(
                task.node,
                needs=ordering.parents(name),
                reads=tuple(reads[name]),
                trigger=ordering.triggers[name],
            )
            for name, task in tasks.items()
        ]
        return engine_graph.build(nodes, params=params, outputs=outputs, reads=output_reads)

    def _declarations(self) -> Declarations:
        tasks: dict[str, Mapping[str, ValueType | None]] = {}
        for task in self.outlines:
            tasks.setdefault(task.name, task.outputs)
        return Declarations(params=declared_types(self.raw.get("params")), tasks=tasks)

    def _tasks(self, trees: TreeCompiler) -> dict[str, CompiledTask]:
        """Return the tasks that could be compiled, by name."""
        compiler = TaskCompiler(
            trees=trees,
            defaults=self.parsed.task_defaults,
            compiled_defaults=compile_defaults(self.parsed.task_defaults, trees),
            judge_pods=self.parsed.has_defaults,
            warn=self.warn,
        )
        compiled: dict[str, CompiledTask] = {}
        seen: dict[str, int] = {}
        for index, task in self._good_tasks():
            path = f"spec.tasks[{index}]"
            if task.name in seen:
                self.report(
                    f"{path}.name",
                    f"spec.tasks[{seen[task.name]}] is named {task.name!r}, too; names must be unique",
                )
            seen.setdefault(task.name, index)
            result = compiler.compile(task, path)
            if result is not None:
                compiled.setdefault(task.name, result)
        return compiled

    def _good_tasks(self) -> Iterable[tuple[int, Task]]:
        return ((index, task) for index, task in enumerate(self.parsed.tasks) if task is not None)

    def _ordering(self) -> Ordering:
        good = [task for _, task in self._good_tasks()]
        return Ordering(
            needs=resolve_needs(self.outlines, self.report),
            triggers={task.name: task.trigger or TriggerRule.ALL_SUCCEEDED for task in good},
            conditional=frozenset(task.name for task in good if task.when is not None),
        )

    def _references(self, tasks: Mapping[str, CompiledTask], ordering: Ordering) -> dict[str, dict[str, None]]:
        """Check what tasks read of each other, and add the edges that this implies. Return who reads whom."""
        reads: dict[str, dict[str, None]] = {}
        needed: list[tuple[str, str, FieldReference]] = []
        for name, task in tasks.items():
            reads[name] = {}
            for found in task.references:
                other = self._referred(found, tasks, name)
                if other is None:
                    continue
                reads[name][other] = None
                if not ordering.follows(name, other):
                    ordering.imply(name, other)
                    self.warn(
                        found.field, f"reads task {other!r}, and so comes after it; add it to `needs` to show that"
                    )
                if _needs_success(found):
                    needed.append((name, other, found))
        for name, other, found in needed:
            if not ordering.surely_succeeded(name, other):
                self.report(
                    found.field,
                    f"task {other!r} may not have Succeeded when this one runs, so its output may be missing: "
                    f"read it as {_optional_form(found)}",
                )
        return reads

    def _outputs(self, trees: TreeCompiler, ordering: Ordering) -> tuple[list[tuple[str, Evaluable]], set[str]]:
        outputs: dict[str, Evaluable] = {}
        reads: set[str] = set()
        sure = ordering.never_skipped()
        for index, output in enumerate(self.parsed.outputs):
            if output is None:
                continue
            path = f"spec.outputs[{index}]"
            if output.name in outputs:
                self.report(f"{path}.name", f"another output is named {output.name!r}, too; names must be unique")
            tree = compile_tree(
                output.value,
                path=f"{path}.value",
                evaluator=trees.evaluator,
                declarations=trees.declarations,
                report=self.report,
            )
            outputs[output.name] = tree
            for found in tree.references:
                other = self._referred(found, ordering.triggers, None)
                if other is None:
                    continue
                reads.add(other)
                if _needs_success(found) and other not in sure:
                    self.report(
                        found.field,
                        f"task {other!r} may be Skipped in a run that succeeds, so its output may be missing: "
                        f"read it as {_optional_form(found)}",
                    )
        return list(outputs.items()), reads

    def _referred(self, found: FieldReference, known: Mapping[str, object], name: str | None) -> str | None:
        """Return the task that a reference names, None when it names none or one that has problems of its own."""
        root, *rest = found.reference.path
        if root != "tasks":
            return None
        if not rest:
            self.report(found.field, "must name the task it reads, as in tasks['NAME'], so that its order is known")
            return None
        if rest[0] == name:
            self.report(found.field, f"task {name!r} cannot read its own phase or outputs")
            return None
        return rest[0] if rest[0] in known else None

    def _report_cycle(self, cycle: tuple[str, ...]) -> None:
        index = next(index for index, task in self._good_tasks() if task.name == cycle[0])
        self.report(
            f"spec.tasks[{index}].needs",
            f"the tasks form a cycle, each needing the next: {' → '.join(cycle)}; remove one of these dependencies",
        )


def _needs_success(found: FieldReference) -> bool:
    """Tell whether a reference fails when the task did not succeed: an output, read without `.?`."""
    path = found.reference.path
    return len(path) > 3 and path[2] == "outputs" and not found.reference.optional


def _optional_form(found: FieldReference) -> str:
    _, task, _, output = found.reference.path[:4]
    name = f"tasks.{task}" if task.isidentifier() else f"tasks[{task!r}]"
    return f"{name}.outputs.?{output}.orValue(…)"


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems by field, each once, with `tasks[2]` before `tasks[10]`."""

    def key(problem: Problem) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d+)", problem.path)
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

    return tuple(sorted(dict.fromkeys(problems), key=key))
