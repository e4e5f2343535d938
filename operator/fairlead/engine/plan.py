"""`plan()`: facts in, decisions out. The product, in one function.

A call costs O(facts log facts + nodes that change), not O(nodes): a node that ends decrements its children's
counters, a blocked node costs nothing, and timers wait in a heap. It reads no clock (`now` is given) and does no I/O;
the same inputs give the same commands in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

from fairlead.engine import actions, clocks, items, outcome, podless, triggers
from fairlead.engine.commands import Command, StartAttempt
from fairlead.engine.deadlines import run_deadline
from fairlead.engine.ends import make_room
from fairlead.engine.events import Event, StatusRecorded, UserAction
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import (
    OBJECT_KINDS,
    TERMINAL,
    ActionKind,
    Graph,
    Json,
    Phase,
    Settings,
    StopMode,
    WorkKind,
)
from fairlead.engine.names import attempt_name
from fairlead.engine.observe import dispose_of_strays, observe, take_in_strays
from fairlead.engine.outputs import OutputError, check_values
from fairlead.engine.passes import Pass, end_node, enqueue
from fairlead.engine.restore import begin, unfold
from fairlead.engine.retry import next_resources
from fairlead.engine.state import Attempt, EndedAttempt, NodeState, QueueEntry, RunState
from fairlead.engine.stops import STOPS
from fairlead.engine.transitions import move
from fairlead.engine.triggers import Verdict
from fairlead.engine.wording import few

__all__ = ["Plan", "begin", "plan"]


#: How long one start that asks whether creates are still refused may take to be answered.
_PROBE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done now, and when to look again without being told anything (None: not before a fact comes).

    `ended` are the attempts whose end was counted by this call.
    """

    commands: tuple[Command, ...]
    wake_at: datetime | None
    ended: tuple[EndedAttempt, ...] = ()


def plan(
    graph: Graph,
    run: RunState,
    events: Iterable[Event],
    settings: Settings,
    now: datetime,
    room: int | None = None,
) -> Plan:
    """Take in `events`, bring `run` up to date in place, and return what follows.

    The order of events matters only among those about the same attempt; what users ask for is looked at after all
    facts, in the order in which they asked. `run` belongs to the caller's worker; nobody else may touch it. `now` must
    be aware (UTC) and is expected not to go backwards, but nothing breaks if it does: limits only pass later. At most
    `room` objects are begun (None: no limit): those that follow stay queued, and whoever calls calls again once some of
    them have been answered. So what is held of creates does not grow with the run.
    """
    p = Pass(graph, run, settings, now, room=room)
    asked = []
    for event in sorted(events, key=_place):
        if isinstance(event, UserAction):
            asked.append(event)
        else:
            observe(p, event)
    # Nothing is started any more when somebody asks in the same breath to stop.
    p.stop_asked = any(action.kind is ActionKind.STOP for action in asked)
    if p.stop_asked and run.outcome is None:
        _derive(p)
        while asked and asked[0].kind is ActionKind.STOP and _shows_stop(run):
            actions.apply(p, asked.pop(0))  # told again after a restart: its effects are there, so it did apply
    _advance(p, start=not any(action.kind is ActionKind.STOP for action in asked))
    for action in asked:
        actions.apply(p, action)
        _advance(p, start=action is asked[-1])
    podless.send(p)
    return Plan(tuple(p.commands), _wake_at(p), tuple(p.ended))


def _place(event: Event) -> tuple[int, str, int, str]:
    """Return where an event belongs among those that come together: the attempts of a node in their order."""
    match event:
        case StatusRecorded():
            return (0, "", 0, "")
        case UserAction():
            return (2, event.created_at.isoformat(), 0, event.uid)
        case _:
            return (1, event.node, event.number, "")


def _advance(p: Pass, *, start: bool) -> None:
    """Draw every conclusion from what is known by now, and start what may be."""
    run = p.run
    if run.outcome is not None:
        return
    if not run.stopping:
        _derive(p)  # a list whose items are there already is laid out before a stop, which has to wait for them
    clocks.check_run(p)
    if run.overrides != p.settings.overrides:
        run.unsettled.extend(name for name in {**run.overrides, **p.settings.overrides} if name in p.graph.nodes)
        run.overrides = p.settings.overrides
    _fire_timers(p)
    _settle(p)
    while start and _grant(p):
        _settle(p)
    outcome.finish(p)


def _shows_stop(run: RunState) -> bool:
    """Tell whether something was ended by a stop. O(nodes)."""
    return any(state.phase is Phase.CANCELLED and state.reason in STOPS for state in run.nodes.values())


def _derive(p: Pass) -> None:
    """Draw the conclusions for which nothing has to be started; where items of unknown lists were seen, every one."""
    _settle(p)
    while p.run.strays and _evaluate_sets(p):
        _settle(p)


def _evaluate_sets(p: Pass) -> bool:
    """Let tasks that only set values do it. Returns whether one did."""
    entries, p.run.free_queue = p.run.free_queue, []
    for entry in sorted(entries):
        state = p.run.nodes[entry[-1]]
        if state.node.work.kind is WorkKind.SET and state.phase is Phase.QUEUED and state.not_before is None:
            _start(p, state)
        else:
            heappush(p.run.free_queue, entry)
    return bool(p.run.unsettled)


def _fire_timers(p: Pass) -> None:
    run = p.run
    while run.timers and run.timers[0][0] <= p.now:
        timer = heappop(run.timers)
        run.armed.discard(timer)
        clocks.check(p, run.nodes[timer[1]])


def _settle(p: Pass) -> None:
    """Apply the moves that follow from the graph alone, until nothing more follows."""
    unsettled = p.run.unsettled
    while unsettled:
        state = p.run.nodes[unsettled.pop()]
        if state.items is not None:
            items.settle(p, state)
        elif state.phase is Phase.WAITING and state.parent is None:
            _pull_trigger(p, state)
            if state.is_over and state.name in p.run.strays:
                dispose_of_strays(p, state)


def _pull_trigger(p: Pass, state: NodeState) -> None:
    node = state.node
    if (node.final and not p.run.is_finalizing) or _is_cut_off(p, state):
        return
    match triggers.decide(state):
        case Verdict.WAIT:
            return
        case Verdict.SKIP:
            end_node(p, state, Phase.SKIPPED, reason="TriggerRule", message=_why_not(p, state))
        case Verdict.UPSTREAM_FAILED:
            end_node(p, state, Phase.UPSTREAM_FAILED, reason="UpstreamFailed", message=_why_not(p, state))
        case Verdict.RUN:
            _ask_when(p, state)


def _is_cut_off(p: Pass, state: NodeState) -> bool:
    """Tell whether a parent was ended by a stop that a restarted controller has yet to look at: nothing follows of it.

    But for what had begun before: a list whose items there have been.
    """
    run = p.run
    if run.stopping or state.node.final or not (p.stop_asked or run.stop_recorded):
        return False
    if state.past or state.name in run.strays:
        return False
    parents = [run.nodes[name] for name in state.node.needs]
    return any(parent.phase is Phase.CANCELLED and parent.reason in STOPS for parent in parents)


def _ask_when(p: Pass, state: NodeState) -> None:
    """The trigger of a node has fired: does it want to run?"""
    if p.stops(state):
        end_node(p, state, Phase.CANCELLED, reason=p.run.stopping)
        return
    try:
        wanted = state.node.when is None or state.node.when.evaluate(p.scope(state))
    except ExpressionError as error:
        end_node(p, state, Phase.FAILED, reason="ExpressionError", message=f"when: {error.message}")
        return
    if wanted is False:
        end_node(p, state, Phase.SKIPPED, reason="WhenFalse", message="its condition `when` is false")
    elif wanted is not True:
        message = f"when: the value must be true or false, it is {wanted!r}"
        end_node(p, state, Phase.FAILED, reason="ExpressionError", message=message)
    elif state.node.for_each is not None:
        _begin_list(p, state)
    else:
        enqueue(p, state)


def _begin_list(p: Pass, state: NodeState) -> None:
    """Find out what a `forEach` task works on, and begin with it."""
    try:
        values = items.evaluate_list(p.graph, p.run, state)
    except items.ListError as error:
        end_node(p, state, Phase.FAILED, reason=error.reason, message=error.message)
        return
    if not values:
        end_node(p, state, Phase.SKIPPED, reason="NoItems", message="its list `forEach.in` is empty")
        return
    unfold(p.graph, p.run, state, values)
    state.started_at = state.started_at or p.now
    take_in_strays(p, state)


def _why_not(p: Pass, state: NodeState) -> str:
    """Name the parents that kept a node from running, the first few."""
    ended = [
        f"{name} {p.run.nodes[name].phase.value}"
        for name in state.node.needs
        if p.run.nodes[name].phase in TERMINAL - {Phase.SUCCEEDED}
    ] or [f"{name} {p.run.nodes[name].phase.value}" for name in state.node.needs]
    return f"trigger {state.node.trigger.value}: {few(ended)}"


def _may_start(p: Pass) -> bool:
    """Tell whether anything at all may be started now. `finally` comes in a run that is stopped or suspended, too."""
    if not p.run.is_proven:
        return False
    if p.run.is_finalizing:
        return p.run.stop_mode is not StopMode.TERMINATE
    return not p.settings.suspend and not p.run.stopping


def _grant(p: Pass) -> bool:
    """Start queued nodes as far as there are slots. Returns whether one ended on the way: its children must settle."""
    if not _may_start(p):
        return False
    return _start_from(p, p.run.free_queue, None) or _grant_slots(p)


def _grant_slots(p: Pass) -> bool:
    run = p.run
    if run.hold_until is not None and p.now < run.hold_until:
        return False
    limit = None if run.is_finalizing else p.settings.parallelism
    return _start_from(p, run.queue, limit)


def _start_from(p: Pass, queue: list[QueueEntry], limit: int | None) -> bool:
    run = p.run
    while queue and (limit is None or run.live < limit):
        state = run.nodes[queue[0][-1]]
        if state.phase is not Phase.QUEUED or state.not_before is not None:
            heappop(queue)
            continue  # an entry that is no longer true: started elsewhere, ended, or held back
        has_object = state.node.work.kind in OBJECT_KINDS
        if has_object and p.room is not None and p.room <= 0:
            return False
        heappop(queue)
        begins = _start(p, state)
        if begins and p.room is not None:
            p.room -= 1
        if run.unsettled:
            return True
        if run.hold_until is not None and begins:
            run.hold_until = p.now + _PROBE  # one asks; the others follow once its object exists
            return False
        if not run.is_proven:
            return False
    return False


def _start(p: Pass, state: NodeState) -> bool:
    """Begin what a node does: most kinds are begun by somebody else, on our command.

    Returns whether an object is to be created.
    """
    run, kind = p.run, state.node.work.kind
    try:
        work = state.node.work.evaluate(p.scope(state))
    except ExpressionError as error:
        end_node(p, state, Phase.FAILED, reason="ExpressionError", message=error.message)
        return False
    if kind is WorkKind.SET:
        _set(p, state, work["values"])
        return False
    if kind not in OBJECT_KINDS:
        podless.begin(p, state, work)
        return False
    number = len(state.attempts) + 1
    object_name = attempt_name(run.name, run.uid, state.name, number)
    earlier = state.attempts[-1] if kind is WorkKind.WORKFLOW and number == state.epoch_start + 1 > 1 else None
    resources = next_resources(p.graph, run, state)
    attempt = Attempt(number=number, object_name=object_name, epoch=run.epoch, iteration=state.iteration)
    state.attempts.append(attempt)
    move(run, state, Phase.STARTING)
    p.commands.append(
        StartAttempt(
            node=state.name,
            number=number,
            object_name=object_name,
            kind=kind,
            work=work,
            resources=resources,
            index=state.index,
            iteration=attempt.iteration,
            succeeds=earlier.object_name if earlier else "",
        )
    )
    return True


def _set(p: Pass, state: NodeState, values: dict[str, Json]) -> None:
    """A task that only sets values is done once they are known: a pure function of durable facts."""
    try:
        outputs = check_values(state.node.outputs, values)
        make_room(p.run, outputs)
    except OutputError as error:
        end_node(p, state, Phase.FAILED, reason=error.reason, message=error.message)
        return
    state.outputs = outputs
    end_node(p, state, Phase.SUCCEEDED)


def _wake_at(p: Pass) -> datetime | None:
    run = p.run
    if run.outcome is not None:
        return None
    due = [timer[0] for timer in run.timers[:1]]
    deadline = clocks.final_deadline(p) if run.is_finalizing else run_deadline(run, p.settings)
    # One that has passed has had its effect in this very pass: what it ends takes its time, and tells of its end.
    if deadline is not None and deadline > p.now and (run.is_finalizing or not run.stopping):
        due.append(deadline)
    if run.hold_until is not None and run.hold_until > p.now and run.queue and _may_start(p):
        due.append(run.hold_until)
    return min(due, default=None)
