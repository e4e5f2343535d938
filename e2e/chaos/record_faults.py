"""Faults of what a large run is recorded in: its namespace goes, or one of its shards."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any

from e2e.chaos.scene import Scene, say
from e2e.chaos.trial import Trial
from e2e.chaos.workload import large, mixed

__all__ = ["namespace_deleted", "shard_deleted"]

Object = dict[str, Any]


def namespace_deleted(trial: Trial) -> None:
    """The namespace of a large run is deleted in mid-run: with an operator, and while none runs. Others go on."""
    keeper = trial.keeper()
    beside = trial.scene(keeper, suffix="-beside")
    keeper.start()
    beside.play(mixed(depth=6))
    for absent in (False, True):
        scene = trial.scene(keeper, suffix="-absent" if absent else "")
        # Its last task never ends by itself.
        scene.play([large("leaving", items=200, last=3000)])
        scene.until("half of its items to have ended", partial(_half, scene), 90)
        uids = {"leaving": scene.get("leaving")["metadata"]["uid"]}
        if absent:
            keeper.kill()
        trial.cluster.kubectl("delete", "namespace", scene.namespace, "--wait=false")
        when = datetime.now().astimezone()
        trial.struck(f"{scene.namespace} is deleted{' while no operator runs' if absent else ''}")
        if absent:
            beside.pause(5)
            keeper.start()
        trial.wait_gone(scene)
        say(f"{trial.row.fault}: {scene.namespace} is gone")
        trial.account_without_record(scene, uids, when)
    trial.settle(beside)


def shard_deleted(trial: Trial) -> None:
    """A shard is deleted, then taken out of our finalizer's hold: with an operator, and while none runs."""
    keeper = trial.keeper()
    scene = trial.scene(keeper)
    keeper.start()
    scene.play([large("sharded", items=120, last=75)])
    scene.until("a quarter of its items to have ended", lambda: _half(scene, 30), 90)
    shard = _shards(scene)[0]["metadata"]
    scene.workflows.kubectl("delete", "taskstatusshard", shard["name"], "--wait=false")
    trial.struck(f"{shard['name']} is deleted ({scene.progress()})")
    scene.pause(3)
    trial.check(_uid(scene, shard["name"]) == shard["uid"], "a shard went although it was held")
    _strip(scene, shard["name"])
    trial.struck(f"{shard['name']} is let go of by hand")
    scene.until("the shard to be written again", lambda: _uid(scene, shard["name"]) not in ("", shard["uid"]), 90)
    say(f"{trial.row.fault}: it was written again")
    scene.running_pod("sharded", "end")
    keeper.kill()
    copy = scene.get(shard["name"], "taskstatusshards")
    scene.workflows.kubectl("delete", "taskstatusshard", shard["name"], "--wait=false")
    _strip(scene, shard["name"])
    trial.struck(f"{shard['name']} is removed while no operator runs")
    keeper.start()
    scene.until("the run to say what it misses", lambda: _stalled(scene, "sharded"), 60)
    say(f"{trial.row.fault}: the run is Stalled, ShardMissing; the shard is restored")
    for name in ("uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp", "managedFields"):
        copy["metadata"].pop(name, None)
    scene.api.request("POST", scene.path("taskstatusshards"), copy)
    trial.settle(scene)


def _half(scene: Scene, count: int = 100) -> bool:
    workflow = next(iter(scene.all_of("workflows")))
    entries = scene.entries(workflow)
    return sum(1 for name, each in entries.items() if "[" in name and each["phase"] == "Succeeded") >= count


def _shards(scene: Scene) -> list[Object]:
    return sorted(scene.all_of("taskstatusshards"), key=lambda each: int(each["index"]))


def _uid(scene: Scene, name: str) -> str:
    return next((each["metadata"]["uid"] for each in _shards(scene) if each["metadata"]["name"] == name), "")


def _strip(scene: Scene, name: str) -> None:
    nobody = json.dumps({"metadata": {"finalizers": None}})
    scene.workflows.kubectl("patch", "taskstatusshard", name, "--type=merge", "-p", nobody)


def _stalled(scene: Scene, run: str) -> bool:
    conditions = scene.get(run).get("status", {}).get("conditions", ())
    return any(each["type"] == "Stalled" and each["reason"] == "ShardMissing" for each in conditions)
