"""Why a pod or a Job ended, as a table. The order of belief is the contract.

Exit code 0 of the main container, then the reason that we wrote before deleting, then Kubernetes' disruption
conditions, then what the kubelet says of the pod, then the main container's end.
"""

from typing import Any

import pytest
from tests.unit.engine.kit import at

from fairlead.engine.classify import JobView, PodView, observe_job, observe_pod
from fairlead.engine.endings import ENDINGS
from fairlead.engine.model import FailureClass
from fairlead.engine.state import Result

USER, INFRA, CONFIG, TIMEOUT = (
    FailureClass.USER,
    FailureClass.INFRASTRUCTURE,
    FailureClass.CONFIGURATION,
    FailureClass.TIMEOUT,
)
GRACE = 30


def pod(phase: str = "Running", **more: Any) -> PodView:
    """A pod on a node; `exit` is its main container's exit code, reached at 60 s; `asked` when it was deleted."""
    if (code := more.pop("exit", None)) is not None:
        more = {"exit_code": code, "finished_at": at(60), "running_at": at(10)} | more
    if (asked := more.pop("asked", None)) is not None:
        # The API server sets the deletion timestamp to when the grace period will be over.
        more = {"grace_seconds": GRACE, "deleting_at": at(asked + more.get("grace_seconds", GRACE))} | more
    defaults: dict[str, Any] = {
        "name": "p",
        "uid": "pod-uid",
        "owner_name": "daily",
        "owner_uid": "uid",
        "node": "a",
        "number": 1,
        "created_at": at(0),
        "node_name": "n1",
    }
    return PodView(phase=phase, **(defaults | more))


EVICTED = {"reason": "Evicted", "message": "The node was low on resource: memory."}
OVER_LIMIT = {"reason": "Evicted", "message": 'Usage of EmptyDir volume "x" exceeds the limit "1Mi". '}
SHUT_DOWN = {"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."}
BY_KUBELET = {"disruption": "TerminationByKubelet", "disruption_message": "The node was low on resource: memory."}
LOST_SIGHT = {"main_reason": "ContainerStatusUnknown", "main_message": "The container could not be located"}
PREEMPTED = {"disruption": "PreemptionByScheduler", "disruption_message": "preempted by a more important pod"}
DRAINED = {"disruption": "EvictionByEvictionAPI", "disruption_message": "Eviction API: evicting"}


@pytest.mark.parametrize(
    ("view", "failure_class", "reason"),
    [
        # Exit code 0 wins over everything.
        pytest.param(pod("Succeeded", exit=0), None, "", id="succeeded"),
        pytest.param(pod("Succeeded"), None, "", id="succeeded, says the pod alone"),
        pytest.param(pod("Failed", exit=0), None, "", id="a sidecar failed, the main container did not"),
        pytest.param(pod("Failed", exit=0, asked=50), None, "", id="finished in its grace period"),
        pytest.param(pod("Failed", exit=0, asked=50, ending="TimedOut"), None, "", id="finished after its time was up"),
        pytest.param(pod("Failed", exit=0, ending="Cancelled"), None, "", id="finished although cancelled"),
        pytest.param(pod("Failed", exit=0, **DRAINED), None, "", id="finished while its node was drained"),
        pytest.param(pod("Failed", exit=0, **EVICTED), None, "", id="finished, and evicted"),
        # The reason that we wrote.
        pytest.param(pod("Failed", exit=137, asked=50, ending="TimedOut"), TIMEOUT, "TimedOut", id="timed out"),
        pytest.param(
            pod("Failed", exit=143, asked=50, ending="DeadlineExceeded"), TIMEOUT, "DeadlineExceeded", id="deadline"
        ),
        pytest.param(pod("Failed", asked=50, ending="ImagePull"), CONFIG, "ImagePull", id="never got its image"),
        pytest.param(
            pod("Failed", asked=50, ending="TimedOut", **DRAINED), TIMEOUT, "TimedOut", id="our reason beats a drain"
        ),
        pytest.param(
            pod("Failed", exit=137, asked=61, ending="Completed"), USER, "ExitCode", id="sidecars were ended: own end"
        ),
        pytest.param(pod("Failed", exit=1, ending="Made up"), USER, "ExitCode", id="a reason that is not one of ours"),
        # Disruption conditions.
        pytest.param(pod("Failed", exit=143, **DRAINED), INFRA, "EvictionByEvictionAPI", id="drained"),
        pytest.param(pod("Failed", **PREEMPTED), INFRA, "PreemptionByScheduler", id="preempted, no container status"),
        pytest.param(
            pod("Failed", exit=137, main_reason="OOMKilled", disruption="TerminationByKubelet"),
            INFRA,
            "TerminationByKubelet",
            id="the node ran out of memory",
        ),
        pytest.param(pod("Failed", exit=137, **EVICTED, **BY_KUBELET), INFRA, "TerminationByKubelet", id="evicted"),
        pytest.param(
            pod("Failed", exit=137, **EVICTED, **BY_KUBELET, **LOST_SIGHT),
            INFRA,
            "TerminationByKubelet",
            id="evicted, the kubelet lost sight of its container",
        ),
        pytest.param(
            pod("Failed", exit=143, **SHUT_DOWN, **BY_KUBELET), INFRA, "TerminationByKubelet", id="node was shut down"
        ),
        pytest.param(
            pod("Failed", exit=137, reason="Preempting", **BY_KUBELET),
            INFRA,
            "TerminationByKubelet",
            id="made room for a critical pod",
        ),
        pytest.param(
            pod("Failed", asked=10, disruption="DeletionByTaintManager"),
            INFRA,
            "DeletionByTaintManager",
            id="its node was tainted",
        ),
        pytest.param(
            pod("Failed", asked=10, grace_seconds=0, disruption="DeletionByPodGC", running_at=at(5)),
            INFRA,
            "DeletionByPodGC",
            id="its node is gone, and nobody knows what became of its container",
        ),
        pytest.param(
            pod("Failed", exit=143, disruption="SomethingNew"), INFRA, "SomethingNew", id="a disruption of the future"
        ),
        pytest.param(
            pod("Failed", exit=1, disrupted_at=at(95), **DRAINED), USER, "ExitCode", id="had failed when drained"
        ),
        pytest.param(
            pod("Failed", exit=1, disrupted_at=at(80), **DRAINED),
            INFRA,
            "EvictionByEvictionAPI",
            id="had failed when drained, or clocks differ",
        ),
        pytest.param(
            pod("Failed", exit=137, disrupted_at=at(95), **BY_KUBELET),
            INFRA,
            "TerminationByKubelet",
            id="the kubelet tells of it when all is over",
        ),
        # What the kubelet says of the pod.
        pytest.param(pod("Failed", exit=137, **OVER_LIMIT), USER, "Evicted", id="over its own storage limit"),
        pytest.param(
            pod("Failed", exit=137, **OVER_LIMIT, **LOST_SIGHT), USER, "Evicted", id="the same, container out of sight"
        ),
        pytest.param(
            pod("Failed", init_failure="…", **OVER_LIMIT), USER, "Evicted", id="the same, in an init container"
        ),
        pytest.param(
            pod("Failed", reason="Evicted", message="The node had condition: [DiskPressure]. "),
            INFRA,
            "Evicted",
            id="the node would not have it",
        ),
        pytest.param(pod("Failed", exit=143, **SHUT_DOWN), INFRA, "Terminated", id="node was shut down, says the pod"),
        pytest.param(
            pod("Failed", exit=137, reason="UnexpectedAdmissionError"),
            INFRA,
            "UnexpectedAdmissionError",
            id="not taken back when its kubelet restarted",
        ),
        *(
            pytest.param(pod("Failed", reason=reason), INFRA, reason, id=reason)
            for reason in ("OutOfmemory", "OutOfpods", "OutOfnvidia.com/gpu", "NodeAffinity", "TopologyAffinityError")
        ),
        *(
            pytest.param(pod("Failed", reason=reason), CONFIG, reason, id=reason)
            for reason in ("SysctlForbidden", "PodOSNotSupported")
        ),
        pytest.param(pod("Failed", reason="Novel"), INFRA, "Novel", id="a reason of the future"),
        pytest.param(pod("Failed", exit=3, reason="Novel"), USER, "ExitCode", id="a reason of the future, own end"),
        # The main container's end.
        pytest.param(pod("Failed", exit=1), USER, "ExitCode", id="exit code"),
        pytest.param(pod("Failed", exit=137), USER, "ExitCode", id="killed, nobody says by whom"),
        pytest.param(pod("Failed", exit=1, main_reason="Error"), USER, "ExitCode", id="exit code, Error"),
        pytest.param(pod("Failed", exit=137, main_reason="OOMKilled"), USER, "OOMKilled", id="out of its own memory"),
        pytest.param(pod("Failed", exit=128, main_reason="StartError"), USER, "StartError", id="no such command"),
        pytest.param(
            pod("Failed", exit=137, main_reason="ContainerStatusUnknown"),
            INFRA,
            "ContainerStatusUnknown",
            id="the kubelet lost sight of it",
        ),
        pytest.param(pod("Failed", exit=143, asked=50), INFRA, "PodDeleted", id="deleted while it ran"),
        pytest.param(pod("Failed", exit=143, asked=60), INFRA, "PodDeleted", id="deleted in the second of its end"),
        pytest.param(pod("Failed", exit=1, asked=61), USER, "ExitCode", id="deleted after it had failed"),
        pytest.param(
            pod("Failed", exit=1, asked=61, grace_seconds=3600), USER, "ExitCode", id="the same, with much grace"
        ),
        # The pod's own reason.
        pytest.param(
            pod("Failed", exit=137, reason="DeadlineExceeded"), TIMEOUT, "ActiveDeadlineExceeded", id="its own deadline"
        ),
        pytest.param(
            pod("Failed", reason="DeadlineExceeded"), TIMEOUT, "ActiveDeadlineExceeded", id="its own, never started"
        ),
        pytest.param(pod("Failed", **EVICTED), INFRA, "Evicted", id="evicted, without container statuses"),
        pytest.param(pod("Failed", reason="OutOfcpu"), INFRA, "OutOfcpu", id="refused by the kubelet"),
        pytest.param(pod("Failed", reason="NodeShutdown"), INFRA, "NodeShutdown", id="the node shut down"),
        pytest.param(
            pod("Failed", reason="UnexpectedAdmissionError"), INFRA, "UnexpectedAdmissionError", id="a device was gone"
        ),
        pytest.param(
            pod("Failed", init_failure="init container 'x': exit code 1"),
            USER,
            "InitContainerFailed",
            id="an init container failed",
        ),
        pytest.param(
            pod("Failed", init_failure="init container 'x': exit code 143", asked=50),
            INFRA,
            "PodDeleted",
            id="deleted during an init container",
        ),
        pytest.param(pod("Failed", init_failure="…", **EVICTED), INFRA, "Evicted", id="evicted in an init container"),
        pytest.param(pod("Failed"), INFRA, "PodFailed", id="does not say why"),
        # Pods that will never become terminal.
        pytest.param(pod("Pending", node_name="", asked=5), INFRA, "PodDeleted", id="deleted before it had a node"),
        pytest.param(
            pod("Pending", node_name="", asked=5, ending="DeadlineExceeded"),
            TIMEOUT,
            "DeadlineExceeded",
            id="ended by us before it had a node",
        ),
        pytest.param(pod(asked=5, grace_seconds=0), INFRA, "PodDeleted", id="deleted by force"),
        pytest.param(pod(asked=70, grace_seconds=0, exit=0), None, "", id="deleted by force after it had succeeded"),
    ],
)
@pytest.mark.row("F1")
@pytest.mark.row("fine:why-a-pod-ended")
def test_why_a_pod_ended(view: PodView, failure_class: FailureClass | None, reason: str) -> None:
    outcome = observe_pod(view).outcome
    assert outcome is not None
    assert (outcome.failure_class, outcome.reason) == (failure_class, reason)
    assert outcome.result is (Result.FAILED if failure_class else Result.SUCCEEDED)


@pytest.mark.parametrize("ending", [reason for reason, class_ in ENDINGS.items() if class_ is None])
@pytest.mark.row("fine:why-a-pod-ended")
def test_some_ends_are_cancellations(ending: str) -> None:
    outcome = observe_pod(pod("Failed", exit=143, asked=50, ending=ending)).outcome
    assert outcome is not None
    assert (outcome.result, outcome.failure_class, outcome.reason) == (Result.CANCELLED, None, ending)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(pod("Pending", node_name=""), id="not scheduled"),
        pytest.param(pod("Pending"), id="scheduled"),
        pytest.param(pod(running_at=at(5)), id="running"),
        pytest.param(pod("Unknown", running_at=at(5)), id="its node does not answer"),
        pytest.param(pod(exit=0), id="the main container has ended, a sidecar has not"),
        pytest.param(pod(exit=1), id="the main container has failed, a sidecar runs on"),
        pytest.param(pod(running_at=at(5), asked=50), id="in its grace period"),
        pytest.param(pod(running_at=at(5), asked=50, ending="TimedOut"), id="in its grace period, by us"),
        pytest.param(pod(running_at=at(5), asked=50, **DRAINED), id="being drained"),
    ],
)
def test_a_pod_that_has_not_ended(view: PodView) -> None:
    assert observe_pod(view).outcome is None


@pytest.mark.parametrize(
    ("view", "finished"),
    [
        pytest.param(pod("Succeeded", exit=0), 60, id="the main container's"),
        pytest.param(pod("Failed", exit=143, asked=50), 60, id="the main container's, before that of the deletion"),
        pytest.param(pod("Pending", node_name="", asked=5, grace_seconds=0), 5, id="that of the deletion"),
        pytest.param(pod("Failed", changed_at=at(7), **EVICTED), 7, id="that of its conditions, failing all else"),
        pytest.param(pod("Failed", **EVICTED), 0, id="that of its creation, at last"),
    ],
)
def test_when_a_pod_ended(view: PodView, finished: float) -> None:
    outcome = observe_pod(view).outcome
    assert outcome is not None
    assert outcome.finished_at == at(finished)


@pytest.mark.parametrize(
    ("view", "reason", "stuck"),
    [
        pytest.param(pod("Pending"), "", False, id="nothing is wrong"),
        pytest.param(pod("Pending", waiting_reason="ContainerCreating"), "", False, id="on its way"),
        pytest.param(
            pod("Pending", node_name="", unscheduled="Unschedulable"), "Unschedulable", False, id="no node fits"
        ),
        pytest.param(pod("Pending", unscheduled="Unschedulable"), "", False, id="no node fitted, now one does"),
        pytest.param(
            pod("Pending", node_name="", unscheduled="SchedulerError"), "Unschedulable", False, id="bad affinity"
        ),
        pytest.param(pod("Pending", node_name="", unscheduled="SchedulingGated"), "SchedulingGated", False, id="gated"),
        pytest.param(pod("Pending", waiting_reason="ErrImagePull"), "ImagePull", True, id="pull failed"),
        pytest.param(pod("Pending", waiting_reason="ImagePullBackOff"), "ImagePull", True, id="pull fails again"),
        pytest.param(pod("Pending", waiting_reason="InvalidImageName"), "ImagePull", True, id="no image's name"),
        *(
            pytest.param(pod("Pending", waiting_reason=reason), "ImagePull", True, id=reason)
            for reason in ("ErrImageNeverPull", "ImageInspectError", "SignatureValidationFailed", "RegistryUnavailable")
        ),
        pytest.param(
            pod("Pending", waiting_reason="CreateContainerConfigError"), "ContainerConfig", True, id="missing secret"
        ),
        *(
            pytest.param(pod("Pending", waiting_reason=reason), "ContainerConfig", True, id=reason)
            for reason in ("CreateContainerError", "RunContainerError", "PreStartHookError")
        ),
        pytest.param(
            pod("Pending", waiting_reason="CrashLoopBackOff"), "CrashLoopBackOff", False, id="its sidecar crashes"
        ),
        pytest.param(pod("Pending", waiting_reason="ErrImagePull", asked=5), "Terminating", False, id="on its way out"),
        pytest.param(pod("Failed", waiting_reason="ErrImagePull"), "", False, id="over"),
    ],
)
@pytest.mark.row("F1")
def test_why_a_pod_does_not_run(view: PodView, reason: str, stuck: bool) -> None:
    seen = observe_pod(view)
    assert (seen.reason, seen.stuck_since is not None) == (reason, stuck)


def test_time_to_get_unstuck_counts_from_when_the_pod_was_placed() -> None:
    # It may have waited for a node for an hour before its image could not be pulled for a second.
    assert observe_pod(pod("Pending", waiting_reason="ErrImagePull", placed_at=at(3600))).stuck_since == at(3600)
    assert observe_pod(pod("Pending", waiting_reason="ErrImagePull")).stuck_since == at(0)


def test_messages_are_kubernetes_own() -> None:
    def message(view: PodView) -> str:
        outcome = observe_pod(view).outcome
        assert outcome is not None
        return outcome.message

    assert message(pod("Failed", **EVICTED)) == "The node was low on resource: memory."
    assert message(pod("Failed", exit=2, main_message="\nKeyError: 'x'\n")) == "exit code 2: KeyError: 'x'"
    assert message(pod("Failed", exit=2)) == "exit code 2"
    assert message(pod("Failed", exit=143, **DRAINED)) == "Eviction API: evicting"
    assert "memory" in message(pod("Failed", exit=137, main_reason="OOMKilled"))
    assert "timeoutSeconds" in message(pod("Failed", exit=137, ending="TimedOut"))


def test_every_ending_that_is_a_failure_is_explained() -> None:
    for ending, failure_class in ENDINGS.items():
        outcome = observe_pod(pod("Failed", exit=137, ending=ending)).outcome
        assert outcome is not None
        assert outcome.message or failure_class is None


def test_what_a_pod_tells_beside_its_outcome() -> None:
    seen = observe_pod(pod(exit=0, held=True, ending="Completed", asked=61, main_message='{"rows": 1}'))
    assert (seen.node, seen.number, seen.object_name, seen.node_name) == ("a", 1, "p", "n1")
    assert (seen.started_at, seen.running_at, seen.main_ended_at) == (at(0), at(10), at(60))
    assert (seen.held, seen.deleting, seen.ending) == (True, True, "Completed")


def test_when_a_pod_that_is_being_deleted_should_be_gone() -> None:
    assert observe_pod(pod()).deleting_at is None
    assert observe_pod(pod(asked=60)).deleting_at == at(60 + GRACE)  # as the API server writes it


def test_why_a_pod_is_being_deleted() -> None:
    assert observe_pod(pod(asked=60, **DRAINED)).message == "Eviction API: evicting"


def test_outputs_come_from_the_termination_message() -> None:
    outcome = observe_pod(pod("Succeeded", exit=0, main_message='{"rows": 1}')).outcome
    assert outcome is not None
    assert (outcome.text, outcome.exit_code) == ('{"rows": 1}', 0)


# Jobs.


def job(**more: Any) -> JobView:
    defaults: dict[str, Any] = {
        "name": "j",
        "uid": "job-uid",
        "owner_name": "daily",
        "owner_uid": "uid",
        "node": "a",
        "number": 1,
        "created_at": at(0),
    }
    return JobView(**(defaults | more))


DONE = {"finished_at": at(60)}


@pytest.mark.parametrize(
    ("view", "failure_class", "reason"),
    [
        pytest.param(job(succeeded=True, **DONE), None, "", id="complete"),
        pytest.param(job(succeeded=True, ending="TimedOut", **DONE), None, "", id="complete although timed out"),
        pytest.param(
            job(succeeded=False, reason="BackoffLimitExceeded", **DONE), USER, "BackoffLimitExceeded", id="failed"
        ),
        pytest.param(
            job(succeeded=False, reason="DeadlineExceeded", **DONE), TIMEOUT, "ActiveDeadlineExceeded", id="too long"
        ),
        pytest.param(job(succeeded=False, **DONE), USER, "JobFailed", id="failed, does not say why"),
        pytest.param(job(succeeded=False, ending="TimedOut", **DONE), TIMEOUT, "TimedOut", id="timed out by us"),
        pytest.param(job(deleting_at=at(50), ending="TimedOut"), TIMEOUT, "TimedOut", id="deleted by us"),
        pytest.param(job(deleting_at=at(50)), INFRA, "JobDeleted", id="deleted by somebody"),
        pytest.param(
            job(succeeded=False, reason="BackoffLimitExceeded", deleting_at=at(70), **DONE),
            USER,
            "BackoffLimitExceeded",
            id="deleted after it had failed",
        ),
    ],
)
@pytest.mark.row("fine:jobs")
def test_why_a_job_ended(view: JobView, failure_class: FailureClass | None, reason: str) -> None:
    outcome = observe_job(view).outcome
    assert outcome is not None
    assert (outcome.failure_class, outcome.reason) == (failure_class, reason)
    assert outcome.result is (Result.FAILED if failure_class else Result.SUCCEEDED)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(job(), id="just created"),
        pytest.param(job(pod=pod(running_at=at(5))), id="running"),
        pytest.param(job(deleting_at=at(50), foreground=True), id="deleted, its pods not gone yet"),
    ],
)
def test_a_job_that_has_not_ended(view: JobView) -> None:
    assert observe_job(view).outcome is None


@pytest.mark.parametrize(
    ("view", "gone"),
    [
        pytest.param(job(), None, id="not being deleted"),
        pytest.param(job(deleting_at=at(50)), 80, id="its pods have Kubernetes' grace period"),
        pytest.param(job(deleting_at=at(50), grace_seconds=5), 55, id="their own"),
        pytest.param(job(deleting_at=at(50), pod=pod(asked=52)), 82, id="as its pod says"),
    ],
)
def test_when_a_job_that_is_being_deleted_should_be_gone(view: JobView, gone: float | None) -> None:
    assert observe_job(view).deleting_at == (None if gone is None else at(gone))


def failed_by(pod_of_it: PodView, reason: str = "BackoffLimitExceeded") -> JobView:
    """A Job that has failed because this pod of it did."""
    return job(
        succeeded=False, reason=reason, message="it has reached the limit", cause=observe_pod(pod_of_it).outcome, **DONE
    )


@pytest.mark.parametrize(
    ("view", "failure_class", "reason"),
    [
        pytest.param(failed_by(pod("Failed", exit=1)), USER, "BackoffLimitExceeded", id="its program failed"),
        pytest.param(
            failed_by(pod("Failed", exit=137, main_reason="OOMKilled")), USER, "OOMKilled", id="out of its own memory"
        ),
        pytest.param(failed_by(pod("Failed", exit=143, **DRAINED)), INFRA, "EvictionByEvictionAPI", id="drained"),
        pytest.param(failed_by(pod("Failed", reason="OutOfcpu")), INFRA, "OutOfcpu", id="refused by the kubelet"),
        pytest.param(
            failed_by(pod("Failed", **DRAINED), reason="PodFailurePolicy"),
            USER,
            "PodFailurePolicy",
            id="its own policy",
        ),
    ],
)
def test_a_job_failed_for_the_reason_of_its_pod(view: JobView, failure_class: FailureClass | None, reason: str) -> None:
    outcome = observe_job(view).outcome
    assert outcome is not None
    assert (outcome.failure_class, outcome.reason) == (failure_class, reason)
    assert outcome.message.startswith("it has reached the limit")


def test_a_cancelled_job() -> None:
    outcome = observe_job(job(deleting_at=at(50), ending="RunDeadlineExceeded")).outcome
    assert outcome is not None
    assert (outcome.result, outcome.finished_at) == (Result.CANCELLED, at(50))


@pytest.mark.row("fine:jobs")
def test_a_job_hands_on_what_its_last_pod_left_behind() -> None:
    outcome = observe_job(job(succeeded=True, text='{"rows": 1}', **DONE)).outcome
    assert outcome is not None
    assert outcome.text == '{"rows": 1}'
    outcome = observe_job(job(succeeded=False, exit_code=3, message="m", **DONE)).outcome
    assert outcome is not None
    assert (outcome.exit_code, outcome.message) == (3, "m")


def test_a_pod_over_its_own_storage_limit_is_its_users_failure() -> None:
    evicted = pod(
        phase="Failed",
        reason="Evicted",
        message="Pod ephemeral local storage usage exceeds the total limit of containers 1Mi.",
        exit_code=137,
        finished_at=at(9),
    )
    outcome = observe_pod(evicted).outcome
    assert outcome is not None
    assert (outcome.failure_class, outcome.reason) == (FailureClass.USER, "Evicted")
    assert "ephemeral" in outcome.message


def test_a_pod_whose_containers_never_ran_ended_when_its_conditions_last_changed() -> None:
    outcome = observe_pod(pod(phase="Failed", reason="OutOfcpu", changed_at=at(40))).outcome
    assert outcome is not None
    assert outcome.finished_at == at(40)


def test_a_job_runs_when_its_pod_does() -> None:
    seen = observe_job(job(pod=pod(running_at=at(5), node_name="n1")))
    assert (seen.running_at, seen.node_name, seen.outcome) == (at(5), "n1", None)


def test_a_job_whose_pod_cannot_start_says_why_like_a_pod() -> None:
    stuck = pod(phase="Pending", waiting_reason="ImagePullBackOff", waiting_message="no such image", placed_at=at(3))
    seen = observe_job(job(pod=stuck))
    assert (seen.reason, seen.message, seen.stuck_since) == ("ImagePull", "no such image", at(3))
