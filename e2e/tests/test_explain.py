"""`fairlead explain` names the root cause: each reason for which a task does not run is made to happen."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.kubectl import wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, fairlead, sh, workflow


def told(workflows: Workflows, name: str, task: str) -> list[str]:
    """What is said of one task: its own line, and those of its causes."""
    code, said = fairlead(workflows, "explain", name, task)
    assert code == 0, said
    return said.splitlines()


def wait_reason(workflows: Workflows, name: str, task: str, reason: str) -> None:
    """Wait until a task is not running for this reason."""
    wait_until(f"{task}: {reason}", lambda: workflows.task(name, task).get("reason") == reason, 60)


@pytest.mark.row("G5")
def test_why_the_tasks_of_a_run_wait(operator: OperatorProcess, workflows: Workflows) -> None:
    nowhere = sh("true")
    nowhere["pod"] |= {"nodeSelector": {"nobody": "has-this"}}
    unknown = sh("true")
    unknown["container"] |= {"image": "localhost/nobody/has:this", "imagePullPolicy": "IfNotPresent"}
    condition = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "when": "${false}"}
    tasks: dict[str, Any] = {
        "busy": sh("sleep 300"),
        "nowhere": nowhere,
        "unknown": unknown,
        "queued": sh("true"),
        "sign": {"approval": {"message": "go?"}},
        "pause": {"wait": {"seconds": 900}},
        "called": {"wait": {"callback": True}},
        "ready": {"wait": {"condition": condition}},
        "after-nowhere": sh("true", needs=["nowhere"]),
        "after-that": sh("true", needs=["after-nowhere", "sign"]),
    }
    workflows.apply(workflow("why", tasks, parallelism=3))
    for task, reason in {
        "nowhere": "Unschedulable",
        "unknown": "ImagePull",
        "queued": "WaitingForParallelism",
        "sign": "WaitingForApproval",
        "pause": "WaitingUntil",
        "called": "WaitingForCallback",
        "after-nowhere": "WaitingForTasks",
    }.items():
        wait_reason(workflows, "why", task, reason)
        assert reason in told(workflows, "why", task)[0]
    # The service account of the run may not read ConfigMaps: that is why the condition cannot hold.
    wait_until("why it waits", lambda: workflows.task("why", "ready").get("reason"), 30)
    assert told(workflows, "why", "queued")[0].endswith("3/3 running")

    chain = told(workflows, "why", "after-that")

    assert "after-nowhere, sign" in chain[0]
    assert any("nowhere" in line and "Unschedulable" in line for line in chain)
    assert any("sign" in line and "WaitingForApproval" in line for line in chain)


@pytest.mark.row("G5")
def test_why_a_task_waits_for_its_next_attempt(operator: OperatorProcess, workflows: Workflows) -> None:
    retry = {"limit": 1, "backoff": {"initialSeconds": 600, "maxSeconds": 600}}
    workflows.apply(workflow("later", {"a": sh("exit 7", retry=retry)}))
    wait_reason(workflows, "later", "a", "Backoff")
    [line] = told(workflows, "later", "a")
    assert "next attempt at" in line
    assert "exit code 7" in line


@pytest.mark.row("G5")
def test_why_a_task_waits_in_suspension(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("still", {"a": sh("true")}, suspend=True))
    wait_reason(workflows, "still", "a", "Suspended")
    assert told(workflows, "still", "a") == ["a  Queued  Suspended: spec.suspend is true"]


@pytest.mark.row("G5")
def test_why_a_task_waits_for_a_quota(operator: OperatorProcess, workflows: Workflows) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    workflows.apply(quota)
    get = ("resourcequota", "none", "-n", workflows.namespace)
    wait_until("the quota to count", lambda: workflows.cluster.get(*get).get("status", {}).get("used"), 30)
    workflows.apply(workflow("full", {"a": sh("true")}))
    wait_reason(workflows, "full", "a", "QuotaExceeded")
    [line] = told(workflows, "full", "a")
    assert "exceeded quota: none" in line
