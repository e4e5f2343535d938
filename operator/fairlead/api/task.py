"""What a user may write about one task, and in `taskDefaults`.

Defaults are stated in the descriptions and applied in the compile step, never by the schema: a default below a
list looks like drift to GitOps tools.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from fairlead.api.fields import MAX_TASKS, ApiModel, Identifier, JsonValue, LimitSeconds, ObjectName
from fairlead.api.kubernetes import Kubernetes
from fairlead.engine.model import Jitter, TriggerRule, ValueType

__all__ = ["Backoff", "Job", "Retry", "Script", "Task", "TaskDefaults", "TaskOutput"]

_NAME_IS_SET = "must not be set: the container of a task is always named `main`"
_OUTPUTS_FILE = "must not be set: outputs are read from the container's termination message"
_RETRY_INSTEAD = "must not be set: use the task's `retry`"

_CONTAINERS_ARE_SET = (
    "must not be set: the task is the pod's container; sidecars go to `initContainers` with `restartPolicy: Always`"
)

_Container = Annotated[
    dict[str, Any],
    Kubernetes(
        "Container",
        without={
            "name": _NAME_IS_SET,
            "restartPolicy": _RETRY_INSTEAD,
            "restartPolicyRules": _RETRY_INSTEAD,
            "terminationMessagePath": _OUTPUTS_FILE,
        },
    ),
]
_PodSpec = Annotated[
    dict[str, Any],
    Kubernetes(
        "PodSpec",
        without={
            "containers": _CONTAINERS_ARE_SET,
            "restartPolicy": _RETRY_INSTEAD,
        },
    ),
]
_JobSpec = Annotated[dict[str, Any], Kubernetes("JobSpec")]
_Env = Annotated[list[dict[str, Any]], Kubernetes("EnvVar"), Field(max_length=1000)]
_VolumeMounts = Annotated[list[dict[str, Any]], Kubernetes("VolumeMount"), Field(max_length=200)]
_Resources = Annotated[dict[str, Any], Kubernetes("ResourceRequirements")]
_Image = Annotated[str, Field(min_length=1, max_length=1024)]


class Backoff(ApiModel):
    """Delays between attempts."""

    initial_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="Delay before the first retry. Default: 10."
    )
    factor: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="What each delay is multiplied with to give the next. Default: 2."
    )
    max_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = Field(
        default=None, description="The longest delay. Default: 300."
    )
    jitter: Annotated[Jitter, Field(strict=False)] | None = Field(
        default=None,
        description="How delays are spread: `None` keeps them exact, `Full` draws each evenly from 0 to the "
        "computed delay. Default: `None`.",
    )


class Retry(ApiModel):
    """How often a task is tried again, by the cause of the failure."""

    limit: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Retries after failures of the task itself, such as a non-zero exit code. Default: 0."
    )
    infrastructure_limit: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="Retries after failures that are not the task's, such as an eviction or a lost node; "
        "they are never charged to `limit`. Default: 5.",
    )
    on_timeout: bool | None = Field(
        default=None,
        description="Whether an attempt that ran into `timeoutSeconds` is tried again, charged to `limit`. "
        "Default: false.",
    )
    backoff: Backoff | None = Field(default=None, description="Delays between attempts.")


class Script(ApiModel):
    """A program in the definition itself."""

    source: str = Field(
        min_length=1,
        max_length=262_144,
        description="The program, run from a file exactly as it is: expressions are not replaced in it. "
        "Pass values through `env`.",
    )
    interpreter: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(min_length=1, max_length=32)] | None
    ) = Field(default=None, description="The command that runs the file; its path is appended. Default: [python3].")
    image: _Image | None = Field(default=None, description="The container image. Default: `spec.taskDefaults.image`.")
    volume_mounts: _VolumeMounts | None = Field(
        default=None, description="Volumes of the pod to mount, as in a core/v1 Container."
    )
    resources: _Resources | None = Field(default=None, description="Compute resources, as in a core/v1 Container.")
    working_dir: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, description="The working directory. Default: that of the image."
    )


class Job(ApiModel):
    """A Job."""

    spec: _JobSpec = Field(
        description="A batch/v1 JobSpec. The pod template must have a container named `main`, whose exit and "
        "outputs count; `restartPolicy` is `Never` unless set to `OnFailure`."
    )


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


class Task(ApiModel):
    """One step of the workflow: exactly one of `container`, `script` and `job`."""

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
    when: Annotated[str, Field(min_length=1, max_length=16_384)] | None = Field(
        default=None,
        description="An expression `${…}` evaluated once the trigger fires; when it is false the task is "
        "Skipped, which is not a failure.",
    )
    container: _Container | None = Field(
        default=None, description="Run a container: the fields of a core/v1 Container without `name`."
    )
    script: Script | None = Field(default=None, description="Run a program that is written here.")
    job: Job | None = Field(default=None, description="Run a batch/v1 Job.")
    env: _Env | None = Field(
        default=None,
        description="Environment variables (core/v1 EnvVar). They win over those of the container and of "
        "`spec.taskDefaults`, by name.",
    )
    outputs: Annotated[list[TaskOutput], Field(max_length=64)] | None = Field(
        default=None,
        description="Values that the task hands on. It writes them as one JSON object, of less than 4,096 "
        "bytes, to the file named by $FAIRLEAD_OUTPUTS.",
    )
    retry: Retry | None = Field(default=None, description="How often the task is tried again.")
    timeout_seconds: LimitSeconds | None = Field(
        default=None, description="The longest that one attempt may run, from the start of its main container."
    )
    deadline_seconds: LimitSeconds | None = Field(
        default=None, description="The longest that all attempts together may take, from the start of the first."
    )
    pod: _PodSpec | None = Field(
        default=None,
        description="Further fields of the pod, as in a core/v1 PodSpec: volumes, nodeSelector, tolerations, "
        "initContainers, serviceAccountName, securityContext and so on. For a `job`, write them in its template.",
    )


class TaskDefaults(ApiModel):
    """What tasks have unless they say otherwise; a task's own value wins field by field."""

    image: _Image | None = Field(default=None, description="The image of containers and scripts that name none.")
    env: _Env | None = Field(default=None, description="Environment variables of every task (core/v1 EnvVar).")
    retry: Retry | None = Field(default=None, description="How often tasks are tried again.")
    timeout_seconds: LimitSeconds | None = Field(default=None, description="The longest that one attempt may run.")
    pod: _PodSpec | None = Field(
        default=None, description="Further fields of every pod, as in a core/v1 PodSpec; a task's own win one by one."
    )
    resources: _Resources | None = Field(
        default=None, description="Compute resources; a task's own `requests` and `limits` each win as a whole."
    )
    volume_mounts: _VolumeMounts | None = Field(
        default=None, description="Volumes mounted in every task; a task's own with the same `mountPath` win."
    )
