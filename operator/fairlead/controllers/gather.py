"""Gathering facts: from what the informers noticed to what the engine understands.

The informers call :meth:`Gatherer.changed` for every object that appears, changes or leaves their view. It is kept per
run until the run's worker asks for it, newest view only: ten changes of a pod between two plans are one fact. A
vanished object is believed to be gone only after a GET has said so; one whose labels were stripped is labelled again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from fairlead.api import labels
from fairlead.clock import utc_now
from fairlead.engine.classify import JobView, PodView, observe_job, observe_pod
from fairlead.engine.events import AttemptGone, AttemptSeen, Event
from fairlead.engine.model import WorkKind
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.resources import PODS, ObjectKey
from fairlead.kube.transport import ApiClient, JsonObject, PatchType

from .caches import Cache, View
from .children import ChildView, observe_child
from .pods import node_labels, owner_reference
from .run import Run
from .start import RESOURCES
from .stdout import StdoutReader
from .views import identity_of, with_pods_of_job

__all__ = ["GATHERED_SECONDS", "JOB_LOOK_SECONDS", "Gatherer", "is_recorded", "pods_of_job"]

log = logging.getLogger(__name__)

#: Seconds between two looks at the pods of a Job that does not run yet.
JOB_LOOK_SECONDS = 5.0

#: Seconds for which news that comes in numbers may wait for more of it.
GATHERED_SECONDS = 0.1

#: Seconds until a run knows that something is there, and that a watch may take to tell of it.
_KNOWN_SECONDS, _DOUBT_SECONDS = 0.8, 1.8


class Gatherer:
    """What changed, by run. `notify(uid)` is called when there is something new about a run.

    `notify_within(uid, seconds)` is called instead where it may wait for more, `notify_eventually(uid)` where nothing
    follows from it: four of a pod's five changes only say how far it has come.
    """

    def __init__(
        self,
        client: ApiClient,
        informers: Mapping[WorkKind, Cache],
        notify: Callable[[str], None],
        notify_within: Callable[[str, float], None],
        notify_eventually: Callable[[str], None],
    ) -> None:
        self._client = client
        self._informers = informers
        self._notify = notify
        self._notify_within = notify_within
        self._notify_eventually = notify_eventually
        self._changed: dict[str, dict[tuple[WorkKind, ObjectKey], View]] = {}
        self._left: dict[str, dict[tuple[WorkKind, ObjectKey], View]] = {}
        self._heard_at: dict[str, float] = {}
        self._again: set[str] = set()
        self._doubted: set[str] = set()
        self._stdout = StdoutReader(client, notify)

    def changed(self, kind: WorkKind, key: ObjectKey, old: View | None, new: View | None) -> None:
        """Take note of a change; an informer's callback."""
        if old is not None and old.owner_uid and (new is None or new.owner_uid != old.owner_uid):
            # Gone, out of our sight, or its owner was taken off: its run finds out which.
            self._changed.get(old.owner_uid, {}).pop((kind, key), None)
            self._left.setdefault(old.owner_uid, {})[kind, key] = old
            if _has_ended(old):  # as a rule they leave because they are cleaned up, thousands of them one by one
                self._notify_eventually(old.owner_uid)
            else:
                self._notify_within(old.owner_uid, GATHERED_SECONDS)
        if new is not None and new.owner_uid:
            self._changed.setdefault(new.owner_uid, {})[kind, key] = new
            if _is_no_end(old, new):
                self._notify_eventually(new.owner_uid)
            else:
                self._hear(new.owner_uid)

    def _hear(self, uid: str) -> None:
        if uid not in self._heard_at:
            self._heard_at[uid] = asyncio.get_running_loop().time()
        self._notify(uid)

    def expect_all(self, uid: str) -> None:
        """Report every object of a run once more with the next facts."""
        pending = self._changed.setdefault(uid, {})
        for kind, informer in self._informers.items():
            for key, view in informer.by_owner(uid).items():
                pending[kind, key] = view

    def doubt(self, uid: str) -> None:
        """Look in a moment for what a run has and no watch tells of: its labels may have been taken off."""

        def look() -> None:
            self._doubted.add(uid)
            self._notify(uid)

        loop = asyncio.get_running_loop()
        loop.call_later(_KNOWN_SECONDS, self._notify, uid)
        loop.call_later(_DOUBT_SECONDS, look)

    def take(self, uid: str) -> dict[tuple[WorkKind, ObjectKey], View]:
        """Return, once, the objects of a run that have changed since last time; for runs that are not active."""
        self._left.pop(uid, None)
        self._heard_at.pop(uid, None)
        self._doubted.discard(uid)
        return self._changed.pop(uid, {})

    def objects(self, uid: str) -> dict[tuple[WorkKind, ObjectKey], View]:
        """Return all objects of a run."""
        return {
            (kind, key): view
            for kind, informer in self._informers.items()
            for key, view in informer.by_owner(uid).items()
        }

    def hidden(self, uid: str) -> dict[tuple[WorkKind, ObjectKey], View]:
        """Return what we hold of a run and do not see any more, though it is not known to be gone.

        Nothing that is held goes away without being marked as deleted first: somebody took our labels off.
        """
        left = self._left.get(uid, {})
        return {key: view for key, view in left.items() if view.held and view.deleting_at is None}

    def heard_at(self, uid: str) -> float:
        """Return, once, the loop time of the oldest end not yet handed on; 0.0 for none."""
        return self._heard_at.pop(uid, 0.0)

    async def facts(self, run: Run) -> list[Event]:
        """Return what is new about a run: answers to its commands, then changed objects in order of their attempts."""
        # Owners are in the namespace of what they own; in another one, somebody only claims that it is ours.
        changed = self._pending_jobs(run) | _within(run, self._changed.pop(run.uid, {}))
        left = _within(run, self._left.pop(run.uid, {}))
        try:
            facts = await self._facts_of(run, changed, left)
        except ApiError:
            # Nothing is lost by an outage in between: what was noted is handed on with the next facts.
            newly_left = self._left.get(run.uid, {})
            kept = {key: view for key, view in changed.items() if key not in newly_left}
            self._changed[run.uid] = kept | self._changed.get(run.uid, {})
            self._left[run.uid] = left | newly_left
            raise
        answers, run.inbox = run.inbox, []
        return [*answers, *facts]

    def _pending_jobs(self, run: Run) -> dict[tuple[WorkKind, ObjectKey], View]:
        """Return, every few seconds, Jobs of which no pod runs yet: a Job does not change when its pod cannot start."""
        now = asyncio.get_running_loop().time()
        if not run.pending_jobs or now < run.next_job_look:
            return {}
        run.next_job_look = now + JOB_LOOK_SECONDS
        views = {(WorkKind.JOB, key): self._informers[WorkKind.JOB].get(key) for key in run.pending_jobs}
        run.pending_jobs = {key for _, key in views if views[WorkKind.JOB, key] is not None}
        return {key: view for key, view in views.items() if view is not None}

    async def _facts_of(
        self, run: Run, changed: dict[tuple[WorkKind, ObjectKey], View], left: dict[tuple[WorkKind, ObjectKey], View]
    ) -> list[Event]:
        facts: list[Event] = []
        for (_, key), view in sorted(changed.items(), key=lambda item: (item[1].node, item[1].number)):
            fact = await self._fact_of(run, key, view)
            if fact is not None:
                facts.append(fact)
        absent = {key: view for key, view in left.items() if key not in changed} | self._missing(run)
        verdicts = await asyncio.gather(*(self._is_gone(kind, key, view, run) for (kind, key), view in absent.items()))
        for view, gone in zip(absent.values(), verdicts, strict=True):
            if gone:
                facts.append(AttemptGone(node=view.node, number=view.number, seen_at=utc_now()))
        return facts

    async def _fact_of(self, run: Run, key: ObjectKey, view: View) -> AttemptSeen | None:
        """Return what an object tells; None while its end has to wait for what its task printed."""
        match view:
            case ChildView():
                return observe_child(view)
            case PodView():
                seen, pod, succeeded = observe_pod(view), view.name, view.exit_code == 0
            case JobView():
                view = await self._complete(run, key, view)
                seen, pod, succeeded = observe_job(view), view.ended_pod, bool(view.succeeded)
        if not succeeded:
            return seen
        kind = WorkKind.POD if isinstance(view, PodView) else WorkKind.JOB
        return self._stdout.complete(run, seen, pod, lambda: self._report_again(run.uid, kind, key))

    def _report_again(self, uid: str, kind: WorkKind, key: ObjectKey) -> None:
        view = self._informers[kind].get(key)
        if view is not None:  # else it has left, and that is reported
            self._changed.setdefault(uid, {})[kind, key] = view
            self._notify(uid)

    def _missing(self, run: Run) -> dict[tuple[WorkKind, ObjectKey], Any]:
        """Return live attempts that are not in the informers' view; looked for at a resync, or where there is doubt."""
        if not run.resync and run.uid not in self._doubted:
            return {}
        run.resync = False
        self._doubted.discard(run.uid)
        missing: dict[tuple[WorkKind, ObjectKey], Any] = {}
        for state in run.state.nodes.values():
            attempt = state.current
            if attempt is None or not attempt.created:
                continue
            kind = state.node.work.kind
            if kind not in (WorkKind.POD, WorkKind.JOB):
                continue  # its carrier looks for it
            key = ObjectKey(run.owner.namespace, attempt.object_name)
            view = self._informers[kind].get(key)
            if view is None or view.owner_uid != run.uid:
                missing[kind, key] = _Missing(state.name, attempt.number)
        return missing

    async def _is_gone(self, kind: WorkKind, key: ObjectKey, view: Any, run: Run) -> bool:
        uid = getattr(view, "uid", None)
        if is_recorded(run, view):
            return True  # nothing depends on it any more, so nobody has to be asked
        try:
            if await self._informers[kind].confirm_gone(key, uid):
                return True
            now = self._informers[kind].get(key)
            if now is None or now.owner_uid != run.uid:
                await self._claim_again(kind, key, view, run)
        except NotFound:
            return True
        except ApiError as error:
            log.warning("cannot tell whether %s is gone: %s; trying again", key, error)
            if error.status != 422:  # what is refused for good, such as a second controller, waits for the next resync
                self._left.setdefault(run.uid, {})[kind, key] = view
                self._look_again(run.uid)
        return False

    def _look_again(self, uid: str) -> None:
        """Have a run looked at in a second, once, however many of its objects that is for."""
        if uid not in self._again:
            self._again.add(uid)
            asyncio.get_running_loop().call_later(1.0, self._notify_again, uid)

    def _notify_again(self, uid: str) -> None:
        self._again.discard(uid)
        self._notify(uid)

    async def _claim_again(self, kind: WorkKind, key: ObjectKey, view: Any, run: Run) -> None:
        """Somebody took our labels or its owner off: put back what we find it by. Those of others stay."""
        metadata: dict[str, Any] = {
            "labels": {
                labels.RUN_UID: run.uid,
                labels.BUCKET: str(run.owner.bucket),
                **node_labels(view.node, view.number),
            },
            "annotations": {labels.NODE: view.node},
            "ownerReferences": [owner_reference(run.owner)],
        }
        if getattr(view, "uid", None):
            metadata["uid"] = view.uid
        resource, name, type_ = RESOURCES[kind], getattr(view, "name", key.name), PatchType.STRATEGIC
        if not resource.strategic:
            # There, a list is replaced as a whole.
            found = (await self._client.get(resource, name, key.namespace, metadata_only=True))["metadata"]
            others = [each for each in found.get("ownerReferences") or () if each["uid"] != run.uid]
            metadata["ownerReferences"] = [*others, *metadata["ownerReferences"]]
            metadata["resourceVersion"], type_ = found["resourceVersion"], PatchType.MERGE
        await self._client.patch(resource, name, {"metadata": metadata}, type_, key.namespace, metadata_only=True)

    async def _complete(self, run: Run, key: ObjectKey, job: JobView) -> JobView:
        """Add to a Job what its pods tell: whether it runs or why not, and at its end exit code and outputs."""
        state = run.state.nodes.get(job.node)
        attempt = next((each for each in state.attempts if each.number == job.number), None) if state else None
        known = attempt is not None and (attempt.finished_at or (attempt.running_at and job.succeeded is None))
        if known:
            run.pending_jobs.discard(key)
            return job
        job = with_pods_of_job(job, await pods_of_job(self._client, key, job.uid))
        if job.succeeded is None and (job.pod is None or job.pod.running_at is None):
            run.pending_jobs.add(key)
        else:
            run.pending_jobs.discard(key)
        return job


async def pods_of_job(client: ApiClient, job: ObjectKey, uid: str) -> list[JsonObject]:
    """Return the pods of the Job with this UID, which no informer watches. Raises `ApiError`.

    Those that only have its label, which anybody can put on a pod, are none of them.
    """
    selector = f"batch.kubernetes.io/job-name={job.name}"
    pages = client.list_pages(PODS, job.namespace, label_selector=selector)
    return [pod async for page in pages for pod in page.items if identity_of(pod["metadata"])["owner_uid"] == uid]


def _is_no_end(old: View | None, new: View) -> bool:
    """Tell whether a pod has only come further, or has ended already: nothing begins because of that."""
    if not isinstance(new, PodView) or new.deleting_at is not None:
        return False
    if not _has_ended(new):
        return True
    return isinstance(old, PodView) and (old.phase, old.exit_code) == (new.phase, new.exit_code)


def _has_ended(view: View) -> bool:
    return isinstance(view, PodView) and view.phase in ("Succeeded", "Failed")


def _within(run: Run, views: dict[tuple[WorkKind, ObjectKey], View]) -> dict[tuple[WorkKind, ObjectKey], View]:
    return {(kind, key): view for (kind, key), view in views.items() if key.namespace == run.owner.namespace}


def is_recorded(run: Run, view: Any) -> bool:
    """Tell whether the end of the attempt that an object carried is in the persisted status."""
    state = run.state.nodes.get(view.node)
    if state is None or not 1 <= view.number <= len(state.attempts):
        return True  # not an attempt of ours
    attempt = state.attempts[view.number - 1]
    return attempt.finished_at is not None and attempt.revision <= run.state.recorded_revision


class _Missing:
    """Stands for an object that was created and that no informer has seen."""

    def __init__(self, node: str, number: int) -> None:
        self.node = node
        self.number = number
        self.uid = None
