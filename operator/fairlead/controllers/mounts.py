"""What a task finds in its file system: its script, its files, the workspace of its run. Pure.

Scripts and files are in ConfigMaps that are named by the hash of their content and our run's UID, and immutable: all
attempts with the same content share one. One that is found there is mounted only if it is what we would have created:
whoever may create ConfigMaps could else have code run as the service account of the pods.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from fairlead.api import environment, labels
from fairlead.api.places import (
    FILES_DIRECTORY,
    FILES_VOLUME,
    SCRIPT_DIRECTORY,
    SCRIPT_VOLUME,
    WORKSPACE_VOLUME,
)
from fairlead.api.work import RenderedFile, RenderedScript, RenderedWork
from fairlead.api.workspace import Workspace
from fairlead.engine.commands import StartAttempt
from fairlead.engine.names import label_value, task_and_index, workspace_name

from .owner import Owner, owner_reference

__all__ = ["claim_manifest", "config_maps", "is_as_made", "mount"]

_SCRIPT_FILE = "script"


def config_maps(owner: Owner, start: StartAttempt, work: RenderedWork) -> Iterator[dict[str, Any]]:
    """Yield the ConfigMaps that the object of an attempt refers to."""
    script, files = work["script"], work["files"]
    if script is not None:
        yield _config_map(owner, _script_name(owner, start.node, script), {_SCRIPT_FILE: script["source"]})
    if files:
        texts = {_key(index): file["text"] for index, file in enumerate(files)}
        yield _config_map(owner, _files_name(owner, start.node, files), texts)


def is_as_made(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Tell whether a ConfigMap that exists is as `manifest` makes it: our run's, never to change, with nothing else."""
    [ours] = manifest["metadata"]["ownerReferences"]
    return (
        any(each["uid"] == ours["uid"] for each in found["metadata"].get("ownerReferences") or ())
        and found.get("immutable") is True
        and found.get("data") == manifest["data"]
        and not found.get("binaryData")  # would be files beside the script, which it may import
    )


def claim_manifest(owner: Owner, workspace: Workspace) -> dict[str, Any]:
    """Return the claim for the volume that all tasks of a run share."""
    spec: dict[str, Any] = {
        "accessModes": list(workspace.access_modes or ["ReadWriteOnce"]),
        "resources": {"requests": {"storage": workspace.size}},
    }
    if workspace.storage_class_name is not None:
        spec["storageClassName"] = workspace.storage_class_name
    metadata = _metadata(owner, workspace_name(owner.name, owner.uid))
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def mount(
    owner: Owner,
    start: StartAttempt,
    work: RenderedWork,
    workspace: Workspace | None,
    *,
    container: dict[str, Any],
    pod: dict[str, Any],
) -> dict[str, str]:
    """Mount in the main container of a pod whatever its task is to find. Returns the variables that tell where."""
    variables: dict[str, str] = {}
    script, files = work["script"], work["files"]
    if script is not None:
        container["command"] = [*script["interpreter"], f"{SCRIPT_DIRECTORY}/{_SCRIPT_FILE}"]
        source = {"configMap": {"name": _script_name(owner, start.node, script), "defaultMode": 0o555}}
        _add(pod, container, SCRIPT_VOLUME, source, [{"mountPath": SCRIPT_DIRECTORY, "readOnly": True}])
    if files:
        source = {"configMap": {"name": _files_name(owner, start.node, files), "defaultMode": 0o444}}
        places = [
            {"mountPath": _place(file["path"]), "subPath": _key(index), "readOnly": True}
            for index, file in enumerate(files)
        ]
        _add(pod, container, FILES_VOLUME, source, places)
        if any(not file["path"].startswith("/") for file in files):
            variables[environment.FILES] = FILES_DIRECTORY
    if workspace is not None:
        source = {"persistentVolumeClaim": {"claimName": workspace_name(owner.name, owner.uid)}}
        _add(pod, container, WORKSPACE_VOLUME, source, [{"mountPath": workspace.place}])
        variables[environment.WORKSPACE] = workspace.place
    return variables


def _add(
    pod: dict[str, Any], container: dict[str, Any], name: str, source: dict[str, Any], places: list[dict[str, Any]]
) -> None:
    pod["volumes"] = [*pod.get("volumes", ()), {"name": name, **source}]
    container["volumeMounts"] = [*container.get("volumeMounts", ()), *({"name": name, **place} for place in places)]


def _place(path: str) -> str:
    return path if path.startswith("/") else f"{FILES_DIRECTORY}/{path}"


def _key(index: int) -> str:
    return f"file-{index}"


def _script_name(owner: Owner, node: str, script: RenderedScript) -> str:
    return f"fairlead-script-{_digest(owner, node, script['source'])}"


def _files_name(owner: Owner, node: str, files: list[RenderedFile]) -> str:
    return f"fairlead-files-{_digest(owner, node, json.dumps([file['text'] for file in files]))}"


def _digest(owner: Owner, node: str, content: str) -> str:
    # By the task: its items share what is the same for them.
    return sha256("\0".join((owner.uid, task_and_index(node)[0], content)).encode()).hexdigest()[:16]


def _config_map(owner: Owner, name: str, data: dict[str, str]) -> dict[str, Any]:
    metadata = _metadata(owner, name)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": data}


def _metadata(owner: Owner, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": {labels.MANAGED_BY: "fairlead", labels.RUN: label_value(owner.name)},
        "ownerReferences": [owner_reference(owner)],
    }
