"""docs/install.md tells what the chart and the operator really do."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from tests.unit.chart.test_roles import operator_rules

from fairlead.api import labels

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "install.md").read_text()


def test_the_release_command_names_our_finalizer_and_label() -> None:
    command = PAGE[PAGE.index("kubectl get pods,jobs --all-namespaces") :]
    assert f'"$deleteFromPrimitiveList/finalizers":["{labels.FINALIZER}"]' in command
    assert f"--selector {labels.RUN_UID} " in command


def test_the_table_of_rights_is_the_role() -> None:
    granted = {name: rule["verbs"] for rule in operator_rules() for name in rule["resources"]}
    told = {
        name: verbs.split(", ")
        for names, verbs in re.findall(r"^\| (`[^|]*`) \| ([a-z, ]+) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", names)
    }
    assert told == granted


def test_every_setting_that_it_names_is_a_value() -> None:
    values = yaml.safe_load((ROOT / "charts" / "fairlead" / "values.yaml").read_text())
    named = {match for match in re.findall(r"(?:--set |`)([a-z]\w+\.[a-zA-Z]+)[=`]", PAGE) if "." in match}
    named -= {"values.yaml"}
    assert named
    for name in named:
        section, key = name.split(".")
        assert key in values[section], name
