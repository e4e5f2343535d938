"""Lists, rounds, tasks without a pod, `finally` and sub-workflows, with real pods."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.kubectl import wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, allow, fairlead, sh, workflow

WRITE = "echo '{}' > $FAIRLEAD_OUTPUTS"


def template(name: str, tasks: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a WorkflowTemplate with these tasks."""
    return {**workflow(name, tasks, **spec), "kind": "WorkflowTemplate"}


@pytest.mark.row("B3")
@pytest.mark.row("C1")
def test_a_list_of_pods_whose_outputs_are_added_up(operator: OperatorProcess, workflows: Workflows) -> None:
    script = 'echo "{\\"rows\\": $ROWS}" > $FAIRLEAD_OUTPUTS; test "$FAIRLEAD_ITEM_INDEX" != 1'
    pull = sh(
        script,
        forEach={"in": "${params.sizes}", "as": "size", "maxParallel": 2, "tolerate": {"count": 1}},
        env=[{"name": "ROWS", "value": "${string(size)}"}],
        outputs=[{"name": "rows", "type": "integer"}],
    )
    total = {"set": {"values": [{"name": "rows", "value": "${tasks.pull.outputs.rows.sum()}"}]}}
    check = sh("test ${tasks.total.outputs.rows} = 70")
    params = [{"name": "sizes", "type": "array", "default": [10, 20, 60]}]
    workflows.apply(workflow("lists", {"pull": pull, "total": total, "check": check}, params=params))

    assert workflows.wait_finished("lists")["phase"] == "Succeeded"

    assert workflows.phases("lists") == {
        "pull": "Succeeded",
        "pull[0]": "Succeeded",
        "pull[1]": "Failed",
        "pull[2]": "Succeeded",
        "total": "Succeeded",
        "check": "Succeeded",
    }
    assert workflows.task("lists", "pull")["items"]["failed"] == 1


@pytest.mark.row("B3")
def test_the_limits_of_a_list_are_changed_while_it_runs(operator: OperatorProcess, workflows: Workflows) -> None:
    work = sh("sleep 2; exit 1", forEach={"in": [1, 2, 3], "maxParallel": 1})
    workflows.apply(workflow("eased", {"work": work}))
    workflows.wait_phase("eased", "work[0]", "Running", "Starting")

    workflows.patch("eased", {"overrides": [{"task": "work", "maxParallel": 3, "tolerate": {"count": 3}}]})

    assert workflows.wait_finished("eased")["phase"] == "Succeeded"
    assert workflows.task("eased", "work")["items"] == {"total": 3, "failed": 3}


@pytest.mark.row("B4")
def test_a_task_is_repeated_until_it_says_so(operator: OperatorProcess, workflows: Workflows) -> None:
    script = (
        'echo "{\\"left\\": $((3 - $ROUND))}" > $FAIRLEAD_OUTPUTS; test "$BEFORE" = "$((4 - $ROUND))" -o "$ROUND" = 1'
    )
    poll = sh(
        script,
        repeat={"until": "${outputs.left == 0}", "maxIterations": 5},
        env=[
            {"name": "ROUND", "value": "${string(iteration)}"},
            {"name": "BEFORE", "value": "${string(previous.?left.orValue(0))}"},
        ],
        outputs=[{"name": "left", "type": "integer"}],
    )
    workflows.apply(workflow("rounds", {"poll": poll}))

    assert workflows.wait_finished("rounds")["phase"] == "Succeeded"
    attempts = workflows.task("rounds", "poll")["attempts"]
    assert [each.get("iteration", 1) for each in attempts] == [1, 2, 3]


@pytest.mark.row("B7")
def test_finally_comes_after_a_failure_and_after_a_stop(operator: OperatorProcess, workflows: Workflows) -> None:
    tidy = {"name": "tidy", **sh("test '${run.summary.counts.Failed}' = 1")}
    workflows.apply(workflow("failing", {"a": sh("exit 1")}, **{"finally": [tidy]}))
    workflows.apply(workflow("stopped", {"a": sh("sleep 300")}, **{"finally": [{"name": "tidy", **sh("true")}]}))
    workflows.wait_phase("stopped", "a", "Running")

    code, said = fairlead(workflows, "stop", "stopped", "--mode", "Cancel")
    assert code == 0, said

    assert workflows.wait_finished("failing")["phase"] == "Failed"
    assert workflows.task("failing", "tidy")["phase"] == "Succeeded"
    assert workflows.wait_finished("stopped")["phase"] == "Cancelled"
    assert workflows.phases("stopped") == {"a": "Cancelled", "tidy": "Succeeded"}


@pytest.mark.row("E5")
def test_waits_need_no_pods(operator: OperatorProcess, workflows: Workflows) -> None:
    seen = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ready", "when": "${object.data.ready == 'yes'}"}
    tasks = {
        "pause": {"wait": {"seconds": 2}},
        "ready": {"wait": {"condition": seen | {"intervalSeconds": 1}}},
        "called": {"wait": {"callback": True}, "outputs": [{"name": "rows", "type": "integer"}]},
        "done": {
            "needs": ["pause", "ready"],
            "set": {"values": [{"name": "rows", "value": "${tasks.called.outputs.rows + 1}"}]},
        },
    }
    outputs = [{"name": "rows", "value": "${tasks.done.outputs.rows}"}]
    allow(workflows, "configmaps", "get")
    workflows.apply(workflow("waits", tasks, outputs=outputs))
    wait_until("the callback to be waited for", lambda: workflows.task("waits", "called").get("attempts"), 30)

    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ready"}, "data": {"ready": "yes"}}
    workflows.apply(config)
    code, said = fairlead(workflows, "complete", "waits", "called", "--value", "rows=6")
    assert code == 0, said

    assert workflows.wait_finished("waits", 60)["outputs"] == {"rows": 7}
    assert workflows.pods() == []


@pytest.mark.row("A5")
@pytest.mark.row("fine:sub-workflow")
def test_a_sub_workflow_hands_on_its_outputs(operator: OperatorProcess, workflows: Workflows) -> None:
    inner = {"double": {"set": {"values": [{"name": "n", "value": "${params.n * 2}"}]}}, "pod": sh("true")}
    spec = {
        "params": [{"name": "n", "type": "integer"}],
        "outputs": [{"name": "n", "value": "${tasks.double.outputs.n}"}],
    }
    workflows.apply(template("inner", inner, **spec))
    sub = {
        "workflow": {"templateRef": {"name": "inner"}, "arguments": [{"name": "n", "value": 21}]},
        "outputs": [{"name": "n", "type": "integer"}],
    }
    workflows.apply(workflow("outer", {"sub": sub, "check": sh("test ${tasks.sub.outputs.n} = 42")}))

    assert workflows.wait_finished("outer")["phase"] == "Succeeded"


@pytest.mark.row("A5")
@pytest.mark.row("fine:sub-workflow")
def test_a_sub_workflow_is_cancelled_with_its_parent(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(template("inner", {"slow": sh("sleep 300")}, **{"finally": [{"name": "tidy", **sh("true")}]}))
    workflows.apply(workflow("outer", {"sub": {"workflow": {"templateRef": {"name": "inner"}}}}))
    wait_until("the child", lambda: workflows.task("outer", "sub").get("attempts"), 30)
    child = workflows.task("outer", "sub")["attempts"][0]["podName"]
    workflows.wait_phase(child, "slow", "Running")

    code, said = fairlead(workflows, "stop", "outer", "--mode", "Cancel", "--wait")
    assert code == 0, said

    assert workflows.phases("outer") == {"sub": "Cancelled"}
    assert workflows.phases(child) == {"slow": "Cancelled", "tidy": "Succeeded"}
    assert not [pod for pod in workflows.pods() if pod["status"]["phase"] == "Running"]


@pytest.mark.row("A3")
@pytest.mark.row("fine:pinning")
def test_a_template_that_changes_changes_no_run(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(template("recipe", {"a": sh("sleep 4"), "b": sh("true", needs=["a"])}))
    run = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "metadata": {"name": "cooked"}}
    workflows.apply(run | {"spec": {"templateRef": {"name": "recipe"}}})
    workflows.wait_phase("cooked", "a", "Running")

    workflows.apply(template("recipe", {"a": sh("true"), "b": sh("exit 1", needs=["a"])}))

    assert workflows.wait_finished("cooked")["phase"] == "Succeeded"
