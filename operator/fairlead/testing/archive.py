"""An archive in memory, that can be away, lose an answer, or take its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fairlead.archive.record import RunKey
from fairlead.archive.store import ArchiveError, NotArchived, Stored
from fairlead.clock import utc_now

__all__ = ["MemoryArchive"]


class MemoryArchive:
    """An `ArchiveStore`.

    Attributes:
        objects: what is stored, by path.
        asked: all requests: what, and about which path.
        broken: nothing works.
        deaf: what is asked for is done, and the answer lost.
        seconds: that each request takes.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.broken = False
        self.deaf = False
        self.seconds = 0.001

    async def put(self, path: str, content: bytes) -> None:
        """See `ArchiveStore`."""
        await self._take("put", path)
        self.objects[path] = content
        self._answer()

    async def get(self, path: str) -> bytes:
        """See `ArchiveStore`."""
        await self._take("get", path)
        self._answer()
        if path not in self.objects:
            raise NotArchived(path)
        return self.objects[path]

    async def holds(self, path: str) -> bool:
        """See `ArchiveStore`."""
        await self._take("holds", path)
        self._answer()
        return path in self.objects

    async def delete(self, path: str) -> None:
        """See `ArchiveStore`."""
        await self._take("delete", path)
        self.objects.pop(path, None)
        self._answer()

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        """See `ArchiveStore`."""
        await self._take("walk", prefix)
        folder = prefix.rstrip("/") + "/"
        for path in sorted(self.objects):
            if path.startswith(folder):
                yield Stored(path, len(self.objects[path]), utc_now())

    async def folders(self, prefix: str) -> list[str]:
        """See `ArchiveStore`."""
        await self._take("folders", prefix)
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        below = (path.removeprefix(folder) for path in self.objects if path.startswith(folder))
        return sorted({path.partition("/")[0] for path in below if "/" in path})

    def runs(self) -> list[RunKey]:
        """Return what the archived runs are called."""
        return [key for path in sorted(self.objects) if (key := RunKey.read(path)) is not None]

    async def _take(self, verb: str, path: str) -> None:
        self.asked.append((verb, path))
        await asyncio.sleep(self.seconds)
        if self.broken:
            raise ArchiveError("the disk is full")

    def _answer(self) -> None:
        if self.deaf:
            raise ArchiveError("no answer")
