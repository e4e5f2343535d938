"""The shards of a large run: where each entry is, what one change costs, and what a crash between two writes leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.controllers.fake_api import operated

from fairlead.api.shard import read_tasks
from fairlead.controllers import ledger as module
from fairlead.controllers.ledger import FULL_BYTES, FULL_NODES, LIMIT_BYTES, Ledger, Shard

SHARDED: dict[str, Any] = {"shards": {"count": 0}}


def entry(name: str, text: str = "", **more: Any) -> tuple[str, bytes]:
    return name, orjson.dumps({"name": name, "phase": "Running", "message": text, **more})


class Store:
    """Shards as the API server has them, and a ledger that is written to it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.objects: dict[int, dict[str, Any]] = {}
        self.writes = 0

    def write(self, shard: Shard) -> None:
        self.writes += 1
        if shard.uid:
            operations = orjson.loads(orjson.dumps(self.ledger.operations(shard)))
            found = operated(self.objects[shard.index], operations)
        else:
            found = {"index": shard.index, "workflowUID": "u"} | orjson.loads(orjson.dumps(self.ledger.content(shard)))
        found["metadata"] = {"uid": f"uid-{shard.index}", "resourceVersion": str(self.writes)}
        self.objects[shard.index] = found
        assert self.ledger.is_stored(shard, found)
        self.ledger.stored(shard, found["metadata"])

    def flush(self, *entries: tuple[str, bytes], action: str = "", crash_after: int = 10**6) -> bool:
        """Take in entries and write them. Returns False where it was cut off after so many writes."""
        self.ledger.take(entries, action=action)
        for group in self.ledger.stages():
            for shard in group:
                if not crash_after:
                    return False
                crash_after -= 1
                self.write(shard)
        return True

    def read(self, *recorded: str) -> dict[str, Any]:
        status = SHARDED | {"actions": [{"uid": uid} for uid in recorded]}
        found = read_tasks(status, self.objects.values())
        assert len({each["name"] for each in found}) == len(found)
        return {each["name"]: each for each in found}

    def restart(self, *recorded: str) -> None:
        self.ledger = Ledger()
        self.ledger.load(SHARDED | {"actions": [{"uid": uid} for uid in recorded]}, self.objects.values())

    def names(self) -> list[list[str]]:
        return [[each["name"] for each in self.objects[index]["tasks"]] for index in sorted(self.objects)]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard takes up to three nodes of a hundred bytes or so, and may grow to four times that."""
    monkeypatch.setattr(module, "FULL_NODES", 3)
    monkeypatch.setattr(module, "FULL_BYTES", 300)
    monkeypatch.setattr(module, "LIMIT_BYTES", 1200)


# -- where entries are


@pytest.mark.usefixtures("small")
def test_a_shard_is_filled_before_the_next_is_begun(store: Store) -> None:
    store.flush(*(entry(name) for name in "abcd"))
    store.flush(entry("e"))
    assert store.names() == [["a", "b", "c"], ["d", "e"]]


@pytest.mark.usefixtures("small")
def test_it_is_full_by_bytes_too(store: Store) -> None:
    store.flush(entry("a", "x" * 200), entry("b", "x" * 200), entry("c"))
    assert store.names() == [["a"], ["b"], ["c"]] or store.names() == [["a"], ["b", "c"]]


@pytest.mark.usefixtures("small")
def test_a_node_keeps_its_place(store: Store) -> None:
    store.flush(*(entry(name) for name in "abcd"))
    store.flush(entry("a", "x" * 500))
    assert store.names() == [["a", "b", "c"], ["d"]]


@pytest.mark.usefixtures("small")
def test_one_that_outgrows_its_shard_moves_to_the_last(store: Store) -> None:
    store.flush(*(entry(name) for name in "abcd"))
    store.flush(entry("a", "x" * 1200))
    assert store.names()[0] == ["b", "c"]
    assert store.names()[-1] == ["a"]
    assert store.read()["a"]["message"] == "x" * 1200


@pytest.mark.usefixtures("small")
def test_what_moves_is_written_there_before_it_is_taken_out_here(store: Store) -> None:
    store.flush(*(entry(name) for name in "abcd"))
    store.flush(entry("a", "x" * 1200), crash_after=1)
    assert store.names()[0] == ["a", "b", "c"]
    assert store.read()["a"]["message"] == "x" * 1200
    store.restart()
    store.flush()
    assert store.names()[0] == ["b", "c"]


@pytest.mark.usefixtures("small")
def test_it_moves_on_when_it_outgrows_the_last_one(store: Store) -> None:
    store.flush(*(entry(name) for name in "abc"))
    store.flush(entry("a", "x" * 900), entry("b", "x" * 900), entry("c", "x" * 900))
    assert [len(names) for names in store.names()] == [1, 1, 1]


# -- what a change costs


def test_a_change_of_one_of_many_is_one_operation_on_one_shard(store: Store) -> None:
    store.flush(*(entry(f"t{number}") for number in range(10_000)))
    before = store.writes
    assert before == 10_000 / FULL_NODES
    store.ledger.take([entry("t5000", "now")])
    [[shard]] = [group for group in store.ledger.stages() if group]
    body = orjson.dumps(store.ledger.operations(shard))
    assert orjson.loads(body)[-1]["path"] == f"/tasks/{5000 % FULL_NODES}"
    assert len(body) < 300


def test_an_entry_that_is_the_same_is_no_change(store: Store) -> None:
    store.flush(entry("a"), entry("b"))
    store.ledger.take([entry("a")])
    assert not store.ledger.is_dirty
    assert store.flush(entry("a"))
    assert store.writes == 1


def test_many_changes_of_one_shard_are_written_as_a_whole(store: Store) -> None:
    store.flush(*(entry(f"t{number}") for number in range(10)))
    store.ledger.take([entry(f"t{number}", "now") for number in range(8)])
    [shard] = store.ledger.shards
    assert [each["path"] for each in store.ledger.operations(shard)] == ["/revision", "/tasks"]


@pytest.mark.parametrize("size", [300, 5000, LIMIT_BYTES // 2, LIMIT_BYTES])
@pytest.mark.parametrize("action", ["", "a1"])
def test_no_shard_reaches_a_megabyte(store: Store, size: int, action: str) -> None:
    nodes = [f"t{number}" for number in range(min(FULL_NODES, 40 * FULL_BYTES // size))]
    store.flush(*(entry(name, "x") for name in nodes))
    for name in nodes:
        store.ledger.take([entry(name, "y" * (size - 50))])
    store.flush()
    store.flush(*(entry(name, "z" * (size - 50)) for name in nodes), action=action)
    assert max(len(orjson.dumps(each)) for each in store.objects.values()) < 1_000_000
    assert {each["message"][0] for each in store.read("a1").values()} == {"z"}


# -- actions


def test_an_action_counts_from_its_record_on(store: Store) -> None:
    store.flush(entry("a", "old"), entry("b", "old"))
    store.flush(entry("a", "new"), entry("c", "new"), action="a1")
    assert {name: each["message"] for name, each in store.read().items()} == {"a": "old", "b": "old"}
    assert {name: each["message"] for name, each in store.read("a1").items()} == {"a": "new", "b": "old", "c": "new"}


def test_what_it_would_undo_is_dropped_with_the_next_write(store: Store) -> None:
    store.flush(entry("a", "old"))
    store.flush(entry("a", "new"), action="a1")
    store.ledger.commit()
    assert store.ledger.is_dirty
    store.flush()
    assert "undo" not in store.objects[0]
    assert store.read()["a"]["message"] == "new"


@pytest.mark.parametrize("recorded", [(), ("a1",)], ids=["not recorded", "recorded"])
def test_after_a_restart_there_is_nothing_to_undo_any_more(store: Store, recorded: tuple[str, ...]) -> None:
    store.flush(entry("a", "old"))
    store.flush(entry("a", "new"), entry("b", "new"), action="a1")
    store.restart(*recorded)
    expected = store.read(*recorded)
    store.flush()
    assert "undo" not in store.objects[0]
    assert store.read() == expected


def test_an_action_that_comes_to_nothing_can_be_done_once_more(store: Store) -> None:
    store.flush(entry("a", "old"))
    store.flush(entry("a", "new"), action="a1")
    store.restart()
    store.flush(entry("a", "newer"), action="a1")
    assert store.read()["a"]["message"] == "old"
    assert store.read("a1")["a"]["message"] == "newer"


# -- comparing with what is there


def test_an_object_that_is_as_we_left_it_is_recognised(store: Store) -> None:
    store.flush(entry("a"), entry("b"))
    store.ledger.take([entry("a", "new"), entry("c")])
    [shard] = store.ledger.shards
    assert store.ledger.is_unchanged(shard, store.objects[0])
    assert not store.ledger.is_stored(shard, store.objects[0])
    foreign = store.objects[0] | {"tasks": store.objects[0]["tasks"][:1]}
    assert not store.ledger.is_unchanged(shard, foreign)


def test_one_that_vanished_is_written_whole(store: Store) -> None:
    store.flush(entry("a"), entry("b"))
    store.ledger.vanished(store.ledger.shards[0])
    store.objects.clear()
    store.flush(entry("a", "new"))
    assert set(store.read()) == {"a", "b"}


# -- the law: whatever a crash cuts off, each entry is one of those that were taken in, and none is lost

_NAMES = [f"n{number}" for number in range(12)]
_CHANGES = st.dictionaries(st.sampled_from(_NAMES), st.integers(1, 1500), min_size=1, max_size=8)


@given(rounds=st.lists(st.tuples(_CHANGES, st.integers(0, 8), st.sampled_from(["", "recorded", "lost"])), max_size=8))
@settings(deadline=None, max_examples=200)
def test_a_crash_at_any_moment_loses_nothing(rounds: list[tuple[Mapping[str, int], int, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FULL_NODES", 3)
        patch.setattr(module, "FULL_BYTES", 1000)
        patch.setattr(module, "LIMIT_BYTES", 2000)
        store, recorded, known = Store(), (), {}
        for number, (changes, crash_after, asks) in enumerate(rounds):
            new = {name: orjson.loads(entry(name, "x" * size, number=number)[1]) for name, size in changes.items()}
            action = f"action-{number}" if asks else ""
            entries = [(name, orjson.dumps(each)) for name, each in new.items()]
            complete = store.flush(*entries, action=action, crash_after=crash_after)
            if asks:
                assert store.read(*recorded) == known  # nothing of it, before it is on record
            if asks == "lost":
                complete = False
            elif asks and complete:
                recorded = (action,)
                store.ledger.commit()
            found = store.read(*recorded)
            if complete:
                known = known | new
                assert found == known
            else:
                for name in known.keys() | found.keys():
                    assert found.get(name) in (known.get(name), new.get(name))
                known = found
                store.restart(*recorded)
                assert store.read(*recorded) == known
