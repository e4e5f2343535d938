"""What is on record of one run: the entries of its tasks, wherever they are stored, and what was ever recorded.

A large run's entries are in shards, which count only once the Workflow's status says so, and without what an action
changed that is not on record yet; `fairlead.api.shard` is the contract, which readers of every kind go by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from fairlead.api.shard import settled_tasks
from fairlead.engine.model import TERMINAL

__all__ = ["ENDS", "Move", "Record"]

_Json = Mapping[str, Any]

#: The phases that are final.
ENDS = frozenset(phase.value for phase in TERMINAL)


class Move(NamedTuple):
    """A change of what is on record of a node; an entry that is not there is None."""

    node: str
    before: _Json | None
    after: _Json | None


@dataclass(slots=True, eq=False)
class Record:
    """The record of one run.

    Attributes:
        status: of the Workflow.
        entries: by the names of nodes, as they count now.
        ends: the final phase of each node that was ever on record in this epoch.
        ended: when the end of an attempt (node, number) was recorded first.
        epoch: the one that is on record.
    """

    status: _Json = field(default_factory=dict)
    entries: dict[str, _Json] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    ended: dict[tuple[str, int], datetime] = field(default_factory=dict)
    epoch: int = 1
    _shards: dict[int, _Json] = field(default_factory=dict)
    _settled: dict[int, dict[str, _Json]] = field(default_factory=dict)

    @property
    def in_shards(self) -> bool:
        """Whether the entries are in shards."""
        return "shards" in self.status

    def end_of(self, node: str) -> str:
        """Return the final phase of a node in this epoch, "" where none is on record."""
        phase = self.entries.get(node, {}).get("phase", "")
        return phase if phase in ENDS else ""

    def has_ended(self, node: str, number: int) -> bool:
        """Tell whether the end of an attempt was ever on record."""
        return (node, number) in self.ended

    def knows(self, node: str, number: int) -> bool:
        """Tell whether an attempt is on record, ended or not."""
        return any(each["number"] == number for each in self.entries.get(node, {}).get("attempts") or ())

    def has_open_attempt(self, node: str) -> bool:
        """Tell whether an attempt of a node is on record as going on."""
        return any(not each.get("completionTime") for each in self.entries.get(node, {}).get("attempts") or ())

    # -- taking in

    def take_status(self, status: _Json, moment: datetime) -> list[Move]:
        """Take in another status of the Workflow; returns what that changes."""
        before, self.status = self.status, status
        if not self.in_shards:
            self._settled.clear()
            return self._replace({each["name"]: each for each in status.get("tasks") or ()}, moment)
        if "shards" not in before:
            self._settled = {index: _settle(status, shard) for index, shard in self._shards.items()}
            return self._replace(self._joined(), moment)
        if before.get("actions") == status.get("actions"):
            return []
        moves: list[Move] = []
        for index, shard in self._shards.items():
            if shard.get("undo") is not None:
                moves += self._settle_again(index, shard, moment)
        return moves

    def take_shard(self, index: int, shard: _Json | None, moment: datetime) -> list[Move]:
        """Take in another content of a shard, None where it is gone; returns what that changes."""
        if shard is None:
            self._shards.pop(index, None)
        else:
            self._shards[index] = shard
        return self._settle_again(index, shard, moment) if self.in_shards else []

    def begin_epoch(self, epoch: int) -> None:
        """Note that another epoch is on record: what is final in it is what is so from now on. O(entries)."""
        self.epoch = epoch
        self.forget()

    def forget(self) -> None:
        """Believe what is on record now, whatever was before: somebody else than the operator has written it."""
        self.ends = {name: each["phase"] for name, each in self.entries.items() if each["phase"] in ENDS}

    def _joined(self) -> dict[str, _Json]:
        found: dict[str, _Json] = {}
        for index in sorted(self._settled):  # of two entries the one in the later shard counts
            found |= self._settled[index]
        return found

    def _settle_again(self, index: int, shard: _Json | None, moment: datetime) -> list[Move]:
        before = self._settled.pop(index, {})
        if shard is not None:
            self._settled[index] = _settle(self.status, shard)
        after = self._settled.get(index, {})
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        return self._note(((name, self._last(name)) for name in changed), moment)

    def _last(self, name: str) -> _Json | None:
        indices = sorted((index for index, entries in self._settled.items() if name in entries), reverse=True)
        return self._settled[indices[0]][name] if indices else None

    def _replace(self, entries: dict[str, _Json], moment: datetime) -> list[Move]:
        gone = [(name, None) for name in self.entries if name not in entries]
        return self._note([*gone, *entries.items()], moment)

    def _note(self, entries: Iterable[tuple[str, _Json | None]], moment: datetime) -> list[Move]:
        moves = []
        for name, after in entries:
            before = self.entries.get(name)
            if before == after:
                continue
            moves.append(Move(name, before, after))
            if after is None:
                del self.entries[name]
                continue
            self.entries[name] = after
            for attempt in after.get("attempts") or ():
                if attempt.get("completionTime"):
                    self.ended.setdefault((name, attempt["number"]), moment)
        return moves

    def note_ends(self, moves: Iterable[Move]) -> None:
        """Note which ends are on record by now; they are final until another epoch begins."""
        for node, _, after in moves:
            if after is not None and after["phase"] in ENDS:
                self.ends[node] = after["phase"]


def _settle(status: _Json, shard: _Json) -> dict[str, _Json]:
    return {each["name"]: each for each in settled_tasks(status, shard)}
