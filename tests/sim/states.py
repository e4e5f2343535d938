"""In which states a run is when something strikes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from fairlead.engine.model import Phase, WorkKind

if TYPE_CHECKING:
    from tests.sim.simulation import Simulation

__all__ = ["State", "states_of"]


class State(StrEnum):
    """What a run is busy with. It may be in several states at once."""

    BEGINS = "begins"
    RUNS = "tasks run"
    RETRIES = "a task waits for its retry"
    LIST = "forEach"
    CHILD = "sub-workflow"
    EPOCH = "retry epoch"
    ACTION = "action not answered"
    STOPS = "stop"
    SUSPENDED = "suspended"
    FINALLY = "finally"
    LARGE = "in shards"
    OVER = "over"


_LIVE = (Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.BACKOFF)


def states_of(simulation: Simulation) -> frozenset[State]:
    """Return the states that a run is in, as far as it is persisted."""
    run = simulation.run
    live = [state for state in run.nodes.values() if state.phase in _LIVE]
    over = run.outcome is not None
    told = {
        State.BEGINS: "startTime" not in simulation.status,
        State.RUNS: not over and bool(live),
        State.RETRIES: not over and any(state.phase is Phase.BACKOFF for state in run.nodes.values()),
        State.LIST: not over and any(state.node.for_each is not None for state in live),
        State.CHILD: not over and any(state.node.work.kind is WorkKind.WORKFLOW for state in live),
        State.EPOCH: not over and run.epoch > 1,
        State.ACTION: bool(simulation.unanswered()),
        State.STOPS: not over and bool(run.stopping or run.stop_recorded),
        State.SUSPENDED: not over and bool(simulation._spec.get("suspend")),
        State.FINALLY: not over and any(state.node.final for state in live),
        State.LARGE: not over and bool(simulation.shards),
        State.OVER: over,
    }
    return frozenset(state for state, so in told.items() if so)
