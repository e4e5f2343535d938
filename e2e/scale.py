"""`make scale`: a list of 10,000 items and a graph of 10,000 tasks, on simulated nodes, from their start to their end.

It fails when a run does not end well, when any object that records one is larger than a million bytes (the API server
takes about half as much again), or when what is recorded of a task takes more room in a large run than in a small one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e import dev_operator
from e2e.kubectl import Cluster
from e2e.operators import OperatorProcess

NAMESPACE = "fairlead-scale"

#: The most bytes that any object may have, as JSON.
LARGEST = 1_000_000

#: By how much what is recorded of a task may grow from the small run to the large one.
GROWTH = 1.3

_LIMIT_SECONDS = 900.0
_LAYERS = 10
_DEFAULTS: dict[str, Any] = {
    "image": "busybox:1.36",
    "pod": {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    },
}

Object = dict[str, Any]


def listed(count: int) -> Object:
    """Return the spec of one task over a list of so many items."""
    items = "${params.items}"
    return {
        "params": [{"name": "items", "type": "array", "default": list(range(count))}],
        "taskDefaults": _DEFAULTS,
        "tasks": [{"name": "m", "forEach": {"in": items, "maxParallel": 500}, "container": {}}],
    }


def layered(count: int) -> Object:
    """Return the spec of a graph of ten layers, each task after two of the layer before."""
    width = count // _LAYERS
    tasks: list[Object] = []
    for layer in range(_LAYERS):
        for index in range(width):
            task: Object = {"name": f"t{layer}-{index}", "container": {}}
            if layer:
                task["needs"] = [f"t{layer - 1}-{index}", f"t{layer - 1}-{(index + 1) % width}"]
            tasks.append(task)
    return {"taskDefaults": _DEFAULTS, "parallelism": 500, "tasks": tasks}


SHAPES: dict[str, Callable[[int], Object]] = {"list": listed, "layers": layered}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: how long it took, and how it is recorded."""

    shape: str
    tasks: int
    seconds: float
    objects: int
    largest: int
    status_bytes: int

    @property
    def bytes_per_task(self) -> float:
        """What the status of one task takes."""
        return self.status_bytes / self.tasks


def measure(cluster: Cluster, shape: str, count: int) -> Measured:
    """Run one shape to its end."""
    name = f"{shape}-{count}"
    manifest = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": SHAPES[shape](count),
    }
    began = time.monotonic()
    # Server-side: a copy of a definition of this size does not fit into the annotation that `kubectl apply` keeps.
    arguments = ("apply", "--server-side", "--validate=strict", "-n", NAMESPACE, "-f", "-")
    cluster.kubectl(*arguments, stdin=json.dumps(manifest), timeout=60)
    status = _wait(cluster, name, began)
    seconds = time.monotonic() - began
    if status["phase"] != "Succeeded":
        raise SystemExit(f"{name} ended {status['phase']}: {status.get('message')}")
    workflow = cluster.get("workflow", name, "-n", NAMESPACE)
    uid = workflow["metadata"]["uid"]
    shards = [
        each
        for each in cluster.get("taskstatusshards", "-n", NAMESPACE)["items"]
        if any(owner["uid"] == uid for owner in each["metadata"]["ownerReferences"])
    ]
    recorded = [_size(workflow["status"]), *(_size(shard) for shard in shards)]
    shown = sum(len(shard["tasks"]) for shard in shards) + len(workflow["status"].get("tasks", ()))
    if shown < count:
        raise SystemExit(f"{name}: the status shows {shown} of {count} tasks")
    largest = max([_size(workflow), *(_size(shard) for shard in shards)])
    return Measured(shape, count, seconds, 1 + len(shards), largest, sum(recorded))


def _wait(cluster: Cluster, name: str, began: float) -> Object:
    """Wait for the end of a run, saying how far it is; return its status."""
    told = began
    while True:
        status: Object = cluster.get("workflow", name, "-n", NAMESPACE).get("status", {})
        if any(each["type"] == "Finished" and each["status"] == "True" for each in status.get("conditions", ())):
            return status
        now = time.monotonic()
        if now - began > _LIMIT_SECONDS:
            raise SystemExit(f"{name} has not ended after {_LIMIT_SECONDS:.0f} s: {status.get('progress')}")
        if now - told > 15:
            told = now
            print(f"{name}: {status.get('progress', 'not started')} after {now - began:.0f} s", file=sys.stderr)
        time.sleep(1)


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def judge(runs: list[Measured]) -> list[str]:
    """Return what is wrong."""
    problems = [
        f"{run.shape} of {run.tasks}: an object of {run.largest:,} bytes, more than {LARGEST:,}"
        for run in runs
        if run.largest > LARGEST
    ]
    for shape in SHAPES:
        small, *_, large = sorted((run for run in runs if run.shape == shape), key=lambda run: run.tasks)
        growth = large.bytes_per_task / small.bytes_per_task
        if growth > GROWTH:
            problems.append(f"{shape}: a task takes {growth:.2f} times the room in the large run, more than {GROWTH}")
    return problems


def main() -> int:
    """Run the shapes in both sizes, print the table, and say what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m e2e.scale", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of the large runs, ten times the small ones")
    parser.add_argument("--shape", choices=[*SHAPES], help="only this shape")
    arguments = parser.parse_args()
    shapes = [arguments.shape] if arguments.shape else [*SHAPES]
    cluster = Cluster.current()
    dev_operator.make_way()
    cluster.install_crds()
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=300s", timeout=310)
    cluster.kubectl("create", "namespace", NAMESPACE)
    runs: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder, OperatorProcess(cluster, Path(folder) / "operator.log") as operator:
        operator.wait_ready()
        try:
            # What a run has left is not collected before the end: that would be measured with the next one.
            for count in (arguments.tasks // 10, arguments.tasks):
                for shape in shapes:
                    runs.append(measure(cluster, shape, count))
                    print(f"{shape} of {count}: {runs[-1].seconds:.0f} s", file=sys.stderr)
        except SystemExit:
            print(operator.log_tail(), file=sys.stderr)
            raise
        finally:
            cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    print(f"\n{'shape':<10}{'tasks':>8}{'seconds':>10}{'objects':>10}{'largest object':>17}{'bytes a task':>15}")
    for run in sorted(runs, key=lambda run: (run.shape, run.tasks)):
        print(
            f"{run.shape:<10}{run.tasks:>8}{run.seconds:>10.0f}{run.objects:>10}{run.largest:>17,}"
            f"{run.bytes_per_task:>15.0f}"
        )
    problems = judge(runs) if not arguments.shape else []
    for problem in problems:
        print(problem)
    print(f"\n{len(runs) - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
