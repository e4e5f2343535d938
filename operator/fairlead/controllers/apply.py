"""Carrying out the engine's commands: the only place that creates, ends and releases what a run owns.

Each command becomes one background task, so that a slow request holds up neither the other commands nor the next
plan; what came of it goes into the run's inbox as a fact. Bounded in flight by the transport. A command may be cut off
at any await: names are deterministic, and ending or releasing twice is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from fairlead.api import labels
from fairlead.api.work import RenderedWork
from fairlead.engine.classify import observe_job, observe_pod
from fairlead.engine.commands import Command, EndAttempt, RecordEvent, ReleaseAttempt, StartAttempt
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused
from fairlead.engine.model import FailureClass, WorkKind
from fairlead.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from fairlead.kube.events import EventRecorder, ObjectReference
from fairlead.kube.finalizers import release_finalizer
from fairlead.kube.informer import Informer
from fairlead.kube.resources import CONFIGMAPS, JOBS, PODS, ObjectKey, Resource
from fairlead.kube.transport import ApiClient, PatchType

from .pods import Owner, job_manifest, pod_manifest, script_manifest
from .refusals import blocks_operator, refusal
from .run import Run
from .views import job_view, pod_view, time_of

__all__ = ["Applier"]

log = logging.getLogger(__name__)

_RESOURCES: dict[WorkKind, Resource] = {WorkKind.POD: PODS, WorkKind.JOB: JOBS}
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


_HEADLINES = frozenset({"Started", "Succeeded", "Failed", "InvalidSpec"})


class _Abandoned(Exception):
    """A create that must not leave any more: the run was suspended, stopped or deleted meanwhile."""


class Applier:
    """Carries out commands for any run. `notify(uid)` is called when a run's inbox has something new."""

    def __init__(
        self,
        client: ApiClient,
        informers: dict[WorkKind, Informer[Any]],
        recorder: EventRecorder,
        notify: Callable[[str], None],
        hop_took: Callable[[float], None],
    ) -> None:
        self._client = client
        self._informers = informers
        self._recorder = recorder
        self._notify = notify
        self._hop_took = hop_took
        self._tasks: set[asyncio.Task[None]] = set()

    def dispatch(self, run: Run, command: Command) -> None:
        """Begin to carry out one command."""
        match command:
            case StartAttempt():
                self._spawn(self._start(run, command, run.heard_at))
            case EndAttempt():
                if command.object_name not in run.ending:
                    run.ending.add(command.object_name)
                    self._spawn(self._end(run, command))
            case ReleaseAttempt():
                key = ObjectKey(run.owner.namespace, command.object_name)
                view = self._informers[command.kind].get(key)
                if view is not None:
                    self.release(command.kind, key, view.uid)
            case RecordEvent():
                self.record(run.owner, command)

    def release(self, kind: WorkKind, key: ObjectKey, uid: str) -> None:
        """Begin to take our finalizer off one object."""
        self._spawn(self._release(kind, key, uid))

    def remove(self, kind: WorkKind, key: ObjectKey, uid: str) -> None:
        """Begin to delete one object that counts for nothing any more."""
        self._spawn(self._remove(kind, key, uid))

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, at most so long; then cut it off."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a command failed unexpectedly", exc_info=error)

    def _tell(self, run: Run, fact: Event) -> None:
        run.inbox.append(fact)
        self._notify(run.uid)

    async def _start(self, run: Run, start: StartAttempt, heard_at: float) -> None:
        resource = _RESOURCES[start.kind]
        work: RenderedWork = start.work
        loop = asyncio.get_running_loop()

        def before_send() -> None:
            _check_wanted(run, start)
            if heard_at:
                self._hop_took(loop.time() - heard_at)

        try:
            if work["script"] is not None:
                await self._ensure_script(run, start)
            build = pod_manifest if start.kind is WorkKind.POD else job_manifest
            created = await self._client.create(
                resource,
                build(run.owner, start, work),
                run.owner.namespace,
                before_send=before_send,
                metadata_only=True,
            )
        except _Abandoned as abandoned:
            self._tell(run, _refused(start, str(abandoned), "", retry_at=datetime.now(UTC)))
        except AlreadyExists:
            self._tell(run, await self._adopt(run, start))
        except ApiError as error:
            self._refused(run, start, error)
        else:
            run.stalled = ""
            self._created(run, start, created["metadata"])

    def _created(self, run: Run, start: StartAttempt, metadata: dict[str, Any]) -> None:
        # Unless the watch was faster: a fact from the answer would then be older than what is known.
        key = ObjectKey(run.owner.namespace, start.object_name)
        started_at = time_of(metadata["creationTimestamp"])
        if self._informers[start.kind].get(key) is None and started_at is not None:
            self._tell(
                run,
                AttemptSeen(
                    node=start.node,
                    number=start.number,
                    object_name=start.object_name,
                    started_at=started_at,
                    held=True,
                ),
            )

    def _refused(self, run: Run, start: StartAttempt, error: ApiError) -> None:
        if blocks_operator(error):
            run.stalled = f"the operator may not go on: {error.message}"
        log.warning("cannot create %s: %s", start.object_name, error, extra={"workflow": run.owner.name})
        self._tell(run, refusal(start, error, datetime.now(UTC)))

    async def _adopt(self, run: Run, start: StartAttempt) -> Event:
        """Find out whose object has the name of our attempt: normally our own, from before a crash."""
        try:
            raw = await self._client.get(_RESOURCES[start.kind], start.object_name, run.owner.namespace)
        except ApiError as error:
            return refusal(start, error, datetime.now(UTC))
        if start.kind is WorkKind.POD:
            pod = pod_view(raw)
            seen, owner_uid = observe_pod(pod), pod.owner_uid
        else:
            job = job_view(raw)
            seen, owner_uid = observe_job(job), job.owner_uid
        if owner_uid != run.uid:
            message = f"{start.kind} {start.object_name} exists already and belongs to somebody else; remove it"
            return _refused(start, "NameConflict", message)
        return seen

    async def _ensure_script(self, run: Run, start: StartAttempt) -> None:
        manifest = script_manifest(run.owner, start, start.work["script"])
        name = manifest["metadata"]["name"]
        if name in run.scripts:
            return
        # It may exist: its name is the hash of its content and our UID, and it is immutable.
        with contextlib.suppress(AlreadyExists):
            await self._client.create(
                CONFIGMAPS,
                manifest,
                run.owner.namespace,
                before_send=lambda: _check_wanted(run, start),
                metadata_only=True,
            )
        run.scripts.add(name)

    async def _end(self, run: Run, end: EndAttempt) -> None:
        resource, key = _RESOURCES[end.kind], ObjectKey(run.owner.namespace, end.object_name)
        gone = AttemptGone(node=end.node, number=end.number, seen_at=datetime.now(UTC))
        try:
            view = self._informers[end.kind].get(key)
            uid = (
                view.uid if view is not None else (await self._client.get(resource, *reversed(key)))["metadata"]["uid"]
            )
            annotation = {"metadata": {"uid": uid, "annotations": {labels.ENDING: end.reason}}}
            await self._insist(
                run,
                lambda: self._client.patch(
                    resource, key.name, annotation, PatchType.MERGE, key.namespace, metadata_only=True
                ),
            )
            # Foreground: a Job counts as ended only once its pods are gone.
            propagation = "Foreground" if end.kind is WorkKind.JOB else "Background"
            await self._insist(
                run,
                lambda: self._client.delete(resource, key.name, key.namespace, uid=uid, propagation=propagation),
            )
        except (NotFound, Conflict):
            self._tell(run, gone)
        except ApiError as error:
            log.warning("cannot end %s: %s; trying again", key, error, extra={"workflow": run.owner.name})
        finally:
            run.ending.discard(end.object_name)

    async def _uid(self, kind: WorkKind, key: ObjectKey) -> str:
        view = self._informers[kind].get(key)
        if view is not None:
            return str(view.uid)
        raw = await self._client.get(_RESOURCES[kind], key.name, key.namespace, metadata_only=True)
        return str(raw["metadata"]["uid"])

    async def _insist(self, run: Run, call: Callable[[], Awaitable[object]]) -> None:
        """Repeat a call that is safe to repeat while the API server is away or the rights are missing."""
        for seconds in _RETRY_SECONDS:
            try:
                await call()
            except ApiError as error:
                if blocks_operator(error):
                    run.stalled = f"the operator may not go on: {error.message}"
                    self._notify(run.uid)
                elif not error.is_transient:
                    raise
            else:
                return
            await asyncio.sleep(seconds)
        await call()

    async def _release(self, kind: WorkKind, key: ObjectKey, uid: str) -> None:
        for seconds in (*_RETRY_SECONDS, None):
            try:
                await release_finalizer(self._client, _RESOURCES[kind], key, uid=uid, finalizer=labels.FINALIZER)
            except ApiError as error:
                if seconds is None or not (error.is_transient or error.status == 403):
                    log.warning("cannot release %s: %s; the next resync tries again", key, error)
                    return
                await asyncio.sleep(seconds)
            else:
                return

    async def _remove(self, kind: WorkKind, key: ObjectKey, uid: str) -> None:
        try:
            await self._client.delete(_RESOURCES[kind], key.name, key.namespace, uid=uid)
        except (NotFound, Conflict):
            pass
        except ApiError as error:
            log.warning("cannot delete %s: %s; the next resync tries again", key, error)

    def record(self, owner: Owner, event: RecordEvent) -> None:
        """Tell people about a transition. The start and the end of a run are told however much else there is."""
        about = ObjectReference(owner.api_version, owner.kind, owner.namespace, owner.name, owner.uid)
        headline = event.reason in _HEADLINES
        self._recorder.record(
            about, event.type.value, event.reason, event.message, identity=event.key, summary=headline
        )


def _check_wanted(run: Run, start: StartAttempt) -> None:
    """Runs right before a create leaves: what was observed since the plan may have made it wrong (invariant S7)."""
    if run.closed:
        raise _Abandoned("Closed")
    if run.settings.suspend:
        raise _Abandoned("Suspended")
    attempts = run.state.nodes[start.node].attempts
    if len(attempts) < start.number or attempts[start.number - 1].ending:
        raise _Abandoned("Cancelled")


def _refused(start: StartAttempt, reason: str, message: str, retry_at: datetime | None = None) -> StartRefused:
    return StartRefused(
        node=start.node,
        number=start.number,
        reason=reason,
        message=message,
        retry_at=retry_at,
        failure_class=FailureClass.CONFIGURATION,
    )
