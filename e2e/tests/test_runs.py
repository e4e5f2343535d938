"""What a user can rely on in a run, with real pods: retries, limits, clocks, deletion, and people who interfere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from e2e.kubectl import wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, sh, workflow


def test_a_failing_task_is_retried_up_to_its_limit(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(
        workflow("retry", {"a": sh("echo no; exit 3", retry={"limit": 2, "backoff": {"initialSeconds": 1}})})
    )

    status = workflows.wait_finished("retry")

    attempts = status["tasks"][0]["attempts"]
    assert [(each["number"], each["exitCode"], each["class"]) for each in attempts] == [
        (1, 3, "User"),
        (2, 3, "User"),
        (3, 3, "User"),
    ]
    assert "no" in attempts[0]["message"]
    assert workflows.condition("retry", "Succeeded")["reason"] == "TaskFailed"


def test_back_off_lies_between_attempts(operator: OperatorProcess, workflows: Workflows) -> None:
    retry = {"limit": 2, "backoff": {"initialSeconds": 2, "factor": 2}}
    workflows.apply(workflow("backoff", {"a": sh("exit 1", retry=retry)}))

    first, second, third = workflows.wait_finished("backoff")["tasks"][0]["attempts"]

    # The API's times are whole seconds, so one may be lost to rounding.
    assert _seconds(first["completionTime"], second["startTime"]) >= 1
    assert _seconds(second["completionTime"], third["startTime"]) >= 3


def test_a_time_out_ends_the_attempt_and_says_so(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(
        workflow("timeout", {"slow": sh("sleep 300", timeoutSeconds=2), "next": sh("true", needs=["slow"])})
    )

    workflows.wait_finished("timeout", 60)

    slow = workflows.task("timeout", "slow")
    assert (slow["phase"], slow["reason"], slow["attempts"][0]["class"]) == ("Failed", "TimedOut", "Timeout")
    assert workflows.task("timeout", "next")["phase"] == "UpstreamFailed"


def test_no_more_run_at_once_than_parallelism_allows(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("narrow", {f"t{number}": sh("sleep 1") for number in range(6)}, parallelism=2))

    status = workflows.wait_finished("narrow")

    spans = [
        (datetime.fromisoformat(attempt["startTime"]), datetime.fromisoformat(attempt["completionTime"]))
        for task in status["tasks"]
        for attempt in task["attempts"]
    ]
    # A slot that is freed within a second is given away within the same second, hence the strict comparison.
    overlaps = [sum(1 for begin, end in spans if begin < moment < end) for _, moment in spans]
    assert max(overlaps) <= 2
    assert status["phase"] == "Succeeded"


def test_a_suspended_run_starts_nothing_until_it_is_resumed(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("pause", {"a": sh("sleep 3"), "b": sh("true", needs=["a"])}))
    workflows.wait_phase("pause", "a", "Running")

    workflows.patch("pause", {"suspend": True})

    queued = workflows.wait_phase("pause", "b", "Queued")
    assert queued["reason"] == "Suspended"
    assert workflows.task("pause", "a")["phase"] == "Succeeded", "what runs may finish"
    assert workflows.status("pause")["phase"] == "Suspended"
    assert workflows.condition("pause", "Suspended")["status"] == "True"
    workflows.patch("pause", {"suspend": False})
    assert workflows.wait_finished("pause")["phase"] == "Succeeded"


def test_a_run_past_its_deadline_is_cancelled(operator: OperatorProcess, workflows: Workflows) -> None:
    tasks = {"a": sh("sleep 300"), "b": sh("true", needs=["a"])}
    workflows.apply(workflow("late", tasks, deadlineSeconds=4))

    workflows.wait_finished("late", 60)

    assert workflows.condition("late", "Succeeded")["reason"] == "DeadlineExceeded"
    assert set(workflows.phases("late").values()) == {"Cancelled"}
    assert not [pod for pod in workflows.pods() if pod["status"]["phase"] == "Running"]


def test_deleting_a_run_leaves_nothing_behind(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(
        workflow("gone", {"done": sh("true"), "a": sh("sleep 300"), "b": sh("true", needs=["a"])}),
    )
    workflows.wait_phase("gone", "a", "Running")
    workflows.wait_phase("gone", "done", "Succeeded")

    workflows.kubectl("delete", "workflow", "gone", "--wait=false")

    def left() -> list[Any]:
        ours = ("-l", "app.kubernetes.io/managed-by=fairlead")
        return _items(workflows, "workflows") + _items(workflows, "pods,configmaps", *ours)

    wait_until("all of it to be gone", lambda: not left(), 60)


def test_a_pod_deleted_by_hand_is_an_infrastructure_failure(operator: OperatorProcess, workflows: Workflows) -> None:
    script = 'test "$FAIRLEAD_ATTEMPT" = 2 || sleep 300'
    workflows.apply(workflow("bereft", {"a": sh(script, retry={"backoff": {"initialSeconds": 1}})}))
    pod = workflows.wait_phase("bereft", "a", "Running")["attempts"][0]["podName"]

    workflows.kubectl("delete", "pod", pod, "--wait=false")

    status = workflows.wait_finished("bereft")
    first, second = status["tasks"][0]["attempts"]
    assert (first["class"], first["reason"]) == ("Infrastructure", "PodDeleted")
    assert second["exitCode"] == 0
    assert status["phase"] == "Succeeded", "the retry limit of 0 is for the user's own failures"


def test_a_pod_whose_labels_were_stripped_is_found_again(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("bare", {"a": sh("sleep 5")}))
    pod = workflows.wait_phase("bare", "a", "Running")["attempts"][0]["podName"]

    workflows.kubectl("label", "pod", pod, "fairlead.dev/workflow-uid-")

    status = workflows.wait_finished("bare")
    assert status["phase"] == "Succeeded"
    assert len(status["tasks"][0]["attempts"]) == 1


def test_a_restarted_operator_goes_on_where_it_was(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("onward", {"a": sh("sleep 4"), "b": sh("true", needs=["a"])}))
    workflows.wait_phase("onward", "a", "Running")

    assert operator.stop() == 0
    operator.start()
    operator.wait_ready()

    status = workflows.wait_finished("onward")
    assert status["phase"] == "Succeeded"
    assert set(workflows.audit.created(workflows.namespace).values()) == {1}


def test_a_job_task_hands_on_its_outputs(operator: OperatorProcess, workflows: Workflows) -> None:
    job = {
        "spec": {
            "backoffLimit": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": "main",
                            "image": "busybox:1.36",
                            "command": ["sh", "-c", 'echo \'{"rows": 7}\' > "$FAIRLEAD_OUTPUTS"'],
                        }
                    ],
                }
            },
        }
    }
    tasks: dict[str, Any] = {
        "count": {"job": job, "outputs": [{"name": "rows", "type": "integer"}]},
        "use": sh('test "$ROWS" = 7', env=[{"name": "ROWS", "value": "${tasks.count.outputs.rows}"}], needs=["count"]),
    }
    workflows.apply(workflow("batch", tasks))

    status = workflows.wait_finished("batch")

    assert status["phase"] == "Succeeded", status["message"]
    assert workflows.task("batch", "count")["outputs"] == {"rows": 7}


def test_people_see_what_happened_as_events(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("told", {"a": sh("exit 1")}))
    workflows.wait_finished("told")

    def reasons() -> set[str]:
        selector = ("--field-selector", "involvedObject.kind=Workflow,involvedObject.name=told")
        return {event["reason"] for event in _items(workflows, "events", *selector)}

    wait_until("the events", lambda: {"Started", "TaskFailed", "Failed"} <= reasons(), 15)


def test_an_unchanged_world_causes_no_writes(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("quiet", {"a": sh("true")}))
    workflows.wait_finished("quiet")
    wait_until("the pod to be released", lambda: not workflows.pods()[0]["metadata"].get("finalizers"), 15)
    version = workflows.get("quiet")["metadata"]["resourceVersion"]
    writes = len(workflows.audit.entries(workflows.namespace, "patch", "workflows/status"))

    workflows.kubectl("annotate", "workflow", "quiet", "note=seen")
    wait_until("the annotation", lambda: workflows.get("quiet")["metadata"]["resourceVersion"] != version, 10)
    workflows.apply(workflow("after", {"a": sh("true")}))
    workflows.wait_finished("after")  # so that the operator has certainly looked at both

    mine = [
        entry
        for entry in workflows.audit.entries(workflows.namespace, "patch", "workflows/status")[writes:]
        if entry["objectRef"]["name"] == "quiet"
    ]
    assert mine == []


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _items(workflows: Workflows, kind: str, *selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflows.cluster.get(kind, "-n", workflows.namespace, *selector)["items"]
    return found
