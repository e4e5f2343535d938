"""TaskStatusShards in every state: each scene ends when the only shard of the run is as its first line says."""

from __future__ import annotations

from typing import Any

from fairlead.kube.resources import TASKSTATUSSHARDS, Resource

from .stage import Stage, task

__all__ = ["SHARDS"]

#: More tasks than are recorded in a Workflow. They wait for one that does not end, so that they have no entry.
_WAITING = [task(f"later-{i}", "long") for i in range(200)]


async def shard_recorded(stage: Stage) -> Resource:
    """A task that is recorded here has failed, and its run goes on."""
    stage.workflow(
        tasks=[task("bad"), {"name": "sign-off", "approval": {"message": "Publish?"}}, task("long"), *_WAITING]
    )
    stage.start()
    await stage.until(lambda: {"Failed", "Running"} <= {each["phase"] for each in _shard(stage).get("tasks", ())})
    return TASKSTATUSSHARDS


async def shard_with_action(stage: Stage) -> Resource:
    """An action has changed what it says, and is not on record in its Workflow yet."""
    await shard_recorded(stage)
    stage.ask("Approve", tasks=["sign-off"])
    await stage.until(lambda: "undo" in _shard(stage))
    return TASKSTATUSSHARDS


async def shard_unheld(stage: Stage) -> Resource:
    """Somebody has taken off the finalizer that holds it."""
    await shard_recorded(stage)
    stage.cluster.patch(TASKSTATUSSHARDS, _shard(stage)["metadata"]["name"], {"metadata": {"finalizers": None}})
    return TASKSTATUSSHARDS


async def shard_deleted(stage: Stage) -> Resource:
    """Somebody has deleted it while its run goes on, which its finalizer holds up."""
    await shard_recorded(stage)
    stage.cluster.delete(TASKSTATUSSHARDS, _shard(stage)["metadata"]["name"])
    return TASKSTATUSSHARDS


def _shard(stage: Stage) -> dict[str, Any]:
    found = stage.cluster.list(TASKSTATUSSHARDS)
    return found[0] if found else {}


SHARDS = (shard_recorded, shard_with_action, shard_unheld, shard_deleted)
