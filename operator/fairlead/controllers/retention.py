"""Deleting pods and Jobs that have ended, once they have been kept for long enough.

Whatever the informers show as ended and let go of is put on a list with the time at which to look at it again, also
after a restart, and also where its run is over. At that time everything is judged anew from what is known then; what
is deleted is deleted by its UID. Only what we have let go of is looked at: its end is on record.

An object is never deleted earlier than `LEAST_SECONDS` after its end was recorded. When that was, an operator that was
restarted does not know: for it, that is when it saw the object first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from fairlead.api.retention import LEAST_SECONDS, SUCCEEDED_SECONDS
from fairlead.clock import utc_now
from fairlead.engine.classify import JobView, PodView, observe_job, observe_pod
from fairlead.engine.model import WorkKind
from fairlead.engine.state import Outcome, Result
from fairlead.kube.errors import ApiError, Conflict, NotFound
from fairlead.kube.resources import ObjectKey
from fairlead.kube.scope import Following
from fairlead.kube.transport import ApiClient
from fairlead.line import CLEAN_UP, cleaned_at_once

from .buckets import Holds, everything
from .gather import is_recorded
from .run import Run
from .start import RESOURCES
from .status import is_finished
from .store import WorkflowStore

__all__ = ["Retention", "kept_for"]

log = logging.getLogger(__name__)

#: When to look again at what could not be judged, or not be deleted.
_AGAIN_SECONDS = 60.0

#: When to look again at what is to be deleted and whose log is still being kept: that does not take for ever.
_LOG_SECONDS = 10.0

_KEPT_LIKE_FAILED = frozenset({Result.FAILED, Result.CANCELLED})


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """An object on the list. `seen` is the loop time at which it was first known to have ended for good."""

    due: float
    seen: float
    key: ObjectKey
    kind: WorkKind
    uid: str


class Retention:
    """Deletes what has been kept for long enough, `workers` objects at a time, or many more where very many are due.

    `active(uid)` returns a run in memory.

    `waits_for_log(uid)` tells that an object has a log which is still to be kept.

    Half of the requests that may be under way at once are enough for `workers`: each object that is created needs at
    least one more request, so that objects go as fast as they come.
    """

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        informers: Mapping[WorkKind, Following[Any]],
        active: Callable[[str], Run | None],
        *,
        workers: int,
        holds: Holds = everything,
        waits_for_log: Callable[[str], bool] = lambda _uid: False,
    ) -> None:
        self._holds = holds
        self._waits_for_log = waits_for_log
        self._client = client
        self._store = store
        self._informers = informers
        self._active = active
        self._workers = workers
        self._list: list[_Entry] = []
        self._listed: set[str] = set()
        self._due: deque[_Entry] = deque()
        self._working = 0
        self._added = asyncio.Event()

    def __len__(self) -> int:
        """Return how many objects are on the list."""
        return len(self._listed)

    def changed(self, kind: WorkKind, key: ObjectKey, view: PodView | JobView | None) -> None:
        """Take note of an object that an informer shows."""
        if view is None or view.uid in self._listed or not view.owner_uid or not _is_let_go(view):
            return
        now = asyncio.get_running_loop().time()
        self._listed.add(view.uid)
        self._put(_Entry(now + LEAST_SECONDS, now, key, kind, view.uid))

    async def run(self) -> None:
        """Delete what is due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            await self._hand_out(group)

    async def _hand_out(self, group: asyncio.TaskGroup) -> None:
        """Give the workers what is due, in its order."""
        loop = asyncio.get_running_loop()
        while True:
            self._added.clear()
            while self._list and self._list[0].due <= loop.time():
                self._due.append(heappop(self._list))
            for _ in range(min(len(self._due), self._at_once() - self._working)):
                self._working += 1
                group.create_task(self._work())
            timeout = max(0.0, self._list[0].due - loop.time()) if self._list else None
            try:
                await asyncio.wait_for(self._added.wait(), timeout)
            except TimeoutError:
                continue

    def _put(self, entry: _Entry) -> None:
        first = not self._list or entry < self._list[0]
        heappush(self._list, entry)
        if first:
            self._added.set()

    def _at_once(self) -> int:
        return cleaned_at_once(len(self._due), self._workers)

    async def _work(self) -> None:
        """Treat what is due until there is nothing any more, or so little that fewer are enough."""
        try:
            while self._due and self._working <= self._at_once():
                await self._see_to(self._due.popleft())
        finally:
            self._working -= 1

    async def _see_to(self, entry: _Entry) -> None:
        try:
            seconds = await self._treat(entry)
        except ApiError as error:
            log.warning("cannot delete %s: %s; tried again in a minute", entry.key, error)
            seconds = _AGAIN_SECONDS
        except Exception:
            # A bug of ours: this object stays, the others do not.
            log.exception("cannot judge %s", entry.key)
            seconds = _AGAIN_SECONDS
        if seconds is None:
            self._listed.discard(entry.uid)
        else:
            due = asyncio.get_running_loop().time() + seconds
            self._put(_Entry(due, entry.seen, entry.key, entry.kind, entry.uid))

    async def _treat(self, entry: _Entry) -> float | None:
        """Delete an object if its time has come. Returns in how many seconds to look again, None for never."""
        view = self._informers[entry.kind].get(entry.key)
        if view is None or view.uid != entry.uid or not _is_let_go(view):
            return None
        workflow = self._store.get(view.owner_uid)
        if workflow is None or workflow.deleting:
            return _AGAIN_SECONDS  # the garbage collector's, unless it has only not been heard of yet
        if not self._holds(view.owner_uid):
            return _AGAIN_SECONDS  # it is about to leave our view, or ours again
        run = self._active(view.owner_uid)
        on_record = is_finished(workflow.status) if run is None else is_recorded(run, view)
        if not on_record:
            return _AGAIN_SECONDS
        seconds = kept_for(view, workflow.spec.get("podRetention") or {}, utc_now())
        if seconds is None:
            return None
        held = entry.seen + LEAST_SECONDS - asyncio.get_running_loop().time()
        if max(seconds, held) > 0:
            return max(seconds, held)
        if self._waits_for_log(entry.uid):
            return _LOG_SECONDS
        try:
            await self._client.delete(
                RESOURCES[entry.kind], entry.key.name, entry.key.namespace, uid=entry.uid, turn=CLEAN_UP
            )
        except (NotFound, Conflict):
            return None
        # On the list until it has left the view: a finalizer of somebody else may keep it.
        return _AGAIN_SECONDS


def kept_for(view: PodView | JobView, retention: Mapping[str, Any], now: datetime) -> float | None:
    """Return for how many more seconds an ended object is kept for its logs; None for as long as its run is there."""
    outcome = _outcome(view)
    assert outcome is not None
    result = view.result or outcome.result
    if result in _KEPT_LIKE_FAILED:
        seconds = retention.get("failedSeconds")
    else:
        seconds = retention.get("succeededSeconds", SUCCEEDED_SECONDS)
    if seconds is None:
        return None
    return (outcome.finished_at + timedelta(seconds=seconds) - now).total_seconds()


def _is_let_go(view: PodView | JobView) -> bool:
    """Tell whether an object has ended, is not held by us any more, and is not being deleted."""
    return not view.held and view.deleting_at is None and _outcome(view) is not None


def _outcome(view: PodView | JobView) -> Outcome | None:
    match view:
        case PodView():
            return observe_pod(view).outcome
        case JobView():
            return observe_job(view).outcome
