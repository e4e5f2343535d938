"""What a pod or a Job says about its attempt: a pure reading of what Kubernetes reports.

The order in which things are believed is the contract (product.md, "Why a pod ended"): exit code 0 of the main
container wins over everything; then the reason that we wrote on the object before we deleted it; then the disruption
conditions of Kubernetes; then what the kubelet says of the pod; then the main container's end. Sources: the Pod
lifecycle and "Pod disruption conditions" pages of the Kubernetes documentation, and the kubelet's own reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from fairlead.engine.endings import ENDING_MESSAGES, ENDINGS
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import FailureClass
from fairlead.engine.state import Outcome, Result

__all__ = ["JobView", "PodView", "observe_job", "observe_pod"]

#: Waiting reasons of a container that mean the image cannot be had.
_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)

#: Waiting reasons that mean something the container refers to is missing or wrong.
_CONFIG_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "RunContainerError",
    }
)

#: Why a scheduler leaves a pod alone, by what the condition PodScheduled says.
_UNSCHEDULED = {
    "Unschedulable": "Unschedulable",
    "SchedulerError": "Unschedulable",
    "SchedulingGated": "SchedulingGated",
}

#: Reasons of a pod for which its kubelet ended it, or would not have it, and which are not the pod's fault. Others
#: begin with `OutOf` (OutOfcpu, OutOfmemory, OutOfpods).
_KUBELET_REASONS = frozenset(
    {
        "InvalidNodeInfo",
        "NodeAffinity",
        "NodeLost",
        "NodeName",
        "NodePorts",
        "NodeShutdown",
        "Preempting",
        "Shutdown",
        "Terminated",
        "TopologyAffinityError",
        "UnexpectedAdmissionError",
    }
)

#: Reasons for which no kubelet would have such a pod.
_REFUSED_REASONS = frozenset({"PodOSNotSupported", "PodOSSelectorNodeLabelDoesNotMatch", "SysctlForbidden"})

#: By how much the clocks of nodes and API server may differ when the order of two events is told by their times.
_SKEW = timedelta(seconds=30)

#: The grace period of a pod that says nothing.
_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """What the engine needs of a pod; about a third of a kilobyte, where the object itself takes tens.

    `placed_at` is when it was bound to a node, or when its init containers were through, whichever came last: from
    then on its next container should be starting. `changed_at` is when the last of its conditions changed: the best
    that is known of the end of a pod whose containers never ran. `unscheduled` is why it has no node, `disruption` why
    Kubernetes has ended it, and `disrupted_at` since when. `deleting_at` is when its grace period will be over.
    `result` is how its attempt counts, once that is on record.
    """

    name: str
    uid: str
    owner_name: str
    owner_uid: str
    node: str
    number: int
    phase: str
    created_at: datetime
    node_name: str = ""
    reason: str = ""
    message: str = ""
    running_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    main_reason: str = ""
    main_message: str = ""
    placed_at: datetime | None = None
    changed_at: datetime | None = None
    waiting_reason: str = ""
    waiting_message: str = ""
    init_failure: str = ""
    unscheduled: str = ""
    unscheduled_message: str = ""
    disruption: str = ""
    disruption_message: str = ""
    disrupted_at: datetime | None = None
    deleting_at: datetime | None = None
    grace_seconds: int | None = None
    ending: str = ""
    held: bool = False
    result: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What the engine needs of a Job. `text` and `exit_code` come from the main container of its last pod, `ended_pod`.

    `pod` is its newest pod, which tells whether it runs, and why not. `cause` is the end of the pod that tells why it
    has failed; a Job that `keeps_pods` deletes none that has. `foreground` says that the garbage collector still waits
    for its pods to go; `grace_seconds` is what they have for that.
    """

    name: str
    uid: str
    owner_name: str
    owner_uid: str
    node: str
    number: int
    created_at: datetime
    pod: PodView | None = None
    finished_at: datetime | None = None
    succeeded: bool | None = None
    reason: str = ""
    message: str = ""
    deleting_at: datetime | None = None
    grace_seconds: int | None = None
    foreground: bool = False
    keeps_pods: bool = False
    cause: Outcome | None = None
    ending: str = ""
    held: bool = False
    result: str = ""
    text: str = ""
    exit_code: int | None = None
    ended_pod: str = ""


def observe_pod(pod: PodView) -> AttemptSeen:
    """Return how the attempt that this pod carries stands."""
    ended = _pod_ended(pod)
    reason, message, stuck = ("", "", False) if ended else _why_not_running(pod)
    return AttemptSeen(
        node=pod.node,
        number=pod.number,
        object_name=pod.name,
        started_at=pod.created_at,
        running_at=pod.running_at,
        node_name=pod.node_name,
        reason=reason,
        message=message,
        stuck_since=(pod.placed_at or pod.created_at) if stuck else None,
        main_ended_at=pod.finished_at,
        ending=pod.ending,
        deleting=pod.deleting_at is not None,
        deleting_at=pod.deleting_at,
        held=pod.held,
        outcome=_pod_outcome(pod) if ended else None,
    )


def _pod_ended(pod: PodView) -> bool:
    if pod.phase in ("Succeeded", "Failed"):
        return True
    # A pod on its way out becomes terminal when its kubelet says so. One that no kubelet has, or that was deleted
    # by force, never will.
    return pod.deleting_at is not None and (not pod.node_name or pod.grace_seconds == 0)


def _why_not_running(pod: PodView) -> tuple[str, str, bool]:
    """Return (reason, message, stuck) of a pod that has not ended."""
    if pod.deleting_at is not None:
        return "Terminating", pod.disruption_message, False
    if pod.waiting_reason in _IMAGE_REASONS:
        return "ImagePull", pod.waiting_message or pod.waiting_reason, True
    if pod.waiting_reason in _CONFIG_REASONS:
        return "ContainerConfig", pod.waiting_message or pod.waiting_reason, True
    if pod.waiting_reason == "CrashLoopBackOff":
        # A sidecar that comes before the main container, or a Job's container that is restarted in place.
        return pod.waiting_reason, pod.waiting_message, False
    if pod.unscheduled in _UNSCHEDULED and not pod.node_name:
        return _UNSCHEDULED[pod.unscheduled], pod.unscheduled_message, False
    return "", "", False


def _pod_outcome(pod: PodView) -> Outcome:
    finished = pod.finished_at or pod.deleting_at or pod.changed_at or pod.created_at
    if pod.exit_code == 0 or (pod.phase == "Succeeded" and pod.exit_code is None):
        return Outcome(result=Result.SUCCEEDED, finished_at=finished, exit_code=0, text=pod.main_message)
    failure_class, reason, message = _pod_failure(pod)
    cancelled = pod.ending in ENDINGS and failure_class is None
    return Outcome(
        result=Result.CANCELLED if cancelled else Result.FAILED,
        finished_at=finished,
        failure_class=failure_class,
        reason=reason,
        message=message,
        exit_code=pod.exit_code,
    )


def _pod_failure(pod: PodView) -> tuple[FailureClass | None, str, str]:
    if pod.ending in ENDINGS:
        return ENDINGS[pod.ending], pod.ending, ENDING_MESSAGES.get(pod.ending, "")
    if pod.disruption and not _had_ended_before(pod):
        return FailureClass.INFRASTRUCTURE, pod.disruption, pod.disruption_message
    if pod.reason and (verdict := _kubelet_verdict(pod)) is not None:
        return verdict
    if pod.exit_code is not None:
        return _main_failure(pod)
    if pod.reason:
        # One that nobody here knows, without a container's end: nothing of the user's has failed.
        return FailureClass.INFRASTRUCTURE, pod.reason, pod.message
    if pod.deleting_at is not None:
        # Before the init containers are asked: a deletion ends them with an exit code of their own.
        return FailureClass.INFRASTRUCTURE, "PodDeleted", f"somebody deleted the pod {pod.name}"
    if pod.init_failure:
        return FailureClass.USER, "InitContainerFailed", pod.init_failure
    return FailureClass.INFRASTRUCTURE, "PodFailed", pod.message or "the pod failed and does not say why"


def _kubelet_verdict(pod: PodView) -> tuple[FailureClass, str, str] | None:
    """Return what the reason of a pod means, whatever exit code its containers were given in the end."""
    reason, message = pod.reason, pod.message
    if reason == "DeadlineExceeded":
        # The pod's own activeDeadlineSeconds; the exit code is that of the kill.
        return FailureClass.TIMEOUT, "ActiveDeadlineExceeded", message
    if reason == "Evicted" and (pod.exit_code is not None or "exceed" in message):
        # Without a disruption: not for the node's sake. It went over a limit of its own, such as that of its storage.
        return FailureClass.USER, reason, message
    if reason in _REFUSED_REASONS:
        return FailureClass.CONFIGURATION, reason, message
    if reason in _KUBELET_REASONS or reason.startswith("OutOf"):
        return FailureClass.INFRASTRUCTURE, reason, message
    return None


def _main_failure(pod: PodView) -> tuple[FailureClass, str, str]:
    """Return why the main container has failed."""
    if _deletion_ended_it(pod):
        return FailureClass.INFRASTRUCTURE, "PodDeleted", f"somebody deleted the pod {pod.name} while it ran"
    if pod.main_reason == "ContainerStatusUnknown":
        # The kubelet lost sight of the container (its node restarted) and made the exit code up.
        return FailureClass.INFRASTRUCTURE, pod.main_reason, pod.main_message
    if pod.main_reason == "OOMKilled":
        return FailureClass.USER, "OOMKilled", "the container used more memory than its limit"
    return FailureClass.USER, _exit_reason(pod), _exit_message(pod)


def _had_ended_before(pod: PodView) -> bool:
    """Tell whether the main container had ended by itself, and surely so, when its pod was disrupted.

    Draining a node disrupts pods that are over, too. The kubelet's own disruptions are written when all is over.
    """
    if pod.finished_at is None or pod.disrupted_at is None or pod.disruption == "TerminationByKubelet":
        return False
    return pod.finished_at + _SKEW < pod.disrupted_at


def _deletion_ended_it(pod: PodView) -> bool:
    """Tell whether a container that failed did so because its pod was being deleted."""
    if pod.deleting_at is None or pod.finished_at is None:
        return False
    # `deletionTimestamp` lies in the future by the grace period: the request came so much earlier.
    asked_at = pod.deleting_at - timedelta(seconds=pod.grace_seconds or 0)
    return pod.finished_at >= asked_at


def _exit_reason(pod: PodView) -> str:
    return pod.main_reason if pod.main_reason not in ("", "Error") else "ExitCode"


def _exit_message(pod: PodView) -> str:
    tail = pod.main_message.strip()
    return f"exit code {pod.exit_code}" + (f": {tail}" if tail else "")


def observe_job(job: JobView) -> AttemptSeen:
    """Return how the attempt that this Job carries stands."""
    outcome = _job_outcome(job)
    pod = None if job.pod is None else observe_pod(job.pod)
    waiting = pod if outcome is None else None
    return AttemptSeen(
        node=job.node,
        number=job.number,
        object_name=job.name,
        started_at=job.created_at,
        running_at=pod.running_at if pod else None,
        node_name=pod.node_name if pod else "",
        reason=waiting.reason if waiting else "",
        message=waiting.message if waiting else "",
        stuck_since=waiting.stuck_since if waiting else None,
        ending=job.ending,
        deleting=job.deleting_at is not None,
        deleting_at=_job_gone_at(job),
        held=job.held,
        outcome=outcome,
    )


def _job_gone_at(job: JobView) -> datetime | None:
    """Return when a Job that is being deleted should be gone. Its time of deletion, unlike a pod's, has no grace."""
    if job.deleting_at is None:
        return None
    if job.pod is not None and job.pod.deleting_at is not None:
        return job.pod.deleting_at
    return job.deleting_at + timedelta(seconds=_GRACE_SECONDS if job.grace_seconds is None else job.grace_seconds)


def _job_outcome(job: JobView) -> Outcome | None:
    finished = job.finished_at or job.deleting_at
    if job.succeeded is None and (job.deleting_at is None or job.foreground):
        return None
    assert finished is not None
    if job.succeeded:
        return Outcome(result=Result.SUCCEEDED, finished_at=finished, exit_code=0, text=job.text)
    if job.ending in ENDINGS:
        failure_class = ENDINGS[job.ending]
        return Outcome(
            result=Result.CANCELLED if failure_class is None else Result.FAILED,
            finished_at=finished,
            failure_class=failure_class,
            reason=job.ending,
            message=ENDING_MESSAGES.get(job.ending, ""),
        )
    if job.succeeded is None:
        return Outcome(
            result=Result.FAILED,
            finished_at=finished,
            failure_class=FailureClass.INFRASTRUCTURE,
            reason="JobDeleted",
            message=f"somebody deleted the Job {job.name} before it had ended",
        )
    cause = job.cause
    if job.reason == "BackoffLimitExceeded" and cause is not None and _explains(cause):
        # The Job only counts failures; what they were decides the class, and which retry rule matches.
        return Outcome(
            result=Result.FAILED,
            finished_at=finished,
            failure_class=cause.failure_class,
            reason=cause.reason,
            message=f"{job.message}: {cause.message}",
            exit_code=job.exit_code,
        )
    timed_out = job.reason == "DeadlineExceeded"
    return Outcome(
        result=Result.FAILED,
        finished_at=finished,
        failure_class=FailureClass.TIMEOUT if timed_out else FailureClass.USER,
        reason="ActiveDeadlineExceeded" if timed_out else job.reason or "JobFailed",
        message=job.message,
        exit_code=job.exit_code,
    )


def _explains(cause: Outcome) -> bool:
    return cause.failure_class is not FailureClass.USER or cause.reason == "OOMKilled"
