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
    """The directory of a volume of ours whose claim is gone, or None."""
    directory = volume["metadata"].get("annotations", {}).get(_MARK)
    phase = volume.get("status", {}).get("phase")
    return Path(directory) if directory and phase in ("Released", "Failed") else None


def directory_of(at: Layout, claim: Object) -> Path:
    """Where a claim's data lies."""
    return at.volumes / str(claim["metadata"]["namespace"]) / str(claim["metadata"]["name"])


def provide(api: Api, claim: Object, directory: Path) -> None:
    """Make the directory and the volume of a claim."""
    directory.mkdir(parents=True, exist_ok=True)
    # Any user may write, as pods run under any id: hostPath volumes know no fsGroup.
    directory.chmod(0o777)
    api.ensure(_VOLUMES, volume_for(claim, directory))
    print(f"provided {directory}", flush=True)


def reclaim(api: Api, at: Layout, volume: Object, directory: Path) -> None:
    """Remove the directory of a volume, where it is one below ours, and then the volume."""
    if directory.resolve().is_relative_to(at.volumes.resolve()) and directory.resolve() != at.volumes.resolve():
        shutil.rmtree(directory, ignore_errors=True)
    try:
        api.request("DELETE", f"{_VOLUMES}/{volume['metadata']['name']}")
    except Refusal as refusal:
        if refusal.status != 404:
            raise
    print(f"reclaimed {directory}", flush=True)


def turn(api: Api, at: Layout) -> tuple[str, bool]:
    """One look at everything: reclaim, then provide. Returns the claims' version, and whether some must wait.

    A claim that was deleted and made again waits until its predecessor's directory is gone: it would see, and
    then lose, the old data.
    """
    claims = api.request("GET", _CLAIMS)
    taken: set[str] = set()
    for volume in api.request("GET", _VOLUMES)["items"]:
        if directory := released(volume):
            reclaim(api, at, volume, directory)
        else:
            taken.add(volume["metadata"].get("annotations", {}).get(_MARK, ""))
    waiting = False
    for claim in filter(wants_volume, claims["items"]):
        directory = directory_of(at, claim)
        if str(directory) in taken:
            waiting = True
        else:
            provide(api, claim, directory)
    return claims["metadata"]["resourceVersion"], waiting


def serve(api: Api, at: Layout) -> None:
    """Look, then sleep on a watch until a claim comes or goes, for ever."""
    while True:
        try:
            version, waiting = turn(api, at)
            for event in api.watch(_CLAIMS, version, seconds=1 if waiting else 20):
                if event["type"] in ("DELETED", "ERROR") or wants_volume(event["object"]):
                    break
        except (OSError, http.client.HTTPException, Refusal, ValueError) as error:
            print(f"trying again in a second: {error}", file=sys.stderr, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    here = layout()
    serve(connect(here), here)
