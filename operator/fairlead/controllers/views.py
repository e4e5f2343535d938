"""Projections: from a raw object of the API server to the few fields that the engine classifies. Pure.

The informer keeps only what these functions return, about a third of a kilobyte a pod. What a thousand pods have in
common is interned: else each has a copy of it, as it was parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from sys import intern
from typing import Any

from fairlead.api import labels
from fairlead.api.work import MAIN_CONTAINER
from fairlead.engine.classify import JobView, PodView, observe_pod
from fairlead.engine.model import FailureClass
from fairlead.engine.state import Outcome, Result

__all__ = ["identity_of", "job_view", "pod_view", "time_of", "with_pods_of_job"]

_Raw = Mapping[str, Any]


def pod_view(pod: _Raw) -> PodView:
    """Return the view of a core/v1 Pod. Never raises on a pod that somebody else made or edited."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    main = _named(status.get("containerStatuses", ()))
    state = main.get("state", {})
    terminated, waiting = state.get("terminated") or {}, state.get("waiting") or {}
    running = state.get("running") or {}
    # The main container waits with PodInitializing for every init container: theirs tells more.
    waiting = _waiting_init(status) or waiting
    conditions = _Conditions(status.get("conditions") or ())
    disruption, unscheduled = conditions.disruption, conditions.unscheduled
    return PodView(
        **identity_of(metadata),
        phase=intern(status.get("phase", "Pending")),
        node_name=intern(spec.get("nodeName", "")),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        running_at=time_of(running.get("startedAt")) or time_of(terminated.get("startedAt")),
        finished_at=time_of(terminated.get("finishedAt")),
        exit_code=terminated.get("exitCode"),
        main_reason=intern(terminated.get("reason", "")),
        main_message=terminated.get("message", ""),
        placed_at=time_of(conditions.placed_at),
        changed_at=time_of(conditions.changed_at),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        init_failure=_init_failure(status),
        unscheduled=unscheduled.get("reason", ""),
        unscheduled_message=unscheduled.get("message", ""),
        disruption=disruption.get("reason", ""),
        disruption_message=disruption.get("message", ""),
        disrupted_at=time_of(disruption.get("lastTransitionTime")),
        deleting_at=time_of(metadata.get("deletionTimestamp")),
        grace_seconds=metadata.get("deletionGracePeriodSeconds"),
        ending=metadata.get("annotations", {}).get(labels.ENDING, ""),
        held=labels.FINALIZER in metadata.get("finalizers", ()),
    )


def job_view(job: _Raw) -> JobView:
    """Return the view of a batch/v1 Job, without what its pods would have to say."""
    metadata, status = job["metadata"], job.get("status", {})
    pod = job.get("spec", {}).get("template", {}).get("spec", {})
    complete, failed = _condition(status, "Complete", "True"), _condition(status, "Failed", "True")
    end = complete or failed
    finalizers = metadata.get("finalizers", ())
    return JobView(
        **identity_of(metadata),
        finished_at=time_of(status.get("completionTime")) or time_of(end.get("lastTransitionTime")),
        succeeded=bool(complete) if end else None,
        reason=failed.get("reason", ""),
        message=failed.get("message", ""),
        deleting_at=time_of(metadata.get("deletionTimestamp")),
        grace_seconds=pod.get("terminationGracePeriodSeconds"),
        foreground="foregroundDeletion" in finalizers,
        keeps_pods=pod.get("restartPolicy") == "Never",
        ending=metadata.get("annotations", {}).get(labels.ENDING, ""),
        held=labels.FINALIZER in finalizers,
    )


def with_pods_of_job(job: JobView, pods: Iterable[_Raw]) -> JobView:
    """Complete the view of a Job with its newest pod and, once it has ended, with what the last main container left."""
    views = [pod_view(pod) for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))]
    job = replace(job, pod=views[-1] if views else None)
    if job.succeeded is None:
        return job
    if not job.succeeded:
        job = replace(job, cause=_cause_of(job, views))
    ends = [view for view in views if view.exit_code is not None and (view.exit_code == 0) == job.succeeded]
    if not ends:
        return job
    last = max(ends, key=_finished)
    if job.succeeded:
        return replace(job, text=last.main_message, exit_code=last.exit_code, ended_pod=last.name)
    text = last.main_message.strip()
    tail = f"; exit code {last.exit_code}" + (f": {text}" if text else "")
    return replace(job, message=job.message + tail, exit_code=last.exit_code)


def _cause_of(job: JobView, pods: Iterable[PodView]) -> Outcome | None:
    """Return the end of the pod that tells best why a Job failed: the last one that its user is to blame for."""
    outcomes = [outcome for view in pods if (outcome := observe_pod(view).outcome) is not None]
    failures = sorted(
        (each for each in outcomes if each.failure_class is not None),
        key=lambda each: (each.failure_class is FailureClass.USER, each.finished_at),
    )
    if failures:
        return failures[-1]
    if not job.keeps_pods or job.finished_at is None:
        return None
    # The Job controller never deletes a pod that has failed, unless it would be restarted in place.
    return Outcome(
        result=Result.FAILED,
        finished_at=job.finished_at,
        failure_class=FailureClass.INFRASTRUCTURE,
        reason="PodDeleted",
        message="somebody deleted its pods, or their node went away with them",
    )


def _finished(view: PodView) -> datetime:
    return view.finished_at or view.created_at


def time_of(text: str | None) -> datetime | None:
    """Return an RFC 3339 time of the API as an aware datetime."""
    return None if not text else datetime.fromisoformat(text)


def identity_of(metadata: _Raw) -> dict[str, Any]:
    """Return what the metadata of an object says about the attempt that it carries."""
    own = metadata.get("labels", {})
    annotations = metadata.get("annotations", {})
    owner: _Raw = next((ref for ref in metadata.get("ownerReferences", ()) if ref.get("controller")), {})
    # From the name: unlike a label, nobody can change it.
    number = metadata["name"].rpartition("-")[2]
    created = time_of(metadata.get("creationTimestamp"))
    assert created is not None, "the API server sets creationTimestamp on every object"
    return {
        "name": metadata["name"],
        "uid": metadata["uid"],
        "owner_name": intern(owner.get("name", "")),
        "owner_uid": intern(owner.get("uid", "")),
        "node": annotations.get(labels.NODE) or _node_by_labels(own),
        "number": int(number) if number.isdecimal() else 0,
        "created_at": created,
        "result": own.get(labels.RESULT, ""),
    }


def _node_by_labels(own: _Raw) -> str:
    """Return the node as its labels tell it, where somebody took the annotation off."""
    task, index = own.get(labels.TASK, ""), own.get(labels.ITEM)
    return f"{task}[{index}]" if index else task


def _named(statuses: Iterable[_Raw]) -> _Raw:
    return next((status for status in statuses if status.get("name") == MAIN_CONTAINER), {})


def _condition(status: _Raw, kind: str, wanted: str) -> _Raw:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind and condition.get("status") == wanted:
            return condition  # type: ignore[no-any-return]
    return {}


class _Conditions:
    """What the conditions of a pod say, read in one go: five times for each pod, they are most of what there is to do.

    The times are as the API writes them: in UTC and whole seconds, so that the later one is the greater text.
    `placed_at` is when the pod was bound to a node or its init containers were through, whichever came last.
    """

    __slots__ = ("changed_at", "disruption", "placed_at", "unscheduled")

    def __init__(self, conditions: Iterable[_Raw]) -> None:
        self.disruption: _Raw = {}
        self.unscheduled: _Raw = {}
        self.placed_at = self.changed_at = ""
        for condition in conditions:
            when = condition.get("lastTransitionTime") or ""
            self.changed_at = max(self.changed_at, when)
            match condition.get("type"), condition.get("status"):
                case (("PodScheduled" | "Initialized"), "True"):
                    self.placed_at = max(self.placed_at, when)
                case "PodScheduled", "False":
                    self.unscheduled = condition
                case "DisruptionTarget", "True":
                    self.disruption = condition


def _waiting_init(status: _Raw) -> _Raw:
    for container in status.get("initContainerStatuses") or ():
        waiting: _Raw = container.get("state", {}).get("waiting") or {}
        if waiting and waiting.get("reason") != "PodInitializing":
            return waiting
    return {}


def _init_failure(status: _Raw) -> str:
    for container in status.get("initContainerStatuses") or ():
        end = container.get("state", {}).get("terminated") or {}
        if end.get("exitCode"):
            text = (end.get("message") or "").strip()
            return f"init container {container['name']!r}: exit code {end['exitCode']}" + (f": {text}" if text else "")
    return ""
