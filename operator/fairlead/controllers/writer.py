"""Writing the status of runs: coalesced, with preconditions, and never in the way of the next task.

Most changes wait for the next write, about one a second and less often where a write is expensive, or where many runs
have something to tell; the start of a run, its end and a change of its conditions are written at once. The Workflow's
UID and resourceVersion are preconditions, so that neither a namesake nor another controller's newer status is
overwritten.

The tasks of a small run are in its Workflow's status. Those of a large one are in shards (`shards.py`), which are
written first; the Workflow, whose every write costs the API server as much as its whole definition, follows when its
conditions have changed, and else when it is time to. A run that outgrows its Workflow moves to shards once: it is in
its status until all of them are written, and from the very write that takes it out of there it is in them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fairlead.clock import utc_now
from fairlead.engine.capacity import MESSAGE_CHARACTERS
from fairlead.engine.commands import EventType, RecordEvent
from fairlead.engine.events import StatusRecorded
from fairlead.kube.errors import ApiError, Conflict, NotFound
from fairlead.kube.resources import WORKFLOWS
from fairlead.kube.transport import ApiClient, PatchType

from .changes import all_entries, changed_entries, touch_queued
from .ledger import Ledger
from .pace import SHARDS, Pace, Turns
from .pods import Owner
from .run import Run
from .shards import ShardWriter
from .status import blocked, encode, operations
from .store import WorkflowStore
from .timer import Timer

__all__ = ["INLINE_BYTES", "INLINE_DEFINITION_BYTES", "INLINE_NODES", "StatusWriter"]

log = logging.getLogger(__name__)

#: What a run may have to be recorded in its Workflow alone: tasks and items, bytes of their entries, and of its
#: definition. With its results and the last actions, that stays below 1 MB.
INLINE_NODES = 200
INLINE_BYTES = 256 * 1024
INLINE_DEFINITION_BYTES = 384 * 1024


#: Of a Workflow with its tasks, and of one whose tasks are in shards.
_WHOLE = Pace(shortest=1.0, longest=30.0, share=0.02)
_SUMMARY = Pace(shortest=5.0, longest=30.0, share=0.02)
#: Of the progress of all runs whose tasks are in their Workflows, one after the other.
_TURNS = Pace(shortest=0.0, longest=0.5, share=0.1)

#: Seconds that a create may take, its time in line included, without a word about it.
_SLOW_SECONDS = 10.0

_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The state of a run as it is being written. `summary` is the Workflow's status, None if that can wait."""

    revision: int
    generation: int
    stalled: str
    key: object
    summary: Mapping[str, Any] | None


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
        self._shards = ShardWriter(client, wrote, self._tell_unwritable, store.leave)
        self._turns = Turns(self._begin, _TURNS)
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, run: Run, *, urgent: bool) -> None:
        """See to it that the current state gets persisted: now if `urgent`, else when its next write is due."""
        if run.closed or run.writing is not None or not run.dirty:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() if urgent else run.summary_due if _only_summary_lags(run) else run.write_due
        if urgent:
            self._begin(run)
        elif run.write_timer is None or (run.ledger is not None and run.write_timer.due > due):
            if run.write_timer is not None:
                run.write_timer.cancel()
                run.write_timer = None
            latest = loop.time() + _WHOLE.longest
            if due <= loop.time():
                self._line_up(run, latest)
            else:
                run.write_timer = Timer(due, self._line_up, run, latest)

    def _line_up(self, run: Run, latest: float) -> None:
        """Begin a write that is due, of a small run when it has its turn, or at the `latest` moment for it."""
        if run.ledger is not None:
            self._begin(run)
        elif not self._turns.line_up(run):
            run.write_timer = Timer(latest, self._begin, run)

    async def flush(self, run: Run) -> None:
        """Persist the current state now and wait for it; for shutting down."""
        run.summary_due = 0.0
        self.request(run, urgent=True)
        while run.writing is not None:
            await asyncio.wait({run.writing})
            run.summary_due = 0.0
            self.request(run, urgent=True)  # what changed while it was being written

    async def begin(self, run: Run, *, before_send: Callable[[], None] | None = None) -> None:
        """Persist that a run has started; `before_send` is called right before the request leaves.

        Raises `ApiError`; `Conflict` or `NotFound` where it is to be read again.
        """
        if _is_large(run):
            run.ledger = Ledger()
        status = self._encode(run)
        status.pop("concurrencyKey", None)
        if run.owner.concurrency_key:
            status["concurrencyKey"] = run.owner.concurrency_key
        snapshot = _Snapshot(run.state.revision, run.generation, run.stalled, _key(run), status)
        assert snapshot.summary is not None
        run.version, run.written = await self.write(
            run.owner, run.version, run.written, snapshot.summary, before_send=before_send
        )
        _note_persisted(run, snapshot)

    async def verify(self, run: Run) -> None:
        """Look whether what was persisted in shards is still there."""
        if run.ledger is not None:
            await self._shards.verify(run)

    async def write(
        self,
        owner: Owner,
        version: int,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        *,
        in_any_case: bool = False,
        before_send: Callable[[], None] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Persist the status `after` in place of `before`, which the object has at `version`.

        Nothing is written where nothing differs, unless `in_any_case`: the object is at another version afterwards.

        Returns the new resourceVersion and the status as persisted. Raises `ApiError`; `Conflict` where the object has
        changed, or is another one.
        """
        changes = operations(before, after)
        revision = before.get("revision", 0)
        if not changes and in_any_case:
            changes = [{"op": "add", "path": "/status/revision", "value": revision + 1}]
        if not changes:
            return version, {**after, "revision": revision} if revision else dict(after)
        body = [
            {"op": "replace", "path": "/metadata/uid", "value": owner.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": str(version)},
            *changes,
        ]
        try:
            stored = await self._client.patch(
                WORKFLOWS,
                owner.name,
                body,
                PatchType.JSON,
                owner.namespace,
                subresource="status",
                metadata_only=True,
                before_send=before_send,
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
            self._store.note(known.written(stored["metadata"], status))
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

    def _begin(self, run: Run) -> bool:
        self._turns.leave(run)
        if run.write_timer is not None:
            run.write_timer.cancel()
            run.write_timer = None
        if run.closed or run.writing is not None:
            return False
        run.writing = asyncio.create_task(self._persist(run))
        self._tasks.add(run.writing)
        run.writing.add_done_callback(self._tasks.discard)
        return True

    async def _persist(self, run: Run) -> None:
        loop = asyncio.get_running_loop()
        try:
            snapshot = self._snapshot(run)
            if await self._write_all(run, snapshot):
                _note_persisted(run, snapshot)
                run.inbox.append(StatusRecorded(revision=snapshot.revision))
        except Exception:
            # A bug of ours: the run is read again, and written again, rather than never.
            log.exception("cannot write the status", extra=run.owner.fields())
            await asyncio.sleep(_RETRY_SECONDS[-1])
            self._lost(run)
        finally:
            run.write_due = max(run.write_due, loop.time() + _WHOLE.shortest)
            run.writing = None
            self._turns.over(run)
            if not run.closed:
                self._notify(run.uid)

    def _snapshot(self, run: Run) -> _Snapshot:
        """Encode what has changed, in one step: facts that come while it is being written belong to the next write."""
        revision, key = run.state.revision, _key(run)
        summary: Mapping[str, Any] | None = None
        if run.ledger is None and not _is_large(run):
            run.state.touched.clear()
            summary = self._encode(run)
            if len(orjson.dumps(summary["tasks"])) > INLINE_BYTES:
                summary = None
        if run.ledger is not None or summary is None:
            summary = self._take_in(run, key)
        return _Snapshot(revision, run.generation, run.stalled, key, summary)

    def _take_in(self, run: Run, key: object) -> Mapping[str, Any] | None:
        """Bring the ledger up to date. Returns the Workflow's status if that has to be written, too."""
        state, settings = run.state, run.settings
        moves = run.ledger is None
        if run.ledger is None:
            run.ledger = Ledger()
            run.ledger.take(all_entries(state, settings))
        else:
            if settings != run.shown_settings:
                touch_queued(state)
            changed = changed_entries(run.compiled.graph, state, settings, run.ledger)
            run.ledger.take(changed, action=_unrecorded_action(run))
        run.shown_settings = settings
        now = asyncio.get_running_loop().time()
        lags = run.summary_revision < state.revision and now >= run.summary_due
        return self._encode(run) if moves or lags or key != run.summary_key else None

    def _encode(self, run: Run) -> dict[str, Any]:
        return encode(
            run.state,
            run.settings,
            generation=run.generation,
            previous=run.written,
            now=utc_now(),
            stalled=run.stalled,
            slow=_slow(run, asyncio.get_running_loop().time()),
            definition=None if run.definition is None else run.definition.record,
            shards=None if run.ledger is None else len(run.ledger.shards),
        )

    async def _write_all(self, run: Run, snapshot: _Snapshot) -> bool:
        """Write shards, then the Workflow. Returns False where the run has to be read again, or is gone."""
        loop = asyncio.get_running_loop()
        if run.ledger is not None:
            started = loop.time()
            if "shards" not in run.written:
                await self._shards.claim(run)
            if run.ledger.undoes:
                # Not before whoever asked for it can record it no more: it writes the status by the version that it
                # knows, which is another one now. If it already has, we are refused, and read the run again.
                if not await self._insist(run, run.written, in_any_case=True):
                    return False
                run.ledger.undoes = False
            if not await self._shards.write(run):
                if not run.closed:
                    self._lost(run)
                return False
            run.write_due = loop.time() + SHARDS.interval(loop.time() - started)
        if snapshot.summary is None:
            return True
        started = loop.time()
        if not await self._insist(run, snapshot.summary):
            return False
        cost = loop.time() - started
        if run.ledger is None:
            run.write_due = loop.time() + _WHOLE.interval(cost)
        else:
            run.summary_due = loop.time() + _SUMMARY.interval(cost)
            run.ledger.commit()
        return True

    async def _insist(self, run: Run, status: Mapping[str, Any], *, in_any_case: bool = False) -> bool:
        """Write until it is persisted. Returns False where the run has to be read again, or is gone."""
        failures = 0
        while not run.closed:
            try:
                run.version, run.written = await self.write(
                    run.owner, run.version, run.written, status, in_any_case=in_any_case
                )
            except NotFound:
                self._lost(run)
                return False
            except Conflict:
                if not await self._renew(run, status):
                    return False
            except ApiError as error:
                # Nothing else can say it in the resource itself: the log and the metrics do.
                log.error("cannot write the status: %s", error, extra=run.owner.fields())
                if not error.is_transient:
                    self._turns.over(run)  # the others need not wait until somebody allows it
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


def _is_large(run: Run) -> bool:
    return len(run.state.nodes) > INLINE_NODES or run.definition_bytes > INLINE_DEFINITION_BYTES


def _only_summary_lags(run: Run) -> bool:
    return run.ledger is not None and run.persisted_revision >= run.state.revision and not run.ledger.is_dirty


def _key(run: Run) -> object:
    """Return what the Workflow's status must not be late with: its conditions, and what is in no shard."""
    state = run.state
    return (
        run.generation,
        run.stalled or blocked(state),
        run.settings.suspend,
        state.outcome,
        state.suspended_at,
        state.suspended_seconds,
        state.epoch,
        state.actions[-1].uid if state.actions else "",
        state.stopping,
        state.stop_mode,
    )


def _unrecorded_action(run: Run) -> str:
    """Return the UID of the last action that has changed something and is not on record yet, "" for none."""
    recorded = {each["uid"] for each in run.written.get("actions") or ()}
    new = [each for each in run.state.actions if each.uid not in recorded]
    return new[-1].uid if any(each.accepted for each in new) else ""


def _slow(run: Run, now: float) -> str:
    """Return what is being created for longer than anybody should wait for, "" where there is nothing like that."""
    since = next(iter(run.creating.values()), now)
    if now - since < _SLOW_SECONDS:
        return ""
    waiting = "one object waits" if len(run.creating) == 1 else f"{len(run.creating)} objects wait"
    return f"{waiting} to be created, since {now - since:.0f} s: the API server answers no faster"


def _note_persisted(run: Run, snapshot: _Snapshot) -> None:
    run.persisted_revision = snapshot.revision
    if snapshot.summary is not None:
        run.summary_revision, run.summary_key = snapshot.revision, snapshot.key
        run.persisted_generation, run.persisted_stalled = snapshot.generation, snapshot.stalled
