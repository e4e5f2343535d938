"""What recording a change costs does not grow with the run: only what has changed is encoded, and patched."""

from __future__ import annotations

import orjson
import pytest
from tests.perf.counting import LARGE, RATIO, SMALL, calls, lines
from tests.unit.engine.kit import Bench, bench, node, seen, succeeded

from fairlead.controllers.changes import all_entries, changed_entries
from fairlead.controllers.ledger import FULL_NODES, Ledger
from fairlead.engine.model import Settings

SETTINGS = Settings()


def running(size: int) -> Bench:
    """A wide run in which everything has started."""
    middle = [f"n{i}" for i in range(size)]
    on = bench(node("first"), *(node(name, "first") for name in middle), node("last", *middle), begun=False)
    on.tell(succeeded("first"))
    on.tell(*(seen(name, running=1) for name in middle))
    return on


def recorded(on: Bench) -> Ledger:
    """The shards of a run, all of them stored."""
    ledger = Ledger()
    ledger.take(all_entries(on.run, SETTINGS))
    store(ledger)
    return ledger


def store(ledger: Ledger) -> int:
    """Store what is to be stored; returns the bytes of the patches and objects."""
    size = 0
    for group in ledger.stages():
        for shard in group:
            size += len(orjson.dumps(ledger.operations(shard) if shard.uid else ledger.content(shard)))
            ledger.stored(shard, {"uid": f"u{shard.index}", "resourceVersion": "1"})
    return size


def record(on: Bench, ledger: Ledger) -> int:
    ledger.take(changed_entries(on.graph, on.run, SETTINGS, ledger))
    return store(ledger)


@pytest.mark.parametrize("count", [1, 50])
def test_what_is_executed_for_some_changes(count: int) -> None:
    costs = []
    for size in (SMALL, LARGE):
        on = running(size)
        ledger = recorded(on)
        on.tell(*(succeeded(f"n{i}") for i in range(count)))
        shards = len(ledger.shards)  # each is asked whether there is something to write: ten lines
        costs.append(lines(lambda on=on, ledger=ledger: record(on, ledger)) - 10 * shards)  # type: ignore[misc]
    assert costs[1] <= RATIO * costs[0]


def test_what_is_written_for_a_change() -> None:
    sizes = []
    for size in (SMALL, LARGE):
        on = running(size)
        ledger = recorded(on)
        on.tell(succeeded("n7"))
        sizes.append(record(on, ledger))
    assert sizes[1] <= RATIO * sizes[0]


def test_what_a_whole_run_costs_for_each_task() -> None:
    def costs(size: int) -> float:
        on = running(size)
        return calls(lambda: recorded(on)) / size

    assert costs(LARGE) <= RATIO * costs(SMALL)


def test_a_run_has_as_many_shards_as_it_needs() -> None:
    assert len(recorded(running(LARGE)).shards) <= LARGE // FULL_NODES + 2
