"""What users ask of a run on a real cluster, by the command line: retry, stop, mark, explain."""

from __future__ import annotations

from e2e.kubectl import Cluster, wait_until
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
