"""What a user may write about what a task does: one model for each kind. How they are compiled is in `kinds/`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from fairlead.api.declared import Parameter
from fairlead.api.embedded import Image, JobSpec, LooseJobSpec, Resources, VolumeMounts
from fairlead.api.fields import ApiModel, Condition, Identifier, JsonValue, LimitSeconds
from fairlead.api.presets import PresetName

__all__ = [
    "Approval",
    "Header",
    "Http",
    "HttpMethod",
    "Job",
    "LooseJob",
    "OnCancel",
    "OnTimeout",
    "Resource",
    "Script",
    "SecretKey",
    "SetValue",
    "SetValues",
    "SubArgument",
    "SubWorkflow",
    "TemplateRef",
    "ValueSource",
    "Wait",
    "WaitCondition",
]

_Text = Annotated[str, Field(min_length=1, max_length=16_384)]
_ShortText = Annotated[str, Field(min_length=1, max_length=1024)]
_ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


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
    image: Image | None = Field(default=None, description="The container image. Default: `spec.taskDefaults.image`.")
    volume_mounts: VolumeMounts | None = Field(
        default=None, description="Volumes of the pod to mount, as in a core/v1 Container."
    )
    resources: Resources | None = Field(default=None, description="Compute resources, as in a core/v1 Container.")
    working_dir: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, description="The working directory. Default: that of the image."
    )


class Job(ApiModel):
    """A Job."""

    spec: JobSpec = Field(
        description="A batch/v1 JobSpec. The pod template must have a container named `main`, whose exit and "
        "outputs count; `restartPolicy` is `Never` unless set to `OnFailure`."
    )


class LooseJob(Job):
    """A Job, as in `spec.tasks`."""

    spec: LooseJobSpec = Field(description="A batch/v1 JobSpec with a container named `main`, as in `spec.tasks`.")


class SetValue(ApiModel):
    """One value."""

    name: Identifier = Field(description="The name of the output.")
    value: JsonValue = Field(
        description="Its value: any JSON, with expressions in its texts. A text that is exactly one expression keeps "
        "the type of the value."
    )


class SetValues(ApiModel):
    """Values from expressions, which the task hands on as its outputs."""

    values: Annotated[list[SetValue], Field(min_length=1, max_length=64)] = Field(description="The values.")


class OnCancel(StrEnum):
    """What becomes of an object when its task is ended before it."""

    DELETE = "Delete"
    LEAVE = "Leave"


class Resource(ApiModel):
    """Creates an object, as the service account of the run, and waits until its status says that it has ended."""

    preset: Annotated[PresetName, Field(strict=False)] | None = Field(
        default=None,
        description="Knows how objects of a kind succeed and fail. Without it, `successWhen` is required.",
    )
    manifest: Annotated[
        dict[str, Any], Field(max_length=64, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    ] = Field(
        description="The object: `apiVersion`, `kind` and the rest but for its name, which is ours. In its values "
        "expressions are replaced; a value that is one whole expression keeps its type."
    )
    success_when: Condition | None = Field(
        default=None,
        description="An expression `${…}` over `object` that tells success. It is not asked while "
        "`status.observedGeneration` is older than the object. Default: the preset's.",
    )
    failure_when: Condition | None = Field(
        default=None,
        description="An expression `${…}` over `object` that tells failure. Default: the preset's, or never.",
    )
    on_cancel: Annotated[OnCancel, Field(strict=False)] | None = Field(
        default=None,
        description="What becomes of the object when the task is ended before it, by a time limit or a stop: `Delete` "
        "or `Leave`. It is deleted with the run in any case. Default: `Delete`.",
    )


class TemplateRef(ApiModel):
    """A WorkflowTemplate in the same namespace."""

    name: _ObjectName = Field(description="The name of the WorkflowTemplate.")


class SubArgument(ApiModel):
    """The value of a parameter of the template."""

    name: Identifier = Field(description="The name of the parameter.")
    value: JsonValue = Field(
        description="Its value, any JSON, in which expressions are replaced; one whole expression keeps its type."
    )


class SubWorkflow(ApiModel):
    """Runs a template as a Workflow that belongs to this one. The task's `outputs` are outputs of that Workflow."""

    template_ref: TemplateRef = Field(description="The template.")
    arguments: Annotated[list[SubArgument], Field(max_length=256)] | None = Field(
        default=None, description="Values for the parameters of the template."
    )


class WaitCondition(ApiModel):
    """An object of the run's namespace, which is looked at again and again until a condition holds."""

    api_version: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^([a-z0-9.-]+/)?v[a-z0-9]+$")] = Field(
        description="The API version of the object, such as `v1` or `batch/v1`."
    )
    kind: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Z][A-Za-z0-9]*$")] = Field(
        description="The kind of the object."
    )
    name: _ShortText = Field(description="The name of the object. It need not exist yet.")
    when: Condition = Field(description="An expression `${…}` over `object`: the wait is over once it is true.")
    interval_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None, description="The time between two looks. Default: 10."
    )


class Wait(ApiModel):
    """Waits, without a pod: exactly one of `seconds`, `until`, `condition` and `callback`."""

    seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = Field(
        default=None, description="So long, from the start of the task."
    )
    until: _ShortText | None = Field(
        default=None, description="Until a time (RFC 3339) or the beginning of a date in UTC; expressions are replaced."
    )
    condition: WaitCondition | None = Field(default=None, description="Until a condition on an object holds.")
    callback: bool | None = Field(
        default=None,
        description="Until somebody outside says that it is done, by a WorkflowAction `Complete` with the values of "
        "the task's `outputs`, or `Reject`.",
    )
    heartbeat_seconds: LimitSeconds | None = Field(
        default=None,
        description="With `callback`: the longest time between two signs of life, which are WorkflowActions "
        "`Heartbeat`. Default: none are expected.",
    )


class OnTimeout(StrEnum):
    """What an approval that nobody gives or refuses in time comes to."""

    APPROVE = "Approve"
    REJECT = "Reject"


class Approval(ApiModel):
    """Waits for somebody's decision, given by a WorkflowAction `Approve` or `Reject`.

    Its outputs are `option`, `by` (who), `at` (when) and the values of the form.
    """

    message: _Text = Field(description="What is asked; expressions are replaced.")
    options: Annotated[list[_ShortText], Field(min_length=1, max_length=32)] | None = Field(
        default=None,
        description="What may be chosen by whoever approves, the first one unless they say otherwise. "
        "Default: [Approve].",
    )
    form: Annotated[list[Parameter], Field(max_length=32)] | None = Field(
        default=None, description="Values that are asked for, declared like parameters."
    )
    users: Annotated[list[_ShortText], Field(max_length=256)] | None = Field(
        default=None,
        description="Who may decide, as the API server knows them; expressions are replaced. With neither `users` nor "
        "`groups`: whoever may create WorkflowActions.",
    )
    groups: Annotated[list[_ShortText], Field(max_length=256)] | None = Field(
        default=None, description="Groups of which one must be theirs, if they are not among `users`."
    )
    timeout_seconds: LimitSeconds | None = Field(
        default=None, description="How long a decision is waited for. Default: no limit."
    )
    on_timeout: Annotated[OnTimeout, Field(strict=False)] | None = Field(
        default=None,
        description="What counts when there is no decision in time: `Approve` takes the first option and the form's "
        "defaults. Default: `Reject`.",
    )


class SecretKey(ApiModel):
    """A key of a Secret in the run's namespace."""

    name: _ObjectName = Field(description="The name of the Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        description="The key within it."
    )


class ValueSource(ApiModel):
    """Where a value comes from."""

    secret_key_ref: SecretKey = Field(description="A key of a Secret.")


class Header(ApiModel):
    """A header of a request: exactly one of `value` and `valueFrom`."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")] = Field(
        description="The name of the header."
    )
    value: Annotated[str, Field(max_length=16_384)] | None = Field(
        default=None, description="Its value; expressions are replaced."
    )
    value_from: ValueSource | None = Field(
        default=None,
        description="Where its value is read from when the request is sent. It is in no status and no log.",
    )


class HttpMethod(StrEnum):
    """Methods of requests."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


class Http(ApiModel):
    """Sends a request, from the operator."""

    method: Annotated[HttpMethod, Field(strict=False)] | None = Field(default=None, description="Default: `GET`.")
    url: Annotated[str, Field(min_length=1, max_length=8192)] = Field(
        description="The http:// or https:// URL; expressions are replaced."
    )
    headers: Annotated[list[Header], Field(max_length=64)] | None = Field(default=None, description="Headers.")
    body: Annotated[str, Field(max_length=262_144)] | None = Field(
        default=None,
        description="The body; expressions are replaced, and values that are no strings are written as JSON.",
    )
    success_when: Condition | None = Field(
        default=None,
        description="An expression `${…}` over `response` (`status`, `headers`, `body`, `text`) that tells success. "
        "Default: a status of 200 to 299.",
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None, description="The longest that one request may take. Default: 30."
    )
    idempotent: bool | None = Field(
        default=None,
        description="Whether the request may be sent again when it is not known what became of it. Requests by GET, "
        "HEAD, PUT, DELETE and OPTIONS always may. Default: false.",
    )
    allow_private: bool | None = Field(
        default=None,
        description="Whether addresses in private networks may be reached, as far as the operator was installed to "
        "allow that. Default: false.",
    )
