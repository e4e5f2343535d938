"""All mutants, in the order of their invariants."""

from __future__ import annotations

from . import attempts, determinism, ending_runs, ends, limits, records, replicas, secrets, simulated, watching, writes
from .invariants import INVARIANTS
from .mutant import Mutant

__all__ = ["MUTANTS", "named_tests"]

_GROUPS = (
    attempts.MUTANTS,
    ends.MUTANTS,
    limits.MUTANTS,
    writes.MUTANTS,
    determinism.MUTANTS,
    replicas.MUTANTS,
    records.MUTANTS,
    secrets.MUTANTS,
    ending_runs.MUTANTS,
    watching.MUTANTS,
    simulated.MUTANTS,
)

MUTANTS: tuple[Mutant, ...] = tuple(
    sorted((each for group in _GROUPS for each in group), key=lambda each: list(INVARIANTS).index(each.invariant))
)


def named_tests(mutants: tuple[Mutant, ...]) -> tuple[str, ...]:
    """Return the tests that are to catch them, each once."""
    return tuple(dict.fromkeys(test for each in mutants for test in each.caught_by))
