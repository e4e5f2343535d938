"""A kill before or after any single write changes nothing. Graphs of up to two tasks; `make sim` has those of four."""

from __future__ import annotations

import pytest
from tests.sim.prefixes import FAILS_FIRST, SUCCEEDS, Case, cases, check, graphs, play


@pytest.mark.parametrize("case", list(cases(2)), ids=str)
def test_a_kill_at_any_write_changes_nothing(case: Case) -> None:
    runs, problems = check(case)
    assert problems == []
    assert runs > 5


@pytest.mark.parametrize(("size", "number"), [(1, 1), (2, 2), (3, 6), (4, 31)])
def test_all_graphs_are_there(size: int, number: int) -> None:
    assert len(list(graphs(size))) == number


def test_the_measure_is_what_the_script_says() -> None:
    end = play(Case(3, frozenset({(0, 1), (1, 2)}), (SUCCEEDS, FAILS_FIRST, SUCCEEDS)))
    assert end.phases == {"t0": ("Succeeded", 1), "t1": ("Succeeded", 2), "t2": ("Succeeded", 1)}
    assert end.pods == ["t0-1", "t1-1", "t1-2", "t2-1"]
    assert end.violations == []
