"""The table of legal moves, and that nothing leaves it."""

import itertools

import pytest
from tests.unit.engine.kit import bench, node

from fairlead.engine.model import ACTIVE, TERMINAL, Phase
from fairlead.engine.transitions import MOVES, IllegalMove, move, path_to_starting

W, Q, S, R, B = Phase.WAITING, Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.BACKOFF
OK, F, SK, UF, C = Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED, Phase.UPSTREAM_FAILED, Phase.CANCELLED

LEGAL = {
    W: {Q, R, OK, SK, UF, F, C},
    Q: {S, OK, SK, F, C},
    S: {R, Q, B, OK, SK, F, C},
    R: {B, OK, SK, F, C},
    B: {Q, OK, SK, F, C},
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Phase, Phase)), ids=lambda phase: phase.value)
def test_a_move_is_legal_or_leaves_everything_as_it_was(before: Phase, after: Phase) -> None:
    on = bench(node("a"), begun=False)
    state = on.state("a")
    on.run.counts[Phase.WAITING], on.run.counts[before] = 0, 1
    state.phase, state.reason = before, "Because"
    if after in LEGAL.get(before, set()):
        move(on.run, state, after)
        assert (state.phase, state.reason) == (after, "")
        assert on.run.counts[after] == 1
        assert on.run.revision == 1
    else:
        with pytest.raises(IllegalMove, match=f"a: {before} → {after}"):
            move(on.run, state, after)
        assert (state.phase, state.reason, on.run.revision) == (before, "Because", 0)


def test_the_table_has_every_phase() -> None:
    assert set(MOVES) == set(Phase)


def test_terminal_is_final() -> None:
    assert all(not MOVES[phase] for phase in TERMINAL)


def test_every_phase_but_the_first_can_be_reached() -> None:
    assert set().union(*MOVES.values()) == set(Phase) - {Phase.WAITING}


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)
def test_the_path_to_starting_is_made_of_legal_moves(phase: Phase) -> None:
    path = path_to_starting(phase)
    for before, after in itertools.pairwise((phase, *path)):
        assert after in MOVES[before]
    assert (path[-1:] == (Phase.STARTING,)) == (phase not in ACTIVE | TERMINAL)


def test_a_move_counts_live_attempts() -> None:
    on = bench(node("a"), begun=False)
    live = []
    for phase in (Q, S, R, B, Q, S, OK):
        move(on.run, on.state("a"), phase)
        live.append(on.run.live)
    assert live == [0, 1, 1, 0, 0, 1, 0]
