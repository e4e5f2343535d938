"""What follows the failure of an attempt: another attempt after a delay, or failure for good.

Each failure is charged to the budget of its class, so that a lost node never uses up the retries that a user gave
for their own failures; a retry rule that matches has a budget of its own. Budgets count within an epoch, and within a
round of a `repeat`. The delay is a pure function of recorded facts, and so survives a restart of the controller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Backoff, FailureClass, Graph, Jitter, Json, Node, RetryRule
from fairlead.engine.scopes import attempt_scope
from fairlead.engine.state import Attempt, NodeState, RunState

__all__ = ["RetryDecision", "backoff_seconds", "decide_retry", "most_attempts", "next_resources"]

#: Ends after which trying again makes no sense, whatever the budgets: the same would follow, or somebody has decided.
_FINAL_REASONS = frozenset({"ApprovalTimeout", "DeadlineExceeded", "ExpressionError", "OutcomeUnknown", "Rejected"})


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Whether there is another attempt, and after which delay; else why not, for people."""

    again: bool
    delay: timedelta = timedelta(0)
    why: str = ""


def decide_retry(graph: Graph, run: RunState, state: NodeState, attempt: Attempt) -> RetryDecision:
    """Decide on another attempt after `attempt`, which has failed and is the last of `state.attempts`."""
    policy = state.node.retry
    failure_class = attempt.failure_class
    if failure_class is None or attempt.reason in _FINAL_REASONS:
        return RetryDecision(again=False)
    round_ = _this_round(state)
    rule = _rule_of(graph, run, state, attempt)
    if rule is not None:
        failures = sum(1 for each in round_ if _rule_of(graph, run, state, each) is rule)
        limit = policy.limit if rule.limit is None else rule.limit
        return _within(run, state, attempt, failures, limit, rule.backoff or policy.backoff)
    if failure_class is FailureClass.CONFIGURATION:
        return RetryDecision(again=False)
    if failure_class is FailureClass.TIMEOUT and not policy.on_timeout:
        return RetryDecision(again=False)
    if failure_class is FailureClass.INFRASTRUCTURE:
        charged, limit = {FailureClass.INFRASTRUCTURE}, policy.infrastructure_limit
    else:
        charged, limit = {FailureClass.USER, FailureClass.TIMEOUT}, policy.limit
    failures = sum(1 for each in round_ if each.failure_class in charged and not _rule_of(graph, run, state, each))
    return _within(run, state, attempt, failures, limit, policy.backoff)


def _within(
    run: RunState, state: NodeState, attempt: Attempt, failures: int, limit: int, backoff: Backoff
) -> RetryDecision:
    if failures > limit:
        return RetryDecision(again=False, why=f" ({failures} failures, retry limit {limit})" if limit else "")
    seconds = backoff_seconds(backoff, failures, f"{run.uid}/{state.name}/{attempt.number}")
    return RetryDecision(again=True, delay=timedelta(seconds=seconds))


def _this_round(state: NodeState) -> list[Attempt]:
    """Return the attempts of this epoch since the last that succeeded."""
    found: list[Attempt] = []
    for attempt in reversed(state.attempts[state.epoch_start :]):
        if attempt.succeeded:
            break
        found.append(attempt)
    return found


def _rule_of(graph: Graph, run: RunState, state: NodeState, attempt: Attempt) -> RetryRule | None:
    """Return the first rule that matches a failed attempt of this epoch. Asked once for each: facts do not change."""
    if attempt.failure_class is None:
        return None
    rules = state.node.retry.rules
    if attempt.rule is None:
        matching = (at for at, rule in enumerate(rules) if _matches(graph, run, state, attempt, rule))
        attempt.rule = next(matching, -1)
    return rules[attempt.rule] if attempt.rule >= 0 else None


def _matches(graph: Graph, run: RunState, state: NodeState, attempt: Attempt, rule: RetryRule) -> bool:
    if rule.reasons:
        if attempt.reason not in rule.reasons:
            return False
    elif attempt.failure_class not in (FailureClass.USER, FailureClass.TIMEOUT):
        return False  # what is not the task's own doing has to be named
    if rule.exit_codes and (attempt.failure_class is not FailureClass.USER or attempt.exit_code not in rule.exit_codes):
        return False
    if rule.when is None:
        return True
    try:
        return rule.when.evaluate(attempt_scope(graph, run, state, attempt.number)) is True
    except ExpressionError:
        return False  # a rule that cannot be evaluated matches nothing: the next one, or the policy, decides


def next_resources(graph: Graph, run: RunState, state: NodeState) -> Json:
    """Return the resources that the next attempt has instead of the task's own, or None: those of the latest rule."""
    for attempt in reversed(state.attempts[state.epoch_start :]):
        rule = _rule_of(graph, run, state, attempt) if attempt.finished_at is not None else None
        if rule is not None and rule.resources is not None:
            return rule.resources
    return None


def most_attempts(node: Node) -> int:
    """Return how many attempts a node can have in one epoch."""
    policy = node.retry
    failures = policy.limit + policy.infrastructure_limit
    failures += sum(policy.limit if rule.limit is None else rule.limit for rule in policy.rules)
    return (1 + failures) * (node.repeat.max_iterations if node.repeat else 1)


def backoff_seconds(backoff: Backoff, failures: int, seed: str) -> float:
    """Return the delay in seconds after the `failures`-th failure (from 1). `seed` makes jitter repeatable."""
    # The exponent is bounded: past it every sane policy has reached its maximum, and floats would overflow.
    exponent = min(failures - 1, 64)
    delay = min(backoff.initial_seconds * backoff.factor**exponent, backoff.max_seconds)
    if backoff.jitter is Jitter.FULL:
        delay *= int.from_bytes(sha256(seed.encode()).digest()[:8]) / 2**64
    return delay
