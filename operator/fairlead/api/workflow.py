"""`Workflow` v1alpha1: one run of a DAG. Applying it runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.declared import Argument
from fairlead.api.definition import Definition, Limits, Tasks
from fairlead.api.objects import ApiObject
from fairlead.api.problems import listed
from fairlead.api.retention import PodRetention
from fairlead.api.status import WorkflowStatus
from fairlead.api.task import TASK_KINDS
from fairlead.api.task_kinds import TemplateRef

__all__ = ["OF_THE_TEMPLATE", "ONE_KIND", "LiveSpec", "Workflow", "WorkflowSpec"]


#: What a Workflow with `templateRef` must not say, since the template does.
OF_THE_TEMPLATE = ("params", "taskDefaults", "tasks", "outputs")


class LiveSpec(Limits):
    """The part of a spec that may change while the run is going on."""

    suspend: bool | None = Field(
        default=None,
        description="While true, no further task is started; those that run go on. May be changed during the run. "
        "Default: false.",
    )


class WorkflowSpec(Definition, LiveSpec):
    """The definition of a run.

    Fixed once it has started, except `suspend`, `parallelism`, `deadlineSeconds` and `ttlSecondsAfterFinished`.
    """

    template_ref: TemplateRef | None = Field(
        default=None,
        description="The WorkflowTemplate that has the tasks, with `params`, `taskDefaults` and `outputs`, in place of "
        "these fields here. The run keeps to the template as it was at its start.",
    )
    tasks: Tasks | None = Field(
        default=None,
        description="The steps of the workflow, in any order; their `needs` form a directed acyclic graph. Required "
        "without `templateRef`.",
    )
    pod_retention: PodRetention | None = Field(
        default=None, description="How long the pods and Jobs of the run stay once they have ended."
    )
    arguments: Annotated[list[Argument], Field(max_length=256)] | None = Field(
        default=None, description="Values of declared parameters."
    )


#: True for a write to the status subresource, which cannot change the spec. Comparing the tasks of a large run costs
#: the API server more than all else together, so such writes are told by the revision that each of them raises.
_STATUS_WRITE = (
    "has(self.status) && has(self.status.revision) && has(oldSelf.status.revision) && "
    "self.status.revision != oldSelf.status.revision"
)
_FIRST_OR_STATUS_WRITE = (
    "oldSelf.hasValue() && oldSelf.value().?status.?revision.hasValue() && "
    "self.?status.?revision != oldSelf.value().status.?revision"
)
_KINDS = " + ".join(f"(has(t.{name}) ? 1 : 0)" for name in TASK_KINDS)

#: Stands at the root of each kind that has tasks, where it can be told from a status write.
ONE_KIND: JsonDict = {
    "rule": f"self.spec.tasks.all(t, {_KINDS} == 1)",
    "fieldPath": ".spec.tasks",
    "message": f"each task must have exactly one of {listed(TASK_KINDS)}",
}


def _rules() -> Iterator[JsonDict]:
    """Rules that span spec and status, hence at the root.

    The spec is fixed from `status.startTime` on, not from the beginning: an invalid Workflow never starts, and may be
    corrected. One task's own rule stands here, too, so that status writes do not evaluate it for every task.
    """
    yield {
        "rule": "has(self.spec.templateRef) != has(self.spec.tasks)",
        "fieldPath": ".spec",
        "message": "must have exactly one of `templateRef` and `tasks`",
    }
    for name in sorted({*OF_THE_TEMPLATE} - {"tasks"}):
        yield {
            "rule": f"!has(self.spec.templateRef) || !has(self.spec.{name})",
            "fieldPath": f".spec.{name}",
            "message": "must not be set together with `templateRef`: the template has it",
        }
    rule = f"{_FIRST_OR_STATUS_WRITE} || !has(self.spec.tasks) || {ONE_KIND['rule']}"
    yield ONE_KIND | {"rule": rule, "optionalOldSelf": True}
    for name in ("templateRef", "arguments", *OF_THE_TEMPLATE, "concurrencyKey", "workspace", "podRetention"):
        new, old = f"self.spec.{name}", f"oldSelf.spec.{name}"
        # Not with `?`, which would hide their size from the cost estimate.
        unchanged = f"(has({new}) ? has({old}) && {new} == {old} : !has({old}))"
        yield {
            "rule": f"!has(oldSelf.status) || !has(oldSelf.status.startTime) || ({_STATUS_WRITE}) || {unchanged}",
            "fieldPath": f".spec.{name}",
            "message": "must not change once the run has started; only `suspend`, `parallelism`, `deadlineSeconds` and "
            "`ttlSecondsAfterFinished` may. Create another Workflow to run something else",
        }


class Workflow(ApiObject):
    """One run of a directed acyclic graph of tasks. Applying it runs it."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [*_rules()]})

    KIND: ClassVar[str] = "Workflow"
    PLURAL: ClassVar[str] = "workflows"

    spec: WorkflowSpec = Field(description="The definition of the run.")
    status: WorkflowStatus | None = Field(
        default=None, description="What has happened so far, written by the operator."
    )
