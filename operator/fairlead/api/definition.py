"""The part of a Workflow that a WorkflowTemplate can hold as well: parameters, tasks, limits, results."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from fairlead.api.concurrency import ConcurrencyKey
from fairlead.api.declared import Parameter
from fairlead.api.fields import MAX_TASKS, ApiModel, Identifier, LimitSeconds
from fairlead.api.task import FinalTask, Task, TaskDefaults
from fairlead.api.workspace import Workspace

__all__ = ["Definition", "Limits", "RunOutput", "Tasks"]


#: The steps of a workflow.
Tasks: TypeAlias = Annotated[list[Task], Field(min_length=1, max_length=MAX_TASKS)]


class RunOutput(ApiModel):
    """A result of the run as a whole."""

    name: Identifier = Field(description="The name of the result in `status.outputs`.")
    value: Annotated[str, Field(min_length=1, max_length=16_384)] = Field(
        description="An expression `${…}`, evaluated once when the run succeeds."
    )


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
    """What is run, apart from its tasks and the values of its parameters."""

    params: Annotated[list[Parameter], Field(max_length=256)] | None = Field(
        default=None, description="Declared parameters."
    )
    task_defaults: TaskDefaults | None = Field(
        default=None,
        description="What tasks have unless they say otherwise; a task's own value wins field by field.",
    )
    concurrency_key: ConcurrencyKey | None = Field(
        default=None,
        description="Bounds how many runs with the same key are active at the same time. Default: no bound.",
    )
    workspace: Workspace | None = Field(
        default=None, description="A volume that the tasks of the run share. Default: none."
    )
    final: Annotated[list[FinalTask], Field(max_length=100)] | None = Field(
        default=None,
        alias="finally",
        description="Tasks that run when all others have ended, however they have: after a failure, after the run's "
        "deadline and when it is stopped, too. Only `stop: Terminate` and deletion leave them out.",
    )
    finally_deadline_seconds: LimitSeconds | None = Field(
        default=None,
        description="The longest that all of `finally` may take, apart from the run's deadline. Default: 600.",
    )
    outputs: Annotated[list[RunOutput], Field(max_length=64)] | None = Field(
        default=None, description="Results of the run as a whole."
    )
