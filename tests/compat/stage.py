"""Playing a scene to a moment, and going on from what was recorded at it: by the operator as it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from fairlead.api import labels
from fairlead.api.shard import read_tasks
from fairlead.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    JOBS,
    PODS,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
)
from fairlead.testing.cluster import Cluster
from fairlead.testing.host import Host
from fairlead.testing.nodes import Act, Program

__all__ = ["NAME", "do", "end_of", "objects_of", "program_of", "to_its_end"]

Json = dict[str, Any]

NAME, NAMESPACE = "daily", "default"

_KINDS = (
    WORKFLOWTEMPLATES,
    WORKFLOWS,
    WORKFLOWACTIONS,
    TASKSTATUSSHARDS,
    CONTROLLERREVISIONS,
    CONFIGMAPS,
    PODS,
    JOBS,
)
#: Virtual seconds that any scene may take.
_MOST_SECONDS = 2000.0


def program_of(pods: Mapping[str, Json]) -> Program:
    """Return what pods do: two seconds of work, unless the scene says otherwise."""

    def program(pod: Mapping[str, Any]) -> Act:
        node = pod["metadata"]["annotations"][labels.NODE]
        number = pod["metadata"]["name"].rpartition("-")[2]
        task = node.partition("[")[0]
        found = next((pods[key] for key in (f"{node}#{number}", node, task) if key in pods), {})
        return Act(**({"seconds": 2} | found))

    return program


async def do(cluster: Cluster, steps: Iterable[Json]) -> None:
    """Do what a scene says: edits of the spec, and requests on the run."""
    for number, step in enumerate(steps):
        match step:
            case {"edit": spec}:
                cluster.patch(WORKFLOWS, NAME, {"spec": spec})
            case {"action": action}:
                uid = cluster.get(WORKFLOWS, NAME)["metadata"]["uid"]
                spec = {"workflowName": NAME, "workflowUID": uid, **action}
                cluster.put(WORKFLOWACTIONS, {"metadata": {"name": f"asked-{number}"}, "spec": spec}, NAMESPACE)
        await asyncio.sleep(1)


def objects_of(cluster: Cluster) -> list[Json]:
    """Return all objects of runs, as a backup would have them."""
    found = []
    for resource in _KINDS:
        for each in sorted(cluster.list(resource), key=lambda each: str(each["metadata"]["name"])):
            metadata = {key: value for key, value in each["metadata"].items() if key != "managedFields"}
            found.append({"apiVersion": resource.api_version, "kind": resource.kind, **each, "metadata": metadata})
    return found


async def to_its_end(cluster: Cluster, host: Host, steps: Iterable[Json]) -> None:
    """Let an operator go on with the run until that has ended."""
    host.start()
    await cluster.until(lambda: host.is_ready, seconds=60)
    await do(cluster, steps)
    assert await cluster.until(lambda: cluster.finished(NAME), seconds=_MOST_SECONDS), "it does not come to an end"
    await asyncio.sleep(5)


def end_of(cluster: Cluster) -> Json:
    """Return how the run has ended: its phase and results, and each task with its attempts."""
    run = cluster.get(WORKFLOWS, NAME)
    status, uid = run["status"], run["metadata"]["uid"]
    shards = [each for each in cluster.list(TASKSTATUSSHARDS) if each["workflowUID"] == uid]
    return {
        "phase": status["phase"],
        "outputs": status.get("outputs", {}),
        "tasks": {
            task["name"]: [task["phase"], len(task.get("attempts") or ())] for task in read_tasks(status, shards)
        },
    }
