"""`workspace`: a directory that the tasks of a run share, and what the schema cannot say about it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fairlead.api.fields import ApiModel
from fairlead.api.places import own_place
from fairlead.api.pod_rules import Report
from fairlead.api.quantities import parse_quantity

__all__ = ["DEFAULT_MOUNT_PATH", "Workspace", "check_workspace"]

DEFAULT_MOUNT_PATH = "/workspace"


class Workspace(ApiModel):
    """A volume that every `container`, `script` and `job` task of the run has; it goes with the run."""

    size: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="How large the volume is, as a Kubernetes quantity such as 10Gi."
    )
    access_modes: (
        Annotated[
            list[Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]], Field(min_length=1, max_length=3)
        ]
        | None
    ) = Field(
        default=None,
        description="How it can be mounted. With ReadWriteOnce all tasks run on one node. Default: [ReadWriteOnce].",
    )
    storage_class_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The StorageClass. Default: the cluster's."
    )
    mount_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Where it is mounted; $FAIRLEAD_WORKSPACE names the place, in a local run, too. "
        f"Default: {DEFAULT_MOUNT_PATH}.",
    )

    @property
    def place(self) -> str:
        """Where it is mounted."""
        return (self.mount_path or DEFAULT_MOUNT_PATH).rstrip("/")


def check_workspace(workspace: Workspace, path: str, report: Report) -> None:
    """Check what the schema cannot."""
    try:
        amount = parse_quantity(workspace.size)
    except ValueError:
        report(f"{path}.size", f"must be a quantity such as 500Mi or 10Gi, not {workspace.size!r}")
    else:
        if amount <= 0:
            report(f"{path}.size", f"must be greater than 0, unlike {workspace.size!r}")
    modes = workspace.access_modes or ()
    if len(set(modes)) < len(modes):
        report(f"{path}.accessModes", "must name each mode once")
    place = workspace.place
    if not place.startswith("/") or ":" in place or any(part in (".", "..") for part in place.split("/")):
        report(f"{path}.mountPath", "must be an absolute path other than /, without ':', '.' and '..'")
    elif taken := own_place(place):
        report(f"{path}.mountPath", f"must not be at or below {taken}, which is Fairlead's")
