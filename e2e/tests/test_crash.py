"""SIGKILL of the operator at ten chosen points of one run: nothing is lost, and nothing runs twice."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from e2e.kubectl import Cluster, wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, fairlead, sh, workflow

SEED = 20_131_105
POINTS = 10


def crash_points(seed: int) -> list[str]:
    """Ten points, each kind at least once: before and after creates, status writes and releases."""
    kinds = [
        f"{request} {when}"
        for request in ("create pods", "patch workflows/status", "patch pods")
        for when in ("before", "after")
    ]
    chosen = random.Random(seed)
    points = kinds + chosen.choices(kinds, k=POINTS - len(kinds))
    chosen.shuffle(points)
    return [f"{point} {chosen.randint(1, 2)}" for point in points]


def a_run() -> dict[str, object]:
    """Eight layers of 3 tasks around a chain, one task of which fails once: 28 pods, which outlast ten operators."""
    tasks = {"start": sh("true")}
    for layer in range(8):
        before = [f"l{layer - 1}-{number}" for number in range(3)] if layer else ["start"]
        for number in range(3):
            tasks[f"l{layer}-{number}"] = sh("sleep 1", needs=before)
    tasks["flaky"] = sh(
        'test "$FAIRLEAD_ATTEMPT" = 2', needs=["l1-0"], retry={"limit": 1, "backoff": {"initialSeconds": 1}}
    )
    tasks["end"] = sh("true", needs=["flaky", *(f"l7-{number}" for number in range(3))])
    return workflow("crashed", tasks)


@pytest.mark.parametrize("seed", [SEED])
def test_a_run_survives_ten_kills(cluster: Cluster, workflows: Workflows, operator_log: Path, seed: int) -> None:
    workflows.apply(a_run())
    killed = 0
    for point in crash_points(seed):
        operator = OperatorProcess(cluster, operator_log, ("-m", "e2e.crashing_operator"), {"FAIRLEAD_CRASH": point})
        with operator:
            assert operator.process is not None
            assert operator.process.wait(timeout=60) == -signal.SIGKILL, f"{point}: {operator.log_tail()}"
        killed += 1
    assert killed == POINTS
    assert workflows.condition("crashed", "Finished").get("status") != "True", "the run was over before the last kill"

    with OperatorProcess(cluster, operator_log):
        status = workflows.wait_finished("crashed", 180)
        wait_until("all pods to be released", lambda: not held(workflows), 30)

    assert status["phase"] == "Succeeded", status["message"]
    attempts = {task["name"]: len(task["attempts"]) for task in status["tasks"]}
    assert attempts == {name: 2 if name == "flaky" else 1 for name in attempts}
    created = workflows.audit.created(workflows.namespace)
    assert set(created.values()) == {1}, f"created more than once: {created}"
    recorded = {attempt["podName"] for task in status["tasks"] for attempt in task["attempts"]}
    assert set(created) <= recorded
    # A create that was under way when its operator was killed has no answer in the log, but may have had its effect.
    assert recorded - set(created) <= workflows.audit.cut_off(workflows.namespace)


def held(workflows: Workflows) -> list[str]:
    return [pod["metadata"]["name"] for pod in workflows.pods() if pod["metadata"].get("finalizers")]


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_what_is_asked_while_no_operator_runs_is_done_by_the_next(
    cluster: Cluster, workflows: Workflows, operator_log: Path, ending: str
) -> None:
    process = OperatorProcess(cluster, operator_log)
    with process:
        process.wait_ready()
        workflows.apply(workflow("nightly", {"a": sh('test "$FAIRLEAD_ATTEMPT" -ge 2')}))
        workflows.wait_finished("nightly", 60)
        getattr(process, ending)()
        code, said = fairlead(workflows, "retry", "nightly", "--timeout", "1")
        assert (code, "no operator has answered" in said) == (3, True)
    with process:
        process.wait_ready()
        wait_until("the second epoch to end", lambda: workflows.status("nightly").get("epoch") == 2, 60)
        assert workflows.wait_finished("nightly", 60)["phase"] == "Succeeded"
