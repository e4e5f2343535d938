"""The manifests that a run creates: pure functions from a rendered task to a Pod, a Job or a script's ConfigMap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fairlead.api import environment, labels
from fairlead.api.work import MAIN_CONTAINER, RenderedScript, RenderedWork
from fairlead.engine.commands import StartAttempt
from fairlead.engine.names import bucket, label_value, task_and_index

__all__ = [
    "OUTPUTS_FILE",
    "Owner",
    "job_manifest",
    "node_labels",
    "owner_reference",
    "people_labels",
    "pod_manifest",
    "script_manifest",
]

#: The container's termination message file, which the kubelet copies into the pod's status: outputs need no sidecar.
OUTPUTS_FILE = "/dev/termination-log"

_SCRIPT_VOLUME = "fairlead-script"
_SCRIPT_DIRECTORY = "/fairlead"
_SCRIPT_FILE = "script"

#: Fields of a pod that are ours unless the user sets them: a task that needs no API access gets no token, and a
#: namespace with many Services does not flood its environment.
_POD_DEFAULTS = {"automountServiceAccountToken": False, "enableServiceLinks": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The run that owns what is created."""

    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str


def pod_manifest(owner: Owner, start: StartAttempt, work: RenderedWork) -> dict[str, Any]:
    """Return the Pod of an attempt. Its main container is called `main`; it is never restarted in place."""
    container: dict[str, Any] = {
        "name": MAIN_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **work["container"],
        "env": _environment(work["container"], owner, start),
    }
    _override_resources(container, start)
    pod = {**_POD_DEFAULTS, **work["pod"], "restartPolicy": "Never", "containers": [container]}
    for init in pod.get("initContainers", ()):
        init.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    script = work["script"]
    if script is not None:
        container["command"] = [*script["interpreter"], f"{_SCRIPT_DIRECTORY}/{_SCRIPT_FILE}"]
        container["volumeMounts"] = [
            *container.get("volumeMounts", ()),
            {"name": _SCRIPT_VOLUME, "mountPath": _SCRIPT_DIRECTORY, "readOnly": True},
        ]
        pod["volumes"] = [
            *pod.get("volumes", ()),
            {
                "name": _SCRIPT_VOLUME,
                "configMap": {"name": _script_name(owner, start.node, script), "defaultMode": 0o555},
            },
        ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(owner, start), "spec": pod}


def job_manifest(owner: Owner, start: StartAttempt, work: RenderedWork) -> dict[str, Any]:
    """Return the Job of an attempt. Our finalizer sits on the Job, never on its pods."""
    spec = work["jobSpec"]
    assert spec is not None
    template = spec["template"]
    metadata = template.setdefault("metadata", {})
    # Not the label that the operator watches by: the pods of a Job are the Job controller's.
    metadata["labels"] = {**metadata.get("labels", {}), **people_labels(owner, start)}
    pod = template["spec"]
    for name, value in _POD_DEFAULTS.items():
        pod.setdefault(name, value)
    for container in pod["containers"]:
        if container["name"] == MAIN_CONTAINER:
            container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
            container["env"] = _environment(container, owner, start)
            _override_resources(container, start)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(owner, start), "spec": spec}


def script_manifest(owner: Owner, start: StartAttempt, script: RenderedScript) -> dict[str, Any]:
    """Return the immutable ConfigMap with a task's script: one per task and definition, however many attempts."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": _script_name(owner, start.node, script),
            "namespace": owner.namespace,
            "labels": {labels.MANAGED_BY: "fairlead", labels.RUN: label_value(owner.name)},
            "ownerReferences": [owner_reference(owner)],
        },
        "immutable": True,
        "data": {_SCRIPT_FILE: script["source"]},
    }


def _script_name(owner: Owner, node: str, script: RenderedScript) -> str:
    # By the task: its items have one script between them.
    digest = sha256("\0".join((owner.uid, task_and_index(node)[0], script["source"])).encode()).hexdigest()[:16]
    return f"fairlead-script-{digest}"


def _metadata(owner: Owner, start: StartAttempt) -> dict[str, Any]:
    annotations = {labels.NODE: start.node, labels.RUN_NAME: owner.name}
    if start.iteration > 1:
        annotations[labels.ITERATION] = str(start.iteration)
    return {
        "name": start.object_name,
        "namespace": owner.namespace,
        "labels": {
            **people_labels(owner, start),
            labels.MANAGED_BY: "fairlead",
            labels.RUN_UID: owner.uid,
            labels.BUCKET: str(bucket(owner.uid)),
        },
        "annotations": annotations,
        "ownerReferences": [owner_reference(owner)],
        "finalizers": [labels.FINALIZER],
    }


def people_labels(owner: Owner, start: StartAttempt) -> dict[str, str]:
    """Return the labels by which people select the objects of a run, a task or an attempt."""
    return {labels.RUN: label_value(owner.name), **node_labels(start.node, start.number)}


def node_labels(node: str, number: int) -> dict[str, str]:
    """Return the labels that say which attempt of which node an object is; its node can be told from them."""
    task, index = task_and_index(node)
    item = {} if index is None else {labels.ITEM: str(index)}
    return {labels.TASK: label_value(task), **item, labels.ATTEMPT: str(number)}


def owner_reference(owner: Owner) -> dict[str, Any]:
    """Return the reference by which the garbage collector, and we, know whose an object is."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _environment(container: Mapping[str, Any], owner: Owner, start: StartAttempt) -> list[Mapping[str, Any]]:
    # Ours come first, so that a user's variable can refer to them as `$(FAIRLEAD_TASK)`.
    return [
        {"name": environment.OUTPUTS, "value": container.get("terminationMessagePath", OUTPUTS_FILE)},
        *({"name": name, "value": value} for name, value in environment.identity(owner.name, start).items()),
        *container.get("env", ()),
    ]


def _override_resources(container: dict[str, Any], start: StartAttempt) -> None:
    """Give the main container what a retry rule says, amount by amount: more memory leaves the CPU as it was."""
    if not start.resources:
        return
    own = container.get("resources", {})
    amounts = {kind: {**own.get(kind, {}), **start.resources.get(kind, {})} for kind in ("requests", "limits")}
    container["resources"] = {**own, **{kind: named for kind, named in amounts.items() if named}}
