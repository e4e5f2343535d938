"""Bringing a recorded run back to life after a restart.

What was persisted is terminal phases, outputs and attempts; everything else follows from these. Phases between are
not believed but derived: a node whose last attempt has not ended is Starting until its object is seen again, one
whose attempts have all failed waits for its next, and one without attempts waits for its trigger, or for a slot if
that was recorded. The list of a `forEach` task is evaluated again, from the same facts as before.

What was recorded of one node may be older than what was recorded of another: a large run is kept in several objects.
An item whose task cannot have a list yet by these records keeps its own until there is one (`NodeState.past`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from fairlead.engine import capacity, triggers
from fairlead.engine.deadlines import node_deadline
from fairlead.engine.endings import LOST
from fairlead.engine.items import ListError, digest_of, evaluate_list, item_name, lay_out, outputs_of
from fairlead.engine.model import (
    OBJECT_KINDS,
    TERMINAL,
    FailureClass,
    Graph,
    Json,
    Phase,
    StopMode,
    TriggerRule,
    WorkKind,
)
from fairlead.engine.passes import arm, default_outputs, join_queue
from fairlead.engine.retry import decide_retry
from fairlead.engine.state import ActionRecord, Attempt, Items, NodeRecord, NodeState, RunState, Unsent
from fairlead.engine.stops import STOPS
from fairlead.engine.transitions import enter, move, path_to_starting
from fairlead.engine.triggers import Verdict

__all__ = ["NodeRecord", "begin", "count_end", "restore", "unfold"]


def begin(graph: Graph, *, uid: str, name: str, namespace: str, started_at: datetime) -> RunState:
    """Return the state of a run of which nothing has happened yet. O(nodes)."""
    nodes = {name: NodeState(node=node, pending=len(node.needs)) for name, node in graph.nodes.items()}
    counts = dict.fromkeys(Phase, 0)
    counts[Phase.WAITING] = len(nodes)
    return RunState(
        uid=uid,
        name=name,
        namespace=namespace,
        started_at=started_at,
        nodes=nodes,
        counts=counts,
        open_main=len(nodes) - len(graph.final),
        open_final=len(graph.final),
        unsettled=[name for name, node in graph.nodes.items() if not node.needs or node.trigger is TriggerRule.ALWAYS],
    )


def restore(
    graph: Graph,
    records: Iterable[NodeRecord],
    *,
    uid: str,
    name: str,
    namespace: str,
    started_at: datetime,
    epoch: int = 1,
    epoch_at: datetime | None = None,
    actions: Iterable[ActionRecord] = (),
    stopping: str = "",
    stop_mode: StopMode | None = None,
) -> RunState:
    """Return the state of a run as far as it was recorded; facts about live objects bring it up to date. O(nodes).

    Records of nodes that the graph does not have are left out.
    """
    run = begin(graph, uid=uid, name=name, namespace=namespace, started_at=started_at)
    run.epoch, run.epoch_at, run.actions = epoch, epoch_at, list(actions)
    run.stop_recorded, run.stop_mode = stopping, stop_mode
    run.unsettled = list(graph.nodes)
    lists: dict[str, NodeRecord] = {}
    waiting: list[NodeState] = []
    for record in records:
        state = run.nodes.get(record.name)
        if state is None:
            _keep_item(run, record)
        elif state.node.for_each is not None and record.digest:
            lists[record.name] = record
            state.more = record.more
        elif _restore_node(graph, run, state, record):
            waiting.append(state)
    _restore_lists(graph, run, lists)
    for state in waiting:
        _await_next(graph, run, state)
    if run.is_finalizing:
        ends = [run.nodes[name].completed_at for name, node in graph.nodes.items() if not node.final]
        run.final_since = max((end for end in ends if end is not None), default=None)
    run.revision = 0
    run.touched.clear()
    return run


def _keep_item(run: RunState, record: NodeRecord) -> None:
    task, bracket, rest = record.name.partition("[")
    state = run.nodes.get(task)
    if bracket and state is not None and state.node.for_each is not None:
        state.past[int(rest.rstrip("]"))] = record


def _restore_lists(graph: Graph, run: RunState, lists: dict[str, NodeRecord]) -> None:
    """Bring back the tasks whose list was known. Those that are over first: others may read their outputs."""
    for name in [name for name, record in lists.items() if record.phase in TERMINAL]:
        _restore_ended_list(graph, run, run.nodes[name], lists.pop(name))
    for name in _in_order(graph, lists):
        state, record = run.nodes[name], lists[name]
        state.past_digest = record.digest
        if triggers.decide(state) is not Verdict.RUN:
            continue  # by what is known of its parents it cannot have begun: facts about them are still to come
        try:
            values = evaluate_list(graph, run, state)
        except ListError:
            continue  # as its trigger fires again it fails with that
        unfold(graph, run, state, values)
        state.started_at = record.started_at


def _in_order(graph: Graph, names: Iterable[str]) -> list[str]:
    return sorted(names, key=graph.rank.__getitem__)


def unfold(graph: Graph, run: RunState, state: NodeState, values: list[Json]) -> None:
    """Begin a task's list with what was recorded of its items. O(items).

    Where the list is another one than it was, all its items are to be worked on again. Their attempts stay on record,
    and their numbers go on.
    """
    digest = digest_of(values)
    keep_ends = state.past_digest in ("", digest)
    state.past_digest = ""
    lay_out(run, state, values, digest)
    move(run, state, Phase.RUNNING)
    assert state.items is not None
    for item in state.items.states:
        record = state.past.pop(item.index or 0, None)
        if record is None:
            continue
        run.touched[item.name] = None  # it may stand elsewhere than it was recorded: as one that is to be run again
        if keep_ends:
            if _restore_node(graph, run, item, record):
                _await_next(graph, run, item)
        else:
            item.attempts = _attempts_of(run, record)
            item.epoch_start = len(item.attempts)
    run.unsettled.append(state.name)


def _restore_ended_list(graph: Graph, run: RunState, state: NodeState, record: NodeRecord) -> None:
    states = []
    run.counts[state.phase] -= 1
    for index in sorted(state.past):
        if record.total is not None and index >= record.total:
            break  # of a longer list in an earlier epoch: kept for its attempts
        item = NodeState(node=state.node, name=item_name(state.name, index), parent=state, index=index)
        states.append(item)
        run.nodes[item.name] = item
    run.counts[Phase.WAITING] += len(states)
    state.items = Items(states=states, digest=record.digest, admitted=len(states))
    for item in states:
        _restore_node(graph, run, item, state.past.pop(item.index or 0))
    _set_terminal(graph, run, state, record)
    state.started_at = record.started_at
    if record.phase is Phase.SUCCEEDED:
        state.outputs = outputs_of(state)
    elif record.phase is Phase.FAILED and state.node.continue_on_failure:
        state.outputs = default_outputs(state)


def _attempts_of(run: RunState, record: NodeRecord) -> list[Attempt]:
    """Return the recorded attempts. One of an earlier epoch has ended with that, if only its object knows how."""
    return [
        each
        if each.finished_at is not None or each.epoch == run.epoch
        else replace(each, finished_at=run.epoch_at, failure_class=FailureClass.INFRASTRUCTURE, reason=LOST)
        for each in record.attempts
    ]


def _restore_node(graph: Graph, run: RunState, state: NodeState, record: NodeRecord) -> bool:
    """Bring back what was recorded of a node. Returns whether its next attempt is to be waited for (`_await_next`)."""
    state.attempts = _attempts_of(run, record)
    state.epoch_start = sum(1 for attempt in state.attempts if attempt.epoch < run.epoch)
    state.started_at, state.queued_at = record.started_at, record.queued_at
    state.outputs, state.more = dict(record.outputs), record.more
    run.ended_attempts += sum(1 for attempt in record.attempts if attempt.finished_at is not None)
    run.output_bytes += capacity.size_of(record.outputs)
    if record.phase in TERMINAL:
        _set_terminal(graph, run, state, record)
        return False
    if len(state.attempts) == state.epoch_start:
        if record.phase is not Phase.WAITING:
            # Its trigger has fired and its `when` was true: evaluated again, it might see other ends by now.
            move(run, state, Phase.QUEUED)
            _join(graph, run, state)
        return False
    for phase in path_to_starting(state.phase):
        move(run, state, phase)
    last = state.attempts[-1]
    if last.finished_at is None:
        _resume(run, state)
        return False
    move(run, state, Phase.BACKOFF)
    return True


def _await_next(graph: Graph, run: RunState, state: NodeState) -> None:
    """Wait for the next attempt, or round, of what was recorded to have failed: the delay counts from its recorded end.

    Everything that its retry rules may read has to be back by now.
    """
    last, repeat = state.attempts[-1], state.node.repeat
    assert last.finished_at is not None, "only what has ended is tried again"
    if last.succeeded and repeat is not None:
        delay = timedelta(seconds=repeat.delay_seconds)
    else:
        delay = decide_retry(graph, run, state, last).delay
    state.reason, state.message = last.reason or "NextIteration", last.message
    state.not_before = last.finished_at + delay
    arm(run, state.name, state.not_before)
    deadline = node_deadline(state)
    if deadline is not None:
        arm(run, state.name, deadline)


def _join(graph: Graph, run: RunState, state: NodeState) -> None:
    join_queue(graph, run, state)
    if state.node.clocks.queue_seconds is not None:
        state.queued_at = state.queued_at or run.started_at
        arm(run, state.name, state.queued_at)


def _resume(run: RunState, state: NodeState) -> None:
    """Go on with an attempt that has no object which would tell of it."""
    attempt = state.attempts[-1]
    if state.node.work.kind in OBJECT_KINDS:
        return
    move(run, state, Phase.RUNNING)
    if attempt.due_at is not None:
        arm(run, state.name, attempt.due_at)
    elif attempt.heard_at is None and state.node.work.kind is not WorkKind.APPROVAL:
        run.unsent[state.name, attempt.number] = Unsent(0, resumed=True)
    arm(run, state.name, attempt.started_at or run.started_at)  # its other clocks find out when to look again


def _set_terminal(graph: Graph, run: RunState, state: NodeState, record: NodeRecord) -> None:
    # Not by way of `move`: the record is the outcome of moves that were legal when they were made.
    enter(run, state, record.phase)
    state.reason, state.message = record.reason, record.message
    state.completed_at = record.completed_at
    if record.phase is Phase.CANCELLED and record.reason in STOPS and run.epoch == 1 and not run.stop_recorded:
        # By a release whose status did not say so; what stopped an epoch ends with it.
        run.stop_recorded = record.reason
    if state.parent is None:
        count_end(graph, run.nodes, record)


def count_end(graph: Graph, states: Mapping[str, NodeState], record: NodeRecord) -> None:
    """Count the recorded end of a task with its children. O(children)."""
    phase = record.phase
    if phase is Phase.FAILED and graph.nodes[record.name].continue_on_failure:
        phase = Phase.SUCCEEDED
    for child in graph.children[record.name]:
        triggers.count_parent(states[child], phase)
