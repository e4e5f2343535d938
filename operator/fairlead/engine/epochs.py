"""A new epoch of a run that has ended: what is to be run again, and what stays as it is.

Nothing is undone: attempts stay on record and their numbers go on; budgets begin afresh. The new state is made the way
a restarted controller makes one, from records, so that there is only one way to come to a state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fairlead.engine.model import Graph, Phase
from fairlead.engine.restore import restore
from fairlead.engine.state import NodeRecord, NodeState, RunState

__all__ = ["begin_epoch", "dependants", "record_of"]


def record_of(state: NodeState) -> NodeRecord:
    """Return what would be persisted of a node."""
    return NodeRecord(
        name=state.name,
        phase=state.phase,
        reason=state.reason,
        message=state.message,
        started_at=state.started_at,
        queued_at=state.queued_at,
        completed_at=state.completed_at,
        outputs={} if state.items is not None else state.outputs,
        attempts=tuple(state.attempts),
        digest=state.items.digest if state.items is not None else state.past_digest,
        total=len(state.items.states) if state.items is not None else None,
        more=state.more,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """What is run again: whole tasks, and items of tasks whose other items stay as they are."""

    tasks: Collection[str]
    items: Collection[str]
    reopened: Collection[str]


def begin_epoch(
    graph: Graph,
    run: RunState,
    tasks: Collection[str],
    items: Collection[str],
    marks: Mapping[str, NodeRecord],
    now: datetime,
    *,
    reopened: Collection[str] = (),
) -> None:
    """Turn a run that has ended into one that goes on, in place.

    `tasks` are run again as a whole, with all their items; of the tasks that `items` belong to, only these, and of
    those `reopened` none: it is only looked at again what they come to. `marks` are the ends that somebody has set by
    hand. `finally` is run again. `graph` may be a newer one: nodes are the same by their names. O(nodes).
    """
    opened = {name.partition("[")[0] for name in (*items, *marks) if "[" in name} | set(reopened)
    again = _Again(tasks={*tasks, *graph.final}, items=items, reopened=opened)
    records = [_record(state.name, record_of(state), again, marks) for state in run.nodes.values()]
    records += [_record(past.name, past, again, marks) for state in run.nodes.values() for past in state.past.values()]
    fresh = restore(
        graph,
        records,
        uid=run.uid,
        name=run.name,
        namespace=run.namespace,
        started_at=run.started_at,
        epoch=run.epoch + 1,
        epoch_at=now,
    )
    fresh.actions = run.actions
    fresh.revision = run.revision + 1
    fresh.recorded_revision, fresh.unproven_revision = run.recorded_revision, fresh.revision
    fresh.unreleased = {key: None for key in run.unreleased if key[0] in fresh.nodes}
    fresh.superseded = run.superseded
    # Items, too, whose list is not known again yet: they have their place in the record already.
    fresh.touched = dict.fromkeys((*fresh.nodes, *(record.name for record in records)))
    for name in RunState.__slots__:
        setattr(run, name, getattr(fresh, name))


def _record(name: str, record: NodeRecord, again: _Again, marks: Mapping[str, NodeRecord]) -> NodeRecord:
    """Return what the new epoch begins with of a node."""
    record = marks.get(name, record)
    if name.partition("[")[0] in again.tasks or name in again.items:
        return _waiting(record)
    if name in again.reopened:
        return replace(
            _waiting(record),
            phase=Phase.RUNNING,
            digest=record.digest,
            total=record.total,
            started_at=record.started_at,
        )
    return record


def _waiting(record: NodeRecord) -> NodeRecord:
    return NodeRecord(name=record.name, phase=Phase.WAITING, attempts=record.attempts)


def dependants(graph: Graph, run: RunState, roots: Collection[str], phases: Collection[Phase]) -> set[str]:
    """Return the tasks downstream of `roots` that are in one of `phases`, however far down."""
    found: set[str] = set()
    seen = set(roots)
    stack = list(roots)
    while stack:
        for child in graph.children[stack.pop()]:
            if child in seen:
                continue
            seen.add(child)
            stack.append(child)
            if run.nodes[child].phase in phases:
                found.add(child)
    return found
