"""One pass of the engine over a run: what `plan()` and the modules it is made of share.

A :class:`Pass` holds the inputs of one call and gathers its commands. The functions here are the only ones that end a
node, queue it, or ask for an attempt's end, so that counters, timers, events for people and the children's counters
are kept in one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappush

from fairlead.engine import triggers
from fairlead.engine.capacity import MESSAGE_CHARACTERS
from fairlead.engine.commands import Command, EndAttempt, EventType, RecordEvent
from fairlead.engine.model import ACTIVE, TERMINAL, Graph, Node, Phase, Scope, Settings
from fairlead.engine.state import Attempt, NodeState, QueueEntry, RunState
from fairlead.engine.transitions import move

__all__ = ["Pass", "arm", "end_attempt", "end_node", "enqueue", "note", "place_in_line", "scope_of", "set_timer"]

_FAILED_ENDS = frozenset({Phase.FAILED, Phase.UPSTREAM_FAILED, Phase.CANCELLED})


@dataclass(slots=True)
class Pass:
    """The inputs of one call of `plan()`, the commands it has decided on so far, and the attempts that ended."""

    graph: Graph
    run: RunState
    settings: Settings
    now: datetime
    commands: list[Command] = field(default_factory=list)
    ended: list[Attempt] = field(default_factory=list)


def scope_of(p: Pass, node: Node | None) -> Scope:
    """Return what the expressions of `node` (or, for None, the run's own outputs) see. O(tasks read)."""
    reads = p.graph.reads if node is None else node.reads
    run = p.run
    return {
        "params": p.graph.params,
        "run": {
            "name": run.name,
            "namespace": run.namespace,
            "uid": run.uid,
            "startTime": run.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "tasks": {name: {"phase": run.nodes[name].phase.value, "outputs": run.nodes[name].outputs} for name in reads},
    }


def note(p: Pass, type_: EventType, reason: str, message: str, key: str) -> None:
    """Tell people about a transition."""
    p.commands.append(RecordEvent(type=type_, reason=reason, message=shorten(message), key=key))


def set_timer(p: Pass, name: str, due: datetime) -> None:
    """Look at a node's clocks again at `due`. Timers are never cancelled: one that is no longer true does nothing."""
    arm(p.run, name, due)


def arm(run: RunState, name: str, due: datetime) -> None:
    """Set a timer, unless there is one: a fact that is told again must not make the heap grow."""
    timer = (due, name)
    if timer not in run.armed:
        run.armed.add(timer)
        heappush(run.timers, timer)


def place_in_line(graph: Graph, state: NodeState) -> QueueEntry:
    """Return where a node stands in line: by priority, then as in the definition, then as in its list."""
    return (-state.node.priority, graph.rank[state.node.name], state.index or 0, state.name)


def enqueue(p: Pass, state: NodeState) -> None:
    """Move a node to Queued, in line for a slot by its place in the definition, or held until `not_before`."""
    if state.phase is not Phase.QUEUED:
        move(p.run, state, Phase.QUEUED)
    if state.not_before is not None and state.not_before > p.now:
        set_timer(p, state.node.name, state.not_before)
        return
    state.not_before = None
    heappush(p.run.queue, place_in_line(p.graph, state))


def end_node(
    p: Pass, state: NodeState, phase: Phase, *, reason: str = "", message: str = "", at: datetime | None = None
) -> None:
    """Move a node to a terminal phase, for good, and tell its children's counters. O(children)."""
    assert phase in TERMINAL
    name = state.node.name
    move(p.run, state, phase)
    state.reason, state.message = reason, shorten(message)
    state.completed_at = at or p.now
    state.not_before = None
    for child in p.graph.children[name]:
        triggers.count_parent(p.run.nodes[child], phase)
        p.run.unsettled.append(child)
    if phase is Phase.SUCCEEDED:
        note(p, EventType.NORMAL, "TaskSucceeded", f"task {name!r} succeeded", f"{name}/end")
    elif phase is Phase.FAILED:
        note(p, EventType.WARNING, "TaskFailed", f"task {name!r} failed: {reason}: {message}", f"{name}/end")
    elif phase in _FAILED_ENDS:
        note(p, EventType.NORMAL, f"Task{phase.value}", f"task {name!r}: {message or reason}", f"{name}/end")


def end_attempt(p: Pass, state: NodeState, attempt: Attempt, reason: str) -> None:
    """Ask for the end of a live attempt, once. One that is not known to exist yet is ended when it appears."""
    if not attempt.ending:
        attempt.ending = reason
        p.run.revision += 1
    if attempt.created:
        p.commands.append(
            EndAttempt(
                node=state.node.name,
                number=attempt.number,
                object_name=attempt.object_name,
                kind=state.node.work.kind,
                reason=attempt.ending,
            )
        )


def cancel(p: Pass, state: NodeState, reason: str, message: str) -> None:
    """Cancel a node: at once where it has no live attempt, else as soon as its attempt has ended."""
    if state.phase in TERMINAL:
        return
    if state.phase in ACTIVE and state.current is not None:
        end_attempt(p, state, state.current, reason)
    else:
        end_node(p, state, Phase.CANCELLED, reason=reason, message=message)


def shorten(message: str) -> str:
    """Cut a message to what a status may hold; a longer one ends in an ellipsis."""
    return message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + "…"
