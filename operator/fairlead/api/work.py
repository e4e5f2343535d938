"""What a task does, after every expression in it was replaced by its value.

The engine carries a node's `Work` without looking into it; `Work.evaluate(scope)` yields one of the types here, by
the node's kind. Whoever carries an attempt out reads only that: `taskDefaults` are merged, expressions are rendered
to text with `$(` escaped, and nothing refers to the Workflow any more. An expression about something that is not
known yet (the answer of a server, an object's status) comes as a :class:`Bound`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

from fairlead.engine.model import Evaluable, Json, Scope

__all__ = [
    "MAIN_CONTAINER",
    "Bound",
    "KubernetesObject",
    "RenderedApproval",
    "RenderedCondition",
    "RenderedFile",
    "RenderedHeader",
    "RenderedHttp",
    "RenderedResource",
    "RenderedScript",
    "RenderedSet",
    "RenderedWait",
    "RenderedWork",
    "RenderedWorkflow",
]

#: The name of the container whose exit code, outputs and message count, in our pods and in the pods of Jobs.
MAIN_CONTAINER = "main"

#: A part of a Kubernetes object as plain JSON, with the field names of the Kubernetes API.
KubernetesObject: TypeAlias = dict[str, Any]


class RenderedScript(TypedDict):
    """A program to be mounted as a file and run as `interpreter… FILE`. The source is exactly the user's."""

    source: str
    interpreter: list[str]


class RenderedFile(TypedDict):
    """A file for the task to read: where, absolute or below the directory of such files, and its whole text."""

    path: str
    text: str


class RenderedWork(TypedDict):
    """One task, ready to become an object. All keys are always present.

    kind
        `Pod` for `container` and `script` tasks, `Job` for `job` tasks.
    container
        Of a `Pod`: the fields of a core/v1 Container without `name`; `image` is set, `env` is merged (the
        task's own `env` over the container's, over that of `taskDefaults`, by name). A `script` has no
        `command`: whoever mounts the file adds it. Empty for a `Job`.
    script
        The script of a `script` task, else None.
    files
        What the main container finds as files, at most 900,000 bytes together.
    pod
        Of a `Pod`: fields of a core/v1 PodSpec, never `containers` nor `restartPolicy`. Empty for a `Job`.
    jobSpec
        Of a `Job`: a batch/v1 JobSpec. Its pod template has a container `main`; the task's `env`, the
        defaults and `restartPolicy` (Never unless set) are already in the template. None for a `Pod`.

    The value is a fresh tree on every evaluation: the reader may change it.
    """

    kind: Literal["Pod", "Job"]
    container: KubernetesObject
    script: RenderedScript | None
    files: list[RenderedFile]
    pod: KubernetesObject
    jobSpec: KubernetesObject | None


@dataclass(frozen=True, slots=True)
class Bound:
    """An expression with the values of a run, still to be asked about something: `object`, `response`."""

    program: Evaluable
    scope: Scope

    def evaluate(self, **variables: Json) -> Json:
        """Return its value for these further names. Raises `ExpressionError`."""
        return self.program.evaluate({**self.scope, **variables})


class RenderedSet(TypedDict):
    """A `set` task: its outputs, ready."""

    values: dict[str, Json]


class RenderedCondition(TypedDict):
    """What a `wait` looks at: an object in the run's namespace, asked about as `object` every so many seconds."""

    apiVersion: str
    kind: str
    name: str
    when: Bound
    intervalSeconds: int


class RenderedWait(TypedDict):
    """A `wait` task: one of `seconds`, `until` (RFC 3339), `condition` and `callback` is not None."""

    seconds: int | None
    until: str | None
    condition: RenderedCondition | None
    callback: bool | None
    heartbeatSeconds: int | None


class RenderedApproval(TypedDict):
    """An `approval` task. `form` are declarations as in `spec.params`; `users` and `groups` empty: anybody."""

    message: str
    options: list[str]
    form: list[dict[str, Json]]
    users: list[str]
    groups: list[str]
    onTimeout: Literal["Approve", "Reject"]


class RenderedHeader(TypedDict):
    """A header of a request: its value, or the key of a Secret that holds it."""

    name: str
    value: str | None
    secretName: str | None
    secretKey: str | None


class RenderedHttp(TypedDict):
    """An `http` task. `successWhen` and `outputs` are asked about `response` (`status`, `headers`, `body`, `text`)."""

    method: str
    url: str
    headers: list[RenderedHeader]
    body: str | None
    timeoutSeconds: int
    idempotent: bool
    allowPrivate: bool
    successWhen: Bound | None
    outputs: list[tuple[str, Bound]]


class RenderedResource(TypedDict):
    """A `resource` task. Both conditions, and `outputs`, are asked about `object`; a preset's are filled in.

    `failureMessage` gives the words for a failure.
    """

    manifest: KubernetesObject
    preset: str | None
    successWhen: Bound
    failureWhen: Bound | None
    failureMessage: Bound | None
    outputs: list[tuple[str, Bound]]
    onCancel: Literal["Delete", "Leave"]


class RenderedWorkflow(TypedDict):
    """A `workflow` task: the template that the child Workflow runs, and its arguments (`[{name, value}]`)."""

    templateName: str
    arguments: list[dict[str, Json]]
