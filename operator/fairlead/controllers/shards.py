"""Writing the shards of large runs: those that have changed, each on condition that it is what we left it as.

Nothing is told to be recorded before all of them are written. Which comes first does not matter, but for entries that
have moved (`ledger.py`): a run that is taken up from some of them is one that knows less, and sees the rest again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from fairlead.api import labels
from fairlead.engine.names import label_value, shard_name
from fairlead.kube.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from fairlead.kube.finalizers import add_finalizer
from fairlead.kube.resources import TASKSTATUSSHARDS, ObjectKey
from fairlead.kube.shards import fetch_shards
from fairlead.kube.transport import ApiClient, PatchType

from .ledger import Ledger, Shard
from .pods import Owner, owner_reference
from .run import Run

__all__ = ["ShardWriter"]

log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class ShardWriter:
    """Persists what has changed in a run's ledger.

    `wrote(kind, size)` hears of each write, `unwritable(owner, error)` of one that is refused for good, and
    `leave(uid)` of a run whose namespace takes no new object any more.
    """

    def __init__(
        self,
        client: ApiClient,
        wrote: Callable[[str, int], None],
        unwritable: Callable[[Owner, ApiError], None],
        leave: Callable[[str], None],
    ) -> None:
        self._client = client
        self._wrote = wrote
        self._unwritable = unwritable
        self._leave = leave

    async def claim(self, run: Run) -> None:
        """Take over the shards of a move that a crash has cut off; what counts until this one is done is elsewhere.

        None of them may be left as it is, or it would be read as one of ours later.
        """
        assert run.ledger is not None
        while not run.closed:
            try:
                left = await fetch_shards(self._client, ObjectKey(run.owner.namespace, run.owner.name), run.uid, 0)
            except ApiError as error:
                log.warning("cannot look for shards: %s", error, extra=run.owner.fields())
                await asyncio.sleep(_RETRY_SECONDS[-1])
            else:
                for raw in left.found:
                    run.ledger.replace(raw)
                return

    async def write(self, run: Run) -> bool:
        """Write until all shards are persisted. Returns False where the run has to be read again, or is gone."""
        assert run.ledger is not None
        for group in run.ledger.stages():
            async with asyncio.TaskGroup() as tasks:
                writes = [tasks.create_task(self._insist(run, run.ledger, shard)) for shard in group]
            if not all(write.result() for write in writes):
                return False
        return True

    async def verify(self, run: Run) -> None:
        """Look whether all shards are still there and held; one that is not is written again with the next write."""
        assert run.ledger is not None
        shards = [shard for shard in run.ledger.shards if shard.uid]
        versions = [shard.version for shard in shards]
        try:
            found = await asyncio.gather(*(self._metadata(run, shard) for shard in shards))
        except ApiError as error:
            log.warning("cannot look after the shards: %s", error, extra=run.owner.fields())
            return
        for shard, version, metadata in zip(shards, versions, found, strict=True):
            if shard.version != version or run.writing is not None:
                continue  # it was written meanwhile
            if metadata is None:
                log.warning("shard %d is gone, writing it again", shard.index, extra=run.owner.fields())
                run.ledger.vanished(shard)
            elif labels.FINALIZER not in metadata.get("finalizers", ()) and "deletionTimestamp" not in metadata:
                await self._hold(run, metadata)

    async def _hold(self, run: Run, metadata: Mapping[str, Any]) -> None:
        key = ObjectKey(run.owner.namespace, metadata["name"])
        try:
            await add_finalizer(self._client, TASKSTATUSSHARDS, key, uid=metadata["uid"], finalizer=labels.FINALIZER)
        except ApiError as error:
            log.warning("cannot hold %s: %s", key, error, extra=run.owner.fields())

    async def _metadata(self, run: Run, shard: Shard) -> Mapping[str, Any] | None:
        name = shard_name(run.owner.name, run.uid, shard.index)
        try:
            raw = await self._client.get(TASKSTATUSSHARDS, name, run.owner.namespace, metadata_only=True)
        except NotFound:
            return None
        metadata: Mapping[str, Any] = raw["metadata"]
        return metadata

    async def _insist(self, run: Run, ledger: Ledger, shard: Shard) -> bool:
        failures = 0
        while not run.closed:
            try:
                metadata = await self._store(run, ledger, shard)
            except NotFound as error:
                log.warning("shard %d: %s; writing it again", shard.index, error, extra=run.owner.fields())
                ledger.vanished(shard)
            except (AlreadyExists, Conflict, Invalid) as error:
                # Invalid: a patch of what another controller has changed fails before its precondition is looked at.
                settled = await self._compare(run, ledger, shard, error)
                if settled is not None:
                    return settled
            except ApiError as error:
                if error.is_namespace_terminating:
                    self._leave(run.uid)
                    return False
                if not error.is_transient:
                    self._unwritable(run.owner, error)
                log.error("cannot write shard %d: %s", shard.index, error, extra=run.owner.fields())
            else:
                ledger.stored(shard, metadata)
                return True
            await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1
        return False

    async def _store(self, run: Run, ledger: Ledger, shard: Shard) -> Mapping[str, Any]:
        name, namespace = shard_name(run.owner.name, run.uid, shard.index), run.owner.namespace
        body: Any
        if shard.uid:
            body = [
                {"op": "replace", "path": "/metadata/uid", "value": shard.uid},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": str(shard.version)},
                *ledger.operations(shard),
            ]
            stored = await self._client.patch(
                TASKSTATUSSHARDS, name, body, PatchType.JSON, namespace, metadata_only=True
            )
        else:
            body = _manifest(run, name, shard.index) | ledger.content(shard)
            stored = await self._client.create(TASKSTATUSSHARDS, body, namespace, metadata_only=True)
        self._wrote("shard", len(orjson.dumps(body)))
        metadata: Mapping[str, Any] = stored["metadata"]
        return metadata

    async def _compare(self, run: Run, ledger: Ledger, shard: Shard, error: ApiError) -> bool | None:
        """Find out what is there instead of what we expected.

        True: our own write, whose answer was lost. False: another controller's, so that the run is to be read again.
        None: nothing that matters, so that the write is to be repeated.
        """
        name = shard_name(run.owner.name, run.uid, shard.index)
        try:
            raw = await self._client.get(TASKSTATUSSHARDS, name, run.owner.namespace)
        except NotFound:
            ledger.vanished(shard)
            return None
        except ApiError as again:
            log.warning("cannot read %s: %s", name, again, extra=run.owner.fields())
            return None
        if raw.get("workflowUID") != run.uid:
            self._unwritable(run.owner, error)
            log.error("%s belongs to somebody else; remove it", name, extra=run.owner.fields())
            return None
        if ledger.is_stored(shard, raw):
            ledger.stored(shard, raw["metadata"])
            return True
        if ledger.is_unchanged(shard, raw):
            if isinstance(error, Invalid):
                self._unwritable(run.owner, error)
                log.error("cannot write %s: %s", name, error, extra=run.owner.fields())
            # A label, a finalizer, or its deletion, which our finalizer holds up.
            shard.uid, shard.version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
            return None
        log.warning("%s was changed by somebody else", name, extra=run.owner.fields())
        return False


def _manifest(run: Run, name: str, index: int) -> dict[str, Any]:
    owner = run.owner
    return {
        "apiVersion": TASKSTATUSSHARDS.api_version,
        "kind": TASKSTATUSSHARDS.kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {
                labels.MANAGED_BY: "fairlead",
                labels.RUN: label_value(owner.name),
                labels.RUN_UID: owner.uid,
                labels.BUCKET: str(owner.bucket),
            },
            "ownerReferences": [owner_reference(owner)],
            # What it holds is nowhere else: it must not go before its run does.
            "finalizers": [labels.FINALIZER],
        },
        "workflowUID": owner.uid,
        "index": index,
    }
