"""A small volume provisioner for the class `standard`: a directory a claim, at `volumes/<namespace>/<claim>`.

`python -m e2e.devcluster.storage` runs it beside the control plane. It lists, then watches; each claim of the class
that has no volume gets one, and a volume whose claim is gone is removed with its directory (reclaim policy Delete).
A directory with a name that people know is the point: what a pod wrote is there to be looked at.
"""

from __future__ import annotations

import http.client
import shutil
import sys
import time
from pathlib import Path

from e2e.devcluster.api import Api, Object, Refusal, connect
from e2e.devcluster.state import Layout, layout

CLASS = "standard"
PROVISIONER = "fairlead.dev/devcluster"
_MARK = "fairlead.dev/devcluster-volume"
_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def storage_class() -> Object:
    """The default class. Immediate: there is one node that can have volumes."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {_DEFAULT: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def wants_volume(claim: Object) -> bool:
    """Whether a claim waits for us."""
    spec = claim["spec"]
    return (
        spec.get("storageClassName") == CLASS
        and not spec.get("volumeName")
        and "deletionTimestamp" not in claim["metadata"]
        and claim.get("status", {}).get("phase", "Pending") == "Pending"
    )


def volume_for(claim: Object, directory: Path) -> Object:
    """The volume of a claim, bound to it in advance so that no other claim takes it."""
    metadata, spec = claim["metadata"], claim["spec"]
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    reference |= {key: metadata[key] for key in ("namespace", "name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{metadata['uid']}",
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER, _MARK: str(directory)},
        },
        "spec": {
            "storageClassName": CLASS,
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": reference,
            "hostPath": {"path": str(directory), "type": "DirectoryOrCreate"},
        },
    }


def released(volume: Object) -> Path | None:
    """The directory of a volume of ours whose claim is gone. (Failed: the built-in deleter knows /tmp only.)"""
    directory = volume["metadata"].get("annotations", {}).get(_MARK)
    phase = volume.get("status", {}).get("phase")
    return Path(directory) if directory and phase in ("Released", "Failed") else None


def provide(api: Api, at: Layout, claim: Object) -> None:
    """Make the directory and the volume of a claim."""
    metadata = claim["metadata"]
    directory = at.volumes / metadata["namespace"] / metadata["name"]
    directory.mkdir(parents=True, exist_ok=True)
    # Any user may write, as pods run under any id: hostPath volumes know no fsGroup.
    directory.chmod(0o777)
    api.ensure(_VOLUMES, volume_for(claim, directory))
    print(f"claim {metadata['namespace']}/{metadata['name']}: {directory}", flush=True)


def reclaim(api: Api, at: Layout, volume: Object, directory: Path) -> None:
    """Remove a volume, and its directory where it is one below ours."""
    name = volume["metadata"]["name"]
    try:
        api.request("DELETE", f"{_VOLUMES}/{name}")
    except Refusal as refusal:
        if refusal.status != 404:
            raise
    if directory.resolve().is_relative_to(at.volumes.resolve()) and directory != at.volumes:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"volume {name}: removed with {directory}", flush=True)


def serve(api: Api, at: Layout) -> None:
    """List and watch for ever. The two kinds take turns: seconds a turn, as claims come rarely and volumes go rarely."""
    while True:
        try:
            claims = api.request("GET", _CLAIMS)
            for claim in filter(wants_volume, claims["items"]):
                provide(api, at, claim)
            for volume in api.request("GET", _VOLUMES)["items"]:
                if directory := released(volume):
                    reclaim(api, at, volume, directory)
            for event in api.watch(_CLAIMS, claims["metadata"]["resourceVersion"], seconds=20):
                if event["type"] == "ERROR":
                    break
                if event["type"] == "DELETED":
                    break  # its volume is about to be released: list again
                if wants_volume(event["object"]):
                    provide(api, at, event["object"])
        except (OSError, http.client.HTTPException, Refusal, ValueError) as error:
            print(f"trying again in a second: {error}", file=sys.stderr, flush=True)
            time.sleep(1)  # noqa: TID251 - a process of its own, no event loop here


if __name__ == "__main__":
    here = layout()
    serve(connect(here), here)
