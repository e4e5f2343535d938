"""What is on record of a run while it is played: its status as the operator writes it, and as it reads it again.

That of a large run is in shards, here of two nodes each, which are written one by one: a crash may find some of them
newer than others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

import orjson
from tests.unit.controllers.fake_api import operated
from tests.unit.engine.kit import RUN, T0, UID

from fairlead.api.shard import read_tasks
from fairlead.controllers import ledger, writer
from fairlead.controllers.changes import changed_entries
from fairlead.controllers.ledger import Ledger, Shard
from fairlead.controllers.reading import Record, state_of
from fairlead.controllers.status import encode
from fairlead.engine.model import Graph, Settings
from fairlead.engine.state import RunState


@contextmanager
def small_shards() -> Iterator[None]:
    """Let a shard hold two nodes, and their entries move to another one when they grow."""
    with mock.patch.object(ledger, "FULL_NODES", 2), mock.patch.object(ledger, "LIMIT_BYTES", 900):
        yield


class Lost(Exception):
    """What is stored is not what was expected: the run has to be read again."""


class Memory:
    """The status of one run. `attempts` are those that it shows, as node and number."""

    def __init__(self, graph: Graph, *, large: bool) -> None:
        self.graph = graph
        self.status: dict[str, Any] = {}
        self.attempts: set[tuple[str, int]] = set()
        self._shards: dict[int, dict[str, Any]] = {}
        self._ledger = Ledger() if large else None
        self._key: object = None
        self._todo: list[Shard] | None = None
        self._summary: Mapping[str, Any] | None = None
        self._revision = 0
        self._shown: set[tuple[str, int]] = set()

    @property
    def is_writing(self) -> bool:
        return self._todo is not None

    def open(self, run: RunState, settings: Settings, now: datetime) -> None:
        """Put on record that the run has begun, which comes before all else."""
        shards = None if self._ledger is None else 0
        self.status = encode(run, settings, generation=1, previous={}, now=now, shards=shards)

    def begin(self, run: RunState, settings: Settings, now: datetime, random: Random) -> None:
        """Begin to write what there is to be shown now."""
        self._revision, self._todo, self._summary = run.revision, [], None
        self._shown = {(name, each.number) for name, state in run.nodes.items() for each in state.attempts}
        seen = SimpleNamespace(state=run, settings=settings, generation=1, stalled="", written=self.status)
        key = writer._key(seen)  # type: ignore[arg-type]
        if self._ledger is not None:
            action = writer._unrecorded_action(seen)  # type: ignore[arg-type]
            self._ledger.take(changed_entries(self.graph, run, settings, self._ledger), action=action)
            for stage in self._ledger.stages():
                self._todo += random.sample(stage, len(stage))
        if self._ledger is None or key != self._key or random.random() < 0.5:
            shards = None if self._ledger is None else len(self._ledger.shards)
            self._summary = encode(run, settings, generation=1, previous=self.status, now=now, shards=shards)
        self._key = key
        run.touched.clear()

    def proceed(self) -> int | None:
        """Write one object. Returns the revision that is on record with it, None while there is more to be written."""
        assert self._todo is not None
        if self._todo:
            assert self._ledger is not None
            shard = self._todo.pop(0)
            self._store(self._ledger, shard)
            return None
        if self._summary is not None:
            self.status = dict(self._summary)
            if self._ledger is not None:
                self._ledger.commit()
        self.attempts, self._todo = self._shown, None
        return self._revision

    def _store(self, kept: Ledger, shard: Shard) -> None:
        there = self._shards.get(shard.index)
        if shard.uid:
            assert there is not None
            stored = operated(there, orjson.loads(orjson.dumps(kept.operations(shard))))
        elif there is None or kept.is_stored(shard, there):
            stored = {"index": shard.index, **orjson.loads(orjson.dumps(kept.content(shard)))}
        else:
            raise Lost  # it is there already, and was not found
        stored["metadata"] = {"uid": f"shard-{shard.index}", "resourceVersion": str(shard.version + 1)}
        self._shards[shard.index] = stored
        kept.stored(shard, stored["metadata"])

    def _found(self, status: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the shards that are found: as many as the status says, and those that follow without a gap."""
        found: list[dict[str, Any]] = []
        while len(found) in self._shards:
            found.append(deepcopy(self._shards[len(found)]))
        assert len(found) >= status.get("shards", {}).get("count", 0)
        return found

    def recall(self) -> RunState:
        """Return the run as a controller that starts afresh reads it."""
        status = orjson.loads(orjson.dumps(self.status))
        shards = self._found(status)
        self._todo, self._key = None, None
        if self._ledger is not None:
            self._ledger = Ledger()
            self._ledger.load(status, shards)
        workflow = SimpleNamespace(status=status, uid=UID, name=RUN, namespace="default")
        record = Record(read_tasks(status, shards), self._ledger)
        self.attempts = {(each["name"], a["number"]) for each in record.tasks for a in each.get("attempts", ())}
        return state_of(workflow, SimpleNamespace(graph=self.graph), T0, record)  # type: ignore[arg-type]
