"""Bringing a recorded run back to life after a restart.

What was persisted is terminal phases, outputs and attempts; everything else follows from these. Phases between are
not believed but derived: a node whose last attempt has not ended is Starting until its object is seen again, one
whose attempts have all failed waits for its next, and one without attempts waits for its trigger, or for a slot if
that was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappush

from fairlead.engine import capacity, triggers
from fairlead.engine.clocks import STOPS, node_deadline
from fairlead.engine.model import TERMINAL, Graph, Json, Phase, StopMode
from fairlead.engine.passes import arm, place_in_line
from fairlead.engine.plan import begin
from fairlead.engine.retry import decide_retry
from fairlead.engine.state import ActionRecord, Attempt, NodeState, RunState
from fairlead.engine.transitions import move, path_to_starting

__all__ = ["NodeRecord", "restore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """What was persisted of one node: of a task, or of an item (`m[3]`).

    `digest` is that of the list of a `forEach` task whose list was known, "" else. An item without a record waits.
    """

    name: str
    phase: Phase
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    queued_at: datetime | None = None
    completed_at: datetime | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    digest: str = ""


def restore(
    graph: Graph,
    records: Iterable[NodeRecord],
    *,
    uid: str,
    name: str,
    namespace: str,
    started_at: datetime,
    epoch: int = 1,
    actions: Iterable[ActionRecord] = (),
    stopping: str = "",
    stop_mode: StopMode | None = None,
) -> RunState:
    """Return the state of a run as far as it was recorded; facts about live objects bring it up to date. O(nodes).

    Records of nodes that the graph does not have are left out.
    """
    run = begin(graph, uid=uid, name=name, namespace=namespace, started_at=started_at)
    run.unsettled = list(graph.nodes)
    for record in records:
        state = run.nodes.get(record.name)
        if state is not None:
            _restore_node(graph, run, state, record)
    run.epoch, run.actions = epoch, list(actions)
    run.stop_recorded, run.stop_mode = stopping or run.stop_recorded, stop_mode
    run.revision = 0
    return run


def _restore_node(graph: Graph, run: RunState, state: NodeState, record: NodeRecord) -> None:
    state.attempts = list(record.attempts)
    run.ended_attempts += sum(1 for attempt in record.attempts if attempt.finished_at is not None)
    run.output_bytes += capacity.size_of(record.outputs)
    if record.phase in TERMINAL:
        _set_terminal(graph, run, state, record)
        return
    if not state.attempts:
        if record.phase is not Phase.WAITING:
            # Its trigger has fired and its `when` was true: evaluated again, it might see other ends by now.
            move(run, state, Phase.QUEUED)
            heappush(run.queue, place_in_line(graph, state))
        return
    for phase in path_to_starting(state.phase):
        move(run, state, phase)
    last = state.attempts[-1]
    if last.finished_at is None:
        return
    # Recorded as failed and due for another attempt: the delay counts from its recorded end.
    decision = decide_retry(run.uid, state, last)
    move(run, state, Phase.BACKOFF)
    state.reason, state.message = last.reason, last.message
    state.not_before = last.finished_at + decision.delay
    arm(run, state.node.name, state.not_before)
    deadline = node_deadline(state)
    if deadline is not None:
        arm(run, state.node.name, deadline)


def _set_terminal(graph: Graph, run: RunState, state: NodeState, record: NodeRecord) -> None:
    # Not by way of `move`: the record is the outcome of moves that were legal when they were made.
    run.counts[state.phase] -= 1
    run.counts[record.phase] += 1
    state.phase = record.phase
    state.reason, state.message = record.reason, record.message
    state.completed_at = record.completed_at
    state.outputs = dict(record.outputs)
    if record.phase is Phase.CANCELLED and record.reason in STOPS:
        run.stop_recorded = record.reason
    for child in graph.children[record.name]:
        triggers.count_parent(run.nodes[child], record.phase)
