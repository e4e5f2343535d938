"""Holding an object until its outcome is recorded, without touching the finalizers of others."""

from __future__ import annotations

from .resources import ObjectKey, Resource
from .transport import ApiClient

__all__ = ["add_finalizer", "release_finalizer"]


async def add_finalizer(
    client: ApiClient, resource: Resource, key: ObjectKey, *, uid: str, finalizer: str
) -> None:
    """Add; idempotent. Raises NotFound, Conflict (another UID)."""
    raise NotImplementedError


async def release_finalizer(
    client: ApiClient, resource: Resource, key: ObjectKey, *, uid: str, finalizer: str
) -> bool:
    """Remove ours only; idempotent. False if the object with this UID was already gone."""
    raise NotImplementedError
