"""What the archive asks of the place that it is kept in: whole objects by name. A directory will do, or a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["ArchiveError", "ArchiveStore", "NotArchived", "Stored"]


class ArchiveError(Exception):
    """The store cannot be read or written now. The message is for people, and has no credentials."""


class NotArchived(ArchiveError):
    """There is no object of that name."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is there."""

    path: str
    size: int
    modified_at: datetime


class ArchiveStore(Protocol):
    """Objects by their path. Each method raises `ArchiveError`."""

    async def put(self, path: str, content: bytes) -> None:
        """Store an object, in place of one of that name: wholly or not at all."""
        ...

    async def get(self, path: str) -> bytes:
        """Return an object. Raises `NotArchived`."""
        ...

    async def holds(self, path: str) -> bool:
        """Tell whether there is an object of that name."""
        ...

    async def delete(self, path: str) -> None:
        """Delete an object; one that is not there is deleted."""
        ...

    def walk(self, prefix: str) -> AsyncIterator[Stored]:
        """Iterate over all objects below a folder."""
        ...

    async def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders right in a folder, in order."""
        ...
