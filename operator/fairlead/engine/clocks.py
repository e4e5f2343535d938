"""The clocks of a node and of the run: what happens when something is due.

When that is, is computed from recorded facts in `deadlines.py`. A timer only says "look again": whether a limit has
really passed is decided here, at that moment.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fairlead.engine import podless
from fairlead.engine.commands import EventType
from fairlead.engine.deadlines import LOST_SECONDS, attempt_limits, node_deadline, queue_deadline, run_deadline
from fairlead.engine.endings import RUN_DEADLINE
from fairlead.engine.ends import cancel, conclude, end_attempt, outcome_of_ending
from fairlead.engine.model import ACTIVE, OBJECT_KINDS, Phase, StopMode, WorkKind
from fairlead.engine.passes import Pass, arm, end_node, enqueue, note
from fairlead.engine.state import Attempt, NodeState
from fairlead.engine.stops import stop

__all__ = ["check", "check_run", "final_deadline", "watch"]

FINALLY_DEADLINE = "FinallyDeadlineExceeded"

#: An end that was asked for without waiting for its node, and is not seen after this time, is asked for once more.
_FORCED_AGAIN = timedelta(seconds=60)


def watch(p: Pass, state: NodeState, attempt: Attempt) -> None:
    """Set the timers that follow from what was just observed of a live attempt."""
    for due, _ in attempt_limits(state, attempt):
        if due <= p.now:
            check(p, state)
            return
        arm(p.run, state.name, due)
    if attempt.deleting_at is not None:
        _watch_lost(p, state, attempt)


def check(p: Pass, state: NodeState) -> None:
    """Look at a node's clocks and do what is due."""
    if state.phase in (Phase.BACKOFF, Phase.QUEUED):
        _check_waiting(p, state)
        return
    attempt = state.current
    if attempt is None or state.phase not in ACTIVE:
        return
    if attempt.deleting_at is not None:
        _watch_lost(p, state, attempt)
    if attempt.ending:
        return
    if state.node.work.kind not in OBJECT_KINDS and _check_podless(p, state, attempt):
        return
    for due, reason in attempt_limits(state, attempt):
        if due > p.now:
            arm(p.run, state.name, due)
        elif state.node.work.kind is WorkKind.APPROVAL and reason == "TimedOut":
            podless.time_out(p, state, attempt)
            return
        else:
            end_attempt(p, state, attempt, reason)
            return


def _check_waiting(p: Pass, state: NodeState) -> None:
    deadline, queued_until = node_deadline(state), queue_deadline(state)
    if deadline is not None and deadline <= p.now:
        seconds = state.node.clocks.deadline_seconds
        message = f"all attempts together took longer than deadlineSeconds: {seconds}"
        end_node(p, state, Phase.FAILED, reason="DeadlineExceeded", message=message)
        return
    if queued_until is not None and p.run.suspended_at is None:
        if queued_until <= p.now:
            message = f"it was in line for longer than queueTimeoutSeconds: {state.node.clocks.queue_seconds}"
            end_node(p, state, Phase.FAILED, reason="QueueTimeout", message=message)
            return
        arm(p.run, state.name, queued_until)
    if state.not_before is not None and state.not_before <= p.now:
        enqueue(p, state)


def _check_podless(p: Pass, state: NodeState, attempt: Attempt) -> bool:
    """Look at what only attempts without an object wait for. Returns whether the attempt has ended."""
    if podless.is_due(attempt, p.now):
        podless.answer(p, state, attempt, {})
        return True
    heartbeat = state.node.clocks.heartbeat_seconds
    if attempt.heard_at is not None and heartbeat is not None:
        due = attempt.heard_at + timedelta(seconds=heartbeat)
        if due <= p.now:
            attempt.ending = "HeartbeatTimeout"
            conclude(p, state, attempt, outcome_of_ending(attempt.ending, p.now))
            return True
        arm(p.run, state.name, due)
    return False


def _watch_lost(p: Pass, state: NodeState, attempt: Attempt) -> None:
    """Look at a pod that should have been gone: the node that has it does not answer."""
    assert attempt.deleting_at is not None
    overdue = attempt.deleting_at + timedelta(seconds=LOST_SECONDS)
    if overdue > p.now:
        arm(p.run, state.name, overdue)
    elif state.reason != "WaitingForNode":
        state.reason = "WaitingForNode"
        state.message = f"{attempt.object_name} was deleted; its node {attempt.node_name!r} does not say that it ended"
        p.run.touch(state)
    patience = state.node.replace_lost_after_seconds
    if patience is None:
        return
    due = attempt.deleting_at + timedelta(seconds=patience)
    if due > p.now:
        arm(p.run, state.name, due)
    elif attempt.forced_at is None or attempt.forced_at + _FORCED_AGAIN <= p.now:
        attempt.forced_at = p.now
        end_attempt(p, state, attempt, "NodeLost", force=True)
        arm(p.run, state.name, p.now + _FORCED_AGAIN)


def check_run(p: Pass) -> None:
    """Keep the run's suspended time, and stop the run, or its `finally`, once its deadline has passed."""
    _follow_suspension(p)
    run = p.run
    if run.stop_recorded and not run.stopping:
        stop(p, run.stop_recorded, run.stop_mode or StopMode.CANCEL, "the run is being stopped")
    if run.is_finalizing:
        due = final_deadline(p)
        if due is not None and due <= p.now:
            message = f"`finally` took longer than finallyDeadlineSeconds: {p.graph.final_deadline_seconds}"
            for name in p.graph.final:
                cancel(p, run.nodes[name], FINALLY_DEADLINE, message)
        return
    due = run_deadline(run, p.settings)
    if due is not None and due <= p.now and not run.stopping:
        message = f"the run took longer than deadlineSeconds: {p.settings.deadline_seconds}"
        stop(p, RUN_DEADLINE, StopMode.CANCEL, message)


def _follow_suspension(p: Pass) -> None:
    run = p.run
    if p.settings.suspend and run.suspended_at is None:
        run.suspended_at = p.now
        run.revision += 1
        note(p, EventType.NORMAL, "Suspended", "nothing new is started", f"suspend/{run.revision}")
    elif not p.settings.suspend and run.suspended_at is not None:
        for state in run.nodes.values():
            if state.queued_at is not None:
                # Time in suspension is not spent waiting for a limit of ours.
                state.queued_at += p.now - max(run.suspended_at, state.queued_at)
                arm(run, state.name, p.now)
        run.suspended_seconds += max(0.0, (p.now - run.suspended_at).total_seconds())
        run.suspended_at = None
        run.revision += 1
        note(p, EventType.NORMAL, "Resumed", "tasks are started again", f"resume/{run.revision}")


def final_deadline(p: Pass) -> datetime | None:
    """Return when `finally` has to be over; None while it has not begun, or has ended."""
    if p.run.final_since is None or not p.run.open_final:
        return None
    return p.run.final_since + timedelta(seconds=p.graph.final_deadline_seconds)
