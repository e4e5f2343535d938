"""What users ask of a run on a real cluster, by the command line: retry, stop, mark, explain."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, fairlead, sh, workflow

#: Fails in the first epoch: attempts are counted on.
SECOND_TIME = sh('test "$FAIRLEAD_ATTEMPT" -ge 2')


def actions(cluster: Cluster, workflows: Workflows) -> dict[str, str]:
    """Whether each action was accepted, by name."""
    items = cluster.get("workflowactions", "-n", workflows.namespace)["items"]
    return {
        each["metadata"]["name"]: condition["status"]
        for each in items
        for condition in each.get("status", {}).get("conditions", ())
        if condition["type"] == "Accepted"
    }


def test_a_failed_run_is_retried_to_its_end(cluster: Cluster, operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("nightly", {"a": SECOND_TIME, "b": sh("true", needs=["a"]), "c": sh("true")}))
    workflows.wait_finished("nightly", 60)
    code, said = fairlead(workflows, "retry", "nightly", "--reason", "e2e", "--wait")
    assert code == 0, said
    assert workflows.phases("nightly") == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
    status = workflows.status("nightly")
    assert (status["epoch"], [each["accepted"] for each in status["actions"]]) == (2, [True])
    assert [len(workflows.task("nightly", task)["attempts"]) for task in "abc"] == [2, 1, 1]
    assert list(actions(cluster, workflows).values()) == ["True"]
    code, said = fairlead(workflows, "retry", "nightly")
    assert (code, "refused: NothingToRetry" in said) == (1, True)

    workflows.kubectl("delete", "workflow", "nightly")
    wait_until("the actions to be collected with the run", lambda: not actions(cluster, workflows), 60)


def test_a_run_is_stopped(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("long", {"a": sh("sleep 600"), "b": sh("true", needs=["a"])}))
    wait_until("a to run", lambda: workflows.task("long", "a")["phase"] == "Running", 60)
    code, said = fairlead(workflows, "explain", "long", "b")
    assert (code, said.splitlines()) == (0, ["b  Waiting  WaitingForTasks: a", "└ a  Running"])
    code, said = fairlead(workflows, "stop", "long", "--mode", "Cancel", "--wait")
    assert code == 0, said
    assert workflows.status("long")["phase"] == "Cancelled"
    assert workflows.phases("long") == {"a": "Cancelled", "b": "Cancelled"}


def test_a_run_is_suspended_and_resumed(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("steps", {"a": sh("sleep 5"), "b": sh("true", needs=["a"])}))
    wait_until("a to run", lambda: workflows.task("steps", "a")["phase"] == "Running", 60)
    code, said = fairlead(workflows, "suspend", "steps")
    assert (code, "steps is suspended" in said) == (0, True)
    wait_until("a to end", lambda: workflows.task("steps", "a")["phase"] == "Succeeded", 60)
    assert workflows.task("steps", "b")["phase"] == "Queued"
    code, said = fairlead(workflows, "resume", "steps")
    assert (code, said) == (0, "steps goes on\n")
    assert workflows.wait_finished("steps", 60)["phase"] == "Succeeded"


POLICY = Path(__file__).resolve().parents[2] / "charts" / "fairlead" / "templates" / "admission-policy.yaml"


@pytest.fixture
def policy(cluster: Cluster) -> Iterator[None]:
    """The chart's policy, for long enough that it is believed."""
    text = re.sub(r"^.*\{\{.*\}\}.*$\n", "", POLICY.read_text(), flags=re.MULTILINE)
    documents = list(yaml.safe_load_all(text))
    try:
        for each in documents:
            cluster.kubectl("apply", "--validate=strict", "-f", "-", stdin=json.dumps(each))
        time.sleep(31)
        yield
    finally:
        for each in documents:
            cluster.kubectl("delete", each["kind"].lower(), each["metadata"]["name"], "--ignore-not-found")


def test_an_approval_is_given_by_whom_it_is_asked_of_and_by_nobody_in_their_name(
    cluster: Cluster, policy: None, workflows: Workflows, operator_log: Path
) -> None:
    me = json.loads(cluster.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    with OperatorProcess(cluster, operator_log) as operator:
        operator.wait_ready()
        mine, theirs = ({"approval": {"message": "go?", "users": [user]}} for user in (me, "bob"))
        workflows.apply(workflow("release", {"mine": mine, "theirs": theirs, "b": sh("true", needs=["mine"])}))
        workflows.wait_phase("release", "theirs", "Running")
        code, said = fairlead(workflows, "approve", "release", "theirs")
        assert (code, "refused: NotAllowed" in said) == (1, True), said
        forged = {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "WorkflowAction",
            "metadata": {"name": "forged"},
            "spec": {
                "workflowName": "release",
                "workflowUID": workflows.get("release")["metadata"]["uid"],
                "action": "Approve",
                "tasks": ["theirs"],
                "requestedBy": {"username": "bob"},
            },
        }
        with pytest.raises(CommandFailed, match="must be your own name"):
            workflows.apply(forged)
        code, said = fairlead(workflows, "approve", "release", "mine")
        assert code == 0, said
        workflows.wait_phase("release", "b", "Succeeded")
        assert workflows.task("release", "mine")["outputs"]["by"] == me
        code, said = fairlead(workflows, "explain", "release")
        assert "WaitingForApproval" in said
