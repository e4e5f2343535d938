"""What a task does, after every expression in it was replaced by its value.

The engine carries a node's `Work` without looking into it; `Work.evaluate(scope)` yields a
:class:`RenderedWork`. The manifest builder (pods and jobs) and the local runner read only that:
`taskDefaults` are merged, expressions are rendered to text with `$(` escaped, and nothing refers to the
Workflow any more.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

__all__ = ["MAIN_CONTAINER", "KubernetesObject", "RenderedScript", "RenderedWork"]

#: The name of the container whose exit code, outputs and message count, in our pods and in the pods of Jobs.
MAIN_CONTAINER = "main"

#: A part of a Kubernetes object as plain JSON, with the field names of the Kubernetes API.
KubernetesObject: TypeAlias = dict[str, Any]


class RenderedScript(TypedDict):
    """A program to be mounted as a file and run as `interpreter… FILE`. The source is exactly the user's."""

    source: str
    interpreter: list[str]


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
    pod: KubernetesObject
    jobSpec: KubernetesObject | None
