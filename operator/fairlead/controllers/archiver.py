"""Archiving runs that have ended. Whatever becomes of the archive, nothing but their deletion waits for it.

A run is archived when its end is on record, and after a restart where it is not there yet: that it is there is all that
is known about it. Writing it again does no harm, so any replica may archive any run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from fairlead.api.shard import read_tasks
from fairlead.archive.record import RunKey, pack
from fairlead.archive.store import ArchiveError, ArchiveStore
from fairlead.kube.errors import NotFound
from fairlead.kube.resources import CONTROLLERREVISIONS
from fairlead.kube.shards import fetch_shards
from fairlead.kube.transport import ApiClient

from .queue import QueueObserver, WorkQueue
from .status import finished_at
from .store import Workflow, WorkflowStore

__all__ = ["ArchiveHealth", "Archiver", "key_of"]

log = logging.getLogger(__name__)

_WORKERS = 4
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 5.0, 60.0
_TELL_SECONDS = 60.0


class Observer(Protocol):
    """What is told of it; `telemetry.metrics.Metrics` fits."""

    def run_archived(self, result: str) -> None:
        """A run was to be archived."""
        ...


class ArchiveHealth:
    """Whether the archive can be written: for metrics, the log, and how long to wait before the next try."""

    def __init__(self) -> None:
        self._failing_since: float | None = None
        self._next_try = 0.0
        self._told_at = 0.0
        self.problem = ""

    def failing_seconds(self) -> float:
        """Return for how long nothing could be written; 0.0 while all is well."""
        if self._failing_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._failing_since

    def worked(self) -> None:
        """Something was written or read."""
        if self._failing_since is not None:
            log.info("the archive can be used again, after %.0f s", self.failing_seconds())
        self._failing_since, self._next_try, self.problem = None, 0.0, ""

    def pause(self) -> float:
        """Return for how many seconds nothing should be tried: one who finds out is enough, however many wait."""
        return max(0.0, self._next_try - asyncio.get_running_loop().time())

    def failed(self, error: ArchiveError) -> float:
        """Something could not be written. Returns after how many seconds to try again."""
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        self.problem = str(error)
        if now - self._told_at >= _TELL_SECONDS or not self._told_at:
            self._told_at = now
            log.error("the archive cannot be used: %s; runs that are to be deleted wait until it can", error)
        seconds = min(max(_FIRST_RETRY_SECONDS, self.failing_seconds() / 2), _LAST_RETRY_SECONDS)
        self._next_try = now + seconds
        return seconds


class Archiver:
    """Archives runs. `notify(uid)` is told of each that has come to be there."""

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        archive: ArchiveStore,
        health: ArchiveHealth,
        notify: Callable[[str], None],
        observer: Observer,
        queue_observer: QueueObserver,
    ) -> None:
        self._client = client
        self._store = store
        self._archive = archive
        self._health = health
        self._notify = notify
        self._observer = observer
        self._there: dict[str, str] = {}
        self.queue = WorkQueue("archive", self._see_to, queue_observer, workers=_WORKERS)
        store.follow(self._changed)

    @property
    def problem(self) -> str:
        """Why the archive cannot be used, for people; "" while it can."""
        return self._health.problem

    def has(self, workflow: Workflow) -> bool:
        """Tell whether the end of a run is known to be archived; if not, it is seen to."""
        if self._there.get(workflow.uid) == key_of(workflow).path:
            return True
        self.queue.add(workflow.uid)
        return False

    def _changed(self, _old: Workflow | None, new: Workflow | None) -> None:
        if new is None and _old is not None:
            self._there.pop(_old.uid, None)

    async def _see_to(self, uid: str) -> float | None:
        workflow = self._store.get(uid)
        if workflow is None or finished_at(workflow.status) is None:
            return None
        path = key_of(workflow).path
        if self._there.get(uid) == path:
            return None
        if pause := self._health.pause():
            return pause
        try:
            if await self._archive.holds(path):
                result = "present"
            else:
                await self._archive.put(path, await self._record(workflow))
                result = "written"
        except ArchiveError as error:
            self._observer.run_archived("error")
            return self._health.failed(error)
        self._health.worked()
        self._observer.run_archived(result)
        if self._store.get(uid) is not None:
            self._there[uid] = path
            self._notify(uid)
        return None

    async def _record(self, workflow: Workflow) -> bytes:
        """Return the record of a run. Raises `ApiError`."""
        raw = {**workflow.raw, "spec": workflow.definition}
        tasks, missing = read_tasks(workflow.status, ()), []
        if workflow.shards is not None:
            key, count = workflow.shards
            shards = await fetch_shards(self._client, key, workflow.uid, count)
            tasks, missing = read_tasks(workflow.status, shards.found), shards.missing
        definition = None
        revision = (workflow.status.get("definition") or {}).get("revision")
        if revision is not None:
            try:
                definition = (await self._client.get(CONTROLLERREVISIONS, revision, workflow.namespace)).get("data")
            except NotFound:
                log.warning(
                    "%s/%s is archived without its definition, which is gone", workflow.namespace, workflow.name
                )
        # In a thread: of ten thousand tasks it takes half a second, in which other runs go on.
        return await asyncio.to_thread(pack, raw, tasks, definition=definition, missing=missing)


def key_of(workflow: Workflow) -> RunKey:
    """Return under which name a run that has ended is archived."""
    moment = finished_at(workflow.status)
    assert moment is not None, "only asked of runs that have ended"
    return RunKey(
        namespace=workflow.namespace,
        name=workflow.name,
        uid=workflow.uid,
        finished_at=moment,
        phase=str(workflow.status.get("phase") or "Failed"),
        epoch=int(workflow.status.get("epoch", 1)),
    )
