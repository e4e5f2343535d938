"""What the shards of one large run hold: which entry is where, what has changed, and how to write that. No I/O.

A node gets its place when something first happens to it, in the last shard that has room, so that those that are busy
at the same time stand together and few shards change. It keeps its place for good, unless its shard outgrows its limit:
then it moves to the last one, and is taken out of the former only once it is written there. Whoever finds it in both
takes the later one.

Entries are kept as the bytes that were written: a change costs the encoding of one entry, and is written as one
operation on its place.

An action of a user changes entries of several shards and the Workflow's `status.actions`, and all of that or none of it
must be found after a crash. So while an action is not on record, each shard that it changes keeps in `undo` what it
said before, and counts as unchanged for whoever reads it; the write of the Workflow's status, which comes last,
turns them all at once. What is undone then is dropped with the next write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from fairlead.api.shard import settled_tasks

__all__ = ["FULL_BYTES", "FULL_NODES", "LIMIT_BYTES", "Ledger", "Shard"]

#: A shard takes no further node when it has so many bytes of entries, or so many of them.
FULL_BYTES = 256 * 1024
FULL_NODES = 400

#: What a shard may grow to. Twice that, when there is something to undo, is still less than a megabyte.
LIMIT_BYTES = 448 * 1024

_Operation = dict[str, Any]


@dataclass(slots=True, eq=False)
class Shard:
    """One shard, as it is to be stored.

    names
        whose entries it has, in their order.
    size
        bytes of its entries.
    uid, version, revision
        of the object as it was stored last; "" for one that is not there.
    before
        for each entry that the stored object does not show as it is now: what it shows (None: nothing).
    whole
        entries have to be taken away, so that all are written anew.
    sheds
        some of them have moved to a later shard, which is to be written first.
    undo, action
        what changed entries said before that action (None: nothing), until it is on record.
    stored_undo
        the stored object has something to undo.
    """

    index: int
    names: list[str] = field(default_factory=list)
    size: int = 0
    uid: str = ""
    version: int = 0
    revision: int = 0
    before: dict[str, bytes | None] = field(default_factory=dict)
    whole: bool = False
    sheds: bool = False
    undo: dict[str, bytes | None] = field(default_factory=dict)
    action: str = ""
    stored_undo: bool = False

    @property
    def is_dirty(self) -> bool:
        """Whether the stored object is not what it should be."""
        return bool(self.before) or self.whole or not self.uid or (self.stored_undo and not self.undo)


class Ledger:
    """The shards of one run, and the entry of each node that has one."""

    def __init__(self) -> None:
        self.shards: list[Shard] = []
        self._entries: dict[str, bytes] = {}
        self._places: dict[str, Shard] = {}
        self._positions: dict[str, int] = {}
        #: Whether shards are to be rid of what an action did that is not on record.
        self.undoes = False

    def __contains__(self, name: object) -> bool:
        """Tell whether a node has an entry."""
        return name in self._entries

    @property
    def is_dirty(self) -> bool:
        """Whether something is not stored as it should be. O(shards)."""
        return any(shard.is_dirty for shard in self.shards)

    # -- taking in

    def load(self, status: Mapping[str, Any], stored: Iterable[Mapping[str, Any]]) -> None:
        """Take over what is stored. `status` is the Workflow's. O(nodes)."""
        for raw in sorted(stored, key=lambda each: int(each["index"])):
            metadata = raw["metadata"]
            shard = Shard(index=raw["index"], uid=metadata["uid"], version=int(metadata["resourceVersion"]))
            shard.revision, shard.stored_undo = raw["revision"], raw.get("undo") is not None
            tasks = settled_tasks(status, raw)
            shard.whole = tasks != raw["tasks"]  # an action came to nothing: put things right
            self.undoes = self.undoes or shard.whole
            self.shards.append(shard)
            for each in tasks:
                if each["name"] in self._entries:
                    self._take_out(each["name"])
                self._put_in(shard, each["name"], orjson.dumps(each))

    def take(self, changed: Iterable[tuple[str, bytes]], *, action: str = "") -> None:
        """Take in entries that may have changed. `action` is the one that is not on record yet, if there is one."""
        for name, entry in changed:
            known = self._entries.get(name)
            if known == entry:
                continue
            shard = self._places.get(name)
            if shard is None:
                shard = self._with_room(len(entry))
                self._note(shard, name, None, action)
                self._put_in(shard, name, entry)
                continue
            self._note(shard, name, known, action)
            assert known is not None
            if shard.size + len(entry) - len(known) > LIMIT_BYTES and len(shard.names) > 1:
                self._move(shard, name, entry, action)
            else:
                shard.size += len(entry) - len(known)
                self._entries[name] = _compact(entry)

    def _move(self, shard: Shard, name: str, entry: bytes, action: str) -> None:
        self._take_out(name)
        target = self._with_room(len(entry), other_than=shard)
        self._note(target, name, None, action)
        self._put_in(target, name, entry)

    def _with_room(self, size: int, other_than: Shard | None = None) -> Shard:
        last = self.shards[-1] if self.shards else None
        if last is None or last is other_than or len(last.names) >= FULL_NODES or last.size + size > FULL_BYTES:
            last = Shard(index=len(self.shards))
            self.shards.append(last)
        return last

    def _note(self, shard: Shard, name: str, known: bytes | None, action: str) -> None:
        """Note that an entry of a shard changes: what is stored of it, and what it was before an action."""
        shard.before.setdefault(name, known)
        if action:
            shard.undo.setdefault(name, known)
            shard.action = action

    def _put_in(self, shard: Shard, name: str, entry: bytes) -> None:
        self._entries[name], self._places[name] = _compact(entry), shard
        self._positions[name] = len(shard.names)
        shard.names.append(name)
        shard.size += len(entry)

    def _take_out(self, name: str) -> None:
        shard = self._places[name]
        shard.names.remove(name)
        shard.size -= len(self._entries[name])
        shard.whole = shard.sheds = True
        self._positions.update((each, position) for position, each in enumerate(shard.names))

    # -- writing

    def stages(self) -> Iterator[list[Shard]]:
        """Yield the shards that have to be written, in groups: those of a group in any order, group after group."""
        dirty = [shard for shard in self.shards if shard.is_dirty]
        yield [shard for shard in dirty if shard.uid and not shard.sheds]
        # Each after the one before it: they are read up to the first that is not there. One that was made beyond a gap
        # would be found when the gap is closed, and be taken for newer than what was recorded meanwhile.
        for shard in dirty:
            if not shard.uid:
                yield [shard]
        # What has moved is in a later shard by now, which may itself have passed on others.
        for shard in reversed(dirty):
            if shard.uid and shard.sheds:
                yield [shard]

    def content(self, shard: Shard) -> dict[str, Any]:
        """Return the members of a shard's object that are not fixed, as they should be."""
        found: dict[str, Any] = {
            "revision": shard.revision + 1,
            "tasks": [orjson.Fragment(self._entries[name]) for name in shard.names],
        }
        if shard.undo:
            found["undo"] = _undo(shard)
        return found

    def operations(self, shard: Shard) -> list[_Operation]:
        """Return the JSON patch (RFC 6902) that turns the stored object into what it should be."""
        if shard.whole or 2 * len(shard.before) > len(shard.names):
            found = [{"op": "add", "path": f"/{name}", "value": value} for name, value in self.content(shard).items()]
        else:
            found = [{"op": "add", "path": "/revision", "value": shard.revision + 1}]
            for name, before in shard.before.items():
                entry = orjson.Fragment(self._entries[name])
                if before is None:  # in the order in which they were put in, all at the end
                    found.append({"op": "add", "path": "/tasks/-", "value": entry})
                else:
                    found.append({"op": "replace", "path": f"/tasks/{self._positions[name]}", "value": entry})
            if shard.undo:
                found.append({"op": "add", "path": "/undo", "value": _undo(shard)})
        if shard.stored_undo and not shard.undo:
            found.append({"op": "remove", "path": "/undo"})
        return found

    def is_stored(self, shard: Shard, raw: Mapping[str, Any]) -> bool:
        """Tell whether an object is what a shard should be: our own write, whose answer was lost."""
        expected = orjson.loads(orjson.dumps(self.content(shard)))
        return all(raw.get(name) == expected.get(name) for name in ("revision", "tasks", "undo"))

    def is_unchanged(self, shard: Shard, raw: Mapping[str, Any]) -> bool:
        """Tell whether an object still has the entries that we found or left in it."""
        if shard.whole or raw.get("revision") != shard.revision:
            return False
        entries = (shard.before.get(name, self._entries[name]) for name in shard.names)
        return bool(raw["tasks"] == [orjson.loads(entry) for entry in entries if entry is not None])

    def stored(self, shard: Shard, metadata: Mapping[str, Any]) -> None:
        """Note that a shard was stored as it should be."""
        shard.uid, shard.version = metadata["uid"], int(metadata["resourceVersion"])
        shard.revision += 1
        shard.before.clear()
        shard.whole = shard.sheds = False
        shard.stored_undo = bool(shard.undo)

    def vanished(self, shard: Shard) -> None:
        """Note that the object of a shard is not there: it is made again from what we know."""
        shard.uid, shard.version = "", 0
        shard.stored_undo = False

    def replace(self, raw: Mapping[str, Any]) -> None:
        """Note that the object of a shard is there already, and that all of it is to be written anew."""
        while len(self.shards) <= raw["index"]:
            self.shards.append(Shard(index=len(self.shards)))
        shard = self.shards[raw["index"]]
        shard.uid, shard.version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
        shard.revision, shard.stored_undo = raw["revision"], raw.get("undo") is not None
        shard.whole = True

    def commit(self) -> None:
        """Note that every action is on record: nothing is to be undone any more."""
        for shard in self.shards:
            shard.undo.clear()
            shard.action = ""


def _compact(entry: bytes) -> bytes:
    """Return a copy: what orjson returns occupies 4 KB, however short it is."""
    return bytes(memoryview(entry))


def _undo(shard: Shard) -> dict[str, Any]:
    return {
        "action": shard.action,
        "tasks": [orjson.Fragment(entry) for entry in shard.undo.values() if entry is not None],
        "added": [name for name, entry in shard.undo.items() if entry is None],
    }
