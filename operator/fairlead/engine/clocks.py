"""The clocks of a node and of the run: when something is due, and what then happens.

Every limit counts from a recorded fact (an attempt's creation, its main container's start, the run's start), so that
a restart of the controller neither extends nor shortens it. A timer only says "look again": whether a limit has
really passed is decided here, at that moment.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fairlead.engine.commands import EventType
from fairlead.engine.model import ACTIVE, Phase, Settings
from fairlead.engine.passes import Pass, cancel, end_attempt, end_node, enqueue, note, set_timer
from fairlead.engine.state import Attempt, NodeState, RunState

__all__ = ["STOPS", "check", "check_run", "node_deadline", "run_deadline", "watch"]

RUN_DEADLINE = "RunDeadlineExceeded"

#: Reasons for which a run is stopped as a whole. A stop that has begun is never taken back.
STOPS = frozenset({RUN_DEADLINE})

#: An image that cannot be pulled, or a volume or secret that is missing, for so long is an error of configuration.
STUCK_SECONDS = 300

#: How long injected sidecars may go on after the main container has ended.
SIDECAR_SECONDS = 30


def watch(p: Pass, state: NodeState, attempt: Attempt) -> None:
    """Set the timers that follow from what was just observed of a live attempt."""
    for due, _ in _limits(state, attempt):
        if due <= p.now:
            check(p, state)
            return
        set_timer(p, state.node.name, due)


def check(p: Pass, state: NodeState) -> None:
    """Look at a node's clocks and do what is due."""
    if state.phase in (Phase.BACKOFF, Phase.QUEUED):
        deadline = node_deadline(state)
        if deadline is not None and deadline <= p.now:
            end_node(p, state, Phase.FAILED, reason="DeadlineExceeded", message=_deadline_message(state))
        elif state.not_before is not None and state.not_before <= p.now:
            enqueue(p, state)
    attempt = state.current
    if attempt is None or state.phase not in ACTIVE or attempt.ending:
        return
    for due, reason in _limits(state, attempt):
        if due <= p.now:
            end_attempt(p, state, attempt, reason)
            return


def _limits(state: NodeState, attempt: Attempt) -> list[tuple[datetime, str]]:
    """Return when a live attempt has to be ended, and the reason, for each clock that is ticking."""
    limits = []
    run_seconds = state.node.clocks.run_seconds
    if attempt.running_at is not None and run_seconds is not None and attempt.main_ended_at is None:
        # A node whose clock is behind says that it began before we asked it to: that would shorten the limit.
        began = max(attempt.running_at, attempt.started_at or attempt.running_at)
        limits.append((began + timedelta(seconds=run_seconds), "TimedOut"))
    deadline = node_deadline(state)
    if deadline is not None and attempt.main_ended_at is None:
        limits.append((deadline, "DeadlineExceeded"))
    if attempt.stuck_since is not None:
        limits.append((attempt.stuck_since + timedelta(seconds=STUCK_SECONDS), attempt.stuck))
    if attempt.main_ended_at is not None:
        limits.append((attempt.main_ended_at + timedelta(seconds=SIDECAR_SECONDS), "Completed"))
    return limits


def node_deadline(state: NodeState) -> datetime | None:
    """Return when all attempts of a node together have to be over; None without a limit or before the first."""
    seconds = state.node.clocks.deadline_seconds
    if seconds is None or not state.attempts:
        return None
    first = state.attempts[0].started_at
    return None if first is None else first + timedelta(seconds=seconds)


def _deadline_message(state: NodeState) -> str:
    return f"all attempts together took longer than deadlineSeconds: {state.node.clocks.deadline_seconds}"


def run_deadline(run: RunState, settings: Settings) -> datetime | None:
    """Return when the run has to be over; None without a limit or while it is suspended (its clock stands still)."""
    if settings.deadline_seconds is None or run.suspended_at is not None:
        return None
    return run.started_at + timedelta(seconds=settings.deadline_seconds + run.suspended_seconds)


def check_run(p: Pass) -> None:
    """Keep the run's suspended time, and stop the run once its deadline has passed."""
    run = p.run
    if p.settings.suspend and run.suspended_at is None:
        run.suspended_at = p.now
        run.revision += 1
        note(p, EventType.NORMAL, "Suspended", "nothing new is started", f"suspend/{run.revision}")
    elif not p.settings.suspend and run.suspended_at is not None:
        run.suspended_seconds += max(0.0, (p.now - run.suspended_at).total_seconds())
        run.suspended_at = None
        run.revision += 1
        note(p, EventType.NORMAL, "Resumed", "tasks are started again", f"resume/{run.revision}")
    due = run_deadline(run, p.settings)
    if run.stopping:
        return
    if run.stop_recorded or (due is not None and due <= p.now):
        run.stopping = run.stop_recorded or RUN_DEADLINE
        message = f"the run took longer than deadlineSeconds: {p.settings.deadline_seconds}"
        for state in run.nodes.values():
            cancel(p, state, run.stopping, message)
