"""Which records of a large run may be believed, where those of different nodes are of different age.

A large run is kept in several objects, and a crash may fall between the writes of two of them. The end of a node that
had an attempt is a fact of its own, whatever else is on record. But that a node is in line, or has ended without an
attempt (skipped, because of a parent, by its values), follows from its parents' ends: where those are not on record,
they may come out differently, as that of a request does whose answer was lost with the crash. Then what followed from
them is not believed either, and follows once more from what is found out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fairlead.engine import triggers
from fairlead.engine.graph import in_order
from fairlead.engine.model import TERMINAL, Graph, Phase
from fairlead.engine.names import task_and_index
from fairlead.engine.restore import count_end
from fairlead.engine.state import NodeRecord, NodeState

__all__ = ["believable"]

#: Ends that are decided by somebody, not by what parents came to.
_DECIDED = frozenset({"Marked"})


def believable(
    graph: Graph, records: Iterable[NodeRecord], *, epoch: int = 1, epoch_at: datetime | None = None
) -> list[NodeRecord]:
    """Return the records of a run, where what follows from ends that are not on record waits. O(nodes + edges).

    What has ended before the current epoch began, at `epoch_at`, was looked at then. Attempts are always kept.
    """
    found = {record.name: record for record in records}
    busy = {task_and_index(name)[0] for name, record in found.items() if _attempted(record, epoch)}
    states = {name: NodeState(node=node, pending=len(node.needs)) for name, node in graph.nodes.items()}
    waiting: set[str] = set()
    open_main = sum(1 for node in graph.nodes.values() if not node.final)
    for name in in_order(graph):
        record, node = found.get(name), graph.nodes[name]
        if record is None:
            continue
        earlier = record.completed_at is not None and epoch_at is not None and record.completed_at < epoch_at
        if not (name in busy or earlier or _is_own(record)) and (
            (node.final and open_main) or triggers.decide(states[name]) is triggers.Verdict.WAIT
        ):
            waiting.add(name)
            continue
        if record.phase in TERMINAL:
            count_end(graph, states, record)
            open_main -= not node.final
    return [_waiting(each) if task_and_index(name)[0] in waiting else each for name, each in found.items()]


def _attempted(record: NodeRecord, epoch: int) -> bool:
    return any(attempt.epoch == epoch for attempt in record.attempts)


def _waiting(record: NodeRecord) -> NodeRecord:
    return NodeRecord(name=record.name, phase=Phase.WAITING, attempts=record.attempts)


def _is_own(record: NodeRecord) -> bool:
    """Tell whether a record does not follow from the parents' ends: nothing has happened, or somebody decided it."""
    return record.phase in (Phase.WAITING, Phase.CANCELLED) or record.reason in _DECIDED
