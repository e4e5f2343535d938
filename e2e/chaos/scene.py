"""One namespace in which runs are played: asking how far they are, waiting, and looking at what is left.

Everything is read by a client of its own, which is not the operator's: the API server may be away for a while, so a
read that fails is no failure, and every wait has a deadline.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from e2e.audit import AuditLog
from e2e.chaos.keeper import Keeper
from e2e.chaos.ledger import Witness, read
from e2e.chaos.script import Planned
from e2e.devcluster.api import Api, Refusal
from e2e.kubectl import Cluster, CommandFailed
from e2e.workflows import Workflows
from fairlead.api import labels
from fairlead.api.shard import read_tasks

__all__ = ["Scene", "Stuck", "say"]

T = TypeVar("T")
Object = dict[str, Any]

_FAIRLEAD = "/apis/fairlead.dev/v1alpha1"

#: Where what a run makes is listed.
_KINDS = {
    "workflows": _FAIRLEAD,
    "taskstatusshards": _FAIRLEAD,
    "workflowactions": _FAIRLEAD,
    "pods": "/api/v1",
    "configmaps": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "jobs": "/apis/batch/v1",
    "controllerrevisions": "/apis/apps/v1",
}

_AWAY = (Refusal, OSError, HTTPException, CommandFailed, subprocess.TimeoutExpired)


class Stuck(Exception):
    """Something did not come about in time."""


def say(line: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Scene:
    """A namespace, the operators that serve it, and the runs in it."""

    cluster: Cluster
    api: Api
    namespace: str
    audit: AuditLog
    keepers: Sequence[Keeper] = ()
    runs: list[Planned] = field(default_factory=list)
    _ended: set[str] = field(default_factory=set)
    _asked: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, cluster: Cluster, api: Api, namespace: str, keepers: Sequence[Keeper]) -> Scene:
        """Make the namespace, without anything of an earlier run in it."""
        cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s", timeout=130)
        cluster.kubectl("create", "namespace", namespace)
        assert cluster.audit_log is not None
        scene = cls(cluster, api, namespace, AuditLog.from_now(Path(cluster.audit_log)), keepers)
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        scene.until("the default service account", lambda: api.exists(account), 30)
        return scene

    @property
    def workflows(self) -> Workflows:
        """The namespace as the tests see it, by kubectl."""
        return Workflows(self.cluster, self.namespace, self.audit)

    def until(self, what: str, probe: Callable[[], T | None], seconds: float, interval: float = 0.25) -> T:
        """Wait until `probe` returns something true; the operators are kept running meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            for keeper in self.keepers:
                keeper.tend()
            try:
                found = probe()
            except _AWAY:
                found = None
            if found:
                return found
            if time.monotonic() > deadline:
                raise Stuck(f"waited {seconds:.0f} s for {what}, in vain")
            time.sleep(interval)

    def pause(self, seconds: float) -> None:
        """Let time pass, with the operators kept running and requests made as their time comes."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for keeper in self.keepers:
                keeper.tend()
            self.step()
            time.sleep(min(0.5, max(0.0, left)))

    def play(self, runs: Iterable[Planned]) -> None:
        """Apply runs."""
        for run in runs:
            self.runs.append(run)
            self.workflows.apply(*run.documents)

    def step(self) -> list[str]:
        """Look at all runs once, and ask what is to be asked of them. Returns the names of those under way."""
        for run in self.runs:
            if run.name in self._ended:
                continue
            try:
                self._look(run)
            except _AWAY:
                continue
        return [run.name for run in self.runs if run.name not in self._ended]

    def finish(self, seconds: float) -> None:
        """Wait for the end of all runs."""
        began, told = time.monotonic(), time.monotonic()

        def ended() -> bool:
            nonlocal told
            left = self.step()
            if time.monotonic() - told > 15:
                told = time.monotonic()
                say(f"  {told - began:.0f} s: {self.progress()}, not ended: {', '.join(left)}")
            return not left

        self.until("all runs to end", ended, seconds, 0.5)

    def progress(self) -> str:
        """How many of the tasks have ended."""
        try:
            found = self.all_of("workflows")
        except _AWAY:
            return "the API server does not answer"
        counts = [each.get("status", {}).get("progress", "0/0").split("/") for each in found]
        return f"{sum(int(done) for done, _ in counts)} of {sum(int(total) for _, total in counts)} tasks"

    def _look(self, run: Planned) -> None:
        workflow = self.get(run.name)
        status = workflow.get("status", {})
        asked = run.request
        if asked is not None and run.name not in self._asked:
            if asked.when(status, self.entries(workflow)):
                self._ask(run, workflow["metadata"]["uid"], asked.fields)
                self._asked.add(run.name)
            return
        finished = any(each["type"] == "Finished" and each["status"] == "True" for each in status.get("conditions", ()))
        if finished and status.get("epoch", 1) >= run.epoch:
            self._ended.add(run.name)

    def _ask(self, run: Planned, uid: str, fields: Object) -> None:
        spec = {"workflowName": run.name, "workflowUID": uid, **fields}
        action = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "WorkflowAction", "spec": spec}
        # By a name of its own: asked twice, it is one request.
        self.api.ensure(self.path("workflowactions"), action | {"metadata": {"name": f"{run.name}-asked"}})

    def path(self, kind: str, name: str = "") -> str:
        """The path of the objects of a kind here, or of one of them."""
        return f"{_KINDS[kind]}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def get(self, name: str, kind: str = "workflows") -> Object:
        """Return one object."""
        found: Object = self.api.request("GET", self.path(kind, name))
        return found

    def all_of(self, kind: str) -> list[Object]:
        """Return all objects of a kind."""
        found: list[Object] = self.api.request("GET", self.path(kind))["items"]
        return found

    def entries(self, workflow: Mapping[str, Any]) -> dict[str, Object]:
        """Return the entries of a run's tasks, wherever they are recorded."""
        status, uid = workflow.get("status", {}), workflow["metadata"]["uid"]
        shards = self.all_of("taskstatusshards") if "shards" in status else []
        return {each["name"]: each for each in read_tasks(status, [s for s in shards if s["workflowUID"] == uid])}

    def task(self, run: str, node: str) -> Object:
        """Return the entry of one task; a waiting one before there is any."""
        return self.entries(self.get(run)).get(node, {"name": node, "phase": "Waiting"})

    def running_pod(self, run: str, node: str, seconds: float = 90) -> str:
        """Wait until a task's container runs; return the name of its pod.

        The pod itself is asked: where the API server is slow, the record of a run may be half a minute behind.
        """

        def running() -> str | None:
            names = [
                str(pod["metadata"]["name"])
                for pod in self.all_of("pods")
                if pod["metadata"].get("annotations", {}).get(labels.NODE) == node
                and pod["metadata"]["annotations"].get(labels.RUN_NAME) == run
                and pod["status"].get("phase") == "Running"
            ]
            return names[0] if names else None

        return self.until(f"{node} of {run} to run", running, seconds)

    def recorded_pod(self, run: str, node: str, seconds: float = 90) -> str:
        """Wait until a task's container runs, and that is on record; return the name of its pod."""

        def running() -> str | None:
            task = self.task(run, node)
            return str(task["attempts"][-1]["podName"]) if task["phase"] == "Running" else None

        return self.until(f"it to be on record that {node} of {run} runs", running, seconds)

    def witnesses(self) -> dict[str, Witness]:
        """Return what the audit log says of the objects that carry attempts here, by kind."""
        entries = self.audit.all_of(self.namespace)
        return {
            kind: read(entry for entry in entries if entry["objectRef"]["resource"] == kind)
            for kind in ("pods", "jobs", "workflows")
        }

    def held(self) -> list[str]:
        """Pods that have not ended, and objects that we still hold, after the end of all runs."""
        alive = [
            f"pod {pod['metadata']['name']} is {pod['status'].get('phase')}"
            for pod in self.all_of("pods")
            if pod["status"].get("phase") not in ("Succeeded", "Failed")
        ]
        held = [
            f"{kind[:-1]} {each['metadata']['name']} is held"
            for kind in ("pods", "jobs")
            for each in self.all_of(kind)
            if labels.FINALIZER in each["metadata"].get("finalizers", ())
        ]
        return alive + held

    def left(self) -> list[str]:
        """What there is of any run: nothing, once all of them were deleted."""
        return [
            f"{kind[:-1]} {each['metadata']['name']}"
            for kind in _KINDS
            for each in self.all_of(kind)
            if each["metadata"]["name"] != "kube-root-ca.crt"
        ]
