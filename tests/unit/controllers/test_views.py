"""From the raw objects of the API server to the few fields that are classified."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fairlead.api import labels
from fairlead.controllers.views import job_view, pod_view, time_of, with_pods_of_job
from fairlead.engine.model import FailureClass

T8 = "2026-11-22T08:00:00Z"
T9 = "2026-11-22T09:00:00Z"
AT8 = datetime(2026, 11, 22, 8, tzinfo=UTC)
AT9 = datetime(2026, 11, 22, 9, tzinfo=UTC)

METADATA = {
    "name": "daily-a-2",
    "uid": "pod-uid",
    "creationTimestamp": T8,
    "labels": {labels.TASK: "a", labels.ATTEMPT: "2", labels.RUN_UID: "u-1"},
    "annotations": {labels.NODE: "a[0]"},
    "ownerReferences": [
        {"kind": "Other", "name": "o", "uid": "u-0"},
        {"kind": "Workflow", "name": "daily", "uid": "u-1", "controller": True},
    ],
    "finalizers": ["other/finalizer", labels.FINALIZER],
}


def pod(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": METADATA | metadata, "spec": spec or {}, "status": status or {}}


def main(**state: Any) -> dict[str, Any]:
    side = {"name": "side", "state": {"terminated": {"exitCode": 9, "finishedAt": T9}}}
    return {"containerStatuses": [side, {"name": "main", "state": state}]}


def condition(kind: str, status: str, **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, **more}]}


def fields(view: Any, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(view, name) for name in names)


# Whose it is.


def test_identity() -> None:
    view = pod_view(pod())
    assert fields(view, "name", "uid", "node", "number") == ("daily-a-2", "pod-uid", "a[0]", 2)
    assert fields(view, "owner_name", "owner_uid", "held", "created_at") == ("daily", "u-1", True, AT8)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param({"annotations": {}}, {"node": "a", "number": 2}, id="without our annotation"),
        pytest.param(
            {"annotations": {}, "labels": {labels.TASK: "m", labels.ITEM: "3"}},
            {"node": "m[3]"},
            id="an item without our annotation",
        ),
        pytest.param({"labels": {}}, {"node": "a[0]", "number": 2}, id="without our labels"),
        pytest.param({"labels": {labels.ATTEMPT: "7"}}, {"number": 2}, id="with another number in a label"),
        pytest.param({"name": "mine"}, {"number": 0}, id="with a name of its own"),
        pytest.param({"ownerReferences": []}, {"owner_uid": "", "owner_name": ""}, id="without an owner"),
        pytest.param(
            {"ownerReferences": [{"name": "o", "uid": "u-0"}]}, {"owner_uid": ""}, id="with an owner but no controller"
        ),
        pytest.param({"finalizers": ["other/finalizer"]}, {"held": False}, id="without our finalizer"),
    ],
)
def test_objects_that_somebody_edited(metadata: dict[str, Any], expected: dict[str, Any]) -> None:
    view = pod_view(pod(**metadata))
    assert fields(view, *expected) == tuple(expected.values())


def test_a_bare_object() -> None:
    bare = {"metadata": {"name": "x", "uid": "y", "creationTimestamp": T8}}
    assert fields(pod_view(bare), "phase", "number", "held", "ending") == ("Pending", 0, False, "")
    assert fields(job_view(bare), "succeeded", "number", "held", "ending") == (None, 0, False, "")


# Pods.


def test_a_pod_that_runs() -> None:
    status = {"phase": "Running", **main(running={"startedAt": T8})}
    view = pod_view(pod(status, {"nodeName": "n1"}))
    assert fields(view, "phase", "node_name", "running_at", "finished_at", "exit_code") == (
        "Running",
        "n1",
        AT8,
        None,
        None,
    )


def test_a_pod_that_has_ended() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "message": "tail", "startedAt": T8, "finishedAt": T9}
    view = pod_view(pod({"phase": "Failed", "reason": "Evicted", "message": "m", **main(terminated=ended)}))
    assert fields(view, "running_at", "finished_at", "exit_code", "main_reason", "main_message") == (
        AT8,
        AT9,
        137,
        "OOMKilled",
        "tail",
    )
    assert fields(view, "reason", "message") == ("Evicted", "m")


def test_exit_code_zero_is_an_exit_code() -> None:
    assert pod_view(pod(main(terminated={"exitCode": 0, "finishedAt": T9}))).exit_code == 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(main(waiting={"reason": "ErrImagePull", "message": "m"}), ("ErrImagePull", "m"), id="main"),
        pytest.param(
            {"initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}}]},
            ("ErrImagePull", ""),
            id="an init container, before main has a status",
        ),
        pytest.param(
            {
                "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}],
            },
            ("", ""),
            id="an init container that waits for another one",
        ),
    ],
)
def test_why_a_container_waits(status: dict[str, Any], expected: tuple[str, str]) -> None:
    assert fields(pod_view(pod(status)), "waiting_reason", "waiting_message") == expected


def test_an_init_container_that_cannot_start_is_why_main_waits() -> None:
    # The kubelet says PodInitializing of every later container meanwhile.
    status = {
        **main(waiting={"reason": "PodInitializing"}),
        "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}}],
    }
    assert fields(pod_view(pod(status)), "waiting_reason", "waiting_message") == ("ImagePullBackOff", "m")


@pytest.mark.parametrize(
    ("state", "failure"),
    [
        pytest.param({"terminated": {"exitCode": 3}}, "init container 'i': exit code 3", id="failed"),
        pytest.param(
            {"terminated": {"exitCode": 3, "message": " boom\n"}},
            "init container 'i': exit code 3: boom",
            id="says why",
        ),
        pytest.param({"terminated": {"exitCode": 0}}, "", id="succeeded"),
        pytest.param({"running": {"startedAt": T8}}, "", id="runs on, as sidecars do"),
    ],
)
def test_init_containers(state: dict[str, Any], failure: str) -> None:
    assert pod_view(pod({"initContainerStatuses": [{"name": "i", "state": state}]})).init_failure == failure


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        pytest.param(
            condition("PodScheduled", "False", reason="Unschedulable", message="0/1"),
            "unscheduled_message",
            "0/1",
            id="no node",
        ),
        pytest.param(
            condition("PodScheduled", "False", reason="SchedulingGated"), "unscheduled", "SchedulingGated", id="gated"
        ),
        pytest.param(condition("PodScheduled", "True", reason="x"), "unscheduled", "", id="scheduled"),
        pytest.param(
            condition("DisruptionTarget", "True", reason="PreemptionByScheduler", message="m"),
            "disruption",
            "PreemptionByScheduler",
            id="disrupted",
        ),
        pytest.param(
            condition("DisruptionTarget", "True", lastTransitionTime=T9), "disrupted_at", AT9, id="since when"
        ),
        pytest.param(condition("DisruptionTarget", "False", reason="x"), "disruption", "", id="not disrupted"),
        pytest.param({"conditions": None}, "disruption", "", id="no conditions"),
        pytest.param(condition("PodScheduled", "True", lastTransitionTime=T9), "placed_at", AT9, id="placed"),
        pytest.param(condition("PodScheduled", "False", lastTransitionTime=T9), "placed_at", None, id="not placed"),
        pytest.param(
            {
                "conditions": [
                    {"type": "Initialized", "status": "True", "lastTransitionTime": T9},
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": T8},
                ]
            },
            "placed_at",
            AT9,
            id="placed and initialised",
        ),
    ],
)
def test_conditions(status: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(pod_view(pod(status)), name) == value


def test_a_pod_that_is_being_deleted() -> None:
    ending = {labels.ENDING: "TimedOut"}
    view = pod_view(pod(deletionTimestamp=T9, deletionGracePeriodSeconds=30, annotations=ending))
    assert fields(view, "deleting_at", "grace_seconds", "ending") == (AT9, 30, "TimedOut")


# Jobs.


def job(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": METADATA | metadata, "status": status or {}}


@pytest.mark.parametrize(
    ("status", "succeeded", "finished", "reason"),
    [
        pytest.param({}, None, None, "", id="just created"),
        pytest.param({"startTime": T8, "active": 1}, None, None, "", id="running"),
        pytest.param(
            {"completionTime": T9, **condition("Complete", "True", lastTransitionTime=T8)}, True, AT9, "", id="complete"
        ),
        pytest.param(condition("Failed", "True", reason="R", lastTransitionTime=T9), False, AT9, "R", id="failed"),
        pytest.param(condition("FailureTarget", "True", lastTransitionTime=T9), None, None, "", id="about to fail"),
        pytest.param(condition("SuccessCriteriaMet", "True"), None, None, "", id="about to be complete"),
        pytest.param(condition("Failed", "False"), None, None, "", id="not failed"),
        pytest.param(condition("Suspended", "True"), None, None, "", id="suspended"),
    ],
)
def test_jobs(status: dict[str, Any], succeeded: bool | None, finished: datetime | None, reason: str) -> None:
    assert fields(job_view(job(status)), "succeeded", "finished_at", "reason") == (succeeded, finished, reason)


def test_a_job_that_waits_for_its_pods_to_go() -> None:
    view = job_view(job(deletionTimestamp=T9, finalizers=["foregroundDeletion"]))
    assert fields(view, "deleting_at", "foreground", "held") == (AT9, True, False)


def ended(code: int, finished: str = T8, message: str = "") -> dict[str, Any]:
    return pod(main(terminated={"exitCode": code, "finishedAt": finished, "message": message}))


FAILED = condition("Failed", "True", reason="BackoffLimitExceeded", message="it has reached the limit")


def test_a_job_that_succeeded_hands_on_what_its_pod_wrote() -> None:
    view = with_pods_of_job(job_view(job(condition("Complete", "True"))), [ended(0, message='{"rows": 1}')])
    assert fields(view, "text", "exit_code") == ('{"rows": 1}', 0)


def test_of_several_pods_the_one_that_succeeded_counts_then_the_last() -> None:
    complete = job_view(job(condition("Complete", "True")))
    assert with_pods_of_job(complete, [ended(0, T8, "good"), ended(1, T9, "bad")]).text == "good"
    failed = job_view(job(FAILED))
    assert with_pods_of_job(failed, [ended(1, T8), ended(2, T9), pod()]).exit_code == 2


def test_a_job_that_failed_tells_the_end_of_its_last_pod() -> None:
    view = with_pods_of_job(job_view(job(FAILED)), [ended(3, message="boom\n")])
    assert fields(view, "message", "exit_code", "text") == ("it has reached the limit; exit code 3: boom", 3, "")


def test_a_job_whose_pods_are_gone() -> None:
    view = job_view(job(FAILED))
    assert with_pods_of_job(view, []) == view


def test_somebody_deleted_the_pods_of_a_job_that_keeps_those_that_fail() -> None:
    raw = job(FAILED)
    raw["status"]["conditions"][0]["lastTransitionTime"] = T9
    raw["spec"] = {"template": {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 7}}}
    view = with_pods_of_job(job_view(raw), [])
    assert view.grace_seconds == 7
    assert view.cause is not None
    assert (view.cause.failure_class, view.cause.reason) == (FailureClass.INFRASTRUCTURE, "PodDeleted")


def test_a_job_failed_because_of_its_user_if_one_of_its_pods_did() -> None:
    drained = ended(143, T9) | {}
    drained["status"] = drained["status"] | {"phase": "Failed"} | condition("DisruptionTarget", "True", reason="Drain")
    own = ended(3, T8)
    own["status"] = own["status"] | {"phase": "Failed"}
    assert cause(drained) == (FailureClass.INFRASTRUCTURE, "Drain")
    assert cause(drained, own) == cause(own, drained) == (FailureClass.USER, "ExitCode")


def cause(*pods: dict[str, Any]) -> tuple[FailureClass | None, str]:
    found = with_pods_of_job(job_view(job(FAILED)), pods).cause
    assert found is not None
    return found.failure_class, found.reason


@pytest.mark.parametrize(
    ("text", "time"), [(None, None), ("", None), (T8, AT8), ("2026-11-22T08:00:00.000000Z", AT8)], ids=repr
)
def test_times(text: str | None, time: datetime | None) -> None:
    assert time_of(text) == time
