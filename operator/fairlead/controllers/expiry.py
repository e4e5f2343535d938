"""Deleting runs that have ended and are not kept any longer, once nothing speaks against it.

What is due, and what is in the way, `engine.history` decides. A run is deleted by its UID and version: one that has
been retried, or given more time, since we heard of it last stays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Protocol

from fairlead.api.retention import LEAST_SECONDS
from fairlead.clock import utc_now
from fairlead.engine.commands import EventType, RecordEvent
from fairlead.engine.history import Cause, Obstacle, Verdict, judge
from fairlead.engine.model import WorkKind
from fairlead.kube.errors import ApiError, Conflict, NotFound
from fairlead.kube.resources import WORKFLOWS, ObjectKey
from fairlead.kube.transport import ApiClient
from fairlead.line import CLEAN_UP

from .apply import Applier
from .archiver import Archiver
from .gather import Gatherer
from .history import History
from .log_keeper import LogKeeper
from .status import finished_at
from .store import Workflow, WorkflowStore
from .tracking import is_tracked

__all__ = ["Expiry"]

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 10.0


class Observer(Protocol):
    """What is told of it; `telemetry.metrics.Metrics` fits."""

    def run_deleted(self, cause: str) -> None:
        """A run was deleted."""
        ...


class Expiry:
    """Looks at runs that are over. Without an `archive` or `logs` there is nothing to wait for."""

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        gatherer: Gatherer,
        applier: Applier,
        history: History,
        observer: Observer,
        archiver: Archiver | None = None,
        logs: LogKeeper | None = None,
    ) -> None:
        self._client = client
        self._store = store
        self._gatherer = gatherer
        self._applier = applier
        self._history = history
        self._observer = observer
        self._archiver = archiver
        self._logs = logs
        self._told: set[str] = set()

    async def look(self, workflow: Workflow) -> float | None:
        """Archive a run that has ended, and delete it if it is due. Returns in how many seconds to look again."""
        moment = finished_at(workflow.status)
        if moment is None:
            return None
        if self._archiver is not None:
            self._archiver.has(workflow)
        if workflow.parent_uid:
            return None  # a sub-workflow goes with its parent, which may still have to read how it ended
        verdict = judge(
            finished_at=moment,
            now=utc_now(),
            ttl_seconds=_ttl_of(workflow),
            is_surplus=self._history.is_surplus(workflow),
            obstacles=self._obstacles(workflow),
        )
        if not verdict.is_due:
            return verdict.seconds
        if verdict.obstacle is not None:
            self._tell(workflow, verdict)
            return _AGAIN_SECONDS
        if is_tracked(workflow):
            # Deleting it would make the GitOps controller apply it again, and so run it again: only pods and Jobs go.
            if (seconds := LEAST_SECONDS - (utc_now() - moment).total_seconds()) > 0:
                return seconds
            left = [
                (kind, key, view)
                for (kind, key), view in self._gatherer.objects(workflow.uid).items()
                if kind is not WorkKind.WORKFLOW and view.deleting_at is None
            ]
            for kind, key, view in left:
                self._applier.remove(kind, ObjectKey(key.namespace, view.name), view)
            return _AGAIN_SECONDS if left else None
        return await self._delete(workflow, verdict)

    def _obstacles(self, workflow: Workflow) -> Iterator[Obstacle]:
        """Yield what is in the way of deleting a run, and everything below it with it.

        Of one that stays itself, as it would be applied again, only pods go: nothing but their logs is in the way.
        """
        below = list(self._below(workflow))
        if self._logs is not None and is_tracked(workflow) and self._logs.waits_for_run(workflow.uid):
            yield Obstacle.LOGS
        if is_tracked(workflow):
            return
        if any(finished_at(each.status) is None for each in below):
            yield Obstacle.ACTIVE
        if self._archiver is not None:
            # Each is asked for, not only the first: they are archived side by side.
            archived = [self._archiver.has(each) for each in (workflow, *below) if finished_at(each.status) is not None]
            if not all(archived):
                yield Obstacle.ARCHIVE
        if self._logs is not None and any(self._logs.waits_for_run(each.uid) for each in (workflow, *below)):
            yield Obstacle.LOGS

    def _below(self, workflow: Workflow) -> Iterator[Workflow]:
        """Yield the Workflows that go with a run, and those that go with them."""
        for child in self._store.children(workflow.uid):
            if child.namespace == workflow.namespace:  # an owner elsewhere is none
                yield child
                yield from self._below(child)

    def _tell(self, workflow: Workflow, verdict: Verdict) -> None:
        """Say, once, why a run that is due is still there, if that takes its time."""
        if self._archiver is None or not self._archiver.problem:
            self._told.clear()
            return
        if verdict.obstacle is not Obstacle.ARCHIVE or workflow.uid in self._told:
            return
        self._told.add(workflow.uid)
        message = f"it is to be deleted, and is kept until it is archived: {self._archiver.problem}"
        event = RecordEvent(type=EventType.WARNING, reason="ArchiveUnavailable", message=message, key="archive")
        self._applier.record(workflow.owner, event)

    async def _delete(self, workflow: Workflow, verdict: Verdict) -> float | None:
        try:
            await self._client.delete(
                WORKFLOWS,
                workflow.name,
                workflow.namespace,
                uid=workflow.uid,
                resource_version=str(workflow.version),
                turn=CLEAN_UP,
            )
        except NotFound:
            self._store.remove(workflow.uid)
        except ApiError as error:
            if isinstance(error, Conflict) and error.is_wrong_uid:
                self._store.remove(workflow.uid)
                return None
            log.warning("cannot delete it, though it is due: %s", error, extra=workflow.owner.fields())
            return _AGAIN_SECONDS
        else:
            self._observer.run_deleted("history" if verdict.cause is Cause.HISTORY else "ttl")
        return None


def _ttl_of(workflow: Workflow) -> int | None:
    ttl = workflow.spec.get("ttlSecondsAfterFinished")
    if ttl is None:
        ttl = (workflow.status.get("definition") or {}).get("ttlSecondsAfterFinished")
    return ttl
