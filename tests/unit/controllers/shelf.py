"""A stage with an operator that has an archive."""

from __future__ import annotations

from typing import cast

import aiohttp
import pytest
from tests.unit.controllers.fake_api import Stage

from fairlead.archive.logs import unpack_log
from fairlead.archive.record import ArchivedRun, unpack
from fairlead.controllers import runtime
from fairlead.controllers.options import OperatorOptions
from fairlead.testing.archive import MemoryArchive

__all__ = ["ArchivingStage", "Shelf"]


class Shelf(MemoryArchive):
    """An archive, and what tests read of it."""

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
        return runtime.Operator(cast("aiohttp.ClientSession", None), self._options, archive=self.shelf)
