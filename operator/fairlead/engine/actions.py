"""What users ask of a run: each request is applied once, as a whole or not at all, and what became of it is recorded.

A request that cannot apply changes nothing and says why. One that does applies together with its record, in one write
of the status, before anything that follows from it is started; one that was recorded is never applied again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairlead.engine import approvals, podless
from fairlead.engine.commands import EventType
from fairlead.engine.ends import conclude, record_end
from fairlead.engine.epochs import begin_epoch, dependants, record_of
from fairlead.engine.events import UserAction
from fairlead.engine.model import OBJECT_KINDS, TERMINAL, ActionKind, FailureClass, Json, Phase, StopMode, WorkKind
from fairlead.engine.outputs import OutputError, check_lists, check_values
from fairlead.engine.passes import Pass, arm, default_outputs, end_node, note
from fairlead.engine.refusals import Refused
from fairlead.engine.state import ActionRecord, NodeRecord, NodeState, Outcome, Result
from fairlead.engine.stops import STOP_REASONS, stop
from fairlead.engine.wording import few

__all__ = ["ACTIONS_KEPT", "apply"]

#: How many requests are kept on record.
ACTIONS_KEPT = 100

#: Ends after which a task is run again by a retry.
_TO_RETRY = frozenset({Phase.FAILED, Phase.UPSTREAM_FAILED, Phase.CANCELLED})

#: Ends that may have come about because of another task's, and are looked at again after that one.
_CONSEQUENCES = _TO_RETRY | {Phase.SKIPPED}

_MARKS = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED})

_HASTE = (StopMode.GRACEFUL, StopMode.CANCEL, StopMode.TERMINATE)


def apply(p: Pass, action: UserAction) -> None:
    """Apply one request, unless it has been already."""
    run = p.run
    if any(record.uid == action.uid for record in run.actions):
        return
    try:
        said = _APPLY[action.kind](p, action)
        accepted, reason = True, "Accepted"
    except Refused as refused:
        accepted, reason, said = False, refused.reason, refused.message
    record = ActionRecord(
        uid=action.uid,
        name=action.name,
        action=action.kind,
        by=action.by,
        at=p.now,
        accepted=accepted,
        reason=reason,
        message=said,
    )
    run.actions = [*run.actions, record][-ACTIONS_KEPT:]
    run.revision += 1
    if accepted:
        run.unproven_revision = run.revision
    verb = action.kind.value
    note(
        p,
        EventType.NORMAL if accepted else EventType.WARNING,
        f"{verb}Accepted" if accepted else f"{verb}Refused",
        f"{verb} by {action.by or 'somebody'}: {said or reason}",
        f"action/{action.uid}",
    )


def _stop(p: Pass, action: UserAction) -> str:
    mode = action.mode or StopMode.CANCEL
    run = p.run
    if run.outcome is not None:
        raise Refused("RunFinished", "the run has ended already")
    if run.stopping and run.stop_mode is not None and _HASTE.index(mode) <= _HASTE.index(run.stop_mode):
        raise Refused("AlreadyStopping", f"the run is being stopped already: {run.stopping}")
    message = f"stopped by {action.by}" + (f": {action.reason}" if action.reason else "")
    stop(p, STOP_REASONS[mode], mode, message)
    return f"the run is being stopped ({mode.value})"


def _retry(p: Pass, action: UserAction) -> str:
    graph, run = p.graph, p.run
    _needs_finished(p)
    assert run.outcome is not None
    if run.outcome.succeeded:
        raise Refused("NothingToRetry", "the run has succeeded; Clear runs tasks again that have")
    if action.tasks:
        states = [_state(p, name) for name in action.tasks]
        for state in states:
            if state.phase not in _TO_RETRY:
                raise Refused("NothingToRetry", f"{state.name} has ended {state.phase.value}, which is not retried")
    else:
        states = [state for name in graph.nodes if (state := run.nodes[name]).phase in _TO_RETRY]
    states = [state for state in states if not state.node.final]
    tasks, items = _whole_and_items(states)
    reopened = {state.name for state in states if state.items is not None}
    roots = {*tasks, *reopened, *(name.partition("[")[0] for name in items)}
    phases = {Phase.SKIPPED} if not action.tasks else _CONSEQUENCES
    tasks |= dependants(graph, run, roots, phases)
    p.graph = action.graph or graph
    begin_epoch(p.graph, run, tasks, items, {}, p.now, reopened=reopened - tasks)
    return f"retried in epoch {run.epoch}: {few(sorted(tasks | items)) or 'finally'}"


def _whole_and_items(states: list[NodeState]) -> tuple[set[str], set[str]]:
    """Divide what is retried into whole tasks, and items of tasks whose other items stay as they are."""
    tasks: set[str] = set()
    items: set[str] = set()
    for state in states:
        if state.items is not None:
            items |= {item.name for item in state.items.states if item.phase in _TO_RETRY}
        elif state.parent is not None:
            items.add(state.name)
        else:
            tasks.add(state.name)
    return tasks, items


def _clear(p: Pass, action: UserAction) -> str:
    _needs_finished(p)
    states = [_state(p, name) for name in action.tasks]
    items = {state.name for state in states if state.parent is not None}
    tasks = {state.name for state in states if state.parent is None and not state.node.final}
    roots = {*tasks, *(name.partition("[")[0] for name in items)}
    tasks |= dependants(p.graph, p.run, roots, TERMINAL)
    p.graph = action.graph or p.graph
    begin_epoch(p.graph, p.run, tasks, items, {}, p.now)
    return f"cleared in epoch {p.run.epoch}: {few(sorted(tasks | items)) or 'finally'}"


def _mark(p: Pass, action: UserAction) -> str:
    phase = action.phase
    if phase not in _MARKS:
        raise Refused("InvalidPhase", "a task can be marked Succeeded, Failed or Skipped")
    states = [_state(p, name) for name in action.tasks]
    outputs = {state.name: _marked_outputs(state, phase, action.values) for state in states}
    message = f"marked by {action.by}" + (f": {action.reason}" if action.reason else "")
    if p.run.outcome is None:
        for state in states:
            _check_markable(state)
        for state in states:
            _mark_now(p, state, phase, message, outputs[state.name])
        return f"marked {phase.value}: {few(action.tasks)}"
    marks = {
        state.name: NodeRecord(
            name=state.name,
            phase=phase,
            reason="Marked",
            message=message,
            started_at=state.started_at,
            completed_at=p.now,
            outputs=outputs[state.name],
            attempts=record_of(state).attempts,
            digest=record_of(state).digest,
            total=record_of(state).total,
        )
        for state in states
    }
    roots = {state.name.partition("[")[0] for state in states}
    tasks = dependants(p.graph, p.run, roots, _CONSEQUENCES) - set(marks)
    begin_epoch(p.graph, p.run, tasks, (), marks, p.now)
    return f"marked {phase.value} in epoch {p.run.epoch}: {few(action.tasks)}"


def _marked_outputs(state: NodeState, phase: Phase, values: Mapping[str, Json]) -> dict[str, Json]:
    if phase is Phase.FAILED and state.node.continue_on_failure and state.parent is None:
        return default_outputs(state)
    if phase is not Phase.SUCCEEDED or state.items is not None:
        return {}
    check = check_lists if state.node.for_each is not None and state.parent is None else check_values
    try:
        return check(state.node.outputs, values)
    except OutputError as error:
        raise Refused("InvalidValues", f"{state.name}: {error.message}; give it in `values`") from error


def _check_markable(state: NodeState) -> None:
    if state.is_over:
        raise Refused("AlreadyEnded", f"{state.name} has ended {state.phase.value}; mark it once the run has ended")
    if state.items is not None:
        raise Refused("TaskRunning", f"{state.name} runs; mark its items, or stop the run first")
    if state.current is not None and state.node.work.kind in OBJECT_KINDS:
        raise Refused("TaskRunning", f"an attempt of {state.name} runs; wait for its end, or stop the run first")


def _mark_now(p: Pass, state: NodeState, phase: Phase, message: str, outputs: dict[str, Json]) -> None:
    attempt = state.current
    if attempt is not None:
        p.run.unsent.pop((state.name, attempt.number), None)
        outcome = Outcome(result=Result.CANCELLED, finished_at=p.now, reason="Marked", message=message)
        record_end(p, state, attempt, outcome)
    state.outputs = outputs
    end_node(p, state, phase, reason="Marked", message=message)


def _approve(p: Pass, action: UserAction) -> str:
    waiting = [_awaited(p, name, WorkKind.APPROVAL) for name in action.tasks]
    answers = [approvals.approved(p, state, action) for state in waiting]
    for state, values in zip(waiting, answers, strict=True):
        podless.answer(p, state, state.attempts[-1], values)
    return f"approved: {few(action.tasks)}"


def _reject(p: Pass, action: UserAction) -> str:
    waiting = [_awaited(p, name, WorkKind.APPROVAL, WorkKind.WAIT) for name in action.tasks]
    for state in waiting:
        if state.node.work.kind is WorkKind.APPROVAL:
            approvals.check_identity(p, state, action)
        else:
            _check_token(state, action)
    message = f"rejected by {action.by}" + (f": {action.reason}" if action.reason else "")
    for state in waiting:
        outcome = Outcome(
            result=Result.FAILED,
            finished_at=p.now,
            failure_class=FailureClass.USER,
            reason="Rejected",
            message=message,
        )
        conclude(p, state, state.attempts[-1], outcome)
    return f"rejected: {few(action.tasks)}"


def _complete(p: Pass, action: UserAction) -> str:
    waiting = [_awaited(p, name, WorkKind.WAIT) for name in action.tasks]
    for state in waiting:
        _check_token(state, action)
        try:
            check_values(state.node.outputs, action.values)
        except OutputError as error:
            raise Refused("InvalidValues", f"{state.name}: {error.message}; give it in `values`") from error
    for state in waiting:
        podless.answer(p, state, state.attempts[-1], action.values)
    return f"completed: {few(action.tasks)}"


def _heartbeat(p: Pass, action: UserAction) -> str:
    waiting = [_awaited(p, name, WorkKind.WAIT) for name in action.tasks]
    for state in waiting:
        _check_token(state, action)
    for state in waiting:
        state.attempts[-1].heard_at = p.now
        arm(p.run, state.name, p.now)
        p.run.touch(state)
    return f"heard of: {few(action.tasks)}"


def _awaited(p: Pass, name: str, *kinds: WorkKind) -> NodeState:
    """Return the state of a node that waits for somebody's answer."""
    state = _state(p, name)
    kind = state.node.work.kind
    if kind not in kinds:
        raise Refused("WrongKind", f"{name} is no {' or '.join(each.value.lower() for each in kinds)} task")
    attempt = state.current
    if attempt is None or (kind is WorkKind.WAIT and attempt.heard_at is None):
        ended = f"it has ended {state.phase.value}" if state.is_over else f"it is {state.phase.value}"
        raise Refused("NotWaiting", f"{name} does not wait for an answer: {ended}")
    return state


def _check_token(state: NodeState, action: UserAction) -> None:
    expected = state.attempts[-1].object_name
    if action.token and action.token != expected:
        raise Refused("StaleToken", f"{state.name} waits for the token {expected}: that one is of another attempt")


def _needs_finished(p: Pass) -> None:
    if p.run.outcome is None:
        raise Refused("RunActive", "the run goes on; wait for its end, or stop it first")


def _state(p: Pass, name: str) -> NodeState:
    state = p.run.nodes.get(name)
    if state is None:
        raise Refused("NoSuchTask", f"the run has no task {name!r}")
    return state


_APPLY: Mapping[ActionKind, Callable[[Pass, UserAction], str]] = {
    ActionKind.RETRY: _retry,
    ActionKind.CLEAR: _clear,
    ActionKind.MARK: _mark,
    ActionKind.STOP: _stop,
    ActionKind.APPROVE: _approve,
    ActionKind.REJECT: _reject,
    ActionKind.COMPLETE: _complete,
    ActionKind.HEARTBEAT: _heartbeat,
}
