"""The engines that are compared, each behind the same few functions. Another one is one more class like these."""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from e2e.bench.bare import POD
from e2e.bench.shapes import Shape
from e2e.devcluster.api import Api
from e2e.kubectl import Cluster
from e2e.operators import OperatorProcess

__all__ = ["Bare", "Engine", "Fairlead", "phases", "workflow"]

Object = dict[str, Any]

#: The phases of a run that is over.
_ENDS = ("Succeeded", "Failed", "Cancelled")

_WORKFLOWS = "/apis/fairlead.dev/v1alpha1/namespaces/{}/workflows"


class Engine(Protocol):
    """An engine under measurement."""

    name: str

    def start(self) -> None:
        """Start it, and wait until it takes work."""

    @property
    def pid(self) -> int:
        """The process whose CPU time and memory are its own."""

    def play(self, shape: Shape, namespace: str, seconds: float) -> float:
        """Play a shape in an empty namespace, in at most so many seconds. Returns how long it took."""

    def counters(self) -> Mapping[str, float]:
        """Return what it counts itself, as far as it does: `writes`, `status_bytes`, and `hop/…` buckets."""

    def stop(self) -> None:
        """End it."""


class Bare:
    """The bare driver; with `floor`, the one that loses nothing."""

    def __init__(self, cluster: Cluster, folder: Path, *, floor: bool = False) -> None:
        self.name = "floor" if floor else "bare"
        self._cluster = cluster
        self._folder = folder
        self._floor = floor
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """See `Engine`."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """See `Engine`."""
        with (self._folder / f"{self.name}.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "e2e.bench.bare", str(self._cluster.kubeconfig)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._line(60)

    def play(self, shape: Shape, namespace: str, seconds: float) -> float:
        """See `Engine`."""
        assert self._process is not None
        assert self._process.stdin is not None
        parents = shape.parents()
        if shape.items:
            parents = {f"m-{number}": [] for number in range(shape.items)}
        elif shape.copies > 1:
            parents = {
                f"w{copy}-{name}": [f"w{copy}-{each}" for each in before]
                for copy in range(shape.copies)
                for name, before in parents.items()
            }
        asked = {"namespace": namespace, "parents": parents, "atOnce": shape.at_once, "floor": self._floor}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return float(json.loads(self._line(seconds))["seconds"])

    def counters(self) -> Mapping[str, float]:
        """See `Engine`."""
        return {}

    def stop(self) -> None:
        """See `Engine`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def _line(self, seconds: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if readable else ""
        if not line:
            log = (self._folder / f"{self.name}.log").read_text()[-2000:]
            raise TimeoutError(f"the {self.name} driver did not answer in {seconds:.0f} s: {log}")
        return line


class Fairlead:
    """The operator as a process on this machine."""

    name = "fairlead"

    def __init__(self, cluster: Cluster, api: Api, folder: Path) -> None:
        self.cluster, self.api, self.folder = cluster, api, folder
        self._operator = OperatorProcess(cluster, folder / "operator.log")

    @property
    def pid(self) -> int:
        """See `Engine`."""
        assert self._operator.process is not None
        return self._operator.process.pid

    def start(self, *, ready: bool = True) -> None:
        """See `Engine`; with `ready` False it is not waited for."""
        self._operator.start()
        if ready:
            self._operator.wait_ready(60)

    def play(self, shape: Shape, namespace: str, seconds: float) -> float:
        """See `Engine`."""
        path = _WORKFLOWS.format(namespace)
        bodies = [workflow(f"w{copy}", shape) for copy in range(shape.copies)]
        began = time.perf_counter()
        for body in bodies:
            self.api.request("POST", path, body)
        succeeded: set[str] = set()
        for name, phase in self._ends(path, began + seconds):
            if phase != "Succeeded":
                raise RuntimeError(f"{shape.name}: {self._failure(path)}")
            succeeded.add(name)
            if len(succeeded) == shape.copies:
                return time.perf_counter() - began
        raise TimeoutError(f"{shape.name}: not over after {seconds:.0f} s: {phases(self.api, path)[:5]}")

    def _ends(self, path: str, deadline: float) -> Iterator[tuple[str, str]]:
        """Tell of runs as they end, perhaps more than once: by name, and how.

        By a watch: who asks every few milliseconds costs the API server more than what is measured.
        """
        while (left := deadline - time.perf_counter()) > 0:
            listed = self.api.table(path)
            phase = next(i for i, each in enumerate(listed["columnDefinitions"]) if each["name"] == "Phase")
            for row in listed["rows"]:
                if row["cells"][phase] in _ENDS:
                    yield row["object"]["metadata"]["name"], str(row["cells"][phase])
            for event in self.api.watch(path, listed["metadata"]["resourceVersion"], max(1, min(60, round(left)))):
                if event["type"] == "ERROR":
                    break  # its history is over: what there is now is listed anew
                told = event["object"].get("status", {}).get("phase")
                if told in _ENDS:
                    yield event["object"]["metadata"]["name"], told

    def _failure(self, path: str) -> str:
        """Return what the first that has failed says."""
        found = self.api.request("GET", path, timeout=60)["items"]
        failed = next(each for each in found if each.get("status", {}).get("phase") in ("Failed", "Cancelled"))
        return f"{failed['metadata']['name']} is {failed['status']['phase']}: {failed['status'].get('message')}"

    def counters(self) -> Mapping[str, float]:
        """See `Engine`."""
        return scrape(self._operator.fetch("metrics")[1])

    def kill(self) -> None:
        """SIGKILL: the next one finds what this one left."""
        self._operator.kill()

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self._operator.log_tail()

    def stop(self) -> None:
        """See `Engine`."""
        if self._operator.alive:
            self._operator.stop()


def scrape(text: str) -> Mapping[str, float]:
    """Return the counters out of the operator's metrics."""
    found: dict[str, float] = {"writes": 0, "status_bytes": 0}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, _, value = line.rpartition(" ")
        if name.startswith("fairlead_api_requests_total"):
            if re.search(r'verb="(create|patch|update|delete)"', name) and "events" not in name:
                found["writes"] += float(value)
        elif name.startswith("fairlead_status_written_bytes_total"):
            found["status_bytes"] += float(value)
        elif bucket := re.match(r'fairlead_hop_duration_seconds_bucket\{le="([^"]+)"\}', name):
            found[f"hop/{bucket[1]}"] = float(value)
    return found


def phases(api: Api, path: str) -> list[str]:
    """Return the phases of all workflows: as a table, without the workflows themselves, from the server's cache."""
    found = api.table(f"{path}?resourceVersion=0&includeObject=None")
    column = next(i for i, each in enumerate(found["columnDefinitions"]) if each["name"] == "Phase")
    return [str(row["cells"][column]) for row in found["rows"]]


def workflow(name: str, shape: Shape) -> Object:
    """Return a shape as a Workflow."""
    tasks: list[Object] = []
    for task in shape.tasks:
        body: Object = {"name": task.name, "container": {}}  # what 10,000 of them say has to fit into one object
        if task.needs:
            body["needs"] = list(task.needs)
        if task.group:
            body["group"] = task.group
        if shape.items:
            body["forEach"] = {"in": "${params.items}", "maxParallel": shape.at_once}
        tasks.append(body)
    spec: Object = {"taskDefaults": {"image": "busybox:1.36", "pod": POD}, "tasks": tasks}
    if shape.items:
        spec["params"] = [{"name": "items", "type": "array", "default": list(range(shape.items))}]
    elif shape.at_once:
        spec["concurrencyKey"] = {"key": shape.name, "limit": shape.at_once}
    return {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}
