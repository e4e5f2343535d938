"""`Workflow` v1alpha1: one run of a DAG. Applying it runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.fields import MAX_TASKS, ApiModel, Bound, Identifier, JsonValue, LimitSeconds, Text
from fairlead.api.objects import ApiObject
from fairlead.api.status import WorkflowStatus
from fairlead.api.task import Task, TaskDefaults
from fairlead.engine.model import ValueType

__all__ = [
    "Argument",
    "Items",
    "LiveSpec",
    "Parameter",
    "RunOutput",
    "Workflow",
    "WorkflowSpec",
]

_Pattern = Annotated[str, Field(min_length=1, max_length=1024)]


class Items(ApiModel):
    """What each item of an array must be."""

    type: Annotated[ValueType, Field(strict=False)] = Field(description="The JSON type of an item.")
    enum: Annotated[list[JsonValue], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="The values that an item may have."
    )
    pattern: _Pattern | None = Field(
        default=None, description="A regular expression (RE2) that must match somewhere in an item that is a string."
    )
    minimum: Bound | None = Field(default=None, description="The least value of an item that is a number.")
    maximum: Bound | None = Field(default=None, description="The greatest value of an item that is a number.")


class Parameter(ApiModel):
    """A declared parameter, which expressions read as `params.NAME`."""

    name: Identifier = Field(description="The name of the parameter, unique in the workflow.")
    type: Annotated[ValueType, Field(strict=False)] = Field(
        default=ValueType.STRING, description="The JSON type of the value. Default: `string`."
    )
    default: JsonValue = Field(
        default=None, description="The value when no argument gives one. Without a default an argument is required."
    )
    description: Text | None = Field(default=None, description="What the parameter means, for people.")
    enum: Annotated[list[JsonValue], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="The values that are allowed."
    )
    pattern: _Pattern | None = Field(
        default=None,
        description="A regular expression (RE2) that must match somewhere in a string; anchor it with ^ and $.",
    )
    minimum: Bound | None = Field(default=None, description="The least value of a number.")
    maximum: Bound | None = Field(default=None, description="The greatest value of a number.")
    items: Items | None = Field(default=None, description="What each item of an array must be.")


class Argument(ApiModel):
    """The value of a parameter."""

    name: Identifier = Field(description="The name of a declared parameter.")
    value: JsonValue = Field(description="Its value, any JSON. Expressions are not replaced in it.")


class RunOutput(ApiModel):
    """A result of the run as a whole."""

    name: Identifier = Field(description="The name of the result in `status.outputs`.")
    value: Annotated[str, Field(min_length=1, max_length=16_384)] = Field(
        description="An expression `${…}`, evaluated once when the run succeeds."
    )


class LiveSpec(ApiModel):
    """The part of a spec that may change while the run is going on."""

    parallelism: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="How many tasks may run at the same time. May be changed during the run. Default: no limit.",
    )
    deadline_seconds: LimitSeconds | None = Field(
        default=None,
        description="The longest that the run may take, time in suspension left out. May be changed during the run. "
        "Default: no limit.",
    )
    suspend: bool | None = Field(
        default=None,
        description="While true, no further task is started; those that run go on. May be changed during the run. "
        "Default: false.",
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = Field(
        default=None,
        description="How long after its end the Workflow is deleted with everything it owns. "
        "May be changed during the run. Default: it is kept.",
    )


class WorkflowSpec(LiveSpec):
    """The definition of a run.

    Fixed once it has started, except `suspend`, `parallelism`, `deadlineSeconds` and `ttlSecondsAfterFinished`.
    """

    params: Annotated[list[Parameter], Field(max_length=256)] | None = Field(
        default=None, description="Declared parameters."
    )
    arguments: Annotated[list[Argument], Field(max_length=256)] | None = Field(
        default=None, description="Values of declared parameters."
    )
    task_defaults: TaskDefaults | None = Field(
        default=None,
        description="What tasks have unless they say otherwise; a task's own value wins field by field.",
    )
    tasks: Annotated[list[Task], Field(min_length=1, max_length=MAX_TASKS)] = Field(
        description="The steps of the workflow, in any order; their `needs` form a directed acyclic graph."
    )
    outputs: Annotated[list[RunOutput], Field(max_length=64)] | None = Field(
        default=None, description="Results of the run as a whole."
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
_KINDS = "(has(t.container) ? 1 : 0) + (has(t.script) ? 1 : 0) + (has(t.job) ? 1 : 0)"


def _rules() -> Iterator[JsonDict]:
    """Rules that span spec and status, hence at the root.

    The spec is fixed from `status.startTime` on, not from the beginning: an invalid Workflow never starts, and may be
    corrected. One task's own rule stands here, too, so that status writes do not evaluate it for every task.
    """
    yield {
        "rule": f"{_FIRST_OR_STATUS_WRITE} || self.spec.tasks.all(t, {_KINDS} == 1)",
        "optionalOldSelf": True,
        "fieldPath": ".spec.tasks",
        "message": "each task must have exactly one of `container`, `script` and `job`",
    }
    for name in ("tasks", "taskDefaults", "params", "arguments", "outputs"):
        new, old = f"self.spec.{name}", f"oldSelf.spec.{name}"
        unchanged = f"{new} == {old}"
        if name != "tasks":  # the others are optional: `?` would hide their size from the cost estimate
            unchanged = f"(has({new}) ? has({old}) && {unchanged} : !has({old}))"
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
