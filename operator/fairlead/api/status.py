"""The status of a Workflow in its inline form: what has happened so far, written by the operator alone.

Nothing here is input, so the models describe rather than check; the schema is generated from them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from fairlead.api.fields import MAX_TASKS, ApiModel, Identifier, Text
from fairlead.api.objects import Conditions, Generation
from fairlead.engine.model import FailureClass, Phase

__all__ = ["AttemptStatus", "PhaseCounts", "TaskStatus", "WorkflowStatus"]

#: What a node can have at most; the object's own size keeps the whole far below their product.
_MAX_ATTEMPTS = 2048

_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Reason = Annotated[str, Field(max_length=256)]
_Name = Annotated[str, Field(max_length=253)]
_FreeObject = Annotated[
    dict[str, Any], Field(max_length=4096, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
]


class PhaseCounts(ApiModel):
    """How many tasks are in each phase."""

    total: _Count | None = Field(default=None, description="All tasks.")
    waiting: _Count | None = Field(default=None, description="Waiting for other tasks.")
    queued: _Count | None = Field(default=None, description="Ready, held back by a limit.")
    starting: _Count | None = Field(default=None, description="Created, main container not running yet.")
    running: _Count | None = Field(default=None, description="Running.")
    backoff: _Count | None = Field(default=None, description="Waiting before the next attempt.")
    succeeded: _Count | None = Field(default=None, description="Succeeded.")
    failed: _Count | None = Field(default=None, description="Failed for good.")
    skipped: _Count | None = Field(default=None, description="Skipped.")
    upstream_failed: _Count | None = Field(default=None, description="Not run because a task they need failed.")
    cancelled: _Count | None = Field(default=None, description="Cancelled.")


class AttemptStatus(ApiModel):
    """One try of a task."""

    number: Annotated[int, Field(ge=1, le=1_000_000)] = Field(description="Counts from 1, and never restarts.")
    pod_name: _Name | None = Field(default=None, description="The pod, or the Job of a `job` task.")
    node_name: _Name | None = Field(default=None, description="The node it ran on.")
    start_time: datetime | None = Field(default=None, description="When its object was created.")
    running_time: datetime | None = Field(default=None, description="When its main container started.")
    completion_time: datetime | None = Field(default=None, description="When it ended.")
    exit_code: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | None = Field(
        default=None, description="The exit code of the main container."
    )
    failure_class: Annotated[FailureClass, Field(strict=False)] | None = Field(
        default=None,
        alias="class",
        description="Who is to blame for the failure, which decides the budget for retries.",
    )
    reason: _Reason | None = Field(default=None, description="Why it ended so, as a constant in CamelCase.")
    message: Text | None = Field(default=None, description="Why, for people; cut when long.")


class TaskStatus(ApiModel):
    """Where one task stands."""

    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(description="The name of the task.")
    phase: Annotated[Phase, Field(strict=False)] = Field(description="Where it stands.")
    reason: _Reason | None = Field(default=None, description="Why it stands there, as a constant in CamelCase.")
    message: Text | None = Field(default=None, description="Why, for people; cut when long.")
    start_time: datetime | None = Field(default=None, description="When its first attempt was created.")
    completion_time: datetime | None = Field(default=None, description="When it reached its final phase.")
    outputs: _FreeObject | None = Field(default=None, description="The values it handed on, by name.")
    attempts: Annotated[list[AttemptStatus], Field(max_length=_MAX_ATTEMPTS)] | None = Field(
        default=None, description="Its attempts, oldest first."
    )


class WorkflowStatus(ApiModel):
    """What has happened so far."""

    observed_generation: Generation | None = Field(
        default=None, description="The generation of the spec that this status belongs to."
    )
    revision: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None,
        description="Raised by each write of the status; by it the API server knows such a write from a change of "
        "the spec, without comparing all tasks.",
    )
    start_time: datetime | None = Field(
        default=None, description="When the run started. Its spec is fixed from then on."
    )
    completion_time: datetime | None = Field(default=None, description="When the run ended.")
    phase: Annotated[str, Field(max_length=63)] | None = Field(
        default=None,
        description="A summary for people, which may get further values: Pending, Running, Suspended, "
        "Succeeded, Failed. Programs read the conditions.",
    )
    message: Text | None = Field(default=None, description="A summary for people of why it stands where it does.")
    progress: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Tasks in a final phase, of all tasks, such as 7/12."
    )
    counts: PhaseCounts | None = Field(default=None, description="How many tasks are in each phase.")
    outputs: _FreeObject | None = Field(default=None, description="Results of the run, by name.")
    suspended_seconds: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None, description="Time in suspension so far, which `spec.deadlineSeconds` leaves out."
    )
    conditions: Conditions | None = Field(
        default=None,
        description="Succeeded (Unknown while active), Finished, Suspended, Reconciling and Stalled.",
    )
    tasks: Annotated[list[TaskStatus], Field(max_length=MAX_TASKS)] | None = Field(
        default=None, description="Where each task stands."
    )
    internal: _FreeObject | None = Field(default=None, description="Bookkeeping of the operator; not an interface.")


#: Names of phases as `PhaseCounts` spells them.
PHASE_FIELDS: dict[Phase, Identifier] = {phase: phase.value[0].lower() + phase.value[1:] for phase in Phase}
