"""Taking in one fact about an attempt: the only place where what was observed changes the state of a node.

Facts may come twice, late, or before the state knows the attempt (a controller that starts afresh). Each function
leaves the state as if the facts had come once and in order.

An end that no object shows (the object is gone, or was never created) is known to this state alone. Nothing that may
follow from it is started before it is recorded: `RunState.unproven_revision`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fairlead.engine import capacity, clocks
from fairlead.engine.commands import EndAttempt, EventType, ReleaseAttempt
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused, StatusRecorded
from fairlead.engine.model import TERMINAL, FailureClass, Json, Phase
from fairlead.engine.names import attempt_name
from fairlead.engine.outputs import OutputError, read_outputs
from fairlead.engine.passes import Pass, end_attempt, end_node, enqueue, note, set_timer, shorten
from fairlead.engine.retry import ENDINGS, RetryDecision, decide_retry
from fairlead.engine.state import Attempt, NodeState, Outcome, Result, RunState
from fairlead.engine.transitions import move, path_to_starting

__all__ = ["observe"]

#: The reason of an attempt that is only known by the one that came after it.
_LOST = "Lost"


def observe(p: Pass, event: Event) -> None:
    """Take in one fact."""
    match event:
        case AttemptSeen():
            _attempt_seen(p, event)
        case AttemptGone():
            _attempt_gone(p, event)
        case StartRefused():
            _start_refused(p, event)
        case StatusRecorded():
            _status_recorded(p, event)


def _attempt_seen(p: Pass, seen: AttemptSeen) -> None:
    state = p.run.nodes.get(seen.node)
    if state is None or not _is_ours(p.run, state, seen):
        return
    attempt = _known(state, seen.number)
    if attempt is None:
        if state.phase in TERMINAL:
            _dispose_of_stray(p, state, seen)
            return
        attempt = _adopt(p, state, seen)
    if not attempt.created:
        p.run.revision += 1
        p.run.hold_until = None
    attempt.created, attempt.held = True, seen.held
    attempt.started_at = seen.started_at
    if attempt.finished_at is not None:
        if attempt.reason == _LOST and seen.outcome is not None:
            _record_end(p, state, attempt, seen.outcome)
        else:
            # Its end is known already. Seen again after a crash between recording and releasing: release it now.
            _keep_until_recorded(p, state, attempt)
        return
    _update(p, attempt, seen)
    if attempt is state.attempts[-1]:
        _follow(p, state, attempt, seen)
    elif seen.outcome is not None:
        _record_end(p, state, attempt, seen.outcome)


def _is_ours(run: RunState, state: NodeState, seen: AttemptSeen) -> bool:
    """Tell whether an object has the name of the attempt it claims to be; anybody can put labels on a pod."""
    policy = state.node.retry
    # A gap wider than the budgets was not left by us. Filling it would cost as much as its author likes.
    most = len(state.attempts) + 1 + policy.limit + policy.infrastructure_limit
    if not 1 <= seen.number <= most:
        return False
    attempt = _known(state, seen.number)
    if attempt is not None:
        return seen.object_name == attempt.object_name
    return seen.object_name == attempt_name(run.name, run.uid, seen.node, seen.number)


def _update(p: Pass, attempt: Attempt, seen: AttemptSeen) -> None:
    """Take over what is told about a live attempt. A fact that comes late takes nothing back."""
    if seen.node_name and seen.node_name != attempt.node_name:
        attempt.node_name = seen.node_name
        p.run.revision += 1
    if seen.running_at is not None and attempt.running_at is None:
        attempt.running_at = seen.running_at
        p.run.revision += 1
    attempt.main_ended_at = seen.main_ended_at or attempt.main_ended_at
    attempt.ending = seen.ending or attempt.ending
    attempt.stuck_since = seen.stuck_since if attempt.running_at is None else None
    attempt.stuck = seen.reason if attempt.stuck_since is not None else ""


def _follow(p: Pass, state: NodeState, attempt: Attempt, seen: AttemptSeen) -> None:
    """Draw the conclusions for the node from how its latest attempt stands."""
    if attempt.running_at is not None and state.phase is Phase.STARTING:
        move(p.run, state, Phase.RUNNING)
    message = shorten(seen.message)
    if (seen.reason, message) != (state.reason, state.message):
        state.reason, state.message = seen.reason, message
        p.run.revision += 1
    if attempt.stuck_since is not None:
        attempt.message = message  # for its end, when nothing tells the cause any more
    if seen.outcome is not None:
        _conclude(p, state, attempt, seen.outcome)
    elif attempt.ending and not seen.deleting:
        # Asked for before it existed, or by a controller that crashed before the delete.
        end_attempt(p, state, attempt, attempt.ending)
    elif not attempt.ending:
        clocks.watch(p, state, attempt)


def _known(state: NodeState, number: int) -> Attempt | None:
    # Numbers are positions, counted from 1: `_adopt` fills gaps, so this is no search.
    if 1 <= number <= len(state.attempts):
        return state.attempts[number - 1]
    return None


def _adopt(p: Pass, state: NodeState, seen: AttemptSeen) -> Attempt:
    """Make room for an attempt that some controller started and this state does not know."""
    for number in range(len(state.attempts) + 1, seen.number):
        state.attempts.append(
            Attempt(
                number=number,
                object_name=attempt_name(p.run.name, p.run.uid, state.node.name, number),
                finished_at=seen.started_at,
                failure_class=FailureClass.INFRASTRUCTURE,
                reason=_LOST,
                message="the object of this attempt vanished before its end was recorded",
            )
        )
    attempt = Attempt(number=seen.number, object_name=seen.object_name)
    state.attempts.append(attempt)
    for phase in path_to_starting(state.phase):
        move(p.run, state, phase)
    state.not_before = None
    return attempt


def _dispose_of_stray(p: Pass, state: NodeState, seen: AttemptSeen) -> None:
    """End or release the object of an attempt that must not count: its node is over."""
    kind = state.node.work.kind
    if seen.outcome is None:
        if not seen.deleting:
            p.commands.append(
                EndAttempt(
                    node=seen.node, number=seen.number, object_name=seen.object_name, kind=kind, reason="Superseded"
                )
            )
    elif seen.held:
        p.commands.append(ReleaseAttempt(node=seen.node, number=seen.number, object_name=seen.object_name, kind=kind))


def _attempt_gone(p: Pass, gone: AttemptGone) -> None:
    state = p.run.nodes.get(gone.node)
    attempt = None if state is None else _known(state, gone.number)
    if state is None or attempt is None:
        return
    attempt.held = False
    if attempt.finished_at is not None:
        _keep_until_recorded(p, state, attempt)
        return
    if not attempt.created:
        # It came and went between two looks, and nothing is known of it: it is asked for again, by the same name.
        _start_refused(p, StartRefused(node=gone.node, number=gone.number, reason="", message="", retry_at=p.now))
        return
    outcome = _outcome_of_gone(attempt, gone.seen_at)
    if attempt is state.attempts[-1]:
        _conclude(p, state, attempt, outcome)
    else:
        _record_end(p, state, attempt, outcome)


def _outcome_of_gone(attempt: Attempt, at: datetime) -> Outcome:
    if attempt.ending in ENDINGS:
        failure_class = ENDINGS[attempt.ending]
        return Outcome(
            result=Result.CANCELLED if failure_class is None else Result.FAILED,
            failure_class=failure_class,
            reason=attempt.ending,
            finished_at=at,
        )
    return Outcome(
        result=Result.FAILED,
        failure_class=FailureClass.INFRASTRUCTURE,
        reason="ObjectGone",
        message=f"{attempt.object_name} was removed by somebody else before its end was seen",
        finished_at=at,
    )


def _start_refused(p: Pass, refused: StartRefused) -> None:
    state = p.run.nodes.get(refused.node)
    attempt = None if state is None else _known(state, refused.number)
    if state is None or attempt is None or attempt is not state.attempts[-1]:
        return
    if attempt.created or attempt.finished_at is not None:
        return
    ending = attempt.ending
    if p.run.hold_until is not None:
        p.run.hold_until = p.now  # answered: whatever the answer was, another may ask
    if refused.retry_at is None and not ending:
        outcome = Outcome(
            result=Result.FAILED,
            failure_class=refused.failure_class,
            reason=refused.reason,
            message=refused.message,
            finished_at=p.now,
        )
        _conclude(p, state, attempt, outcome)
        return
    state.attempts.pop()  # nothing was created, so there was no attempt
    if ending:
        end_node(p, state, Phase.FAILED if ENDINGS.get(ending) else Phase.CANCELLED, reason=ending)
        return
    state.not_before = refused.retry_at
    if refused.retry_at is not None and refused.retry_at > p.now:
        # What keeps one from starting keeps the others, too: one of them asks again, then.
        p.run.hold_until = refused.retry_at
    enqueue(p, state)
    state.reason, state.message = refused.reason, shorten(refused.message)


def _conclude(p: Pass, state: NodeState, attempt: Attempt, outcome: Outcome) -> None:
    """Count the end of an attempt, once, and decide what follows."""
    result, reason, message = outcome.result, outcome.reason, outcome.message
    failure_class = outcome.failure_class
    outputs = {}
    if result is Result.SUCCEEDED:
        try:
            outputs = read_outputs(state.node.outputs, outcome.text, outcome.stdout)
            _make_room(p.run, outputs)
        except OutputError as error:
            result, failure_class, reason, message = Result.FAILED, FailureClass.USER, error.reason, error.message
    attempt.finished_at = outcome.finished_at
    attempt.exit_code = outcome.exit_code
    attempt.failure_class = failure_class
    if reason == attempt.ending and reason in ("ImagePull", "ContainerConfig") and attempt.message:
        message = f"{message}: {attempt.message}"
    attempt.reason, attempt.message = reason, shorten(message)
    match result:
        case Result.SUCCEEDED:
            state.outputs = outputs
            end_node(p, state, Phase.SUCCEEDED, at=outcome.finished_at)
        case Result.CANCELLED:
            end_node(p, state, Phase.CANCELLED, reason=reason, message=message, at=outcome.finished_at)
        case Result.FAILED:
            _fail_or_retry(p, state, attempt)
    attempt.revision = p.run.revision
    p.ended.append(attempt)
    p.run.ended_attempts += 1
    _keep_until_recorded(p, state, attempt)


def _record_end(p: Pass, state: NodeState, attempt: Attempt, outcome: Outcome) -> None:
    """Note the end of an attempt that another one has followed already: it is that one which decides."""
    attempt.finished_at = outcome.finished_at
    attempt.exit_code = outcome.exit_code
    attempt.failure_class = outcome.failure_class
    attempt.reason, attempt.message = outcome.reason, shorten(outcome.message)
    p.run.revision += 1
    attempt.revision = p.run.revision
    p.ended.append(attempt)
    p.run.ended_attempts += 1
    _keep_until_recorded(p, state, attempt)


def _make_room(run: RunState, outputs: dict[str, Json]) -> None:
    """Count the outputs of a node. Raises `OutputError` where those of the whole run become too many to be recorded."""
    size = capacity.size_of(outputs)
    if run.output_bytes + size > capacity.OUTPUT_BYTES:
        run.unproven_revision = run.revision + 1  # whose outputs were too many depends on the order of ends
        raise OutputError(
            "OutputTooLarge",
            f"the outputs of all tasks of this run together are larger than {capacity.OUTPUT_BYTES} bytes; "
            "write large data to storage and output its address",
        )
    run.output_bytes += size


def _fail_or_retry(p: Pass, state: NodeState, attempt: Attempt) -> None:
    name = state.node.name
    decision = decide_retry(p.run.uid, state, attempt)
    if decision.again and p.run.ended_attempts >= capacity.ATTEMPTS:
        p.run.unproven_revision = p.run.revision + 1  # which attempt was one too many depends on the order of ends
        decision = RetryDecision(again=False, why=f" (this run has had {capacity.ATTEMPTS} attempts, the most it may)")
    assert attempt.finished_at is not None
    if not decision.again:
        end_node(
            p,
            state,
            Phase.FAILED,
            reason=attempt.reason,
            message=attempt.message + decision.why,
            at=attempt.finished_at,
        )
        return
    if p.run.stopping:
        end_node(p, state, Phase.CANCELLED, reason=p.run.stopping, at=attempt.finished_at)
        return
    move(p.run, state, Phase.BACKOFF)
    state.reason, state.message = attempt.reason, attempt.message
    state.not_before = attempt.finished_at + decision.delay
    set_timer(p, name, state.not_before)
    deadline = clocks.node_deadline(state)
    if deadline is not None:
        set_timer(p, name, deadline)
    note(
        p,
        EventType.WARNING,
        "TaskRetrying",
        f"task {name!r}, attempt {attempt.number}: {attempt.reason}: {attempt.message}; "
        f"next attempt in {max(timedelta(0), state.not_before - p.now).total_seconds():.0f} s",
        f"{name}/{attempt.number}/retry",
    )


def _keep_until_recorded(p: Pass, state: NodeState, attempt: Attempt) -> None:
    """See to it that the end of an attempt is never without a witness: its object, held by us, or the record."""
    if attempt.finished_at is None:
        return
    recorded = attempt.revision <= p.run.recorded_revision
    if not attempt.held:
        if not recorded:
            p.run.unproven_revision = max(p.run.unproven_revision, attempt.revision)
    elif recorded:
        p.commands.append(_release(state, attempt))
    else:
        p.run.unreleased[state.node.name, attempt.number] = None


def _status_recorded(p: Pass, recorded: StatusRecorded) -> None:
    run = p.run
    run.recorded_revision = max(run.recorded_revision, recorded.revision)
    for name, number in list(run.unreleased):
        state = run.nodes[name]
        attempt = state.attempts[number - 1]
        if attempt.revision > run.recorded_revision:
            break  # in the order in which they ended: the rest is later still
        del run.unreleased[name, number]
        if attempt.held:
            p.commands.append(_release(state, attempt))


def _release(state: NodeState, attempt: Attempt) -> ReleaseAttempt:
    return ReleaseAttempt(
        node=state.node.name, number=attempt.number, object_name=attempt.object_name, kind=state.node.work.kind
    )
