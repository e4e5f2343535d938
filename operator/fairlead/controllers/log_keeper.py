"""Keeping the logs of attempts after their pods: the end of each, read once its attempt has ended.

Nobody waits for it but our own deletion of the pod or the run, and that only for a while: an outcome is recorded, a pod
let go of, a child started whatever becomes of a log. The kubelet throws a log away with its container, as soon as a pod
that is being deleted has ended; so that of a pod which has to go is read at once, as far as it is known, and again at
its end if there is time for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fairlead.api.work import MAIN_CONTAINER
from fairlead.archive.logs import LogKey, pack_log
from fairlead.archive.store import ArchiveError, ArchiveStore
from fairlead.engine.classify import JobView, PodView
from fairlead.engine.model import WorkKind
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.logs import read_log_end
from fairlead.kube.resources import ObjectKey
from fairlead.kube.scope import Following
from fairlead.kube.transport import ApiClient

from .archiver import ArchiveHealth
from .buckets import Holds, everything
from .caches import has_ended
from .gather import pods_of_job
from .queue import QueueObserver, WorkQueue
from .refusals import blocks_operator

__all__ = ["LOGS_AT_ONCE", "PATIENCE_SECONDS", "LogKeeper"]

log = logging.getLogger(__name__)

LOGS_AT_ONCE = 4
#: For how long a node may fail to hand out a log, and the archive to take it, before it is given up.
_UNAVAILABLE_SECONDS, PATIENCE_SECONDS = 60.0, 600.0
_RETRY_SECONDS = 5.0
#: Of a Job's pods, the logs of the newest are kept.
_PODS_OF_A_JOB = 5


class Observer(Protocol):
    """What is told of it; `telemetry.metrics.Metrics` fits."""

    def log_kept(self, result: str) -> None:
        """A log was to be kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """The log of an object: of a pod, or of a Job's pods. `since` is a loop time; `part`: the pod has yet to end.

    `replaces`: a part of it is kept already.
    """

    kind: WorkKind
    key: ObjectKey
    uid: str
    run: str
    run_uid: str
    since: float
    part: bool
    replaces: bool

    def named(self, pod: str) -> LogKey:
        """Return under which name the log of a pod of it is kept."""
        return LogKey(
            namespace=self.key.namespace,
            run=self.run,
            uid=self.run_uid,
            object_name=self.key.name,
            pod=pod,
            part=self.part,
        )


class LogKeeper:
    """Keeps logs, so many bytes of each at most.

    `client` is one of its own: nodes that do not answer take up slots, and look like an API server that is overloaded.
    Whoever makes it sees to it that `changed` is told of what `informers` show.
    """

    def __init__(
        self,
        client: ApiClient,
        archive: ArchiveStore,
        health: ArchiveHealth,
        informers: Mapping[WorkKind, Following[Any]],
        observer: Observer,
        queue_observer: QueueObserver,
        *,
        limit_bytes: int,
        holds: Holds = everything,
    ) -> None:
        self._client = client
        self._archive = archive
        self._health = health
        self._informers = informers
        self._observer = observer
        self._limit_bytes = limit_bytes
        self._holds = holds
        self._wanted: dict[str, _Wanted] = {}
        self._of_run: Counter[str] = Counter()
        self._done: set[str] = set()
        self._parts: set[str] = set()
        self.queue = WorkQueue("logs", self._keep, queue_observer, workers=LOGS_AT_ONCE)

    def __len__(self) -> int:
        """Return how many objects have a log that is still to be kept."""
        return len(self._wanted)

    def waits_for(self, uid: str) -> bool:
        """Tell whether the log of a pod or Job is still to be kept."""
        return uid in self._wanted

    def waits_for_run(self, run_uid: str) -> bool:
        """Tell whether a log of a run is still to be kept."""
        return run_uid in self._of_run

    def changed(
        self, kind: WorkKind, key: ObjectKey, old: PodView | JobView | None, new: PodView | JobView | None
    ) -> None:
        """Take note of an object that an informer shows."""
        if new is None:
            if old is not None:
                self._done.discard(old.uid)
                self._parts.discard(old.uid)
            return
        if not new.owner_uid or new.uid in self._done or not self._holds(new.owner_uid):
            return
        part = not has_ended(new)
        known = self._wanted.get(new.uid)
        if part and (known is not None or new.uid in self._parts or not _has_to_go(new)):
            return
        if known is not None and not known.part:
            return
        if not _has_log(new):
            return
        if known is None:
            self._of_run[new.owner_uid] += 1
        self._wanted[new.uid] = _Wanted(
            kind=kind,
            key=key,
            uid=new.uid,
            run=new.owner_name,
            run_uid=new.owner_uid,
            since=asyncio.get_running_loop().time(),
            part=part,
            replaces=not part and (new.uid in self._parts or known is not None),
        )
        self.queue.add(new.uid)

    def look_again(self) -> None:
        """Look at all that the informers show: of runs that were another replica's until now, nothing was noted."""
        for kind, informer in self._informers.items():
            for key, view in informer.items():
                self.changed(kind, key, None, view)

    async def _keep(self, uid: str) -> float | None:
        wanted = self._wanted.get(uid)
        if wanted is None:
            return None
        waited = asyncio.get_running_loop().time() - wanted.since
        pause = self._health.pause()
        if pause and waited < PATIENCE_SECONDS:
            return pause
        try:
            result = await self._see_to(wanted)
        except ArchiveError as error:
            seconds = self._health.failed(error)
            if waited < PATIENCE_SECONDS:
                return seconds
            result = "lost"
        except ApiError as error:
            gone = isinstance(error, NotFound) or error.status == 400 or blocks_operator(error)
            if not gone and waited < _UNAVAILABLE_SECONDS:
                return _RETRY_SECONDS
            log.warning("the log of %s is not kept: %s", wanted.key, error, extra={"workflow": wanted.run})
            result = "unavailable"
        self._finish(wanted, result)
        return None

    def _finish(self, wanted: _Wanted, result: str) -> None:
        self._observer.log_kept(result)
        if self._wanted.get(wanted.uid) is not wanted:
            return  # its pod has ended meanwhile: there may be more to be had
        del self._wanted[wanted.uid]
        self._of_run[wanted.run_uid] -= 1
        if not self._of_run[wanted.run_uid]:
            del self._of_run[wanted.run_uid]
        (self._parts if wanted.part else self._done).add(wanted.uid)

    async def _see_to(self, wanted: _Wanted) -> str:
        """Keep what there is to be kept of an object. Returns what came of it; raises `ApiError`, `ArchiveError`."""
        if wanted.kind is WorkKind.POD:
            return await self._keep_pod(wanted, wanted.key.name)
        pods = await pods_of_job(self._client, wanted.key, wanted.uid)
        pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        results = {await self._keep_pod(wanted, pod["metadata"]["name"]) for pod in pods[-_PODS_OF_A_JOB:]}
        return "written" if "written" in results else results.pop() if results else "unavailable"

    async def _keep_pod(self, wanted: _Wanted, pod: str) -> str:
        path = wanted.named(pod).path
        if await self._archive.holds(path):
            return "present"
        text = await read_log_end(
            self._client, ObjectKey(wanted.key.namespace, pod), MAIN_CONTAINER, limit_bytes=self._limit_bytes
        )
        await self._archive.put(path, await asyncio.to_thread(pack_log, text))
        self._health.worked()
        if wanted.replaces:
            await self._archive.delete(replace(wanted.named(pod), part=True).path)
        return "partial" if wanted.part else "written"


def _has_to_go(view: PodView | JobView) -> bool:
    return view.deleting_at is not None


def _has_log(view: PodView | JobView) -> bool:
    """Tell whether the main container has ever run; of a Job, its pods know."""
    return not isinstance(view, PodView) or view.running_at is not None or view.exit_code is not None
