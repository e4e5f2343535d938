"""Holding an object until its outcome is recorded, without touching the finalizers of others.

A merge patch of the list, or `finalizers: null`, wipes `foregroundDeletion` and Jobs' own tracking. For
built-in kinds a strategic merge patch adds or removes one entry, is idempotent, and refuses another UID. Custom
resources do not take those: there the list is read, and changed on condition that it still is what was read.
"""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.line import CLEAN_UP, Turn

from .errors import Conflict, Invalid, NotFound
from .resources import ObjectKey, Resource
from .transport import ApiClient, JsonObject, PatchType

__all__ = ["add_finalizer", "release_finalizer"]

_ATTEMPTS = 5  # against somebody who changes the same list at the same time


async def add_finalizer(client: ApiClient, resource: Resource, key: ObjectKey, *, uid: str, finalizer: str) -> None:
    """Add ours; idempotent.

    Raises:
        NotFound: the object is gone.
        Conflict: the name belongs to an object with another UID now.
        Invalid: it is being deleted already: no finalizer can be added then.
        ApiError: anything else that goes wrong.
    """
    if resource.strategic:
        body: JsonObject = {"metadata": {"uid": uid, "finalizers": [finalizer]}}
        await _patch(client, resource, key, body, PatchType.STRATEGIC)
        return
    for attempt in range(_ATTEMPTS):
        meta = await _metadata(client, resource, key)
        present = meta.get("finalizers") or []
        if finalizer in present and meta["uid"] == uid:
            return  # otherwise the server says what is wrong, as for built-in kinds
        body = {
            "metadata": {
                "uid": uid,
                "resourceVersion": meta["resourceVersion"],
                "finalizers": [*present, finalizer],
            }
        }
        try:
            await _patch(client, resource, key, body, PatchType.MERGE)
        except Conflict as error:
            if error.is_wrong_uid or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


async def release_finalizer(
    client: ApiClient,
    resource: Resource,
    key: ObjectKey,
    *,
    uid: str,
    finalizer: str,
    labels: Mapping[str, str] | None = None,
) -> bool:
    """Remove ours and no other; idempotent. `labels` are set in the same write, on objects of built-in kinds.

    Returns:
        True if the object with this UID is there and free of our finalizer; False if it is gone.

    Raises:
        ApiError: anything that goes wrong, other than the object being gone.
    """
    try:
        if resource.strategic:
            return await _release_builtin(client, resource, key, uid, finalizer, labels or {})
        return await _release_custom(client, resource, key, uid, finalizer)
    except NotFound:
        return False


async def _release_builtin(
    client: ApiClient, resource: Resource, key: ObjectKey, uid: str, finalizer: str, labels: Mapping[str, str]
) -> bool:
    metadata: JsonObject = {"uid": uid, "$deleteFromPrimitiveList/finalizers": [finalizer]}
    if labels:
        metadata["labels"] = dict(labels)
    body = {"metadata": metadata}
    try:
        await _patch(client, resource, key, body, PatchType.STRATEGIC, CLEAN_UP)
    except Conflict as error:
        if error.is_wrong_uid:
            return False
        raise
    return True


async def _release_custom(client: ApiClient, resource: Resource, key: ObjectKey, uid: str, finalizer: str) -> bool:
    for attempt in range(_ATTEMPTS):
        meta = await _metadata(client, resource, key)
        if meta["uid"] != uid:
            return False
        present = meta.get("finalizers") or []
        if finalizer not in present:
            return True
        path = f"/metadata/finalizers/{present.index(finalizer)}"
        body = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": path, "value": finalizer},
            {"op": "remove", "path": path},
        ]
        try:
            await _patch(client, resource, key, body, PatchType.JSON, CLEAN_UP)
        except Invalid:  # a `test` failed: the list has moved
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return True
    raise AssertionError("the last attempt returns or raises")


async def _metadata(client: ApiClient, resource: Resource, key: ObjectKey) -> JsonObject:
    found = await client.get(resource, key.name, key.namespace or None, metadata_only=True)
    meta: JsonObject = found["metadata"]
    return meta


async def _patch(
    client: ApiClient,
    resource: Resource,
    key: ObjectKey,
    body: JsonObject | list[JsonObject],
    patch_type: PatchType,
    turn: Turn | None = None,
) -> None:
    namespace = key.namespace or None
    await client.patch(resource, key.name, body, patch_type, namespace, metadata_only=True, turn=turn)
