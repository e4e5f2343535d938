"""Creating the object of an attempt, and finding out for certain whether it was created.

The engine is told one definite fact: the object exists and is ours, or nothing was created. A request whose fate is
unknown (an outage after it was sent) is therefore repeated until there is an answer: the name is deterministic, so the
repeat either creates the object or finds it. Telling the engine "refused" too early would give its slot away twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fairlead.api.work import RenderedWork
from fairlead.engine.classify import observe_job, observe_pod
from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import AttemptSeen, Event, StartRefused
from fairlead.engine.model import FailureClass, WorkKind
from fairlead.kube.errors import AlreadyExists, ApiError, NotFound
from fairlead.kube.informer import Informer
from fairlead.kube.resources import CONFIGMAPS, JOBS, PODS, ObjectKey, Resource
from fairlead.kube.transport import ApiClient

from .pods import job_manifest, pod_manifest, script_manifest
from .refusals import refusal
from .run import Run
from .store import WorkflowStore
from .views import job_view, pod_view, time_of

__all__ = ["RESOURCES", "Starter"]

log = logging.getLogger(__name__)

RESOURCES: dict[WorkKind, Resource] = {WorkKind.POD: PODS, WorkKind.JOB: JOBS}

_FIRST_RETRY_SECONDS = 0.2
_LAST_RETRY_SECONDS = 5.0


class _Abandoned(Exception):
    """A create that must not leave any more: the run was suspended, stopped or deleted meanwhile."""


class Starter:
    """Creates the objects of attempts. `hop_took(seconds)` hears how long after its cause a create left.

    Once `closing` is set, nothing is created any more.
    """

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        informers: Mapping[WorkKind, Informer[Any]],
        hop_took: Callable[[float], None],
    ) -> None:
        self.closing = False
        self._client = client
        self._store = store
        self._informers = informers
        self._hop_took = hop_took

    async def start(self, run: Run, start: StartAttempt, heard_at: float) -> Event | None:
        """Create the object of an attempt. Returns the fact, or None where the watch has told it already.

        `heard_at` is the loop time at which the cause was heard, 0.0 where that is not known.
        """
        uncertain, seconds = False, _FIRST_RETRY_SECONDS
        while True:
            try:
                created = await self._create(run, start, heard_at)
            except _Abandoned as abandoned:
                fact = await self._look(run, start) if uncertain else None
                return fact or _refused(start, str(abandoned), retry_at=datetime.now(UTC))
            except AlreadyExists:
                fact = await self._look(run, start)
                if fact is not None:
                    return fact
            except ApiError as error:
                uncertain = uncertain or error.maybe_applied
                if not (uncertain and error.is_transient):
                    return self._refuse(run, start, error)
                log.warning("not known whether %s was created: %s; asking again", start.object_name, error)
            else:
                return self._created(run, start, created["metadata"])
            heard_at = 0.0  # the wait from here on is not the hop
            await asyncio.sleep(seconds)
            seconds = min(seconds * 2, _LAST_RETRY_SECONDS)

    async def _create(self, run: Run, start: StartAttempt, heard_at: float) -> dict[str, Any]:
        work: RenderedWork = start.work
        loop = asyncio.get_running_loop()

        def before_send() -> None:
            self._check_wanted(run, start)
            if heard_at:
                self._hop_took(loop.time() - heard_at)

        if work["script"] is not None:
            await self._ensure_script(run, start)
        build = pod_manifest if start.kind is WorkKind.POD else job_manifest
        return await self._client.create(
            RESOURCES[start.kind],
            build(run.owner, start, work),
            run.owner.namespace,
            before_send=before_send,
            metadata_only=True,
        )

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
                before_send=lambda: self._check_wanted(run, start),
                metadata_only=True,
            )
        run.scripts.add(name)

    def _check_wanted(self, run: Run, start: StartAttempt) -> None:
        """Runs right before a create leaves: what was heard since the plan may have made it wrong (invariant S7)."""
        workflow = self._store.get(run.uid)
        if run.closed or self.closing or workflow is None or workflow.deleting:
            raise _Abandoned("Closed")
        if workflow.spec.get("suspend"):
            raise _Abandoned("Suspended")
        attempts = run.state.nodes[start.node].attempts
        if len(attempts) < start.number or attempts[start.number - 1].ending:
            raise _Abandoned("Cancelled")

    def _created(self, run: Run, start: StartAttempt, metadata: Mapping[str, Any]) -> Event | None:
        # Unless the watch was faster: a fact from the answer would then be older than what is known.
        key = ObjectKey(run.owner.namespace, start.object_name)
        started_at = time_of(metadata["creationTimestamp"])
        if self._informers[start.kind].get(key) is not None or started_at is None:
            return None
        return AttemptSeen(
            node=start.node, number=start.number, object_name=start.object_name, started_at=started_at, held=True
        )

    def _refuse(self, run: Run, start: StartAttempt, error: ApiError) -> Event:
        log.warning("cannot create %s: %s", start.object_name, error, extra={"workflow": run.owner.name})
        return refusal(start, error, datetime.now(UTC))

    async def _look(self, run: Run, start: StartAttempt) -> Event | None:
        """Find out whose object has the name of our attempt: normally our own. None where it is not known yet."""
        try:
            raw = await self._client.get(RESOURCES[start.kind], start.object_name, run.owner.namespace)
        except NotFound:
            return None
        except ApiError as error:
            log.warning("cannot read %s: %s", start.object_name, error, extra={"workflow": run.owner.name})
            return None
        if start.kind is WorkKind.POD:
            pod = pod_view(raw)
            seen, owner_uid = observe_pod(pod), pod.owner_uid
        else:
            job = job_view(raw)
            seen, owner_uid = observe_job(job), job.owner_uid
        if owner_uid == run.uid:
            return seen
        message = f"{start.kind} {start.object_name} exists already and belongs to somebody else; remove it"
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
