"""Workflows of one namespace, as the end-to-end tests write, apply and read them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from e2e.audit import AuditLog
from e2e.kubectl import Cluster, wait_until
from fairlead.api.shard import read_tasks

__all__ = ["Workflows", "allow", "fairlead", "sh", "workflow"]

Object = dict[str, Any]


def sh(script: str, **fields: Any) -> Object:
    """Return the fields of a task that runs a line of shell and gives way to SIGTERM within a second."""
    return {
        "container": {"image": "busybox:1.36", "command": ["sh", "-c", script]},
        "pod": {"terminationGracePeriodSeconds": 1},
        **fields,
    }


def workflow(name: str, tasks: dict[str, Object], **spec: Any) -> Object:
    """Return a Workflow with these tasks."""
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"tasks": [{"name": task, **fields} for task, fields in tasks.items()], **spec},
    }


@dataclass(frozen=True, slots=True)
class Workflows:
    """One namespace, and the audit log from the moment it was made."""

    cluster: Cluster
    namespace: str
    audit: AuditLog

    def apply(self, *documents: Object) -> None:
        """Apply with strict validation."""
        self.cluster.apply(*documents, namespace=self.namespace)

    def patch(self, name: str, spec: Object) -> None:
        """Change fields of a Workflow's spec."""
        import json

        self.kubectl("patch", "workflow", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def kubectl(self, *arguments: str, timeout: float = 60) -> str:
        """Run kubectl in this namespace."""
        return self.cluster.kubectl(*arguments, "-n", self.namespace, timeout=timeout)

    def get(self, name: str) -> Object:
        """Return a Workflow."""
        return self.cluster.get("workflow", name, "-n", self.namespace)

    def status(self, name: str) -> Object:
        """Return a Workflow's status; empty before the first write."""
        found: Object = self.get(name).get("status", {})
        return found

    def task(self, name: str, task: str) -> Object:
        """Return one task's status; a Waiting one before the first write."""
        for each in self.status(name).get("tasks", ()):
            if each["name"] == task:
                return dict(each)
        return {"name": task, "phase": "Waiting"}

    def phases(self, name: str) -> dict[str, str]:
        """Return the phase of each task and item, wherever they are recorded."""
        run = self.get(name)
        shards = []
        if "shards" in run.get("status", {}):
            found = self.cluster.get("taskstatusshards", "-n", self.namespace)["items"]
            shards = [each for each in found if each["workflowUID"] == run["metadata"]["uid"]]
        return {task["name"]: task["phase"] for task in read_tasks(run.get("status", {}), shards)}

    def pods(self, selector: str = "fairlead.dev/workflow-uid") -> list[Object]:
        """Return the pods with a label."""
        items: list[Object] = self.cluster.get("pods", "-n", self.namespace, "-l", selector)["items"]
        return items

    def condition(self, name: str, kind: str) -> Object:
        """Return one condition; empty if there is none."""
        for each in self.status(name).get("conditions", ()):
            if each["type"] == kind:
                return dict(each)
        return {}

    def wait_finished(self, name: str, timeout: float = 120) -> Object:
        """Wait for the end of a run; return its status."""
        wait_until(
            f"workflow {name} to finish", lambda: self.condition(name, "Finished").get("status") == "True", timeout
        )
        return self.status(name)

    def wait_phase(self, name: str, task: str, *phases: str, timeout: float = 60) -> Object:
        """Wait until a task is in one of these phases; return its status."""
        wait_until(
            f"task {task} to be {' or '.join(phases)}",
            lambda: self.task(name, task)["phase"] in phases,
            timeout,
        )
        return self.task(name, task)


def allow(workflows: Workflows, resource: str, *verbs: str) -> None:
    """Let the namespace's default service account, in whose name runs act, do this to core objects of one kind."""
    rbac, name = "rbac.authorization.k8s.io", f"may-{resource}"
    rules = [{"apiGroups": [""], "resources": [resource], "verbs": list(verbs)}]
    who = {"kind": "ServiceAccount", "name": "default", "namespace": workflows.namespace}
    role: Object = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}
    binding: Object = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
        "subjects": [who],
    }
    workflows.apply(role, binding)


def fairlead(workflows: Workflows, *arguments: str) -> tuple[int, str]:
    """Run the command line as a user would; returns its exit code and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "fairlead.cli.main", *arguments, "-n", workflows.namespace],
        env=workflows.cluster.environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
