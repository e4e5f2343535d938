"""The manifests of attempts: pure functions from a rendered task to a Pod or a Job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.api import environment, labels
from fairlead.api.places import OUTPUTS_FILE
from fairlead.api.work import MAIN_CONTAINER, RenderedWork
from fairlead.api.workspace import Workspace
from fairlead.engine.commands import StartAttempt
from fairlead.engine.names import label_value, task_and_index

from .mounts import mount
from .owner import Owner, owner_reference

__all__ = ["Owner", "job_manifest", "node_labels", "owner_reference", "people_labels", "pod_manifest"]

#: Fields of a pod that are ours unless the user sets them: a task that needs no API access gets no token, and a
#: namespace with many Services does not flood its environment.
_POD_DEFAULTS = {"automountServiceAccountToken": False, "enableServiceLinks": False}


def pod_manifest(
    owner: Owner, start: StartAttempt, work: RenderedWork, workspace: Workspace | None = None, traceparent: str = ""
) -> dict[str, Any]:
    """Return the Pod of an attempt. Its main container is called `main`; it is never restarted in place."""
    container: dict[str, Any] = {
        "name": MAIN_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **work["container"],
    }
    pod = {**_POD_DEFAULTS, **work["pod"], "restartPolicy": "Never", "containers": [container]}
    for init in pod.get("initContainers", ()):
        init.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    places = mount(owner, start, work, workspace, container=container, pod=pod)
    _finish(owner, start, container, places, traceparent)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(owner, start), "spec": pod}


def job_manifest(
    owner: Owner, start: StartAttempt, work: RenderedWork, workspace: Workspace | None = None, traceparent: str = ""
) -> dict[str, Any]:
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
            places = mount(owner, start, work, workspace, container=container, pod=pod)
            _finish(owner, start, container, places, traceparent)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(owner, start), "spec": spec}


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
            labels.BUCKET: str(owner.bucket),
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


def _finish(
    owner: Owner, start: StartAttempt, container: dict[str, Any], places: Mapping[str, str], traceparent: str
) -> None:
    """Give the main container its variables, and the resources that a retry rule says."""
    variables = {
        environment.OUTPUTS: container.get("terminationMessagePath", OUTPUTS_FILE),
        **environment.identity(owner.name, start),
        **places,
    }
    if traceparent:
        variables[environment.TRACEPARENT] = traceparent
    # Ours come first, so that a user's variable can refer to them as `$(FAIRLEAD_TASK)`.
    ours = [{"name": name, "value": value} for name, value in variables.items()]
    container["env"] = [*ours, *container.get("env", ())]
    _override_resources(container, start)


def _override_resources(container: dict[str, Any], start: StartAttempt) -> None:
    """Give the main container what a retry rule says, amount by amount: more memory leaves the CPU as it was."""
    if not start.resources:
        return
    own = container.get("resources", {})
    amounts = {kind: {**own.get(kind, {}), **start.resources.get(kind, {})} for kind in ("requests", "limits")}
    container["resources"] = {**own, **{kind: named for kind, named in amounts.items() if named}}
