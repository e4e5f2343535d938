"""What a user may write about what a task does: one model for each kind. How they are compiled is in `kinds/`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.embedded import Image, JobSpec, Resources, VolumeMounts
from fairlead.api.fields import ApiModel

__all__ = ["Job", "Script"]


class Script(ApiModel):
    """A program in the definition itself."""

    source: str = Field(
        min_length=1,
        max_length=262_144,
        description="The program, run from a file exactly as it is: expressions are not replaced in it. "
        "Pass values through `env`.",
    )
    interpreter: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(min_length=1, max_length=32)] | None
    ) = Field(default=None, description="The command that runs the file; its path is appended. Default: [python3].")
    image: Image | None = Field(default=None, description="The container image. Default: `spec.taskDefaults.image`.")
    volume_mounts: VolumeMounts | None = Field(
        default=None, description="Volumes of the pod to mount, as in a core/v1 Container."
    )
    resources: Resources | None = Field(default=None, description="Compute resources, as in a core/v1 Container.")
    working_dir: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, description="The working directory. Default: that of the image."
    )


class Job(ApiModel):
    """A Job."""

    spec: JobSpec = Field(
        description="A batch/v1 JobSpec. The pod template must have a container named `main`, whose exit and "
        "outputs count; `restartPolicy` is `Never` unless set to `OnFailure`."
    )
