"""Which records of a large run may be believed, where those of different nodes are of different age.

A large run is kept in several objects, and a crash may fall between the writes of two of them. The end of a node that
had an attempt is a fact of its own, whatever else is on record. But that a node is in line, or has ended without an
attempt (skipped, because of a parent, by its values), follows from its parents' ends, and the end of a list from those
of its items: where they are not on record, they may come out differently, as that of a request does whose answer was
lost with the crash. Then what followed from them is not believed either, and follows once more from what is found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    found |= {record.name: _going_on(record) for record in _unfinished(found)}
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


def _unfinished(found: Mapping[str, NodeRecord]) -> list[NodeRecord]:
    """Return the lists that have ended though not all of their items have, by what is on record."""
    ended: dict[str, int] = {}
    for name, record in found.items():
        task, index = task_and_index(name)
        total = found[task].total if task in found else None
        if index is not None and total is not None and index < total and record.phase in TERMINAL:
            ended[task] = ended.get(task, 0) + 1
    return [
        record
        for name, record in found.items()
        if record.phase in TERMINAL and record.reason not in _DECIDED and ended.get(name, 0) < (record.total or 0)
    ]


def _going_on(record: NodeRecord) -> NodeRecord:
    return NodeRecord(
        name=record.name,
        phase=Phase.RUNNING,
        started_at=record.started_at,
        queued_at=record.queued_at,
        digest=record.digest,
        total=record.total,
    )


def _waiting(record: NodeRecord) -> NodeRecord:
    return NodeRecord(name=record.name, phase=Phase.WAITING, attempts=record.attempts)


def _is_own(record: NodeRecord) -> bool:
    """Tell whether a record does not follow from the parents' ends: nothing has happened, or somebody decided it."""
    return record.phase in (Phase.WAITING, Phase.CANCELLED) or record.reason in _DECIDED
