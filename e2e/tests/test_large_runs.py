"""Runs whose tasks are in TaskStatusShards: through a crash, a retry and a deletion, on a real API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, fairlead, sh, workflow

from fairlead.api.shard import read_tasks

#: More than a Workflow lists itself. They need no pod, so a run of them is cheap.
MANY = 450


def large(name: str, end: str) -> dict[str, Any]:
    """A pod, many tasks without one, and a pod after them all that runs this line of shell."""
    fields = {"set": {"values": [{"name": "x", "value": 1}]}, "group": "many", "needs": ["start"]}
    many = {f"t{number:03}": fields for number in range(MANY)}
    return workflow(name, {"start": sh("true"), **many, "end": sh(end, needs=["many"])})


def shards(workflows: Workflows) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = workflows.cluster.get("taskstatusshards", "-n", workflows.namespace)["items"]
    return items


def recorded(workflows: Workflows, name: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in read_tasks(workflows.status(name), shards(workflows))}


def test_a_large_run_ends_and_goes_with_its_shards(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(large("large", "true"))

    status = workflows.wait_finished("large")

    assert status["phase"] == "Succeeded", status["message"]
    assert status["progress"] == f"{MANY + 2}/{MANY + 2}"
    assert "tasks" not in status
    found = recorded(workflows, "large")
    assert {each["phase"] for each in found.values()} == {"Succeeded"}
    assert (len(found), found["t007"]["outputs"]) == (MANY + 2, {"x": 1})
    assert len(shards(workflows)) == status["shards"]["count"] == 2
    assert all(len(orjson.dumps(each)) < 1_000_000 for each in shards(workflows))
    code, shown = fairlead(workflows, "tree", "large")
    assert code == 0
    assert "t449" in shown

    workflows.kubectl("delete", "workflow", "large")
    wait_until("the shards to be gone", lambda: not shards(workflows), 30)


def test_a_large_run_goes_on_after_a_kill_and_a_retry(
    cluster: Cluster, workflows: Workflows, operator_log: Path
) -> None:
    process = OperatorProcess(cluster, operator_log)
    with process:
        process.wait_ready()
        workflows.apply(large("again", 'sleep 3; test "$FAIRLEAD_ATTEMPT" = 2'))
        wait_until("the last task to have a pod", lambda: "end" in recorded(workflows, "again"), 60)
        process.kill()

    with OperatorProcess(cluster, operator_log) as after:
        after.wait_ready()
        assert workflows.wait_finished("again", 90)["phase"] == "Failed"
        code, told = fairlead(workflows, "retry", "again")
        assert code == 0, told
        wait_until("the retry to end", lambda: workflows.status("again")["phase"] == "Succeeded", 90)

    found = recorded(workflows, "again")
    assert [each["number"] for each in found["end"]["attempts"]] == [1, 2]
    assert len(found["start"]["attempts"]) == 1
    created = workflows.audit.created(workflows.namespace)
    assert set(created.values()) == {1}, f"created more than once: {created}"


def test_a_namespace_with_a_large_run_can_go(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(large("leaving", "sleep 300"))
    wait_until("the last task to have a pod", lambda: "end" in recorded(workflows, "leaving"), 60)

    workflows.cluster.kubectl("delete", "namespace", workflows.namespace, "--wait=false")

    wait_until("the namespace to be gone", lambda: _is_gone(workflows), 90)


def _is_gone(workflows: Workflows) -> bool:
    try:
        workflows.cluster.kubectl("get", "namespace", workflows.namespace)
    except CommandFailed:
        return True
    return False
