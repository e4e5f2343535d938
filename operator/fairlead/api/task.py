"""What a user may write about one task, and in `taskDefaults`.

Defaults are stated in the descriptions and applied in the compile step, never by the schema: a default below a
list looks like drift to GitOps tools.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.embedded import Container, Env, Image, LooseContainer, LoosePodSpec, PodSpec, Resources, VolumeMounts
from fairlead.api.fields import (
    MAX_TASKS,
    ApiModel,
    Condition,
    ExitCode,
    Identifier,
    JsonValue,
    LimitSeconds,
    ObjectName,
)
from fairlead.api.task_files import TaskFiles
from fairlead.api.task_flow import ForEach, OnFailure, OnNodeLost, Repeat
from fairlead.api.task_kinds import Approval, Http, Job, LooseJob, Resource, Script, SetValues, SubWorkflow, Wait
from fairlead.api.task_retry import Retry
from fairlead.engine.model import TriggerRule, ValueType

__all__ = ["TASK_KINDS", "FinalTask", "Task", "TaskDefaults", "TaskOutput"]

#: The fields of which a task has exactly one; each has an entry in the table `kinds.KINDS`.
TASK_KINDS = ("container", "script", "job", "resource", "workflow", "wait", "approval", "http", "set")


class TaskOutput(ApiModel):
    """A value that a task hands on."""

    name: Identifier = Field(
        description="The member of the JSON object that the task writes to the file named by $FAIRLEAD_OUTPUTS."
    )
    type: Annotated[ValueType, Field(strict=False)] = Field(
        default=ValueType.STRING, description="The JSON type that the value must have. Default: `string`."
    )
    default: JsonValue = Field(
        default=None, description="The value when the task does not write it. Without a default that is a failure."
    )
    source: Annotated[str, Field(min_length=1, max_length=16_384)] | None = Field(
        default=None,
        alias="from",
        description="Where the value comes from. `File`: the member of the JSON object. `Stdout`: all that the "
        "container logs, less than 4,096 bytes, as it is for a string, as JSON for any other type. Default: `File`. Of "
        "an `http` task: an expression `${…}` over `response`; of a `resource`, over `object`. Of a `workflow` it must "
        "not be set: the value is the output of the same name.",
    )


class Task(ApiModel):
    """One step of the workflow. Exactly one of its fields says what it does."""

    name: ObjectName = Field(description="The name of the task, unique in the workflow.")
    group: ObjectName | None = Field(
        default=None, description="A name for several tasks together, which `needs` may use in place of theirs."
    )
    needs: Annotated[list[ObjectName], Field(max_length=MAX_TASKS)] | None = Field(
        default=None, description="Names of tasks or groups that this task comes after; see `trigger`."
    )
    trigger: Annotated[TriggerRule, Field(strict=False)] | None = Field(
        default=None, description="When the task starts, given how those it needs have ended. Default: `AllSucceeded`."
    )
    when: Condition | None = Field(
        default=None,
        description="An expression `${…}` evaluated once the trigger fires; when it is false the task is "
        "Skipped, which is not a failure.",
    )
    for_each: ForEach | None = Field(
        default=None, description="Run the task once for each item of a list; its outputs are lists, then."
    )
    repeat: Repeat | None = Field(default=None, description="Run the task again until a condition holds.")
    container: Container | None = Field(
        default=None, description="Run a container: the fields of a core/v1 Container without `name`."
    )
    script: Script | None = Field(default=None, description="Run a program that is written here.")
    job: Job | None = Field(default=None, description="Run a batch/v1 Job.")
    resource: Resource | None = Field(default=None, description="Create any object, and wait for its end.")
    workflow: SubWorkflow | None = Field(default=None, description="Run a WorkflowTemplate as a Workflow of its own.")
    wait: Wait | None = Field(
        default=None, description="Wait for some time, for a condition on an object, or for a callback. Runs no pod."
    )
    approval: Approval | None = Field(default=None, description="Wait for somebody's decision. Runs no pod.")
    http: Http | None = Field(default=None, description="Send a request. Runs no pod.")
    set: SetValues | None = Field(default=None, description="Compute values from expressions. Runs no pod.")
    env: Env | None = Field(
        default=None,
        description="Environment variables (core/v1 EnvVar). They win over those of the container and of "
        "`spec.taskDefaults`, by name.",
    )
    outputs: Annotated[list[TaskOutput], Field(max_length=64)] | None = Field(
        default=None,
        description="Values that the task hands on. It writes them as one JSON object, of less than 4,096 "
        "bytes, to the file named by $FAIRLEAD_OUTPUTS.",
    )
    files: TaskFiles | None = Field(
        default=None,
        description="Files that the task can read, at most 900,000 bytes together: for what is too large for `env`.",
    )
    retry: Retry | None = Field(default=None, description="How often the task is tried again.")
    skip_exit_codes: Annotated[list[ExitCode], Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Exit codes by which the task says that it is to count as Skipped."
    )
    on_failure: Annotated[OnFailure, Field(strict=False)] | None = Field(
        default=None,
        description="`Continue`: when the task fails, the run does not fail by that, and tasks after it go on as if it "
        "had Succeeded, with the defaults of its outputs. Default: `Fail`.",
    )
    handles: bool | None = Field(
        default=None,
        description="Whether the failures that this task comes after do not fail the run once it has Succeeded. "
        "Needs the trigger OneFailed, AllFailed, AllDone or OneDone. Default: false.",
    )
    on_node_lost: OnNodeLost | None = Field(
        default=None, description="What is done about a pod on a node that does not answer. Default: it is waited for."
    )
    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = Field(
        default=None, description="Of the tasks that wait for a slot, those of higher priority start first. Default: 0."
    )
    queue_timeout_seconds: LimitSeconds | None = Field(
        default=None,
        description="The longest that the task may wait for `parallelism` and other limits of ours, suspended time "
        "left out. Default: no limit.",
    )
    start_timeout_seconds: LimitSeconds | None = Field(
        default=None,
        description="The longest from the creation of the pod to the start of its main container. Default: no limit, "
        "but 300 when the image cannot be pulled or the container cannot be set up.",
    )
    timeout_seconds: LimitSeconds | None = Field(
        default=None, description="The longest that one attempt may run, from the start of its main container."
    )
    deadline_seconds: LimitSeconds | None = Field(
        default=None, description="The longest that all attempts together may take, from the start of the first."
    )
    pod: PodSpec | None = Field(
        default=None,
        description="Further fields of the pod, as in a core/v1 PodSpec: volumes, nodeSelector, tolerations, "
        "initContainers, serviceAccountName, securityContext and so on. For a `job`, write them in its template.",
    )


class FinalTask(Task):
    """One step of `finally`: as in `spec.tasks`, to which `needs` does not reach."""

    required: bool | None = Field(
        default=None, description="Whether the run fails when this task does not succeed. Default: false."
    )
    # The same as above, and checked alike by us. The API server only keeps them.
    container: LooseContainer | None = Field(
        default=None, description="Run a container: the fields of a core/v1 Container without `name`."
    )
    job: LooseJob | None = Field(default=None, description="Run a batch/v1 Job.")
    pod: LoosePodSpec | None = Field(default=None, description="Further fields of the pod, as in a core/v1 PodSpec.")


class TaskDefaults(ApiModel):
    """What tasks have unless they say otherwise; a task's own value wins field by field."""

    image: Image | None = Field(default=None, description="The image of containers and scripts that name none.")
    env: Env | None = Field(default=None, description="Environment variables of every task (core/v1 EnvVar).")
    retry: Retry | None = Field(default=None, description="How often tasks are tried again.")
    queue_timeout_seconds: LimitSeconds | None = Field(
        default=None, description="The longest that a task may wait for our own limits."
    )
    start_timeout_seconds: LimitSeconds | None = Field(
        default=None, description="The longest from the creation of a pod to the start of its main container."
    )
    timeout_seconds: LimitSeconds | None = Field(default=None, description="The longest that one attempt may run.")
    pod: PodSpec | None = Field(
        default=None, description="Further fields of every pod, as in a core/v1 PodSpec; a task's own win one by one."
    )
    resources: Resources | None = Field(
        default=None, description="Compute resources; a task's own `requests` and `limits` each win as a whole."
    )
    volume_mounts: VolumeMounts | None = Field(
        default=None, description="Volumes mounted in every task; a task's own with the same `mountPath` win."
    )
