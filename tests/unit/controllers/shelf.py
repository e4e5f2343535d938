"""An archive in memory, that can be away; and a stage with an operator that has one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import cast

import aiohttp
import pytest
from tests.unit.controllers.fake_api import Stage

from fairlead.archive.logs import unpack_log
from fairlead.archive.record import ArchivedRun, RunKey, unpack
from fairlead.archive.store import ArchiveError, NotArchived, Stored
from fairlead.controllers import runtime
from fairlead.controllers.options import OperatorOptions

__all__ = ["ArchivingStage", "Shelf"]


class Shelf:
    """An `ArchiveStore`. While `broken`, every request fails; `asked` are all of them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.broken = False

    async def _asked(self, verb: str, path: str) -> None:
        self.asked.append((verb, path))
        await asyncio.sleep(0.001)
        if self.broken:
            raise ArchiveError("the disk is full")

    async def put(self, path: str, content: bytes) -> None:
        await self._asked("put", path)
        self.objects[path] = content

    async def get(self, path: str) -> bytes:
        await self._asked("get", path)
        if path not in self.objects:
            raise NotArchived(path)
        return self.objects[path]

    async def holds(self, path: str) -> bool:
        await self._asked("holds", path)
        return path in self.objects

    async def delete(self, path: str) -> None:
        await self._asked("delete", path)
        self.objects.pop(path, None)

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        await self._asked("walk", prefix)
        for path in sorted(self.objects):
            if path.startswith(prefix):
                yield Stored(path, len(self.objects[path]), datetime.now(UTC))  # noqa: TID251

    async def folders(self, prefix: str) -> list[str]:
        await self._asked("folders", prefix)
        below = (path.removeprefix(prefix) for path in self.objects if path.startswith(prefix))
        return sorted({path.partition("/")[0] for path in below if "/" in path})

    # -- for tests

    def runs(self) -> list[RunKey]:
        """Return what the archived runs are called."""
        return [key for path in sorted(self.objects) if (key := RunKey.read(path)) is not None]

    def run(self, name: str = "daily") -> ArchivedRun:
        """Return the record of a run."""
        (key,) = [each for each in self.runs() if each.name == name]
        return unpack(self.objects[key.path])

    def logs(self) -> dict[str, str]:
        """Return what is kept of logs, by the ends of their names."""
        return {
            path.rpartition("/")[2]: unpack_log(content).decode()
            for path, content in self.objects.items()
            if path.startswith("logs/")
        }


class ArchivingStage(Stage):
    """A stage whose operator has an archive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, options: OperatorOptions) -> None:
        self.shelf = Shelf()
        self._options = options
        super().__init__(monkeypatch)

    def _new_operator(self) -> runtime.Operator:
        return runtime.Operator(cast("aiohttp.ClientSession", None), self._options, self.shelf)
