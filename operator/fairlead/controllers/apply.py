"""Carrying out the engine's commands: the only place that creates, ends and releases what a run owns.

Each command becomes one background task, so that a slow request holds up neither the other commands nor the next
plan; what came of it goes into the run's inbox as a fact. Bounded in flight by the transport. A command may be cut off
at any await: names are deterministic, and ending or releasing twice is harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from fairlead.api import labels
from fairlead.clock import utc_now
from fairlead.engine.commands import Command, EndAttempt, EventType, RecordEvent, ReleaseAttempt, StartAttempt
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused
from fairlead.engine.model import OBJECT_KINDS, Phase, WorkKind
from fairlead.engine.observe import SUPERSEDED
from fairlead.engine.state import Result
from fairlead.kube.errors import ApiError, Conflict, NotFound
from fairlead.kube.events import EventRecorder, ObjectReference
from fairlead.kube.finalizers import release_finalizer
from fairlead.kube.resources import PODS, ObjectKey
from fairlead.kube.transport import ApiClient, PatchType
from fairlead.line import CLEAN_UP, cleaned_at_once

from .buckets import Holds, everything
from .caches import Cache, View, has_ended
from .carrier import Carrier
from .errands import Errands
from .gather import GATHERED_SECONDS, pods_of_job
from .pods import Owner
from .refusals import blocks_operator
from .run import Run
from .start import RESOURCES, Creator, PodCreator, Starter
from .store import WorkflowStore

__all__ = ["Applier"]

log = logging.getLogger(__name__)

_DEFECT_SECONDS = 30
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)

#: What is stalled where calls about a run's own objects lack a right.
_CALLS = "calls"

#: Objects of all runs that are being released, as a rule; the others wait as a line of a few words each.
_RELEASED_AT_ONCE = 64

#: Within so many seconds the watch tells of a release; what is held then is held by somebody anew.
_TOLD_SECONDS = 5.0


_HEADLINES = frozenset({"Started", "Succeeded", "Failed", "InvalidSpec"})


class Applier:
    """Carries out commands for any run.

    `notify(uid)` is called when a run's inbox has something new, `notify_within(uid, seconds)` where that may wait for
    more, `notify_eventually(uid)` where nothing follows from it, `doubt(uid)` when a watch lacks an object of its own.
    """

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        informers: Mapping[WorkKind, Cache],
        carriers: Mapping[WorkKind, Carrier],
        errands: Errands,
        recorder: EventRecorder,
        notify: Callable[[str], None],
        notify_within: Callable[[str, float], None],
        notify_eventually: Callable[[str], None],
        doubt: Callable[[str], None],
        hop_took: Callable[[float], None],
        holds: Holds = everything,
    ) -> None:
        self._client = client
        self._holds = holds
        self._informers = informers
        self._recorder = recorder
        self._notify = notify
        self._notify_within = notify_within
        self._notify_eventually = notify_eventually
        self._carriers = carriers
        self._errands = errands
        pods = PodCreator(client, informers, doubt)
        creators: dict[WorkKind, Creator] = {WorkKind.POD: pods, WorkKind.JOB: pods, **carriers}
        self._starter = Starter(store, creators, hop_took, holds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: OrderedDict[tuple[WorkKind, ObjectKey, str], Mapping[str, str]] = OrderedDict()
        self._releasing = 0
        self._let_go: set[str] = set()

    def dispatch(self, run: Run, command: Command) -> None:
        """Begin to carry out one command."""
        match command:
            case StartAttempt() if command.kind not in OBJECT_KINDS:
                self._errands.start(run, command)
            case StartAttempt():
                if not self._starter.closing:  # whoever comes after us starts it
                    run.creating[command.object_name] = asyncio.get_running_loop().time()
                    self._spawn(self._start(run, command, run.heard_at))
            case EndAttempt() if command.kind not in OBJECT_KINDS:
                self._errands.end(run, command)
            case EndAttempt():
                if (command.object_name, command.force) not in run.ending:
                    run.ending.add((command.object_name, command.force))
                    self._spawn(self._end(run, command))
            case ReleaseAttempt():
                if log.isEnabledFor(logging.DEBUG):
                    log.debug("the attempt is on record", extra=run.owner.fields(command.node, command.number))
                key = ObjectKey(run.owner.namespace, command.object_name)
                informer = self._informers.get(command.kind)
                view = informer.get(key) if informer is not None else None
                if view is not None:
                    self.release(command.kind, key, view.uid, _result(run, command))
            case RecordEvent():
                self.record(run.owner, command)

    def resync(self, run: Run) -> None:
        """Account for every live attempt of a run that no informer knows of."""
        for carrier in self._carriers.values():
            carrier.resync(run)
        self._errands.resync(run)

    def forget(self, run: Run) -> None:
        """Take note that memory drops a run, which may be read again."""
        self._errands.remember(run)

    def abandon(self, uid: str) -> None:
        """Give up what is carried out for a run that is over, or gone."""
        self._errands.forget(uid)

    def release(self, kind: WorkKind, key: ObjectKey, uid: str, result: str = "") -> None:
        """Begin to take our finalizer off one object, and to put the recorded `result` on it where it is known."""
        if uid in self._let_go:
            return  # or is about to be: the watch has not told yet
        marks = {labels.RESULT: result} if result else self._held.get((kind, key, uid), {})
        self._held[kind, key, uid] = marks  # one that waits already keeps its place
        if self._releasing < self._released_at_once():
            self._releasing += 1
            self._spawn(self._release_all())

    def remove(self, kind: WorkKind, key: ObjectKey, view: View) -> None:
        """Begin to delete one object that counts for nothing any more."""
        self._spawn(self._remove(kind, key, view))

    async def settle(self, seconds: float) -> None:
        """Create nothing more, and wait, at most so long, for what could not be taken up again after a restart."""
        self._starter.closing = True
        await self._errands.settle(seconds)

    async def drain(self, seconds: float) -> None:
        """Create nothing more, wait for what is under way, at most so long; then cut it off."""
        self._starter.closing = True
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
        if isinstance(fact, AttemptSeen) and fact.outcome is None and fact.deleting_at is None:
            self._tell_created(run, fact.node)
        else:
            self._notify(run.uid)

    def _tell_created(self, run: Run, node: str) -> None:
        """Have a run looked at that has got what was to be expected; mostly nothing follows from that."""
        if _is_awaited(run, node):
            self._notify_within(run.uid, GATHERED_SECONDS)
        else:
            self._notify_eventually(run.uid)

    async def _start(self, run: Run, start: StartAttempt, heard_at: float) -> None:
        try:
            fact = await self._starter.start(run, start, heard_at)
        except Exception:
            # A bug of ours: every start is answered all the same, else its node would wait for ever.
            about = run.owner.fields(start.node, start.number)
            log.exception("cannot start %s", start.object_name, extra=about)
            fact = StartRefused(
                node=start.node,
                number=start.number,
                reason="InternalError",
                message="a defect of the operator: see its log",
                retry_at=utc_now() + timedelta(seconds=_DEFECT_SECONDS),
            )
        finally:
            run.creating.pop(start.object_name, None)
        if fact is not None:
            self._tell(run, fact)
        else:
            self._tell_created(run, start.node)

    async def _end(self, run: Run, end: EndAttempt) -> None:
        carrier = self._carriers.get(end.kind)
        try:
            fact = await (self._end_object(run, end) if carrier is None else carrier.end(run, end, self._insist))
        except ApiError as error:
            name = f"{run.owner.namespace}/{end.object_name}"
            about = run.owner.fields(end.node, end.number)
            log.warning("cannot end %s: %s; tried again in a minute", name, error, extra=about)
        else:
            if fact is not None:
                self._tell(run, fact)
        finally:
            run.ending.discard((end.object_name, end.force))

    async def _end_object(self, run: Run, end: EndAttempt) -> Event | None:
        """End a pod or a Job. Returns that it is gone, None where the watch will tell how it ends."""
        resource, key = RESOURCES[end.kind], ObjectKey(run.owner.namespace, end.object_name)
        try:
            uid = await self._uid(end.kind, key)
            annotation = {"metadata": {"uid": uid, "annotations": {labels.ENDING: end.reason}}}
            await self._insist(
                run,
                lambda: self._client.patch(
                    resource, key.name, annotation, PatchType.MERGE, key.namespace, metadata_only=True
                ),
            )
            # Foreground: a Job counts as ended only once its pods are gone.
            propagation = "Foreground" if end.kind is WorkKind.JOB else "Background"
            grace = 0 if end.force else None

            async def delete() -> None:
                # It may have ended by itself while the request was lost; then it is kept like any other (S12): another
                # operator whose view is old would create it again.
                if not self._is_over(run, end):
                    await self._client.delete(
                        resource, key.name, key.namespace, uid=uid, propagation=propagation, grace_period_seconds=grace
                    )

            await self._insist(run, delete)
            if end.force and end.kind is WorkKind.JOB:
                await self._end_pods_of_job(run, key, uid)
        except (NotFound, Conflict) as error:
            if isinstance(error, Conflict) and not error.is_wrong_uid:
                raise
            return AttemptGone(node=end.node, number=end.number, seen_at=utc_now())
        return None

    def _is_over(self, run: Run, end: EndAttempt) -> bool:
        """Tell whether what is to be ended has ended by now, or the run is not followed any more."""
        if run.closed:
            return True
        if end.reason == SUPERSEDED:  # its attempt is over, on record; only the object itself tells of its own end
            view = self._informers[end.kind].get(ObjectKey(run.owner.namespace, end.object_name))
            return view is not None and has_ended(view)
        state = run.state.nodes.get(end.node)
        attempt = None if state is None else state.current
        return attempt is None or attempt.number != end.number

    async def _end_pods_of_job(self, run: Run, key: ObjectKey, uid: str) -> None:
        """Delete the pods of a Job without waiting for their node: the garbage collector would."""
        for pod in await pods_of_job(self._client, key, uid):
            metadata = pod["metadata"]
            delete = partial(
                self._client.delete,
                PODS,
                metadata["name"],
                key.namespace,
                uid=metadata["uid"],
                grace_period_seconds=0,
            )
            with suppress(NotFound):
                await self._insist(run, delete)

    async def _uid(self, kind: WorkKind, key: ObjectKey) -> str:
        view = self._informers[kind].get(key)
        if view is not None:
            return str(view.uid)
        raw = await self._client.get(RESOURCES[kind], key.name, key.namespace, metadata_only=True)
        return str(raw["metadata"]["uid"])

    async def _insist(self, run: Run, call: Callable[[], Awaitable[object]]) -> None:
        """Repeat a call that is safe to repeat while the API server is away or the rights are missing.

        It is not made for a run that this replica does not hold any more: whoever does decides anew.
        """
        for seconds in (*_RETRY_SECONDS, None):
            if not self._holds(run.uid):
                return
            try:
                await call()
            except ApiError as error:
                if blocks_operator(error):
                    run.stall(_CALLS, error.message)
                    self._notify(run.uid)
                elif not error.is_transient and (not isinstance(error, Conflict) or error.is_wrong_uid):
                    raise
                if seconds is None:
                    raise
                await asyncio.sleep(seconds)
            else:
                if _CALLS in run.stalls:
                    run.stall(_CALLS, "")
                    self._notify(run.uid)
                return

    def _released_at_once(self) -> int:
        return cleaned_at_once(len(self._held), _RELEASED_AT_ONCE)

    async def _release_all(self) -> None:
        try:
            while self._held and self._releasing <= self._released_at_once():
                (kind, key, uid), marks = self._held.popitem(last=False)
                self._let_go.add(uid)
                released = False
                try:
                    released = await self._release(kind, key, uid, marks)
                except Exception:  # a bug of ours, about one object, must not keep the others waiting
                    log.exception("cannot release %s; it is looked at again in a minute", key)
                finally:
                    asyncio.get_running_loop().call_later(_TOLD_SECONDS * released, self._let_go.discard, uid)
        finally:
            self._releasing -= 1

    async def _release(self, kind: WorkKind, key: ObjectKey, uid: str, marks: Mapping[str, str]) -> bool:
        """Insist for a few seconds. Returns whether our finalizer is off."""
        for seconds in (*_RETRY_SECONDS, None):
            try:
                await release_finalizer(
                    self._client, RESOURCES[kind], key, uid=uid, finalizer=labels.FINALIZER, labels=marks
                )
            except ApiError as error:
                if seconds is None or not (error.is_transient or error.status == 403):
                    log.warning("cannot release %s: %s; it is looked at again in a minute", key, error)
                    return False
                await asyncio.sleep(seconds)
            else:
                return True
        raise AssertionError("the last attempt returns")

    async def _remove(self, kind: WorkKind, key: ObjectKey, view: View) -> None:
        if not self._holds(view.owner_uid):
            return  # held up since: whose run it is now looks at it
        try:
            await self._client.delete(RESOURCES[kind], key.name, key.namespace, uid=view.uid, turn=CLEAN_UP)
        except (NotFound, Conflict):
            pass
        except ApiError as error:
            log.warning("cannot delete %s: %s; it is looked at again in a minute", key, error)

    def record(self, owner: Owner, event: RecordEvent) -> None:
        """Tell people about a transition. The start and the end of a run are told however much else there is."""
        about = ObjectReference(owner.api_version, owner.kind, owner.namespace, owner.name, owner.uid)
        headline = event.reason in _HEADLINES
        if log.isEnabledFor(level := _level(event, headline=headline)):
            # Not the message: what a task printed may be in it, which is for who may read its namespace.
            task = event.key.partition("/end")[0] if event.reason.startswith("Task") else ""
            log.log(level, "%s", event.reason, extra=owner.fields(task))
        self._recorder.record(
            about,
            event.type.value,
            event.reason,
            event.message,
            identity=event.key,
            summary=headline,
            gather=not headline and event.type is EventType.NORMAL,
        )


def _is_awaited(run: Run, node: str) -> bool:
    """Tell whether something follows from an object's being there: there is room for others again, or it is to end."""
    state = run.state.nodes.get(node)
    attempt = None if state is None else state.current
    ends = attempt is not None and bool(attempt.ending)
    return run.crowded or run.state.hold_until is not None or bool(run.state.stopping) or ends


def _level(event: RecordEvent, *, headline: bool) -> int:
    """Return how loud a log is about a transition: a large run must not drown the others."""
    return logging.INFO if headline or event.type is EventType.WARNING else logging.DEBUG


def _result(run: Run, release: ReleaseAttempt) -> str:
    """Return how a released attempt counts, which may differ from how its object ended; "" where that is not known."""
    state = run.state.nodes.get(release.node)
    if state is None or not 1 <= release.number <= len(state.attempts):
        return ""
    attempt = state.attempts[release.number - 1]
    if attempt.failure_class is not None:
        return Result.FAILED.value
    skipped = state.phase is Phase.SKIPPED
    return Result.SUCCEEDED.value if attempt.succeeded or skipped else Result.CANCELLED.value
