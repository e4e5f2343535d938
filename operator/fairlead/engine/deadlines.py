"""When a limit passes: pure functions of recorded facts, so that a restart neither extends nor shortens it.

What is done about a limit that has passed is the business of `clocks.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fairlead.engine.model import Settings
from fairlead.engine.state import Attempt, NodeState, RunState

__all__ = [
    "LOST_SECONDS",
    "SIDECAR_SECONDS",
    "STUCK_SECONDS",
    "attempt_limits",
    "node_deadline",
    "queue_deadline",
    "run_deadline",
]

#: An image that cannot be pulled, or a volume or secret that is missing, for so long is an error of configuration,
#: unless `startTimeoutSeconds` says otherwise.
STUCK_SECONDS = 300

#: How long injected sidecars may go on after the main container has ended.
SIDECAR_SECONDS = 30

#: A pod that was deleted and should have been gone for so long is held by a node that does not answer.
LOST_SECONDS = 15


def attempt_limits(state: NodeState, attempt: Attempt) -> list[tuple[datetime, str]]:
    """Return when a live attempt has to be ended, and the reason, for each clock that is ticking."""
    if attempt.main_ended_at is not None:
        return [(attempt.main_ended_at + timedelta(seconds=SIDECAR_SECONDS), "Completed")]
    limits = []
    clocks = state.node.clocks
    if attempt.running_at is not None and clocks.run_seconds is not None:
        # A node whose clock is behind says that it began before we asked it to: that would shorten the limit.
        began = max(attempt.running_at, attempt.started_at or attempt.running_at)
        limits.append((began + timedelta(seconds=clocks.run_seconds), "TimedOut"))
    deadline = node_deadline(state)
    if deadline is not None:
        limits.append((deadline, "DeadlineExceeded"))
    if attempt.running_at is None:
        if clocks.start_seconds is not None and attempt.started_at is not None:
            due = attempt.started_at + timedelta(seconds=clocks.start_seconds)
            limits.append((due, attempt.stuck or "StartTimeout"))
        elif attempt.stuck_since is not None:
            limits.append((attempt.stuck_since + timedelta(seconds=STUCK_SECONDS), attempt.stuck))
    return limits


def node_deadline(state: NodeState) -> datetime | None:
    """Return when all attempts of this epoch have to be over; None without a limit or before the first."""
    seconds = state.node.clocks.deadline_seconds
    attempts = state.attempts[state.epoch_start :]
    if seconds is None or not attempts:
        return None
    first = attempts[0].started_at
    return None if first is None else first + timedelta(seconds=seconds)


def queue_deadline(state: NodeState) -> datetime | None:
    """Return until when a node may be in line; None without a limit, or when it is not in line."""
    seconds = state.node.clocks.queue_seconds
    if seconds is None or state.queued_at is None:
        return None
    return state.queued_at + timedelta(seconds=seconds)


def run_deadline(run: RunState, settings: Settings) -> datetime | None:
    """Return when the run has to be over; None without a limit or while it is suspended (its clock stands still)."""
    if settings.deadline_seconds is None or run.suspended_at is not None:
        return None
    return (run.epoch_at or run.started_at) + timedelta(seconds=settings.deadline_seconds + run.suspended_seconds)
