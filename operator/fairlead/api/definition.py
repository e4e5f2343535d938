"""The part of a Workflow that a WorkflowTemplate can hold as well: parameters, tasks, limits, results."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.fields import MAX_TASKS, ApiModel, Bound, Identifier, JsonValue, LimitSeconds, Text
from fairlead.api.task import Task, TaskDefaults
from fairlead.engine.model import ValueType

__all__ = ["Argument", "Definition", "Items", "Limits", "Parameter", "RunOutput", "TemplateRef"]

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


class TemplateRef(ApiModel):
    """A WorkflowTemplate in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The name of the WorkflowTemplate.")


class Limits(ApiModel):
    """What bounds a run, and may change while it is going on."""

    parallelism: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="How many tasks may run at the same time. May be changed during the run. Default: no limit.",
    )
    deadline_seconds: LimitSeconds | None = Field(
        default=None,
        description="The longest that the run may take, time in suspension left out. May be changed during the run. "
        "Default: no limit.",
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = Field(
        default=None,
        description="How long after its end the Workflow is deleted with everything it owns. "
        "May be changed during the run. Default: it is kept.",
    )


class Definition(Limits):
    """What is run, apart from the values of its parameters."""

    params: Annotated[list[Parameter], Field(max_length=256)] | None = Field(
        default=None, description="Declared parameters."
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
