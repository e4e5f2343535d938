"""Letting go of the shards of runs that are gone, so that their deletion completes; also of those nobody told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api import labels
from fairlead.engine.names import shard_name
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.finalizers import release_finalizer
from fairlead.kube.resources import TASKSTATUSSHARDS, ObjectKey
from fairlead.kube.transport import ApiClient

__all__ = ["HeldShard", "ShardReleaser"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeldShard:
    """A shard that our finalizer is on, and the UID of its run ("" where nothing tells)."""

    key: ObjectKey
    uid: str
    run_uid: str


class ShardReleaser:
    """Takes our finalizer off shards.

    `note` is told of the metadata of those that we hold: they tell which bucket a run was in that is gone.
    """

    def __init__(self, client: ApiClient, note: Callable[[Mapping[str, Any]], None] = lambda _metadata: None) -> None:
        self._client = client
        self._note = note

    async def release_all(self, run: ObjectKey, run_uid: str, count: int) -> bool:
        """Let go of all shards of a run; it has at least `count`. Returns False if some could not be released."""
        index, complete = 0, True
        while True:
            key = ObjectKey(run.namespace, shard_name(run.name, run_uid, index))
            try:
                raw = await self._client.get(TASKSTATUSSHARDS, key.name, key.namespace, metadata_only=True)
            except NotFound:
                if index >= count:
                    return complete
            except ApiError as error:
                log.warning("cannot read %s: %s; the next sweep looks at it again", key, error)
                return False
            else:
                complete &= await self._release(key, raw["metadata"]["uid"])
            index += 1

    async def held(self, namespace: str | None = None) -> list[HeldShard]:
        """Return all shards that we hold in a namespace, or in all, of whatever run."""
        found = []
        pages = self._client.list_pages(TASKSTATUSSHARDS, namespace, metadata_only=True, resource_version="0")
        async for page in pages:
            for meta in (item["metadata"] for item in page.items):
                if labels.FINALIZER in meta.get("finalizers", ()):
                    self._note(meta)
                    found.append(HeldShard(ObjectKey(meta["namespace"], meta["name"]), meta["uid"], _run_of(meta)))
        return found

    async def release_orphans(self, shards: Iterable[HeldShard], alive: Container[str]) -> None:
        """Let go of those whose run is not among the living any more: a Workflow is there before its shards are."""
        orphans = [shard for shard in shards if shard.run_uid and shard.run_uid not in alive]
        await asyncio.gather(*(self._release(shard.key, shard.uid) for shard in orphans))

    async def _release(self, key: ObjectKey, uid: str) -> bool:
        try:
            await release_finalizer(self._client, TASKSTATUSSHARDS, key, uid=uid, finalizer=labels.FINALIZER)
        except ApiError as error:
            log.warning("cannot release %s: %s; the next sweep looks at it again", key, error)
            return False
        return True


def _run_of(metadata: Mapping[str, Any]) -> str:
    owners = (each["uid"] for each in metadata.get("ownerReferences", ()) if each.get("controller"))
    return str(next(owners, "") or metadata.get("labels", {}).get(labels.RUN_UID, ""))
