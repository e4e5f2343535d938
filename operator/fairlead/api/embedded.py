"""What a task takes over from the Kubernetes API, and which fields of it are not the user's.

The `Loose…` types are the same to us. In the CRD they are any object, which saves its size a second copy.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Field

from fairlead.api.kubernetes import Kubernetes

__all__ = [
    "Container",
    "Env",
    "Image",
    "JobSpec",
    "LooseContainer",
    "LooseJobSpec",
    "LoosePodSpec",
    "PodSpec",
    "Resources",
    "VolumeMounts",
]

_NAME_IS_SET = "must not be set: the container of a task is always named `main`"
_OUTPUTS_FILE = "must not be set: outputs are read from the container's termination message"
_RETRY_INSTEAD = "must not be set: use the task's `retry`"

_CONTAINERS_ARE_SET = (
    "must not be set: the task is the pod's container; sidecars go to `initContainers` with `restartPolicy: Always`"
)

_NOT_IN_CONTAINER = {
    "name": _NAME_IS_SET,
    "restartPolicy": _RETRY_INSTEAD,
    "restartPolicyRules": _RETRY_INSTEAD,
    "terminationMessagePath": _OUTPUTS_FILE,
}
_NOT_IN_POD = {
    "containers": _CONTAINERS_ARE_SET,
    "restartPolicy": _RETRY_INSTEAD,
}

Container: TypeAlias = Annotated[dict[str, Any], Kubernetes("Container", without=_NOT_IN_CONTAINER)]
LooseContainer: TypeAlias = Annotated[dict[str, Any], Kubernetes("Container", without=_NOT_IN_CONTAINER, loose=True)]
PodSpec: TypeAlias = Annotated[dict[str, Any], Kubernetes("PodSpec", without=_NOT_IN_POD)]
LoosePodSpec: TypeAlias = Annotated[dict[str, Any], Kubernetes("PodSpec", without=_NOT_IN_POD, loose=True)]
JobSpec: TypeAlias = Annotated[dict[str, Any], Kubernetes("JobSpec")]
LooseJobSpec: TypeAlias = Annotated[dict[str, Any], Kubernetes("JobSpec", loose=True)]
Env: TypeAlias = Annotated[list[dict[str, Any]], Kubernetes("EnvVar"), Field(max_length=1000)]
VolumeMounts: TypeAlias = Annotated[list[dict[str, Any]], Kubernetes("VolumeMount"), Field(max_length=200)]
Resources: TypeAlias = Annotated[dict[str, Any], Kubernetes("ResourceRequirements")]
Image: TypeAlias = Annotated[str, Field(min_length=1, max_length=1024)]
