"""A projected copy of one resource, kept current by list and watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from .observer import Observer
from .resources import ObjectKey, Resource
from .transport import ApiClient, JsonObject

__all__ = ["Informer", "controller_uid"]

T = TypeVar("T")


def controller_uid(obj: JsonObject) -> str:
    """UID of the controlling owner (`ownerReferences[controller=true]`), or ''. The default index."""
    raise NotImplementedError


class Informer(Generic[T]):
    """Keeps `project(object)` of every object that matches the selectors.

    Attributes:
        synced: set after the first complete LIST was delivered to `on_change`; stays set.
        last_error: None while all is well; otherwise what is wrong, in words for a person.
    """

    synced: asyncio.Event
    last_error: str | None

    def __init__(
        self,
        client: ApiClient,
        resource: Resource,
        *,
        project: Callable[[JsonObject], T],
        on_change: Callable[[ObjectKey, T | None, T | None], None],
        owner: Callable[[JsonObject], str] = controller_uid,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        observer: Observer | None = None,
        page_size: int = 500,
        idle_timeout: float = 90.0,
        server_timeout: float = 300.0,
        backoff: tuple[float, float] = (0.25, 5.0),
        random: Callable[[], float] = ...,
    ) -> None:
        """on_change(key, old, new): old None = appeared; new None = left the view (deleted, or its label was
        stripped: see `confirm_gone`), `old` is then its last known state. Called synchronously; must not block."""
        raise NotImplementedError

    async def run(self) -> None:
        """List and watch until cancelled. Never raises on its own."""
        raise NotImplementedError

    def get(self, key: ObjectKey) -> T | None: ...
    def by_owner(self, owner_uid: str) -> Mapping[ObjectKey, T]:
        """Live read-only view of what belongs to one owner: do not hold it across an await while iterating."""
        raise NotImplementedError

    def owners(self) -> Mapping[str, Mapping[ObjectKey, T]]: ...
    def items(self) -> Mapping[ObjectKey, T]: ...
    def __len__(self) -> int: ...
    def staleness(self) -> float:
        """Seconds since the server last proved that we hear it (bytes, a page, an accepted watch)."""
        raise NotImplementedError

    def idle(self) -> float:
        """Seconds since this loop did anything, attempts included: large means *we* hang, not the server."""
        raise NotImplementedError

    async def confirm_gone(self, key: ObjectKey, uid: str | None = None) -> bool:
        """GET: True if there is no such object (or it has another UID). Raises ApiError."""
        raise NotImplementedError
