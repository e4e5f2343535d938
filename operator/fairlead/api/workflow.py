"""`Workflow` v1alpha1: one run of a DAG. Applying it runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.declared import Argument
from fairlead.api.definition import Definition, Limits, Tasks
from fairlead.api.fields import ApiModel, ObjectName
from fairlead.api.objects import ApiObject
from fairlead.api.problems import listed
from fairlead.api.retention import PodRetention
from fairlead.api.status import WorkflowStatus
from fairlead.api.task import TASK_KINDS
from fairlead.api.task_flow import MaxParallel, Tolerate
from fairlead.api.task_kinds import TemplateRef

__all__ = ["LIVE_FIELDS", "OF_THE_TEMPLATE", "ONE_KIND", "LiveSpec", "TaskOverride", "Workflow", "WorkflowSpec"]


#: What a Workflow with `templateRef` must not say, since the template does.
OF_THE_TEMPLATE = ("params", "taskDefaults", "tasks", "finally", "outputs")


class TaskOverride(ApiModel):
    """Limits that take the place of a `forEach` task's own."""

    task: ObjectName = Field(description="The name of the task.")
    max_parallel: MaxParallel | None = Field(
        default=None, description="How many of its items may run at the same time. Default: what the task says."
    )
    tolerate: Tolerate | None = Field(
        default=None, description="How many of its items may fail. Default: what the task says."
    )


class LiveSpec(Limits):
    """The part of a spec that may change while the run is going on."""

    suspend: bool | None = Field(
        default=None,
        description="While true, no further task is started; those that run go on. May be changed during the run. "
        "Default: false.",
    )
    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = Field(
        default=None,
        description="Of the runs that wait to begin, those of higher priority do so first, and so do their tasks where "
        "the API server is the limit. Sub-workflows have that of the run above them. May be changed during the run. "
        "Default: 0.",
    )
    overrides: Annotated[list[TaskOverride], Field(max_length=1000)] | None = Field(
        default=None,
        description="Limits of `forEach` tasks in place of their own. May be changed during the run.",
    )


#: The fields that may change while the run is going on.
LIVE_FIELDS = tuple(info.alias or name for name, info in LiveSpec.model_fields.items())


class WorkflowSpec(Definition, LiveSpec):
    """The definition of a run.

    Fixed once it has started, except `suspend`, `priority`, `parallelism`, `deadlineSeconds`,
    `ttlSecondsAfterFinished` and `overrides`.
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
#: The same where there may be no `oldSelf`, and where the first revision is a write, too.
_STATUS_WRITE_IF_ANY = "oldSelf.hasValue() && self.?status.?revision != oldSelf.value().?status.?revision"
_KINDS = " + ".join(f"(has(t.{name}) ? 1 : 0)" for name in TASK_KINDS)

#: Of so many tasks the API server checks itself that each is of one kind. Each `has` makes a table of all fields of a
#: task, so that of a thousand it takes as long as thirty pods: of more tasks the operator tells, as of all else that is
#: wrong with a definition, before anything starts.
_CHECKED = 200

#: What stands at the root of each kind that has tasks, where it can be told from a status write; by the field.
ONE_KIND: dict[str, JsonDict] = {
    name: {
        "rule": f"!has(self.spec.{name}) || self.spec.{name}.size() > {_CHECKED} || "
        f"self.spec.{name}.all(t, {_KINDS} == 1)",
        "fieldPath": f".spec.{name}",
        "message": f"each task must have exactly one of {listed(TASK_KINDS)}",
    }
    for name in ("tasks", "finally")
}

#: The fields that must not change once the run has started; every other one is live.
_FIXED = (
    *("templateRef", "arguments", *OF_THE_TEMPLATE),
    *("finallyDeadlineSeconds", "concurrencyKey", "workspace", "podRetention"),
)


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
    for each in ONE_KIND.values():
        yield each | {"rule": f"{_STATUS_WRITE_IF_ANY} || {each['rule']}", "optionalOldSelf": True}
    for name in _FIXED:
        new, old = f"self.spec.{name}", f"oldSelf.spec.{name}"
        # Not with `?`, which would hide their size from the cost estimate.
        unchanged = f"(has({new}) ? has({old}) && {new} == {old} : !has({old}))"
        yield {
            "rule": f"!has(oldSelf.status) || !has(oldSelf.status.startTime) || ({_STATUS_WRITE}) || {unchanged}",
            "fieldPath": f".spec.{name}",
            "message": f"must not change once the run has started; only {listed(LIVE_FIELDS)} may. "
            "Create another Workflow to run something else",
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
