"""The alerts as they ship: complete, at their own pace, with a runbook, a unit test and a fault each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from e2e.observe.faults import GROUPS
from tools.monitoring.alerts import ALERTS, Alert, Pace, rules

ROOT = Path(__file__).resolve().parents[3]
RUNBOOKS = (ROOT / "docs" / "runbooks" / "alerts.md").read_text()
NAMES = [alert.name for alert in ALERTS]


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_says_what_it_looks_back_over(alert: Alert) -> None:
    assert ("$window" in alert.expr) == bool(alert.window)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_runbook(name: str) -> None:
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert section, f"docs/runbooks/alerts.md has no section {name}"
    assert re.findall(r"^\*\*(\w+)\.\*\*", section[1], re.MULTILINE) == ["Meaning", "Confirm", "Do"]


def test_no_runbook_without_an_alert() -> None:
    assert re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE) == NAMES


def test_the_address_of_a_runbook_is_that_of_its_section() -> None:
    [group] = rules()["groups"]
    for each in group["rules"]:
        page, _, anchor = each["annotations"]["runbook_url"].partition("#")
        assert (ROOT / page).exists()
        assert anchor == each["alert"].lower()


def test_each_has_a_unit_test_in_which_it_fires() -> None:
    fires = set()
    for path in (ROOT / "tests" / "alerts").glob("*.yaml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            fires |= {each["alertname"] for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fires == set(NAMES)


def test_each_has_a_fault_that_makes_it_fire() -> None:
    assert {name for group in GROUPS for fault in group.faults for name in fault.alerts} == set(NAMES)
    assert {name for group in GROUPS for fault in group.faults for name in fault.consequences} <= set(NAMES)


def test_another_pace_changes_windows_and_holds_and_nothing_else() -> None:
    def without_times(text: str) -> str:
        return re.sub(r"\[\w+\]", "[]", text)

    [own], [fast] = rules()["groups"], rules(Pace("15s", "4s"))["groups"]
    for before, after in zip(own["rules"], fast["rules"], strict=True):
        assert without_times(before["expr"]) == without_times(after["expr"])
        assert set(re.findall(r"\[(\w+)\]", after["expr"])) <= {"15s"}
        assert after["for"] == ("0s" if before["for"] == "0s" else "4s")
        assert {**before, "expr": "", "for": ""} == {**after, "expr": "", "for": ""}
