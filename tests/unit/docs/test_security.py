"""docs/security.md: each threat has a test that is there, or is accepted with a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables below a heading, without their heads."""
    text = PAGE[PAGE.index(f"\n## {heading}\n") :].partition("\n## ")[2].partition("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.MULTILINE)
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for table in tables for line in table.splitlines()[2:]
    ]


THREATS = rows("Threats")


def test_there_are_threats() -> None:
    assert len(THREATS) > 30


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0][:60])
def test_each_threat_has_a_test_that_is_there(row: list[str]) -> None:
    threat, stopped_by, shown_by = row
    assert threat
    assert stopped_by
    named = re.findall(r"`([^`]+\.py)::(\w+)`", shown_by)
    assert named
    for path, test in named:
        text = (ROOT / path).read_text()
        assert re.search(rf"def {test}\(", text), f"{path} has no {test}"


def test_each_accepted_risk_has_a_reason() -> None:
    found = rows("Accepted")
    assert found
    assert all(risk and why for risk, why in found)
