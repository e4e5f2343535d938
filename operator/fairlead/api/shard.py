"""`TaskStatusShard` v1alpha1: the status of some hundreds of a large run's tasks. Written and read by the operator.

A Workflow with many tasks would outgrow the one object that it is. Shards are no interface: people and programs read
them through `fairlead` and the metrics.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.fields import MAX_TASKS
from fairlead.api.objects import ApiObject
from fairlead.api.status import TaskStatus

__all__ = ["TaskStatusShard"]

_PLACE_IS_FIXED: JsonDict = {
    "rule": "self.workflowUID == oldSelf.workflowUID && self.index == oldSelf.index",
    "message": "`workflowUID` and `index` must not change",
}


class TaskStatusShard(ApiObject):
    """Internal: the status of a part of a Workflow's tasks."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_PLACE_IS_FIXED]})

    KIND: ClassVar[str] = "TaskStatusShard"
    PLURAL: ClassVar[str] = "taskstatusshards"

    workflow_uid: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        alias="workflowUID", description="The UID of the Workflow whose tasks these are."
    )
    index: Annotated[int, Field(ge=0, le=MAX_TASKS)] = Field(
        description="Which of the Workflow's shards this is, from 0."
    )
    revision: Annotated[int, Field(ge=0, le=2**53)] = Field(
        description="Raised by each write; the revision of the Workflow's status that the tasks belong to."
    )
    tasks: Annotated[list[TaskStatus], Field(max_length=MAX_TASKS)] = Field(
        description="Where each task and item stands, as in a Workflow's `status.tasks`."
    )
