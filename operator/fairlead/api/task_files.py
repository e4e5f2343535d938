"""`files` of a task: values that it finds as files, larger ones than fit into an environment variable."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.fields import ApiModel, JsonValue

__all__ = ["TaskFile", "TaskFiles"]


class TaskFile(ApiModel):
    """A file that the task can read."""

    path: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Where the file is. A relative path is below the directory that $FAIRLEAD_FILES names, in a "
        "cluster and in a local run; an absolute one needs a cluster. Without expressions."
    )
    value: JsonValue = Field(
        description="What is in it: a string as it is, any other value as JSON. Expressions are replaced in it."
    )


TaskFiles = Annotated[list[TaskFile], Field(max_length=64)]
