"""`TaskStatusShard` v1alpha1: the status of some hundreds of a large run's tasks. Written and read by the operator.

A Workflow with many tasks would outgrow the one object that it is. Shards are no interface: people and programs read
them through `fairlead` and the metrics; :func:`read_tasks` is the one way to read them. A task that waits and of which
nothing has happened yet is in no shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.fields import MAX_TASKS, ApiModel
from fairlead.api.objects import ApiObject
from fairlead.api.status import TaskStatus
from fairlead.engine.names import task_and_index

__all__ = ["TaskStatusShard", "UndoStatus", "read_tasks", "settled_tasks"]

_NodeName = Annotated[str, Field(min_length=1, max_length=80)]

_PLACE_IS_FIXED: JsonDict = {
    "rule": "self.workflowUID == oldSelf.workflowUID && self.index == oldSelf.index",
    "message": "`workflowUID` and `index` must not change",
}


class UndoStatus(ApiModel):
    """What a shard said before a user's action changed it.

    Until the Workflow's `status.actions` has the action, that is what it still says: an action that changes tasks in
    several shards is done, for whoever reads them, by the one write of the Workflow's status that follows.
    """

    action: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="The UID of the WorkflowAction.")
    tasks: Annotated[list[TaskStatus], Field(max_length=MAX_TASKS)] = Field(
        description="The entries that were changed or taken away, as they were."
    )
    added: Annotated[list[_NodeName], Field(max_length=MAX_TASKS)] = Field(
        description="The names of the entries that were not there."
    )


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
    revision: Annotated[int, Field(ge=0, le=2**53)] = Field(description="Counts the writes of this object.")
    tasks: Annotated[list[TaskStatus], Field(max_length=MAX_TASKS)] = Field(
        description="Where each task and item stands, as in a Workflow's `status.tasks`."
    )
    undo: UndoStatus | None = Field(
        default=None, description="What it says instead until an action is on record in the Workflow."
    )


def read_tasks(status: Mapping[str, Any], shards: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of all tasks of a run, each with those of its items after it, wherever they are recorded.

    `status` is the Workflow's, `shards` are its TaskStatusShards in any order, none for a small run.
    """
    if "shards" not in status:
        return list(status.get("tasks") or ())
    found: dict[str, dict[str, Any]] = {}
    for shard in sorted(shards, key=lambda each: int(each["index"])):
        # An entry that outgrew its shard has moved to a later one, and is taken out of the former after that.
        found |= {each["name"]: each for each in settled_tasks(status, shard)}
    items: dict[str, list[tuple[int, str]]] = {}
    tasks: dict[str, None] = {}
    for name in found:
        task, index = task_and_index(name)
        tasks[task] = None
        if index is not None:
            items.setdefault(task, []).append((index, name))
    in_order = (name for task in tasks for name in (task, *(item for _, item in sorted(items.get(task, ())))))
    return [found[name] for name in in_order if name in found]


def settled_tasks(status: Mapping[str, Any], shard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of one shard that count: what an action changed that is not on record is left out."""
    undo = shard.get("undo")
    if undo is None or any(each["uid"] == undo["action"] for each in status.get("actions") or ()):
        return list(shard["tasks"])
    added = frozenset(undo["added"])
    entries = {each["name"]: each for each in shard["tasks"] if each["name"] not in added}
    return list((entries | {each["name"]: each for each in undo["tasks"]}).values())
