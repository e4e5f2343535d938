"""The twelve trigger rules: may a node start, given how many of its parents have ended in which way?

Each node carries counters, and a parent's end changes one of them: no parent is ever looked at again. Every verdict
but "wait" depends only on *which* parents ended *how*, never on the order in which that became known, so that a
controller that learns the facts in another order after a crash decides the same.

The meaning is that of Airflow's trigger rules. Parents that were Cancelled count as Failed.
"""

from __future__ import annotations

from enum import Enum

from fairlead.engine.model import Phase, TriggerRule
from fairlead.engine.state import NodeState

__all__ = ["Verdict", "count_parent", "decide"]


class Verdict(Enum):
    """What a trigger rule says at this moment."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"
    UPSTREAM_FAILED = "upstream failed"


def count_parent(child: NodeState, phase: Phase) -> None:
    """Count the end of one parent of `child`."""
    child.pending -= 1
    match phase:
        case Phase.SUCCEEDED:
            child.succeeded += 1
        case Phase.FAILED | Phase.CANCELLED:
            child.failed += 1
        case Phase.UPSTREAM_FAILED:
            child.upstream_failed += 1
        case Phase.SKIPPED:
            child.skipped += 1
        case _:
            raise ValueError(f"{phase} is not an end")


def decide(state: NodeState) -> Verdict:  # noqa: C901  (twelve rules, one table)
    """Return what the node's rule says. A node without parents runs, whatever its rule. O(1)."""
    if not state.node.needs:
        return Verdict.RUN
    bad = state.failed + state.upstream_failed
    good, skipped, done = state.succeeded, state.skipped, state.pending == 0
    wait_or_run = Verdict.RUN if done else Verdict.WAIT
    match state.node.trigger:
        case TriggerRule.ALWAYS:
            return Verdict.RUN
        case TriggerRule.ALL_SUCCEEDED:
            if bad:
                return Verdict.UPSTREAM_FAILED
            # Not before all have ended: one of the others may still fail, and failure outranks a skip.
            return Verdict.SKIP if done and skipped else wait_or_run
        case TriggerRule.ALL_FAILED:
            return Verdict.SKIP if good or skipped else wait_or_run
        case TriggerRule.ALL_DONE:
            return wait_or_run
        case TriggerRule.ALL_DONE_MIN_ONE_SUCCESS:
            return _unless_none_succeeded(state) if done else Verdict.WAIT
        case TriggerRule.ALL_SKIPPED:
            return Verdict.SKIP if good or bad else wait_or_run
        case TriggerRule.ONE_FAILED:
            return Verdict.RUN if bad else (Verdict.SKIP if done else Verdict.WAIT)
        case TriggerRule.ONE_SUCCESS:
            return Verdict.RUN if good else (_unless_none_succeeded(state) if done else Verdict.WAIT)
        case TriggerRule.ONE_DONE:
            return Verdict.RUN if good or state.failed else (Verdict.SKIP if done else Verdict.WAIT)
        case TriggerRule.NONE_FAILED:
            return Verdict.UPSTREAM_FAILED if bad else wait_or_run
        case TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS:
            if bad:
                return Verdict.UPSTREAM_FAILED
            return _unless_none_succeeded(state) if done else Verdict.WAIT
        case TriggerRule.NONE_SKIPPED:
            return Verdict.SKIP if skipped else wait_or_run


def _unless_none_succeeded(state: NodeState) -> Verdict:
    if state.succeeded:
        return Verdict.RUN
    return Verdict.UPSTREAM_FAILED if state.failed or state.upstream_failed else Verdict.SKIP
