"""Creating the object of an attempt, and finding out for certain whether it was created.

The engine is told one definite fact: the object exists and is ours, or nothing was created. A request whose fate is
unknown (an outage after it was sent) is therefore repeated until there is an answer: the name is deterministic, so the
repeat either creates the object or finds it. Telling the engine "refused" too early would give its slot away twice.

What is created is the business of a :class:`Creator`, one for each kind of attempt; that of pods and Jobs is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from fairlead.api.work import RenderedWork
from fairlead.api.workspace import Workspace
from fairlead.clock import utc_now
from fairlead.engine.classify import PodView, observe_job, observe_pod
from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import AttemptSeen, Event, StartRefused
from fairlead.engine.model import FailureClass, StopMode, WorkKind
from fairlead.kube.errors import AlreadyExists, ApiError, NotFound
from fairlead.kube.resources import CLAIMS, CONFIGMAPS, JOBS, PODS, WORKFLOWS, ObjectKey, Resource
from fairlead.kube.transport import ApiClient
from fairlead.line import Turn

from .buckets import Holds, everything
from .caches import Cache
from .mounts import claim_manifest, config_maps, is_as_made
from .pods import job_manifest, pod_manifest
from .refusals import refusal
from .run import Run
from .store import WorkflowStore
from .views import job_view, pod_view, time_of

__all__ = ["RESOURCES", "Creator", "Departure", "PodCreator", "Refused", "Starter", "failed_start", "name_conflict"]

log = logging.getLogger(__name__)

#: Where the kinds live that are known beforehand.
RESOURCES: dict[WorkKind, Resource] = {WorkKind.POD: PODS, WorkKind.JOB: JOBS, WorkKind.WORKFLOW: WORKFLOWS}

_FIRST_RETRY_SECONDS = 0.2
_LAST_RETRY_SECONDS = 5.0

#: How long a first attempt relies on a ConfigMap that was seen: the items of a task share one, and start all the time.
_RELIED_ON_SECONDS = 60.0


class Refused(Exception):
    """An object that cannot be created, for a reason that is no answer of the API server. Carries the fact."""

    def __init__(self, fact: StartRefused) -> None:
        super().__init__(fact.message)
        self.fact = fact


class Creator(Protocol):
    """Creates the objects of attempts of one kind. A call may be cut off at any await, and is repeated then."""

    async def create(self, run: Run, start: StartAttempt, departure: Departure) -> Event | None:
        """Create the object. Returns the fact, or None where the watch tells it.

        Raises `ApiError` (`AlreadyExists` if the name is taken), or `Refused`.
        """
        ...

    async def find(self, run: Run, start: StartAttempt) -> Event | None:
        """Find out whose object has the name of our attempt: normally our own. None where it is not known yet."""
        ...

    def refusal(self, run: Run, start: StartAttempt, error: ApiError, /) -> StartRefused:
        """Return what it means that the API server refused to create the object."""
        ...


class _Abandoned(Exception):
    """A create that must not leave any more: the run was suspended, stopped or deleted meanwhile."""


class _Known(_Abandoned):
    """The object is there, or was: the watch has told so."""


@dataclass(frozen=True, slots=True)
class Departure:
    """What runs right before a create leaves, as `before_send`: `leave` for the attempt's object, `allow` for others.

    Both raise where the create must not leave any more. `turn` is its place in line where it has to wait.
    """

    allow: Callable[[], None]
    leave: Callable[[], None]
    turn: Turn


class Starter:
    """Creates the objects of attempts. `hop_took(seconds)` hears how long after its cause a create left.

    Once `closing` is set, nothing is created any more; nor for a run that this replica does not hold (any more).
    """

    def __init__(
        self,
        store: WorkflowStore,
        creators: Mapping[WorkKind, Creator],
        hop_took: Callable[[float], None],
        holds: Holds = everything,
    ) -> None:
        self.closing = False
        self._holds = holds
        self._store = store
        self._creators = creators
        self._hop_took = hop_took

    async def start(self, run: Run, start: StartAttempt, heard_at: float) -> Event | None:
        """Create the object of an attempt. Returns the fact, or None where the watch has told it already.

        `heard_at` is the loop time at which the cause was heard, 0.0 where that is not known.
        """
        creator = self._creators[start.kind]
        uncertain, seconds = False, _FIRST_RETRY_SECONDS
        while True:
            try:
                return await creator.create(run, start, self._departure(run, start, heard_at))
            except Refused as refused:
                return refused.fact
            except _Known:
                return None
            except _Abandoned as abandoned:
                fact = await creator.find(run, start) if uncertain else None
                return fact or _refused(start, str(abandoned), retry_at=utc_now())
            except AlreadyExists:
                fact = await creator.find(run, start)
                if fact is not None:
                    return fact
            except ApiError as error:
                uncertain = uncertain or error.maybe_applied
                if not (uncertain and error.is_transient):
                    about = run.owner.fields(start.node, start.number)
                    log.warning("cannot create %s: %s", start.object_name, error, extra=about)
                    return creator.refusal(run, start, error)
                about = run.owner.fields(start.node, start.number)
                log.warning("not known whether %s was created: %s; asking again", start.object_name, error, extra=about)
            heard_at = 0.0  # the wait from here on is not the hop
            await asyncio.sleep(seconds)
            seconds = min(seconds * 2, _LAST_RETRY_SECONDS)

    def _departure(self, run: Run, start: StartAttempt, heard_at: float) -> Departure:
        def allow() -> None:
            self._check_wanted(run, start)

        told = False

        def leave() -> None:
            nonlocal told
            self._check_wanted(run, start)
            if told:
                return  # it is asked more than once
            told = True
            if log.isEnabledFor(logging.DEBUG):
                log.debug("creating %s", start.object_name, extra=run.owner.fields(start.node, start.number))
            if heard_at:
                self._hop_took(asyncio.get_running_loop().time() - heard_at)

        workflow = self._store.get(run.uid)
        return Departure(allow, leave, Turn(0, run.owner.namespace) if workflow is None else workflow.turn)

    def _check_wanted(self, run: Run, start: StartAttempt) -> None:
        """Runs right before a create leaves: what was heard since the plan may have made it wrong (invariant S7)."""
        if not self._holds(run.uid):
            raise _Abandoned("NotHeld")
        workflow = self._store.get(run.uid)
        if run.closed or self.closing or workflow is None or workflow.deleting:
            raise _Abandoned("Closed")
        if workflow.spec.get("suspend") and not run.state.is_finalizing:
            raise _Abandoned("Suspended")
        state = run.state.nodes[start.node]
        if run.state.stopping and (not state.node.final or run.state.stop_mode is StopMode.TERMINATE):
            raise _Abandoned("Stopped")
        attempts = state.attempts
        if len(attempts) < start.number or attempts[start.number - 1].ending:
            raise _Abandoned("Cancelled")
        if attempts[start.number - 1].created:
            # Of an earlier try, whose answer was lost: its object may be gone again by now (invariant S1).
            raise _Known("Created")


class PodCreator:
    """Creates pods and Jobs, with the operator's own rights.

    `doubt(uid)` hears of a run one of whose objects exists, and is not seen by the watch.
    """

    def __init__(self, client: ApiClient, caches: Mapping[WorkKind, Cache], doubt: Callable[[str], None]) -> None:
        self._client = client
        self._caches = caches
        self._doubt = doubt

    async def create(self, run: Run, start: StartAttempt, departure: Departure) -> Event | None:
        """See `Creator`."""
        work: RenderedWork = start.work
        workspace = run.compiled.workspace
        await self._provide(run, start, departure)
        build = pod_manifest if start.kind is WorkKind.POD else job_manifest
        created = await self._client.create(
            RESOURCES[start.kind],
            build(run.owner, start, work, workspace, run.traceparent(start)),
            run.owner.namespace,
            before_send=departure.leave,
            turn=departure.turn,
            metadata_only=True,
        )
        return self._created(run, start, created["metadata"])

    async def _provide(self, run: Run, start: StartAttempt, departure: Departure) -> None:
        """See to it that what the object refers to exists: scripts, files, the run's workspace."""
        for manifest in config_maps(run.owner, start, start.work):
            await self._provide_config_map(run, manifest, start, departure)
        if run.compiled.workspace is not None:
            await self._provide_workspace(run, run.compiled.workspace, start, departure)

    async def _provide_config_map(
        self, run: Run, manifest: dict[str, Any], start: StartAttempt, departure: Departure
    ) -> None:
        """Create it, or see that the one that exists is ours.

        Somebody may delete or replace one after we saw it. So every later attempt of a task looks anew.
        """
        name, loop = manifest["metadata"]["name"], asyncio.get_running_loop()
        seen_after = loop.time() - (_RELIED_ON_SECONDS if start.number == 1 else 0.0)
        async with run.providing[name]:  # attempts that start together share one request
            known = run.provided.get(name)
            if known is not None and known > seen_after:
                return
            # One that we have seen is asked for first: a create counts against a quota although it exists.
            if known is None or not await self._is_there(run, manifest, start):
                try:
                    await self._client.create(
                        CONFIGMAPS,
                        manifest,
                        run.owner.namespace,
                        before_send=departure.allow,
                        turn=departure.turn,
                        metadata_only=True,
                    )
                except AlreadyExists:
                    if not await self._is_there(run, manifest, start):
                        raise
            run.provided[name] = loop.time()

    async def _is_there(self, run: Run, manifest: dict[str, Any], start: StartAttempt) -> bool:
        """Tell whether a ConfigMap exists. Raises `Refused` if it is not as we make it."""
        name = manifest["metadata"]["name"]
        try:
            found = await self._client.get(CONFIGMAPS, name, run.owner.namespace)
        except NotFound:
            return False
        if not is_as_made(found, manifest):
            message = f"ConfigMap {name} exists already and is not as this run makes it (owner, content); remove it"
            raise Refused(failed_start(start, "NameConflict", message))
        return True

    async def _provide_workspace(
        self, run: Run, workspace: Workspace, start: StartAttempt, departure: Departure
    ) -> None:
        manifest = claim_manifest(run.owner, workspace)
        name = manifest["metadata"]["name"]
        if name in run.provided:
            return
        async with run.providing[name]:  # the first tasks of a run start together, and one claim is enough
            if name in run.provided:
                return
            try:
                await self._client.create(
                    CLAIMS,
                    manifest,
                    run.owner.namespace,
                    before_send=departure.allow,
                    turn=departure.turn,
                    metadata_only=True,
                )
            except AlreadyExists:
                found = await self._client.get(CLAIMS, name, run.owner.namespace, metadata_only=True)
                if all(each["uid"] != run.uid for each in found["metadata"].get("ownerReferences", ())):
                    raise Refused(name_conflict(start, CLAIMS.kind, name)) from None
            run.provided[name] = asyncio.get_running_loop().time()

    def _created(self, run: Run, start: StartAttempt, metadata: Mapping[str, Any]) -> Event | None:
        # Unless the watch was faster: a fact from the answer would then be older than what is known.
        key = ObjectKey(run.owner.namespace, start.object_name)
        started_at = time_of(metadata["creationTimestamp"])
        if self._caches[start.kind].get(key) is not None or started_at is None:
            return None
        return AttemptSeen(
            node=start.node, number=start.number, object_name=start.object_name, started_at=started_at, held=True
        )

    def refusal(self, _run: Run, start: StartAttempt, error: ApiError, /) -> StartRefused:
        """See `Creator`."""
        return refusal(start, error, utc_now())

    async def find(self, run: Run, start: StartAttempt) -> Event | None:
        """See `Creator`."""
        try:
            raw = await self._client.get(RESOURCES[start.kind], start.object_name, run.owner.namespace)
        except NotFound:
            return None
        except ApiError as error:
            about = run.owner.fields(start.node, start.number)
            log.warning("cannot read %s: %s", start.object_name, error, extra=about)
            return None
        view = pod_view(raw) if start.kind is WorkKind.POD else job_view(raw)
        if view.owner_uid != run.uid:
            return name_conflict(start, start.kind.value, start.object_name)
        if self._caches[start.kind].get(ObjectKey(run.owner.namespace, start.object_name)) is None:
            self._doubt(run.uid)
        # It is ours by its name and its owner, also where somebody took off what else tells which attempt it carries.
        view = replace(view, node=start.node, number=start.number)
        return observe_pod(view) if isinstance(view, PodView) else observe_job(view)


def failed_start(start: StartAttempt, reason: str, message: str) -> StartRefused:
    """Return that an attempt cannot be started, and why that will not change by itself."""
    return _refused(start, reason, message)


def name_conflict(start: StartAttempt, kind: str, name: str) -> StartRefused:
    """Return what follows from finding somebody else's object under our name."""
    message = f"{kind} {name} exists already and belongs to somebody else; remove it"
    return _refused(start, "NameConflict", message)


def _refused(start: StartAttempt, reason: str, message: str = "", retry_at: datetime | None = None) -> StartRefused:
    return StartRefused(
        node=start.node,
        number=start.number,
        reason=reason,
        message=message,
        retry_at=retry_at,
        failure_class=FailureClass.CONFIGURATION,
    )
