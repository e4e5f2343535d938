"""What runs under the release, and whether any of it was lost or repeated: by the audit log, not by our own word."""

from __future__ import annotations

from typing import Any

from e2e.audit import AuditLog
from e2e.kubectl import Cluster, wait_until

__all__ = ["attempts", "each_attempt_was_created_once", "held", "sleeper", "wait_for_tasks"]

_FINALIZER = "fairlead.dev/outcome"


def sleeper(name: str, seconds: int, tasks: int = 2) -> dict[str, Any]:
    """A workflow of tasks one after the other, the first of which sleeps; its pods satisfy the restricted profile."""

    def task(name: str, script: str, needs: list[str]) -> dict[str, Any]:
        container = {
            "image": "busybox:1.36",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        return {"name": name, "needs": needs, "container": container}

    pod = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "taskDefaults": {"pod": {"securityContext": pod}},
            "tasks": [
                task("first", f"sleep {seconds}", []),
                *(task(f"then-{n}", "true", [f"then-{n - 1}" if n > 1 else "first"]) for n in range(1, tasks)),
            ],
        },
    }


def wait_for_tasks(cluster: Cluster, namespace: str, name: str, succeeded: int, timeout: float = 600) -> None:
    """Wait until so many tasks of a run have succeeded, and it still goes on."""

    def reached() -> bool:
        status = cluster.get("workflow", name, "-n", namespace).get("status", {})
        assert "completionTime" not in status, f"{name} was over before {succeeded} tasks had succeeded"
        phases = [str(task["phase"]) for task in status.get("tasks", ())]
        return phases.count("Succeeded") >= succeeded

    wait_until(f"{succeeded} tasks of {name} to succeed", reached, timeout, interval=0.5)


def attempts(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all attempts that a run has on record, and that had a pod."""
    tasks = workflow["status"]["tasks"]
    return [each for task in tasks for each in task.get("attempts", ()) if each.get("podName")]


def each_attempt_was_created_once(log: AuditLog, namespace: str, workflows: list[dict[str, Any]]) -> int:
    """See that what is on record and what was created are the same, each once. Returns how many there were."""
    recorded = [each["podName"] for workflow in workflows for each in attempts(workflow)]
    created = log.created(namespace)
    repeated = {name: count for name, count in created.items() if count > 1}
    assert not repeated, f"created more than once: {repeated}"
    assert sorted(recorded) == sorted(created), (
        f"on record only: {set(recorded) - set(created)}; created only: {set(created) - set(recorded)}"
    )
    again = [each["podName"] for workflow in workflows for each in attempts(workflow) if each["number"] > 1]
    assert not again, f"nothing was the fault of a task, and yet these were tried again: {again}"
    return len(recorded)


def held(cluster: Cluster, *namespaces: str) -> list[str]:
    """Return what our finalizer is on."""
    return [
        f"{namespace}/{each['kind']}/{each['metadata']['name']}"
        for namespace in namespaces
        for each in cluster.get("pods,jobs,taskstatusshards", "-n", namespace)["items"]
        if _FINALIZER in each["metadata"].get("finalizers", ())
    ]
