"""Stopping a run as a whole: by its user, in one of three ways, or because its deadline has passed."""

from __future__ import annotations

from fairlead.engine.endings import RUN_DEADLINE
from fairlead.engine.ends import cancel
from fairlead.engine.model import ACTIVE, StopMode, WorkKind
from fairlead.engine.passes import Pass
from fairlead.engine.state import NodeState

__all__ = ["STOPS", "STOP_REASONS", "stop"]

#: The reason that a run, and what it cancels, is given by each way of stopping it.
STOP_REASONS = {
    StopMode.GRACEFUL: "Stopped",
    StopMode.CANCEL: "Cancelled",
    StopMode.TERMINATE: "Terminated",
}

#: Reasons for which a run is stopped as a whole. A stop that has begun is never taken back, but may be hastened.
STOPS = frozenset({RUN_DEADLINE, *STOP_REASONS.values()})

#: What a graceful stop lets finish is work that goes on; nobody is going to wait for these.
_NOT_WORK = frozenset({WorkKind.WAIT, WorkKind.APPROVAL})


def stop(p: Pass, reason: str, mode: StopMode, message: str) -> None:
    """Start nothing more, and end what has to end. O(nodes), once for each step of haste."""
    run = p.run
    run.stopping, run.stop_mode = reason, mode
    run.revision += 1
    for name in p.graph.nodes:
        state = run.nodes[name]
        if state.node.final and mode is not StopMode.TERMINATE:
            continue
        if mode is StopMode.GRACEFUL:
            _stop_gracefully(p, state, reason, message)
        else:
            cancel(p, state, reason, message)


def _stop_gracefully(p: Pass, state: NodeState, reason: str, message: str) -> None:
    if state.items is not None:
        for item in state.items.states:
            _stop_gracefully(p, item, reason, message)
    elif state.phase not in ACTIVE or state.node.work.kind in _NOT_WORK:
        cancel(p, state, reason, message)
