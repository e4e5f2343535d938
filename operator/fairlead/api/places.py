"""What is ours in the file system of a pod, and among its volumes. Users' own things go elsewhere."""

from __future__ import annotations

__all__ = [
    "FILES_DIRECTORY",
    "FILES_VOLUME",
    "OUTPUTS_FILE",
    "OWN_VOLUMES",
    "SCRIPT_DIRECTORY",
    "SCRIPT_VOLUME",
    "WORKSPACE_VOLUME",
    "own_place",
]

#: The container's termination message file, which the kubelet copies into the pod's status: outputs need no sidecar.
OUTPUTS_FILE = "/dev/termination-log"

SCRIPT_DIRECTORY = "/fairlead"

#: Where `files` with a relative path are. Not below the other one, which is read-only: nothing can be mounted in it.
FILES_DIRECTORY = "/fairlead-files"

SCRIPT_VOLUME = "fairlead-script"
FILES_VOLUME = "fairlead-files"
WORKSPACE_VOLUME = "fairlead-workspace"
OWN_VOLUMES = frozenset({SCRIPT_VOLUME, FILES_VOLUME, WORKSPACE_VOLUME})


def own_place(path: str) -> str:
    """Return which of our places an absolute path is, or is below; "" for none."""
    for place in (SCRIPT_DIRECTORY, FILES_DIRECTORY, OUTPUTS_FILE):
        if path == place or path.startswith(f"{place}/"):
            return place
    return ""
