"""Which moves between phases are legal. Everything that decides this must live in this file.

Theory of operation
-------------------
A node begins Waiting. Two kinds of change move it:

*Settled* moves follow from the graph alone, once its parents have ended far enough for its trigger to fire: the
node becomes Queued, or ends without an attempt as Skipped (a false `when`, a trigger that cannot fire any more),
UpstreamFailed, Failed (an expression that cannot be evaluated) or, when the run stops, Cancelled.

*Observed* moves follow from facts about its current attempt. A slot is granted: Queued → Starting. Its main container
runs: Starting → Running. It ends: Succeeded, Failed or Cancelled; or, with budget left, Backoff until the next attempt
is due and then Queued again. An attempt that could not be created (no quota, no rights) goes back from Starting to
Queued: nothing was run.

A controller that starts afresh sees pods before it has told itself the story that led to them. It tells the story
then: an attempt that is seen takes its node along the legal moves to Starting (:func:`path_to_starting`).

Terminal is final. Nothing leaves a terminal phase; a retry by the user begins a new epoch with new states.
"""

from __future__ import annotations

from fairlead.engine.model import ACTIVE, TERMINAL, Phase
from fairlead.engine.state import NodeState, RunState

__all__ = ["MOVES", "IllegalMove", "move", "path_to_starting"]

MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset({Phase.QUEUED, Phase.SKIPPED, Phase.UPSTREAM_FAILED, Phase.FAILED, Phase.CANCELLED}),
    Phase.QUEUED: frozenset({Phase.STARTING, Phase.FAILED, Phase.CANCELLED}),
    Phase.STARTING: frozenset(
        {Phase.RUNNING, Phase.QUEUED, Phase.BACKOFF, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}
    ),
    Phase.RUNNING: frozenset({Phase.BACKOFF, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}),
    Phase.BACKOFF: frozenset({Phase.QUEUED, Phase.FAILED, Phase.CANCELLED}),
    **{phase: frozenset() for phase in TERMINAL},
}


class IllegalMove(RuntimeError):
    """A move that the table does not have: a bug in the engine. The state is left as it was."""


def move(run: RunState, state: NodeState, phase: Phase) -> None:
    """Move a node to `phase` and keep the run's counts and live attempts in step.

    The reason and message of the phase it leaves are cleared. Raises :class:`IllegalMove`.
    """
    if phase not in MOVES[state.phase]:
        raise IllegalMove(f"{state.node.name}: {state.phase} → {phase}")
    run.counts[state.phase] -= 1
    run.counts[phase] += 1
    run.live += (phase in ACTIVE) - (state.phase in ACTIVE)
    state.phase = phase
    state.reason = state.message = ""
    run.revision += 1


def path_to_starting(phase: Phase) -> tuple[Phase, ...]:
    """Return the legal moves from a phase without a live attempt to Starting; `()` from anywhere else."""
    match phase:
        case Phase.WAITING | Phase.BACKOFF:
            return (Phase.QUEUED, Phase.STARTING)
        case Phase.QUEUED:
            return (Phase.STARTING,)
        case _:
            return ()
