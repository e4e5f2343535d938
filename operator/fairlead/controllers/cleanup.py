"""Runs that are over or gone: letting go of what is held, and the sweep that finds what no watch told.

A pod or Job of ours is held by our finalizer until its outcome is recorded. Once its run is over, being deleted, or
gone, nothing is left to be recorded, and everything is released, so that deletion always completes. The shards that
hold a run's record stay held while the run is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Mapping
from typing import Any

from fairlead.api import labels
from fairlead.clock import utc_now
from fairlead.engine.model import WorkKind
from fairlead.kube.errors import ApiError, Conflict, Forbidden, NotFound
from fairlead.kube.resources import WORKFLOWS, ObjectKey
from fairlead.kube.scope import Scope
from fairlead.kube.transport import ApiClient

from .apply import Applier
from .buckets import Holds, everything
from .caches import View, has_ended
from .children import ChildView
from .expiry import Expiry
from .gather import Gatherer
from .shard_release import ShardReleaser
from .start import RESOURCES
from .status import condition
from .store import Workflow, WorkflowStore
from .tracing import Tracing
from .writer import StatusWriter

__all__ = ["Cleaner"]

log = logging.getLogger(__name__)

#: Seconds after which what was still held, or alive, is looked at again.
_RECHECK_SECONDS = 60.0

#: How many runs that are gone are kept in mind.
_REMEMBERED = 10_000


class Cleaner:
    """Cleans up after runs. `notify(uid)` asks for a run to be looked at."""

    def __init__(
        self,
        client: ApiClient,
        store: WorkflowStore,
        gatherer: Gatherer,
        applier: Applier,
        writer: StatusWriter,
        notify: Callable[[str], None],
        expiry: Expiry,
        holds: Holds = everything,
        tracing: Tracing | None = None,
        scope: Scope | None = None,
    ) -> None:
        self._expiry = expiry
        self._holds = holds
        self._tracing = tracing
        self._scope = scope or Scope()
        self._doubts = 0
        self._catching_up = asyncio.Lock()
        self._client = client
        self._store = store
        self._gatherer = gatherer
        self._applier = applier
        self._writer = writer
        self._notify = notify
        self._releaser = ShardReleaser(client, store.note_labels)
        self._confirmed_gone: dict[str, None] = {}
        self._released: dict[str, None] = {}

    async def finished(self, workflow: Workflow) -> float | None:
        """Look at a run that is over: release what is held, keep its status current, and see whether it is due."""
        changed = self._gatherer.take(workflow.uid)
        objects = changed or self._gatherer.objects(workflow.uid)
        if not (_all_on_record(workflow, objects) or await self._is_newest(workflow)):
            return None  # it has been put in line again
        held = self._let_go(objects)
        if self._tracing is not None:
            await self._tracing.over(workflow)
        if workflow.status.get("observedGeneration") != workflow.generation:
            await self._observe_generation(workflow)
        expires = await self._expiry.look(workflow)
        # A release that failed for longer than it was retried is tried again, until nothing is held. What has changed
        # does not tell about the rest: once nothing changes any more, all is looked at.
        due = (expires, _RECHECK_SECONDS if held or changed else None)
        return min((delay for delay in due if delay is not None), default=None)

    async def _is_newest(self, workflow: Workflow) -> bool:
        """Make sure that a run is over, before we touch what may belong to an epoch that we have not heard of.

        Another operator may have begun one: its pods can be heard of before the status that was written first.
        """
        try:
            raw = await self._client.get(WORKFLOWS, workflow.name, workflow.namespace, metadata_only=True)
            metadata = raw["metadata"]
            if metadata["uid"] == workflow.uid and int(metadata["resourceVersion"]) <= workflow.version:
                return True
            raw = await self._client.get(WORKFLOWS, workflow.name, workflow.namespace)
        except NotFound:
            raw = {}
        metadata = raw.get("metadata", {})
        if metadata.get("uid") == workflow.uid:
            self._store.put(raw)
        else:
            self._store.remove(workflow.uid)
        self._notify(workflow.uid)
        return False

    def _let_go(self, objects: Mapping[tuple[WorkKind, ObjectKey], View]) -> bool:
        """Release what has ended, end what has not. Returns whether something was still held or alive."""
        held = False
        for (kind, key), view in objects.items():
            if isinstance(view, ChildView) and view.epoch > view.carries:
                continue  # its user has had it go on by itself, which is no business of this run any more
            if not has_ended(view):
                held = True
                if view.deleting_at is None:
                    self._applier.remove(kind, _key_of(key, view), view)
            elif view.held:
                held = True
                self._applier.release(kind, key, view.uid)
        return held

    async def abandoned(self, uid: str, workflow: Workflow | None) -> float | None:
        """Look at a run that is being deleted, or that we know nothing of: release all that it owns."""
        if not uid:
            return None  # objects with our labels and no owner: none of ours
        shards_held = await self._release_shards(uid, workflow)
        objects = self._gatherer.hidden(uid) | self._gatherer.objects(uid)
        self._gatherer.take(uid)
        if not any(view.held for view in objects.values()):
            return _RECHECK_SECONDS if shards_held else None
        if workflow is None and uid not in self._confirmed_gone:
            key, view = next((key, view) for (_, key), view in objects.items())
            if not await self.reread(uid, ObjectKey(key.namespace, view.owner_name)):
                return None  # it does exist: the watch is late, and the run has been put in line again
            _remember(self._confirmed_gone, uid)
        for (kind, key), view in objects.items():
            if view.held:
                self._applier.release(kind, key, view.uid)
        return _RECHECK_SECONDS

    async def _release_shards(self, uid: str, workflow: Workflow | None) -> bool:
        """Let go of a run's shards, once. Returns whether some are still held."""
        shards = self._store.shards_left(uid) if workflow is None else workflow.shards
        if shards is None or uid in self._released:
            return False
        if not await self._releaser.release_all(shards[0], uid, shards[1]):
            return True
        _remember(self._released, uid)
        return False

    async def reread(self, uid: str, key: ObjectKey) -> bool:
        """Read a Workflow afresh and put it in line. Returns True if there is none with this UID any more."""
        try:
            raw = await self._client.get(WORKFLOWS, key.name, key.namespace)
        except NotFound:
            raw = {}
        if raw.get("metadata", {}).get("uid") != uid:
            self._store.remove(uid)
            return True
        self._store.put(raw)
        self._notify(uid)
        return False

    def doubt(self) -> None:
        """Take note that there may be what no watch has told yet, and that matters: see :meth:`catch_up`."""
        self._doubts += 1

    async def catch_up(self) -> None:
        """Read every Workflow that is not known as it is now, if there is doubt. Raises `ApiError`."""
        async with self._catching_up:
            doubts = self._doubts
            if not doubts:
                return
            for namespace in self._scope.parts:
                try:
                    await self._catch_up(namespace)
                except Forbidden:
                    if namespace is None:
                        raise
                    # Nothing runs there: nothing could be started, either.
            self._doubts -= doubts

    async def _catch_up(self, namespace: str | None) -> None:
        async for page in self._client.list_pages(WORKFLOWS, namespace, metadata_only=True):
            for metadata in (item["metadata"] for item in page.items):
                if self._is_news(metadata):
                    await self.reread(metadata["uid"], ObjectKey(metadata["namespace"], metadata["name"]))

    def _is_news(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether a Workflow was listed that is not known as it is there."""
        known = self._store.get(metadata["uid"])
        return known is None or known.version < int(metadata["resourceVersion"])

    async def sweep(self) -> None:
        """Compare all Workflows with what is known; put in line what a watch did not tell. Raises `ApiError`."""
        for namespace in self._scope.parts:
            try:
                await self._sweep(namespace)
            except Forbidden:
                if namespace is None:
                    raise
                # The watches of this namespace complain about it.

    async def _sweep(self, namespace: str | None) -> None:
        """Sweep one namespace, or all. What is not listed there is taken for gone: nothing of others is looked at."""

        def is_there(key: ObjectKey) -> bool:
            return namespace in (None, key.namespace)

        held = await self._releaser.held(namespace)
        ownerless = [
            (kind, key, view.uid)
            for (kind, key), view in self._gatherer.objects("").items()
            if view.held and is_there(key)
        ]
        seen: set[str] = set()
        alive: set[str] = set()
        known = ((workflow.uid, ObjectKey(workflow.namespace, workflow.name)) for workflow in self._store)
        known_before = {uid: key for uid, key in known if is_there(key)}
        async for page in self._client.list_pages(WORKFLOWS, namespace, metadata_only=True):
            for item in page.items:
                metadata = item["metadata"]
                seen.add(metadata["uid"])
                if "deletionTimestamp" not in metadata:
                    alive.add(metadata["uid"])
                if self._is_news(metadata):
                    await self._reread_one(metadata)
        for uid in known_before.keys() - seen:
            # A server that lags behind, or was restored from a backup, lists less than there is: asked for by name, it
            # has to know better. What is removed never comes back.
            try:
                if await self.reread(uid, known_before[uid]):
                    self._notify(uid)
            except ApiError as error:
                log.warning("cannot tell whether %s is gone: %s", known_before[uid], error)
        await self._releaser.release_orphans((shard for shard in held if self._holds(shard.run_uid)), alive)
        for kind, key, uid in ownerless:
            await self._release_ownerless(kind, key, uid, alive)

    async def _release_ownerless(self, kind: WorkKind, key: ObjectKey, uid: str, alive: Container[str]) -> None:
        """Release an object without an owner if its run is gone, too: deleted with `--cascade=orphan`, for one."""
        try:
            found = await self._client.get(RESOURCES[kind], key.name, key.namespace, metadata_only=True)
        except ApiError as error:
            if not isinstance(error, NotFound):
                log.warning("cannot read %s: %s; the next sweep looks at it again", key, error)
            return
        run = (found["metadata"].get("labels") or {}).get(labels.RUN_UID, "")
        self._store.note_labels(found["metadata"])
        if run not in alive and self._holds(run):
            self._applier.release(kind, key, uid)

    async def _reread_one(self, metadata: Mapping[str, Any]) -> None:
        try:
            await self.reread(metadata["uid"], ObjectKey(metadata["namespace"], metadata["name"]))
        except ApiError as error:
            log.warning("cannot read %s/%s: %s", metadata["namespace"], metadata["name"], error)

    async def _observe_generation(self, workflow: Workflow) -> None:
        """The spec of a finished run was edited: nothing follows, and that is said (`observedGeneration`)."""
        now = utc_now()
        status = {
            **workflow.status,
            "observedGeneration": workflow.generation,
            "conditions": [
                condition(
                    each["type"],
                    each["status"],
                    each["reason"],
                    each["message"],
                    generation=workflow.generation,
                    previous=workflow.status,
                    now=now,
                )
                for each in workflow.status["conditions"]
            ],
        }
        try:
            await self._writer.write(workflow.owner, workflow.version, workflow.status, status)
        except (Conflict, NotFound):
            await self.reread(workflow.uid, ObjectKey(workflow.namespace, workflow.name))


def _key_of(key: ObjectKey, view: View) -> ObjectKey:
    """Return the key of an object; that of the attempt which it carries is another one where it was run again."""
    return ObjectKey(key.namespace, view.name)


def _all_on_record(workflow: Workflow, objects: Mapping[tuple[WorkKind, ObjectKey], View]) -> bool:
    """Tell whether the ends of all that is held or alive are in the status; of a large run, that is not looked for."""
    live = [key for (_, key), view in objects.items() if _is_of_concern(view)]
    if not live:
        return True
    attempts = (each for task in workflow.status.get("tasks") or () for each in task.get("attempts") or ())
    ended = {each.get("podName") for each in attempts if each.get("completionTime")}
    return all(key.name in ended for key in live)


def _is_of_concern(view: View) -> bool:
    return view.held or (view.deleting_at is None and not has_ended(view))


def _remember(uids: dict[str, None], uid: str) -> None:
    uids[uid] = None
    while len(uids) > _REMEMBERED:
        del uids[next(iter(uids))]
