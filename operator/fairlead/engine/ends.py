"""The end of an attempt: asked for by us, or seen; counted once, and what follows for its node.

An end that no object shows (the object is gone, was never created, or there is none for this kind) is known to the
state alone. Nothing that may follow from it is started before it is recorded: `RunState.unproven_revision`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fairlead.engine import capacity
from fairlead.engine.commands import EndAttempt, EventType, ReleaseAttempt
from fairlead.engine.deadlines import node_deadline
from fairlead.engine.endings import ENDING_MESSAGES, ENDINGS, RUN_DEADLINE
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import ACTIVE, OBJECT_KINDS, FailureClass, Json, Phase, StopMode, WorkKind
from fairlead.engine.outputs import OutputError, check_values, read_outputs
from fairlead.engine.passes import Pass, arm, end_node, give_back, note
from fairlead.engine.retry import RetryDecision, decide_retry
from fairlead.engine.state import Attempt, EndedAttempt, NodeState, Outcome, Result, RunState
from fairlead.engine.transitions import move
from fairlead.engine.wording import shorten

__all__ = ["cancel", "conclude", "end_attempt", "keep_until_recorded", "make_room", "outcome_of_ending", "record_end"]


def end_attempt(p: Pass, state: NodeState, attempt: Attempt, reason: str, *, force: bool = False) -> None:
    """Ask for the end of a live attempt, once. One that is not known to exist yet is ended when it appears.

    One without an object has ended with that.
    """
    asked = bool(attempt.ending)
    if not asked:
        attempt.ending = reason
        p.run.touch(state)
    if attempt.created and (force or not asked or state.node.work.kind in OBJECT_KINDS):
        p.commands.append(
            EndAttempt(
                node=state.name,
                number=attempt.number,
                object_name=attempt.object_name,
                kind=state.node.work.kind,
                reason=attempt.ending,
                force=force,
            )
        )
    if state.node.work.kind not in OBJECT_KINDS and not asked:
        p.run.unsent.pop((state.name, attempt.number), None)
        conclude(p, state, attempt, outcome_of_ending(attempt.ending, p.now))


def cancel(p: Pass, state: NodeState, reason: str, message: str) -> None:
    """Cancel a node: at once where it has no live attempt, else as soon as its attempt has ended. O(items)."""
    if state.is_over:
        return
    if state.items is not None:
        for item in state.items.states:
            cancel(p, item, reason, message)
    elif state.phase in ACTIVE and state.current is not None:
        end_attempt(p, state, state.current, reason)
    else:
        end_node(p, state, Phase.CANCELLED, reason=reason, message=message)


def outcome_of_ending(reason: str, at: datetime, message: str = "") -> Outcome:
    """Return the outcome of an attempt that ended because we asked for it, for one of the reasons in `ENDINGS`."""
    failure_class = ENDINGS[reason]
    return Outcome(
        result=Result.CANCELLED if failure_class is None else Result.FAILED,
        failure_class=failure_class,
        reason=reason,
        message=message or ENDING_MESSAGES.get(reason, ""),
        finished_at=at,
    )


def conclude(p: Pass, state: NodeState, attempt: Attempt, outcome: Outcome) -> None:
    """Count the end of a node's latest attempt, once, and decide what follows."""
    result, reason, message, failure_class = outcome.result, outcome.reason, outcome.message, outcome.failure_class
    outputs: dict[str, Json] = {}
    if result is Result.SUCCEEDED:
        try:
            outputs = _outputs(state, outcome)
            make_room(p.run, outputs, replacing=state.outputs)
        except OutputError as error:
            result, failure_class, reason, message = Result.FAILED, FailureClass.USER, error.reason, error.message
    elif failure_class is FailureClass.USER and outcome.exit_code in state.node.skip_exit_codes:
        result, failure_class, reason = Result.SKIPPED, None, "SkipExitCode"
    attempt.finished_at = outcome.finished_at
    attempt.exit_code = outcome.exit_code
    attempt.failure_class = failure_class
    if reason == attempt.ending and reason in ("ImagePull", "ContainerConfig") and attempt.message:
        message = f"{message}: {attempt.message}"
    attempt.reason, attempt.message = reason, shorten(message)
    match result:
        case Result.SUCCEEDED:
            state.outputs = outputs
            _succeed_or_repeat(p, state, attempt)
        case Result.SKIPPED:
            end_node(p, state, Phase.SKIPPED, reason=reason, message=message, at=outcome.finished_at)
        case Result.CANCELLED:
            _remember_deadline(p.run, reason)
            end_node(p, state, Phase.CANCELLED, reason=reason, message=message, at=outcome.finished_at)
        case Result.FAILED:
            _fail_or_retry(p, state, attempt)
    _count(p, state, attempt, result)


def _remember_deadline(run: RunState, reason: str) -> None:
    """An object that was ended for the run's deadline tells a restarted controller that this has passed."""
    if reason == RUN_DEADLINE and not run.stopping:
        run.stop_recorded, run.stop_mode = reason, StopMode.CANCEL


def record_end(p: Pass, state: NodeState, attempt: Attempt, outcome: Outcome) -> None:
    """Note the end of an attempt that another one has followed already: it is that one which decides."""
    attempt.finished_at = outcome.finished_at
    attempt.exit_code = outcome.exit_code
    attempt.failure_class = outcome.failure_class
    attempt.reason, attempt.message = outcome.reason, shorten(outcome.message)
    attempt.rule = None
    p.run.touch(state)
    _count(p, state, attempt, outcome.result)


def _count(p: Pass, state: NodeState, attempt: Attempt, result: Result) -> None:
    attempt.revision = p.run.revision
    p.ended.append(EndedAttempt.of(attempt, state.node.work.kind, result))
    p.run.ended_attempts += 1
    keep_until_recorded(p, state, attempt)


def _outputs(state: NodeState, outcome: Outcome) -> dict[str, Json]:
    declared = state.node.outputs
    if outcome.values is not None:
        return check_values(declared, outcome.values)
    return read_outputs(declared, outcome.text, outcome.stdout)


def make_room(run: RunState, outputs: dict[str, Json], *, replacing: dict[str, Json] | None = None) -> None:
    """Count the outputs of a node. Raises `OutputError` where those of the whole run become too many to be recorded."""
    own = capacity.size_of(outputs)
    if own > capacity.NODE_OUTPUT_BYTES:
        raise OutputError(
            "OutputTooLarge",
            f"the outputs are larger than {capacity.NODE_OUTPUT_BYTES} bytes; write large data to storage and output "
            "its address",
        )
    size = own - capacity.size_of(replacing or {})
    if run.output_bytes + size > capacity.OUTPUT_BYTES:
        run.unproven_revision = run.revision + 1  # whose outputs were too many depends on the order of ends
        raise OutputError(
            "OutputTooLarge",
            f"the outputs of all tasks of this run together are larger than {capacity.OUTPUT_BYTES} bytes; "
            "write large data to storage and output its address",
        )
    run.output_bytes += size


def _succeed_or_repeat(p: Pass, state: NodeState, attempt: Attempt) -> None:
    """End the node, or begin another round of its `repeat`."""
    at, repeat = attempt.finished_at, state.node.repeat
    assert at is not None
    if repeat is None:
        end_node(p, state, Phase.SUCCEEDED, at=at)
        return
    finished = state.iteration - 1  # this attempt counts as a success by now
    try:
        done = repeat.until.evaluate({**p.scope(state), "outputs": state.outputs, "iteration": finished})
    except ExpressionError as error:
        end_node(p, state, Phase.FAILED, reason="ExpressionError", message=f"repeat.until: {error.message}", at=at)
        return
    if not isinstance(done, bool):
        message = f"repeat.until: the value must be true or false, it is {done!r}"
        end_node(p, state, Phase.FAILED, reason="ExpressionError", message=message, at=at)
    elif done:
        end_node(p, state, Phase.SUCCEEDED, at=at)
    elif finished >= repeat.max_iterations:
        message = f"`until` was still false after {finished} rounds, the most that maxIterations allows"
        end_node(p, state, Phase.FAILED, reason="MaxIterations", message=message, at=at)
    elif message := _no_more_attempts(p, state):
        end_node(p, state, Phase.FAILED, reason="MaxIterations", message=message, at=at)
    elif p.stops(state):
        end_node(p, state, Phase.CANCELLED, reason=p.run.stopping, at=at)
    else:
        _wait_for_next(p, state, at + timedelta(seconds=repeat.delay_seconds), "NextIteration", "")


def _no_more_attempts(p: Pass, state: NodeState) -> str:
    """Say why a node that would have another attempt may not, because it could not be recorded; "" where it may."""
    if p.run.ended_attempts >= capacity.ATTEMPTS:
        p.run.unproven_revision = p.run.revision + 1  # which attempt was one too many depends on the order of ends
        return f"this run has had {capacity.ATTEMPTS} attempts, the most it may"
    if len(state.attempts) >= capacity.NODE_ATTEMPTS:
        return f"it has had {capacity.NODE_ATTEMPTS} attempts, the most that one task may"
    return ""


def _fail_or_retry(p: Pass, state: NodeState, attempt: Attempt) -> None:
    decision = decide_retry(p.graph, p.run, state, attempt)
    if decision.again and (why := _no_more_attempts(p, state)):
        decision = RetryDecision(again=False, why=f" ({why})")
    at = attempt.finished_at
    assert at is not None
    if not decision.again:
        message = attempt.message + decision.why
        end_node(p, state, Phase.FAILED, reason=attempt.reason, message=message, at=at)
        return
    if p.stops(state):
        end_node(p, state, Phase.CANCELLED, reason=p.run.stopping, at=at)
        return
    # One whose list is over its tolerance is cancelled once all facts are in, so that their order does not matter.
    _wait_for_next(p, state, at + decision.delay, attempt.reason, attempt.message)
    assert state.not_before is not None
    seconds = max(timedelta(0), state.not_before - p.now).total_seconds()
    note(
        p,
        EventType.WARNING,
        "TaskRetrying",
        f"task {state.name!r}, attempt {attempt.number}: {attempt.reason}: {attempt.message}; "
        f"next attempt in {seconds:.0f} s",
        f"{state.name}/{attempt.number}/retry",
    )


def _wait_for_next(p: Pass, state: NodeState, due: datetime, reason: str, message: str) -> None:
    move(p.run, state, Phase.BACKOFF)
    state.reason, state.message = reason, message
    state.not_before = due
    give_back(p.run, state)
    arm(p.run, state.name, due)
    deadline = node_deadline(state)
    if deadline is not None:
        arm(p.run, state.name, deadline)


def keep_until_recorded(p: Pass, state: NodeState, attempt: Attempt) -> None:
    """See to it that the end of an attempt is never without a witness: its object, held by us, or the record."""
    if attempt.finished_at is None:
        return
    recorded = attempt.revision <= p.run.recorded_revision
    # A Job is held, but not its pods, which tell how it has ended.
    is_witnessed = attempt.held and state.node.work.kind is not WorkKind.JOB
    if not (recorded or is_witnessed):
        p.run.unproven_revision = max(p.run.unproven_revision, attempt.revision)
    if not attempt.held:
        return
    if recorded:
        p.commands.append(release(state, attempt))
    else:
        p.run.unreleased[state.name, attempt.number] = None


def release(state: NodeState, attempt: Attempt) -> ReleaseAttempt:
    """Return the command that lets go of an attempt's object."""
    return ReleaseAttempt(
        node=state.name, number=attempt.number, object_name=attempt.object_name, kind=state.node.work.kind
    )
