"""One pass of the engine over a run: what `plan()` and the modules it is made of share.

A :class:`Pass` holds the inputs of one call and gathers its commands. The functions here are the only ones that end a
node or put it in line, so that counters, timers, events for people and the children's counters are kept in one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappush

from fairlead.engine import capacity, triggers
from fairlead.engine.commands import Command, EventType, RecordEvent
from fairlead.engine.model import TERMINAL, Graph, Json, Phase, Scope, Settings, StopMode
from fairlead.engine.scopes import scope_of
from fairlead.engine.state import EndedAttempt, NodeState, QueueEntry, RunState
from fairlead.engine.transitions import move
from fairlead.engine.wording import shorten

__all__ = ["Pass", "arm", "default_outputs", "end_node", "enqueue", "give_back", "join_queue", "note"]


@dataclass(slots=True)
class Pass:
    """The inputs of one call of `plan()`, the commands it has decided on so far, and the attempts that ended.

    `stop_asked`: somebody asks in this call to stop the run. `room`: how many objects may be begun yet.
    """

    graph: Graph
    run: RunState
    settings: Settings
    now: datetime
    commands: list[Command] = field(default_factory=list)
    ended: list[EndedAttempt] = field(default_factory=list)
    stop_asked: bool = False
    room: int | None = None

    def scope(self, state: NodeState | None) -> Scope:
        """Return what the expressions of a node (or, for None, the run's own outputs) see."""
        return scope_of(self.graph, self.run, state)

    def stops(self, state: NodeState) -> bool:
        """Tell whether the run is being stopped so that this node starts nothing more."""
        return bool(self.run.stopping) and (not state.node.final or self.run.stop_mode is StopMode.TERMINATE)


def note(p: Pass, type_: EventType, reason: str, message: str, key: str) -> None:
    """Tell people about a transition. `key` is unique within the run; that of a later epoch is another one."""
    key = key if p.run.epoch == 1 else f"{key}/{p.run.epoch}"
    p.commands.append(RecordEvent(type=type_, reason=reason, message=shorten(message), key=key))


def arm(run: RunState, name: str, due: datetime) -> None:
    """Look at a node's clocks again at `due`. Timers are never cancelled: one that is no longer true does nothing.

    There is one for a moment at most: a fact that is told again must not make the heap grow.
    """
    timer = (due, name)
    if timer not in run.armed:
        run.armed.add(timer)
        heappush(run.timers, timer)


def enqueue(p: Pass, state: NodeState) -> None:
    """Move a node to Queued, in line for a slot by its place in the definition, or held until `not_before`."""
    if state.phase is not Phase.QUEUED:
        move(p.run, state, Phase.QUEUED)
        state.queued_at = state.queued_at or p.now  # a start that was refused has not ended the wait
        if state.node.clocks.queue_seconds is not None:
            arm(p.run, state.name, p.now)  # its clock finds out when to look again
    if state.not_before is not None and state.not_before > p.now:
        arm(p.run, state.name, state.not_before)
        return
    state.not_before = None
    join_queue(p.graph, p.run, state)


def give_back(run: RunState, state: NodeState) -> None:
    """Tell the list of an item that this has no attempt any more, and is to have another."""
    if state.parent is not None and state.parent.items is not None:
        state.parent.items.returned.append(state)
        run.unsettled.append(state.parent.name)


def join_queue(graph: Graph, run: RunState, state: NodeState) -> None:
    """Put a queued node in line: by priority, then as in the definition, then as in its list."""
    entry: QueueEntry = (-state.node.priority, graph.rank[state.node.name], state.index or 0, state.name)
    heappush(run.queue if state.takes_slot else run.free_queue, entry)


def end_node(
    p: Pass, state: NodeState, phase: Phase, *, reason: str = "", message: str = "", at: datetime | None = None
) -> None:
    """Move a node to a terminal phase, for good, and tell its children's counters, or its list. O(children)."""
    assert phase in TERMINAL
    run = p.run
    move(run, state, phase)
    state.reason, state.message = reason, shorten(message)
    state.completed_at = at or p.now
    if phase is not Phase.SUCCEEDED:
        _set_outputs(run, state, {})  # those of an earlier round are nobody's any more
    state.not_before = state.queued_at = None
    state.past_digest = ""  # it has ended without a list: what was recorded of one has ended with that
    if state.parent is not None:
        run.touch(state.parent)
        run.unsettled.append(state.parent.name)
    else:
        _tell_children(p, state)
    _tell_people(p, state)


def _tell_children(p: Pass, state: NodeState) -> None:
    run, phase = p.run, state.phase
    if phase is Phase.FAILED and state.node.continue_on_failure:
        # Its children go on as after a success, with what it would have handed on by default.
        phase = Phase.SUCCEEDED
        _set_outputs(run, state, default_outputs(state))
    for name in p.graph.children[state.name]:
        child = run.nodes[name]
        triggers.count_parent(child, phase)
        run.unsettled.append(name)
        if child.phase is Phase.WAITING:
            run.touch(child)  # it waits for fewer
    if run.is_finalizing and not state.node.final:
        run.final_since = state.completed_at
        run.unsettled.extend(p.graph.final)


def _set_outputs(run: RunState, state: NodeState, outputs: dict[str, Json]) -> None:
    if state.node.for_each is None or state.parent is not None:  # those of a list are its items', counted there
        run.output_bytes += capacity.size_of(outputs) - capacity.size_of(state.outputs)
    state.outputs = outputs


def default_outputs(state: NodeState) -> dict[str, Json]:
    """Return the outputs of a node that failed and is to count as a success: their defaults.

    Those of a task with items are lists as ever, with the default in the place of an item that has none.
    """
    declared = state.node.outputs
    if state.node.for_each is None or state.parent is not None:
        return {each.name: each.default for each in declared if each.has_default}
    items = state.items.states if state.items is not None else []
    return {each.name: [item.outputs.get(each.name, each.default) for item in items] for each in declared}


def _tell_people(p: Pass, state: NodeState) -> None:
    name, phase = state.name, state.phase
    if phase is Phase.FAILED:
        note(
            p, EventType.WARNING, "TaskFailed", f"task {name!r} failed: {state.reason}: {state.message}", f"{name}/end"
        )
    elif state.parent is not None:
        return  # thousands of items that went well are one event: their task's
    elif phase is Phase.SUCCEEDED:
        note(p, EventType.NORMAL, "TaskSucceeded", f"task {name!r} succeeded", f"{name}/end")
    elif phase in (Phase.UPSTREAM_FAILED, Phase.CANCELLED):
        text = f"task {name!r}: {state.message or state.reason}"
        note(p, EventType.NORMAL, f"Task{phase.value}", text, f"{name}/end")
