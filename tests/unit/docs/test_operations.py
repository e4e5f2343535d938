"""The table of bad days in docs/operations.md: complete, with a test each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_SECTION = (ROOT / "docs" / "operations.md").read_text().partition("\n## Bad days\n")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in _SECTION.splitlines() if line.startswith("|")]


def test_there_are_rows() -> None:
    assert len(ROWS[2:]) >= 7


@pytest.mark.parametrize("row", ROWS[2:], ids=lambda row: row[0])
def test_each_is_complete_and_its_test_is_there(row: list[str]) -> None:
    assert len(row) == 5
    assert all(row)
    tests = re.findall(r"`([\w/.]+)::(\w+)`", row[-1])
    assert tests
    for path, name in tests:
        assert re.search(rf"def {name}\(", (ROOT / path).read_text()), f"{path} has no {name}"
