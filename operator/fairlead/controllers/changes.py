"""Which entries of a large run's nodes have changed, encoded: O(changed nodes), never O(nodes). Pure.

An entry is encoded when its node changes, and not again when something around it does. So what would grow stale is
left out of it: a node that waits for others names none of them, and how far the queue is from moving is told only as
it was when the node was put in line.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import orjson

from fairlead.engine.capacity import attempt_characters
from fairlead.engine.model import Graph, Phase, Settings
from fairlead.engine.state import NodeState, RunState

from .records import entry, past_entries

__all__ = ["all_entries", "changed_entries", "touch_queued"]


def changed_entries(
    graph: Graph, run: RunState, settings: Settings, known: Container[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield name and entry of each node that has changed since last time, in the order of the definition.

    `known` are the nodes that have an entry already; one that waits, and has none, gets none.
    """
    touched: dict[str, NodeState] = {}
    for name in run.touched:
        state = run.nodes.get(name)
        if state is None:
            continue
        if state.parent is not None:  # it is counted there
            touched[state.parent.name] = state.parent
        touched[name] = state
    run.touched.clear()
    for state in sorted(touched.values(), key=lambda each: (graph.rank[each.node.name], _position(each))):
        yield from _entries_of(run, settings, state, known)


def all_entries(run: RunState, settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yield name and entry of every node of which something has happened, each task before its items. O(nodes)."""
    run.touched.clear()
    for name in run.nodes:
        state = run.nodes[name]
        if state.parent is None:
            yield from _entries_of(run, settings, state, ())
            for item in () if state.items is None else state.items.states:
                yield from _entries_of(run, settings, item, ())


def _position(state: NodeState) -> int:
    return -1 if state.index is None else state.index


def touch_queued(run: RunState) -> None:
    """Have the nodes in line written again: what holds them back has been changed by the user. O(nodes)."""
    run.touched.update((name, None) for name, state in run.nodes.items() if state.phase is Phase.QUEUED)


def _entries_of(
    run: RunState, settings: Settings, state: NodeState, known: Container[str]
) -> Iterator[tuple[str, bytes]]:
    characters = attempt_characters(len(state.attempts))
    if state.name in known or state.phase is not Phase.WAITING or state.attempts:
        yield state.name, _bytes_of(_lasting(entry(run, settings, state, characters)))
    for past in past_entries(state, characters, known):
        yield past["name"], _bytes_of(past)


def _lasting(shown: dict[str, Any]) -> dict[str, Any]:
    """Leave out of an entry what changes without its node."""
    if shown["phase"] == Phase.WAITING:
        shown.pop("message", None)
    elif shown.get("reason") == "WaitingForRecord":
        del shown["reason"], shown["message"]
    return shown


def _bytes_of(shown: dict[str, Any]) -> bytes:
    return orjson.dumps(shown)
