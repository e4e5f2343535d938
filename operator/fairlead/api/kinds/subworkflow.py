"""`workflow`: a Workflow of its own that runs a template."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.api.kinds.kind import NO_POD, CompiledKind, Context, Kind
from fairlead.api.task import Task
from fairlead.api.work import RenderedWorkflow
from fairlead.engine.model import Scope, WorkKind
from fairlead.engine.templates import CompiledTree, FieldReference

__all__ = ["SUBWORKFLOW", "SubWorkflowWork"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubWorkflowWork:
    """A template and the arguments for it; implements `fairlead.engine.model.Work`."""

    template: str
    arguments: tuple[tuple[str, CompiledTree], ...]
    kind: WorkKind = WorkKind.WORKFLOW

    @property
    def references(self) -> tuple[FieldReference, ...]:
        """Everything that its expressions name."""
        return tuple(reference for _, tree in self.arguments for reference in tree.references)

    def evaluate(self, scope: Scope) -> RenderedWorkflow:
        """Return what the child is given, with values in place of expressions. Raises `ExpressionError`."""
        return RenderedWorkflow(
            templateName=self.template,
            arguments=[{"name": name, "value": tree.evaluate(scope)} for name, tree in self.arguments],
        )


def _compile(context: Context, task: Task, path: str) -> CompiledKind:
    assert task.workflow is not None
    arguments: dict[str, CompiledTree] = {}
    for index, argument in enumerate(task.workflow.arguments or ()):
        at = f"{path}.workflow.arguments[{index}]"
        if argument.name in arguments:
            context.report(f"{at}.name", f"another argument is for {argument.name!r}, too; give each one value")
        arguments[argument.name] = context.trees.value(argument.value, f"{at}.value")
    work = SubWorkflowWork(template=task.workflow.template_ref.name, arguments=tuple(arguments.items()))
    return CompiledKind(work=work)


SUBWORKFLOW = Kind(name="workflow", compile=_compile, unfit=NO_POD)
