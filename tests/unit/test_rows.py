"""Every row of the acceptance table, and every line of the fine print, has a test that names it.

`pytest -m row` runs these tests alone. A test says which row it proves with `@pytest.mark.row("B5")`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]
_END_TO_END = Path(__file__).parents[2] / "e2e" / "tests"

#: Rows of the acceptance table: groups A to G, as far as they belong to the semantics of a run.
ROWS = {
    "A1": "validated at admission",
    "A2": "a definition is not a run",
    "A3": "a run is pinned to its definition",
    "A4": "typed parameters",
    "A5": "templates and sub-workflows",
    "B1": "dependencies and trigger rules",
    "B2": "conditions and branches",
    "B3": "lists with tolerance and batches",
    "B4": "loops",
    "B5": "retry policy; infrastructure failures apart",
    "B7": "clean-up",
    "B8": "three time-outs",
    "B9": "how a run ends",
    "C1": "named small results",
    "C3": "runs of ten thousand tasks",
    "E5": "cheap small tasks",
    "F1": "distinct reasons for each end of a pod",
    "F2": "resource tasks with presets",
    "F3": "a submission survives a crash",
    "G1": "run again from the failure",
    "G2": "clear and mark",
    "G3": "pause, resume, ways of stopping",
    "G4": "a person's approval",
    "G5": "the reason for waiting",
}

#: Lines of the fine print.
FINE_PRINT = (
    "identity",
    "guarantee",
    "why-a-pod-ended",
    "durable-without-a-pod",
    "when",
    "references",
    "names-in-cel",
    "aggregates",
    "over-tolerance",
    "on-failure-continue",
    "handles",
    "cancelled",
    "finally",
    "suspend",
    "retry-of-a-foreach",
    "sub-workflow",
    "actions",
    "ttl-under-gitops",
    "pinning",
    "jobs",
    "outputs",
    "size-of-values",
    "pods-that-finished",
)


def _marks(folder: Path) -> Iterator[str]:
    """Yield every name that a test of a folder marks itself with."""
    for path in folder.rglob("test_*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "row":
                yield from (str(name.value) for name in call.args if isinstance(name, ast.Constant))


MARKED = {*_marks(_TESTS), *_marks(_END_TO_END)}


@pytest.mark.parametrize("row", [*ROWS, *(f"fine:{line}" for line in FINE_PRINT)])
def test_a_test_names_it(row: str) -> None:
    assert row in MARKED, f"no test is marked with @pytest.mark.row({row!r})"


def test_no_test_names_a_row_that_is_not_there() -> None:
    assert {*ROWS, *(f"fine:{line}" for line in FINE_PRINT)} >= MARKED
