"""Which moves between phases are legal. Everything that decides this must live in this file.

Theory of operation
-------------------
A node begins Waiting. Two kinds of change move it:

*Settled* moves follow from the graph alone, once its parents have ended far enough for its trigger to fire: the
node becomes Queued, or ends without an attempt as Skipped (a false `when`, a trigger that cannot fire any more),
UpstreamFailed, Failed (an expression that cannot be evaluated) or, when the run stops, Cancelled. A task with items
is Running from the moment its list is known, and ends by how they ended; each item is a node like any other, Waiting
until there is room for it.

*Observed* moves follow from facts about its current attempt. A slot is granted: Queued → Starting. Its main container
runs: Starting → Running. It ends: Succeeded, Failed, Skipped (by its exit code) or Cancelled; or, with budget left or
another round to come, Backoff until the next attempt is due and then Queued again. An attempt that could not be created
(no quota, no rights) goes back from Starting to Queued: nothing was run. A node without an object takes the same way at
one go; one that only sets values needs no attempt, and ends from Queued.

A controller that starts afresh sees pods before it has told itself the story that led to them. It tells the story
then: an attempt that is seen takes its node along the legal moves to Starting (:func:`path_to_starting`).

Terminal is final. Nothing leaves a terminal phase; a retry by the user begins a new epoch with new states.
"""

from __future__ import annotations

from fairlead.engine.model import ACTIVE, TERMINAL, Phase
from fairlead.engine.state import NodeState, RunState

__all__ = ["MOVES", "IllegalMove", "enter", "move", "path_to_starting"]

_ENDS = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED})

MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset(
        {Phase.QUEUED, Phase.RUNNING, Phase.SKIPPED, Phase.UPSTREAM_FAILED, Phase.FAILED, Phase.CANCELLED}
        | {Phase.SUCCEEDED}  # by hand
    ),
    Phase.QUEUED: frozenset({Phase.STARTING} | _ENDS),
    Phase.STARTING: frozenset({Phase.RUNNING, Phase.QUEUED, Phase.BACKOFF} | _ENDS),
    Phase.RUNNING: frozenset({Phase.BACKOFF} | _ENDS),
    Phase.BACKOFF: frozenset({Phase.QUEUED} | _ENDS),
    **{phase: frozenset() for phase in TERMINAL},
}


class IllegalMove(RuntimeError):
    """A move that the table does not have: a bug in the engine. The state is left as it was."""


def move(run: RunState, state: NodeState, phase: Phase) -> None:
    """Move a node to `phase` and keep the run's counts and live attempts in step.

    The reason and message of the phase it leaves are cleared. Raises :class:`IllegalMove`.
    """
    if phase not in MOVES[state.phase]:
        raise IllegalMove(f"{state.name}: {state.phase} → {phase}")
    enter(run, state, phase)
    state.reason = state.message = ""
    run.touch(state)


def enter(run: RunState, state: NodeState, phase: Phase) -> None:
    """Put a node into `phase` and keep every count in step; for `move`, and for what was recorded. O(1)."""
    before, state.phase = state.phase, phase
    if state.items is None:
        run.counts[before] -= 1
        run.counts[phase] += 1
    begun = (phase in ACTIVE) - (before in ACTIVE)
    if state.takes_slot:
        run.live += begun
    over = (phase in TERMINAL) - (before in TERMINAL)
    parent = state.parent
    if parent is None:
        if state.node.final:
            run.open_final -= over
        else:
            run.open_main -= over
    elif parent.items is not None:
        items = parent.items
        items.open += _is_open(phase) - _is_open(before)
        items.active += begun
        if over:
            items.ended[phase] = items.ended.get(phase, 0) + 1


def _is_open(phase: Phase) -> bool:
    return phase is not Phase.WAITING and phase not in TERMINAL


def path_to_starting(phase: Phase) -> tuple[Phase, ...]:
    """Return the legal moves from a phase without a live attempt to Starting; `()` from anywhere else."""
    match phase:
        case Phase.WAITING | Phase.BACKOFF:
            return (Phase.QUEUED, Phase.STARTING)
        case Phase.QUEUED:
            return (Phase.STARTING,)
        case _:
            return ()
