"""What is on record of a run while it is played: its nodes as the status shows them, and what else a restart knows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.unit.engine.kit import RUN, T0, UID

from fairlead.controllers.records import entries, recorded_nodes
from fairlead.engine.capacity import MESSAGE_CHARACTERS
from fairlead.engine.model import Graph, Settings, StopMode
from fairlead.engine.restore import restore
from fairlead.engine.state import ActionRecord, RunState


class Memory:
    """The last status that was written. `attempts` are those that it shows, as node and number."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.attempts: set[tuple[str, int]] = set()
        self.entries: list[dict[str, Any]] = []
        self.epoch = 1
        self.epoch_at: datetime | None = None
        self.actions: list[ActionRecord] = []
        self.stopping = ""
        self.stop_mode: StopMode | None = None
        self.suspended_at: datetime | None = None
        self.suspended_seconds = 0.0

    def keep(self, run: RunState, settings: Settings) -> None:
        self.entries = list(entries(run, settings, MESSAGE_CHARACTERS))
        self.attempts = {(each["name"], a["number"]) for each in self.entries for a in each.get("attempts", ())}
        self.epoch, self.epoch_at, self.actions = run.epoch, run.epoch_at, list(run.actions)
        self.stopping, self.stop_mode = run.stopping or run.stop_recorded, run.stop_mode
        self.suspended_at, self.suspended_seconds = run.suspended_at, run.suspended_seconds

    def recall(self) -> RunState:
        run = restore(
            self.graph,
            recorded_nodes(self.entries),
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
