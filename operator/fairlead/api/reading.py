"""What tasks read of each other, and whether it is there by then."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fairlead.api.ordering import Ordering
from fairlead.api.pod_rules import Report
from fairlead.api.task_compile import CompiledTask
from fairlead.engine.templates import FieldReference

__all__ = ["Reader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Checks references to tasks. Those to a task that could not be compiled are passed over: it was reported."""

    tasks: Mapping[str, CompiledTask]
    ordering: Ordering
    report: Report
    warn: Report

    def of_tasks(self) -> dict[str, tuple[str, ...]]:
        """Return whom each task reads, and add the edges that this implies to the ordering."""
        reads: dict[str, dict[str, None]] = {}
        needed: list[tuple[str, str, FieldReference]] = []
        for name, task in self.tasks.items():
            reads[name] = {}
            for found in task.references:
                other = self._referred(found, name)
                if other is None:
                    continue
                reads[name][other] = None
                self._order(name, other, found)
                if _needs_success(found):
                    needed.append((name, other, found))
        # Only now all edges are there.
        for name, other, found in needed:
            if not self.ordering.surely_succeeded(name, other):
                self._refuse(found, f"task {other!r} may not have Succeeded when this one runs")
            else:
                self._check_default(other, found)
        return {name: tuple(others) for name, others in reads.items()}

    def of_run(self, references: Iterable[FieldReference], sure: Collection[str]) -> set[str]:
        """Return whom the run's own results read; `sure` are the tasks that have Succeeded by then."""
        reads: set[str] = set()
        for found in references:
            other = self._referred(found, None)
            if other is None:
                continue
            reads.add(other)
            if not _needs_success(found):
                continue
            if other not in sure:
                self._refuse(found, f"task {other!r} may not have Succeeded in a run that does")
            else:
                self._check_default(other, found)
        return reads

    def _referred(self, found: FieldReference, name: str | None) -> str | None:
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
        return rest[0] if rest[0] in self.tasks else None

    def _order(self, name: str, other: str, found: FieldReference) -> None:
        if self.tasks[name].node.final and not self.tasks[other].node.final:
            return  # `finally` comes after all others as it is
        if not self.ordering.follows(name, other):
            self.ordering.imply(name, other)
            self.warn(found.field, f"reads task {other!r}, and so comes after it; add it to `needs` to show that")

    def _check_default(self, other: str, found: FieldReference) -> None:
        """Of a task with `onFailure: Continue` only the defaults are there for sure; one with items hands on lists."""
        node, output = self.tasks[other].node, found.reference.path[3]
        if not node.continue_on_failure or node.for_each is not None:
            return
        if not any(declared.name == output and declared.has_default for declared in node.outputs):
            why = f"task {other!r} may have failed (`onFailure: Continue`) and output {output!r} has no default"
            self._refuse(found, why, "give it one, or ")

    def _refuse(self, found: FieldReference, why: str, remedy: str = "") -> None:
        self.report(found.field, f"{why}, so its output may be missing: {remedy}read it as {_optional_form(found)}")


def _needs_success(found: FieldReference) -> bool:
    """Tell whether a reference fails when the task did not succeed: an output, read without `.?`."""
    path = found.reference.path
    return len(path) > 3 and path[2] == "outputs" and not found.reference.optional


def _optional_form(found: FieldReference) -> str:
    _, task, _, output = found.reference.path[:4]
    name = f"tasks.{task}" if task.isidentifier() else f"tasks[{task!r}]"
    return f"{name}.outputs.?{output}.orValue(…)"
