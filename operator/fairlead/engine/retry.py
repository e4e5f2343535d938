"""What follows the end of an attempt: success, failure for good, or another attempt after a delay.

Each failure is charged to the budget of its class, so that a lost node never uses up the retries that a user gave
for their own failures. The delay is a pure function of recorded facts, and so survives a restart of the controller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from fairlead.engine.model import Backoff, FailureClass, Jitter
from fairlead.engine.state import Attempt, NodeState

__all__ = ["ENDINGS", "RetryDecision", "backoff_seconds", "decide_retry"]

#: Why we end attempts ourselves, with the class that such an end is charged to. None: it was cancelled, not failed.
ENDINGS: dict[str, FailureClass | None] = {
    "TimedOut": FailureClass.TIMEOUT,
    "DeadlineExceeded": FailureClass.TIMEOUT,
    "ImagePull": FailureClass.CONFIGURATION,
    "ContainerConfig": FailureClass.CONFIGURATION,
    "Cancelled": None,
    "RunDeadlineExceeded": None,
    "Superseded": None,
}


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Whether there is another attempt, and after which delay; else why not, for people."""

    again: bool
    delay: timedelta = timedelta(0)
    why: str = ""


def decide_retry(run_uid: str, state: NodeState, attempt: Attempt) -> RetryDecision:
    """Decide on another attempt after `attempt`, which has failed and is the last of `state.attempts`."""
    policy = state.node.retry
    failure_class = attempt.failure_class
    if failure_class is FailureClass.CONFIGURATION or failure_class is None:
        return RetryDecision(again=False)
    if attempt.reason in ("DeadlineExceeded", "ExpressionError"):
        return RetryDecision(again=False)
    if failure_class is FailureClass.TIMEOUT and not policy.on_timeout:
        return RetryDecision(again=False)
    if failure_class is FailureClass.INFRASTRUCTURE:
        charged, limit = {FailureClass.INFRASTRUCTURE}, policy.infrastructure_limit
    else:
        charged, limit = {FailureClass.USER, FailureClass.TIMEOUT}, policy.limit
    failures = sum(1 for each in state.attempts if each.failure_class in charged)
    if failures > limit:
        return RetryDecision(again=False, why=f" ({failures} failures, retry limit {limit})" if limit else "")
    seconds = backoff_seconds(policy.backoff, failures, f"{run_uid}/{state.node.name}/{attempt.number}")
    return RetryDecision(again=True, delay=timedelta(seconds=seconds))


def backoff_seconds(backoff: Backoff, failures: int, seed: str) -> float:
    """Return the delay in seconds after the `failures`-th failure (from 1). `seed` makes jitter repeatable."""
    # The exponent is bounded: past it every sane policy has reached its maximum, and floats would overflow.
    exponent = min(failures - 1, 64)
    delay = min(backoff.initial_seconds * backoff.factor**exponent, backoff.max_seconds)
    if backoff.jitter is Jitter.FULL:
        delay *= int.from_bytes(sha256(seed.encode()).digest()[:8]) / 2**64
    return delay
