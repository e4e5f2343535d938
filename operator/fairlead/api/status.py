"""The status of a Workflow in its inline form: what has happened so far, written by the operator alone.

Nothing here is input, so the models describe rather than check; the schema is generated from them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from fairlead.api.fields import MAX_TASKS, ApiModel, Count, Identifier, Text
from fairlead.api.objects import Conditions, Generation
from fairlead.engine.model import ActionKind, FailureClass, Phase, StopMode

__all__ = [
    "MAX_ACTIONS",
    "ActionStatus",
    "AttemptStatus",
    "ItemCounts",
    "PhaseCounts",
    "ShardsStatus",
    "StopStatus",
    "TaskStatus",
    "WorkflowStatus",
]

#: How many of the users' requests a status keeps.
MAX_ACTIONS = 100

#: What a node can have at most; the object's own size keeps the whole far below their product.
_MAX_ATTEMPTS = 2048

_Ordinal = Annotated[int, Field(ge=1, le=1_000_000)]
_Reason = Annotated[str, Field(max_length=256)]
_Name = Annotated[str, Field(max_length=253)]
_FreeObject = Annotated[
    dict[str, Any], Field(max_length=4096, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
]


class PhaseCounts(ApiModel):
    """How many tasks are in each phase."""

    total: Count | None = Field(default=None, description="All tasks.")
    waiting: Count | None = Field(default=None, description="Waiting for other tasks.")
    queued: Count | None = Field(default=None, description="Ready, held back by a limit.")
    starting: Count | None = Field(default=None, description="Created, main container not running yet.")
    running: Count | None = Field(default=None, description="Running.")
    backoff: Count | None = Field(default=None, description="Waiting before the next attempt.")
    succeeded: Count | None = Field(default=None, description="Succeeded.")
    failed: Count | None = Field(default=None, description="Failed for good.")
    skipped: Count | None = Field(default=None, description="Skipped.")
    upstream_failed: Count | None = Field(default=None, description="Not run because a task they need failed.")
    cancelled: Count | None = Field(default=None, description="Cancelled.")


class AttemptStatus(ApiModel):
    """One try of a task."""

    number: _Ordinal = Field(description="Counts from 1, and never restarts.")
    epoch: _Ordinal | None = Field(
        default=None, description="The epoch that it belongs to: 1 (left out) until somebody has the run retried."
    )
    iteration: _Ordinal | None = Field(
        default=None, description="The round of a `repeat` that it belongs to; 1 is left out."
    )
    pod_name: _Name | None = Field(
        default=None,
        description="The object that carries it: a pod, the Job, the object of a `resource` task, the Workflow of a "
        "`workflow` task. Of a task without an object, a name that is made in the same way.",
    )
    node_name: _Name | None = Field(default=None, description="The node it ran on.")
    start_time: datetime | None = Field(default=None, description="When its object was created.")
    running_time: datetime | None = Field(default=None, description="When its main container started.")
    due_time: datetime | None = Field(
        default=None, description="When a wait is over, or the time for an approval is up."
    )
    heartbeat_time: datetime | None = Field(default=None, description="When a callback was last heard of.")
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


class ItemCounts(ApiModel):
    """How far the items of a `forEach` task have come."""

    total: Count | None = Field(default=None, description="All items (batches, with `batchSize`).")
    running: Count | None = Field(default=None, description="Begun, and not ended yet.")
    succeeded: Count | None = Field(default=None, description="Succeeded.")
    failed: Count | None = Field(default=None, description="Failed for good, tolerated ones among them.")
    skipped: Count | None = Field(default=None, description="Skipped.")
    cancelled: Count | None = Field(default=None, description="Cancelled.")


class TaskStatus(ApiModel):
    """Where one task stands, or one item of a `forEach` task. An item that waits has no entry."""

    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        description="The name of the task; of an item, that of its task and its index, as in `load[3]`."
    )
    phase: Annotated[Phase, Field(strict=False)] = Field(description="Where it stands.")
    reason: _Reason | None = Field(default=None, description="Why it stands there, as a constant in CamelCase.")
    message: Text | None = Field(default=None, description="Why, for people; cut when long.")
    queued_time: datetime | None = Field(default=None, description="Since when it has been in line.")
    start_time: datetime | None = Field(default=None, description="When its first attempt was created.")
    completion_time: datetime | None = Field(default=None, description="When it reached its final phase.")
    outputs: _FreeObject | None = Field(default=None, description="The values it handed on, by name.")
    attempts: Annotated[list[AttemptStatus], Field(max_length=_MAX_ATTEMPTS)] | None = Field(
        default=None, description="Its attempts, oldest first."
    )
    items: ItemCounts | None = Field(
        default=None, description="Of a `forEach` task whose list is known: how far its items have come."
    )
    items_digest: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="A digest of that list, which tells a retry whether it is still the same."
    )


class StopStatus(ApiModel):
    """How a run is being stopped, or was."""

    mode: Annotated[StopMode, Field(strict=False)] | None = Field(
        default=None, description="How. Left out when it was not asked for: when the run ran into its deadline."
    )
    reason: _Reason = Field(description="Why, as a constant in CamelCase.")


class ShardsStatus(ApiModel):
    """Where the tasks of a large run are listed instead."""

    count: Annotated[int, Field(ge=0, le=MAX_TASKS)] = Field(
        description="How many TaskStatusShards there were when this was written; there may be more by now."
    )


class ActionStatus(ApiModel):
    """What became of one WorkflowAction."""

    uid: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="The UID of the WorkflowAction.")
    name: _Name = Field(description="Its name.")
    action: Annotated[ActionKind, Field(strict=False)] = Field(description="What was asked for.")
    by: Annotated[str, Field(max_length=1024)] | None = Field(default=None, description="Who asked for it.")
    time: datetime = Field(description="When it was decided.")
    accepted: bool = Field(description="Whether it was done. One that was not has changed nothing.")
    reason: _Reason | None = Field(default=None, description="Why, as a constant in CamelCase.")
    message: Text | None = Field(default=None, description="Why, for people.")


class DefinitionStatus(ApiModel):
    """Where the definition is kept that a run of a template runs."""

    template: _Name = Field(description="The WorkflowTemplate that it is from.")
    revision: _Name = Field(description="The ControllerRevision that has it as it was when the run began.")
    generation: Generation = Field(description="The generation of the template that it was.")
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = Field(
        default=None, description="That of the template, if it has one; the Workflow's own comes first."
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
    definition: DefinitionStatus | None = Field(
        default=None,
        description="What is run, of a Workflow with `spec.templateRef`. It stays when the template changes.",
    )
    start_time: datetime | None = Field(
        default=None, description="When the run started. Its spec is fixed from then on."
    )
    completion_time: datetime | None = Field(default=None, description="When the run ended.")
    concurrency_key: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The value of `spec.concurrencyKey`, which the run holds, or waits for."
    )
    phase: Annotated[str, Field(max_length=63)] | None = Field(
        default=None,
        description="A summary for people, which may get further values: Pending, Running, Suspended, "
        "Succeeded, Failed, Cancelled. Programs read the conditions.",
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
    epoch: _Ordinal | None = Field(
        default=None, description="Counts from 1 (left out); raised when somebody has a finished run retried."
    )
    epoch_time: datetime | None = Field(default=None, description="When that epoch began, where it is not the first.")
    stop: StopStatus | None = Field(default=None, description="Set once the run as a whole is being stopped.")
    actions: Annotated[list[ActionStatus], Field(max_length=MAX_ACTIONS)] | None = Field(
        default=None, description="What users have asked for by WorkflowActions, oldest first; the last hundred."
    )
    conditions: Conditions | None = Field(
        default=None,
        description="Succeeded (Unknown while active), Finished, Suspended, Reconciling and Stalled.",
    )
    tasks: Annotated[list[TaskStatus], Field(max_length=MAX_TASKS)] | None = Field(
        default=None, description="Where each task stands. Left out of a large run, which has `shards`."
    )
    shards: ShardsStatus | None = Field(
        default=None, description="Set when the tasks are too many to be listed here; `fairlead tree` shows them."
    )
    internal: _FreeObject | None = Field(default=None, description="Bookkeeping of the operator; not an interface.")


#: Names of phases as `PhaseCounts` spells them.
PHASE_FIELDS: dict[Phase, Identifier] = {phase: phase.value[0].lower() + phase.value[1:] for phase in Phase}
