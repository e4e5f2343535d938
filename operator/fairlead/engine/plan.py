"""`plan()`: facts in, decisions out. The product, in one function.

A call costs O(facts log facts + nodes that change), not O(nodes): a node that ends decrements its children's
counters, a blocked node costs nothing, and timers wait in a heap. It reads no clock (`now` is given) and does no I/O;
the same inputs give the same commands in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop

from fairlead.engine import capacity, clocks, triggers
from fairlead.engine.commands import Command, EventType, StartAttempt
from fairlead.engine.events import Event, StatusRecorded, UserAction
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import TERMINAL, FailureClass, Graph, Phase, Settings, TriggerRule
from fairlead.engine.names import attempt_name
from fairlead.engine.observe import observe
from fairlead.engine.passes import Pass, end_node, enqueue, note, scope_of, shorten
from fairlead.engine.state import Attempt, NodeState, RunOutcome, RunState
from fairlead.engine.transitions import move
from fairlead.engine.triggers import Verdict

__all__ = ["Plan", "begin", "plan"]


#: How long one start that asks whether creates are still refused may take to be answered.
_PROBE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done now, and when to look again without being told anything (None: not before a fact comes).

    `ended` has, for each attempt whose end was counted by this call, the class of its failure (None: it succeeded or
    was cancelled).
    """

    commands: tuple[Command, ...]
    wake_at: datetime | None
    ended: tuple[FailureClass | None, ...] = ()


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
        unsettled=[name for name, node in graph.nodes.items() if not node.needs or node.trigger is TriggerRule.ALWAYS],
    )


def plan(graph: Graph, run: RunState, events: Iterable[Event], settings: Settings, now: datetime) -> Plan:
    """Take in `events`, bring `run` up to date in place, and return what follows.

    The order of events matters only among those about the same attempt. `run` belongs to the caller's worker; nobody
    else may touch it. `now` must be aware (UTC) and is expected not to
    go backwards, but nothing breaks if it does: limits only pass later.
    """
    p = Pass(graph, run, settings, now)
    for event in sorted(events, key=_place):
        observe(p, event)
    if run.outcome is None:
        clocks.check_run(p)
        _fire_timers(p)
        _settle(p)
        while _grant(p):
            _settle(p)
        _finish(p)
    return Plan(tuple(p.commands), _wake_at(p), tuple(attempt.failure_class for attempt in p.ended))


def _place(event: Event) -> tuple[str, int]:
    """Return where an event belongs among those that come together: the attempts of a node in their order."""
    return ("", 0) if isinstance(event, StatusRecorded | UserAction) else (event.node, event.number)


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
        if state.phase is Phase.WAITING:
            _pull_trigger(p, state)


def _pull_trigger(p: Pass, state: NodeState) -> None:
    node = state.node
    match triggers.decide(state):
        case Verdict.WAIT:
            return
        case Verdict.SKIP:
            end_node(p, state, Phase.SKIPPED, reason="TriggerRule", message=_why_not(p, state))
        case Verdict.UPSTREAM_FAILED:
            end_node(p, state, Phase.UPSTREAM_FAILED, reason="UpstreamFailed", message=_why_not(p, state))
        case Verdict.RUN:
            if p.run.stopping:
                end_node(p, state, Phase.CANCELLED, reason=p.run.stopping)
                return
            try:
                wanted = node.when is None or node.when.evaluate(scope_of(p, node))
            except ExpressionError as error:
                end_node(p, state, Phase.FAILED, reason="ExpressionError", message=f"when: {error.message}")
                return
            if wanted is True:
                enqueue(p, state)
            elif wanted is False:
                end_node(p, state, Phase.SKIPPED, reason="WhenFalse", message="its condition `when` is false")
            else:
                message = f"when: the value must be true or false, it is {wanted!r}"
                end_node(p, state, Phase.FAILED, reason="ExpressionError", message=message)


def _why_not(p: Pass, state: NodeState) -> str:
    """Name the parents that kept a node from running, the first few."""
    ended = [
        f"{name} {p.run.nodes[name].phase.value}"
        for name in state.node.needs
        if p.run.nodes[name].phase in TERMINAL - {Phase.SUCCEEDED}
    ] or [f"{name} {p.run.nodes[name].phase.value}" for name in state.node.needs]
    shown = ", ".join(ended[:5]) + (f" and {len(ended) - 5} more" if len(ended) > 5 else "")
    return f"trigger {state.node.trigger.value}: {shown}"


def _may_start(p: Pass) -> bool:
    return not p.settings.suspend and not p.run.stopping and p.run.is_proven


def _grant(p: Pass) -> bool:
    """Give free slots to queued nodes. Returns whether a node ended on the way, so that its children must settle."""
    run, limit = p.run, p.settings.parallelism
    if not _may_start(p):
        return False
    if run.hold_until is not None and p.now < run.hold_until:
        return False
    while run.queue and (limit is None or run.live < limit):
        state = run.nodes[heappop(run.queue)[-1]]
        if state.phase is not Phase.QUEUED or state.not_before is not None:
            continue  # an entry that is no longer true: started elsewhere, ended, or held back
        _start(p, state)
        if run.unsettled:
            return True
        if run.hold_until is not None:
            run.hold_until = p.now + _PROBE  # one asks; the others follow once its object exists
            return False
    return False


def _start(p: Pass, state: NodeState) -> None:
    run, node = p.run, state.node
    try:
        work = node.work.evaluate(scope_of(p, node))
    except ExpressionError as error:
        end_node(p, state, Phase.FAILED, reason="ExpressionError", message=error.message)
        return
    number = len(state.attempts) + 1
    object_name = attempt_name(run.name, run.uid, node.name, number)
    state.attempts.append(Attempt(number=number, object_name=object_name))
    move(run, state, Phase.STARTING)
    p.commands.append(
        StartAttempt(node=node.name, number=number, object_name=object_name, kind=node.work.kind, work=work)
    )


def _finish(p: Pass) -> None:
    """End the run once every node has ended. It fails if and only if a task failed or was cancelled."""
    run = p.run
    if sum(run.counts[phase] for phase in TERMINAL) < len(run.nodes):
        return
    succeeded, reason, message = True, "Succeeded", _summary(run)
    if run.counts[Phase.CANCELLED]:
        first = next(state for state in run.nodes.values() if state.phase is Phase.CANCELLED)
        cause = run.stopping or first.reason
        succeeded, (reason, why) = False, _CANCELLED_BECAUSE.get(cause, (cause, cause))
        message = f"{why}; {_summary(run)}"
    elif run.counts[Phase.FAILED]:
        succeeded, reason, message = False, "TaskFailed", _failures(run)
    else:
        try:
            scope = scope_of(p, None)
            outputs = {name: value.evaluate(scope) for name, value in p.graph.outputs}
            if capacity.size_of(outputs) <= capacity.OUTPUT_BYTES:
                run.outputs = outputs
            else:
                succeeded, reason = False, "OutputTooLarge"
                message = f"spec.outputs are larger than {capacity.OUTPUT_BYTES} bytes: output an address instead"
        except ExpressionError as error:
            succeeded, reason, message = False, "ExpressionError", error.message
    run.outcome = RunOutcome(succeeded=succeeded, reason=reason, message=shorten(message), finished_at=p.now)
    run.revision += 1
    note(
        p,
        EventType.NORMAL if succeeded else EventType.WARNING,
        "Succeeded" if succeeded else "Failed",
        f"{reason}: {message}" if not succeeded else message,
        "end",
    )


#: The reason of the run and the words for people, by the reason for which its tasks were cancelled.
_CANCELLED_BECAUSE = {"RunDeadlineExceeded": ("DeadlineExceeded", "the run took longer than its deadlineSeconds")}


def _summary(run: RunState) -> str:
    counted = [f"{count} {phase.value}" for phase, count in run.counts.items() if count]
    return f"{len(run.nodes)} task{'s' * (len(run.nodes) != 1)}: " + ", ".join(counted)


def _failures(run: RunState) -> str:
    failed = [state for state in run.nodes.values() if state.phase is Phase.FAILED]
    first = failed[0]
    text = f"task {first.node.name!r} failed: {first.reason}: {first.message}"
    return text if len(failed) == 1 else f"{text} (and {len(failed) - 1} more tasks failed)"


def _wake_at(p: Pass) -> datetime | None:
    if p.run.outcome is not None:
        return None
    due = [timer[0] for timer in p.run.timers[:1]]
    deadline = clocks.run_deadline(p.run, p.settings)
    if deadline is not None and not p.run.stopping:
        due.append(deadline)
    if p.run.hold_until is not None and p.run.queue and _may_start(p):
        due.append(p.run.hold_until)
    return min(due, default=None)
