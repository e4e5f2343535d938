"""Scenarios played as large runs are recorded: in shards, some of which a crash may leave as they were.

`make differential` plays many; `python -m tests.property.sharded --seed 7` shows what is wrong with one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from random import Random
from typing import Any
from unittest import mock

import orjson
from tests.property import differential
from tests.property.memory import Memory
from tests.property.player import Player
from tests.property.scenarios import Scenario, scenario
from tests.unit.controllers.fake_api import operated
from tests.unit.engine.kit import RUN, T0, UID

from fairlead.api.shard import read_tasks
from fairlead.controllers import ledger
from fairlead.controllers.changes import changed_entries
from fairlead.controllers.ledger import Ledger, Shard
from fairlead.controllers.records import recorded_nodes
from fairlead.engine.evidence import believable
from fairlead.engine.model import Graph, Settings
from fairlead.engine.restore import restore
from fairlead.engine.state import RunState


class Shards(Memory):
    """Keeps entries in shards of two nodes, as the operator does: all of them, then the rest of the status."""

    def __init__(self, graph: Graph, random: Random) -> None:
        super().__init__(graph)
        self.random = random
        self.ledger = Ledger()
        self.stored: dict[int, dict[str, Any]] = {}
        self._writes = 0

    @property
    def status(self) -> Mapping[str, Any]:
        return {"shards": {"count": 0}, "actions": [{"uid": record.uid} for record in self.actions]}

    def keep(self, run: RunState, settings: Settings) -> None:
        self._write(run, settings, 10**9)
        self.epoch, self.epoch_at, self.actions = run.epoch, run.epoch_at, list(run.actions)
        self.stopping, self.stop_mode = run.stopping or run.stop_recorded, run.stop_mode
        self.suspended_at, self.suspended_seconds = run.suspended_at, run.suspended_seconds
        self.ledger.commit()
        self._read()

    def _read(self) -> None:
        self.entries = read_tasks(self.status, self.stored.values())
        self.attempts = {(each["name"], a["number"]) for each in self.entries for a in each.get("attempts", ())}

    def begin_to_keep(self, run: RunState, settings: Settings) -> None:
        """Write some of the shards: the crash comes before the others, or before the rest of the status."""
        self._write(run, settings, self.random.randrange(8))

    def _write(self, run: RunState, settings: Settings, most: int) -> None:
        recorded = {record.uid for record in self.actions}
        new = [record for record in run.actions if record.uid not in recorded]
        action = new[-1].uid if any(record.accepted for record in new) else ""
        self.ledger.take(changed_entries(self.graph, run, settings, self.ledger), action=action)
        for group in self.ledger.stages():
            self.random.shuffle(group)
            for shard in group:
                if not most:
                    return
                most -= 1
                self._store(shard)

    def _store(self, shard: Shard) -> None:
        self._writes += 1
        if shard.uid:
            operations = orjson.loads(orjson.dumps(self.ledger.operations(shard)))
            found = operated(self.stored[shard.index], operations)
        else:
            found = {"index": shard.index} | orjson.loads(orjson.dumps(self.ledger.content(shard)))
        found["metadata"] = {"uid": f"uid-{shard.index}", "resourceVersion": str(self._writes)}
        self.stored[shard.index] = found
        self.ledger.stored(shard, found["metadata"])

    def recall(self) -> RunState:
        self.ledger = Ledger()
        self.ledger.load(self.status, self.stored.values())
        self._read()
        run = restore(
            self.graph,
            believable(self.graph, recorded_nodes(self.entries), epoch=self.epoch, epoch_at=self.epoch_at),
            uid=UID,
            name=RUN,
            namespace="default",
            started_at=T0,
            epoch=self.epoch,
            epoch_at=self.epoch_at,
            actions=self.actions,
            stopping=self.stopping,
            stop_mode=self.stop_mode,
        )
        run.suspended_at, run.suspended_seconds = self.suspended_at, self.suspended_seconds
        return run


class ShardedPlayer(Player):
    """Plays a scenario whose record is in shards."""

    def __init__(self, of: Scenario) -> None:
        super().__init__(of)
        self.shards = Shards(self.graph, self.random)
        self.memory = self.shards

    def _crash(self) -> None:
        if self.random.random() < 0.7:
            self.shards.begin_to_keep(self.run, self.settings)
        super()._crash()


def differences(of: Scenario) -> list[str]:
    """Play a scenario as a large run; return where the engine differs from the reference."""
    with (
        mock.patch.object(ledger, "FULL_NODES", 2),
        mock.patch.object(ledger, "LIMIT_BYTES", 900),
        mock.patch.object(differential, "Player", ShardedPlayer),
    ):
        found, _ = differential.differences(of)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, and show it")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.count) if chosen.seed is None else [chosen.seed]
    wrong = 0
    for seed in seeds:
        found = differences(scenario(seed))
        if found:
            wrong += 1
            print(f"seed {seed}: " + "; ".join(found))
    print(f"{len(seeds)} runs, {wrong} wrong")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
