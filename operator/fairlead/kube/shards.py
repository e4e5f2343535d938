"""Reading the TaskStatusShards of a run by their names: at a cost that does not depend on what else there is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fairlead.engine.names import shard_name

from .errors import NotFound
from .resources import TASKSTATUSSHARDS, ObjectKey
from .transport import ApiClient, JsonObject

__all__ = ["Shards", "fetch_shards"]


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards that were found, in their order, and the names of those that should be there and are not."""

    found: list[JsonObject]
    missing: list[str]


async def fetch_shards(client: ApiClient, run: ObjectKey, uid: str, count: int) -> Shards:
    """Read all shards of a run. `count` is what its status says: there may be more, made since that was written.

    An object of that name that belongs to another run is none of its shards. Raises `ApiError`.
    """
    names = [shard_name(run.name, uid, index) for index in range(count)]
    read = await asyncio.gather(*(_read(client, run.namespace, name, uid) for name in names))
    found = [each for each in read if each is not None]
    missing = [name for name, each in zip(names, read, strict=True) if each is None]
    while (shard := await _read(client, run.namespace, shard_name(run.name, uid, count), uid)) is not None:
        found.append(shard)
        count += 1
    return Shards(found, missing)


async def _read(client: ApiClient, namespace: str, name: str, uid: str) -> JsonObject | None:
    try:
        shard = await client.get(TASKSTATUSSHARDS, name, namespace)
    except NotFound:
        return None
    return shard if shard.get("workflowUID") == uid else None
