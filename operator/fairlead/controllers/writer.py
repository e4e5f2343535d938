"""Writing the status of runs: coalesced, with preconditions, and never in the way of the next task.

Most changes wait for the next write, about one a second and less often where a write is expensive; the start of a run,
its end and a change of its conditions are written at once. The Workflow's UID and resourceVersion are preconditions, so
that neither a namesake nor another controller's newer status is overwritten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from fairlead.engine.capacity import MESSAGE_CHARACTERS
from fairlead.engine.commands import EventType, RecordEvent
from fairlead.engine.events import StatusRecorded
from fairlead.kube.errors import ApiError, Conflict, NotFound
from fairlead.kube.resources import WORKFLOWS
from fairlead.kube.transport import ApiClient, PatchType

from .pods import Owner
from .run import Run
from .status import encode, operations
from .store import WorkflowStore

__all__ = ["StatusWriter"]

log = logging.getLogger(__name__)

#: Seconds between two writes of one run, and the share of the time that writing one may take.
_INTERVAL_SECONDS = 1.0
_SHARE = 0.02
_LONGEST_INTERVAL_SECONDS = 30.0

_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class StatusWriter:
    """Persists the status of any run.

    `notify(uid)` tells that something came of a write; `lost(run)` that the persisted status is not what we wrote, so
    that the run has to be read again.
    """

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        notify: Callable[[str], None],
        lost: Callable[[Run], None],
        wrote: Callable[[str, int], None],
        record: Callable[[Owner, RecordEvent], None],
    ) -> None:
        self._record = record
        self._client = client
        self._store = store
        self._notify = notify
        self._lost = lost
        self._wrote = wrote
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, run: Run, *, urgent: bool) -> None:
        """See to it that the current state gets persisted: now if `urgent`, else when its next write is due."""
        if run.closed or run.writing is not None or not run.dirty:
            return
        loop = asyncio.get_running_loop()
        delay = 0.0 if urgent else run.write_due - loop.time()
        if delay <= 0:
            self._begin(run)
        elif run.write_timer is None:
            run.write_timer = loop.call_later(delay, self._begin, run)

    async def flush(self, run: Run) -> None:
        """Persist the current state now and wait for it; for shutting down."""
        self.request(run, urgent=True)
        while run.writing is not None:
            await asyncio.wait({run.writing})
            self.request(run, urgent=True)  # what changed while it was being written

    async def write(
        self, owner: Owner, version: int, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Persist the status `after` in place of `before`, which the object has at `version`.

        Returns the new resourceVersion and the status as persisted. Raises `ApiError`; `Conflict` where the object has
        changed, or is another one.
        """
        changes = operations(before, after)
        revision = before.get("revision", 0)
        if not changes:
            return version, {**after, "revision": revision} if revision else dict(after)
        body = [
            {"op": "replace", "path": "/metadata/uid", "value": owner.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": str(version)},
            *changes,
        ]
        try:
            stored = await self._client.patch(
                WORKFLOWS, owner.name, body, PatchType.JSON, owner.namespace, subresource="status", metadata_only=True
            )
        except ApiError as error:
            if not error.is_transient and not isinstance(error, Conflict | NotFound):
                self._tell_unwritable(owner, error)
            raise
        self._wrote("summary", len(orjson.dumps(changes)))
        status = {**after, "revision": revision + 1}
        known = self._store.get(owner.uid)
        if known is not None:
            # The version was a precondition: nothing but the status has changed since we read the rest.
            self._store.put({**known.raw, "metadata": stored["metadata"], "status": status})
        return int(stored["metadata"]["resourceVersion"]), status

    def _tell_unwritable(self, owner: Owner, error: ApiError) -> None:
        # What keeps the status from being written cannot be told in the status.
        event = RecordEvent(
            type=EventType.WARNING,
            reason="StatusNotWritable",
            message=f"the API server refuses the status: {error.message}"[:MESSAGE_CHARACTERS],
            key=f"status/{error.reason}",
        )
        self._record(owner, event)

    def _begin(self, run: Run) -> None:
        if run.write_timer is not None:
            run.write_timer.cancel()
            run.write_timer = None
        if run.closed or run.writing is not None:
            return
        run.writing = asyncio.create_task(self._persist(run))
        self._tasks.add(run.writing)
        run.writing.add_done_callback(self._tasks.discard)

    async def _persist(self, run: Run) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        revision, generation, stalled = run.state.revision, run.generation, run.stalled
        try:
            status = encode(
                run.state,
                run.settings,
                generation=generation,
                previous=run.written,
                now=datetime.now(UTC),
                stalled=stalled,
                definition=run.definition.record if run.definition is not None else None,
            )
            if not await self._insist(run, status):
                return
            run.persisted_revision, run.persisted_generation, run.persisted_stalled = revision, generation, stalled
            run.inbox.append(StatusRecorded(revision=revision))
        except Exception:
            # A bug of ours: the run is read again, and written again, rather than never.
            log.exception("cannot write the status", extra={"workflow": run.owner.name})
            await asyncio.sleep(_RETRY_SECONDS[-1])
            self._lost(run)
        finally:
            cost = loop.time() - started
            run.write_due = loop.time() + min(max(_INTERVAL_SECONDS, cost / _SHARE), _LONGEST_INTERVAL_SECONDS)
            run.writing = None
            if not run.closed:
                self._notify(run.uid)

    async def _insist(self, run: Run, status: Mapping[str, Any]) -> bool:
        """Write until it is persisted. Returns False where the run has to be read again, or is gone."""
        failures = 0
        while not run.closed:
            try:
                run.version, run.written = await self.write(run.owner, run.version, run.written, status)
            except NotFound:
                self._lost(run)
                return False
            except Conflict:
                if not await self._renew(run, status):
                    return False
            except ApiError as error:
                # Nothing else can say it in the resource itself: the log and the metrics do.
                log.error("cannot write the status: %s", error, extra={"workflow": run.owner.name})
                await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1
            else:
                return True
        return False

    async def _renew(self, run: Run, status: Mapping[str, Any]) -> bool:
        """After a conflict: was it only the spec or the metadata that changed? Then write again, on top of it.

        It may also have been our own write, whose answer was lost: then the next try finds nothing left to change.
        """
        try:
            raw = await self._client.get(WORKFLOWS, run.owner.name, run.owner.namespace)
        except ApiError as error:
            if isinstance(error, NotFound):
                self._lost(run)
                return False
            await asyncio.sleep(_RETRY_SECONDS[0])
            return True
        stored = raw.get("status") or {}
        known = next((each for each in (run.written, status) if not _differs(stored, each)), None)
        if raw["metadata"]["uid"] != run.uid or known is None:
            self._lost(run)
            return False
        run.written = stored
        self._store.put(raw)
        run.version = int(raw["metadata"]["resourceVersion"])
        return True


def _differs(stored: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    return any(stored.get(key) != value for key, value in written.items())
