"""Every metric that a dashboard, an alert or a page names is in the code, and every one of ours is looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.telemetry.specs import PROCESS, SPECS

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "fairlead"
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "charts" / "fairlead" / "values.yaml"]

KNOWN = {spec.name: spec for spec in SPECS}
NAMES = KNOWN.keys() | PROCESS

#: A metric of ours, under whichever of its names: `fairlead_runs`, `workqueue_depth`, `…_bucket`.
METRIC = re.compile(r"\b(?:fairlead|workqueue|controller_runtime|rest_client|leader_election|process)_[a-z0-9_]+\b")

#: What looks like one and is none.
OTHER = {"process_name", "fairlead_template_"}


def metric_of(sample: str) -> str:
    """The metric that a sample belongs to: a histogram is told as three."""
    plain = re.sub(r"_(bucket|sum|count)$", "", sample)
    return plain if plain in KNOWN and KNOWN[plain].kind == "histogram" else sample


def metrics_in(text: str) -> set[str]:
    return {metric_of(name) for name in METRIC.findall(text)} - OTHER


def expressions(board: dict[str, Any]) -> Iterator[str]:
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (each["query"] for each in board["templating"]["list"] if each["type"] == "query")


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    return group["rules"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_asks_for_what_there_is(path: Path) -> None:
    named = metrics_in("\n".join(expressions(json.loads(path.read_text()))))
    assert named
    assert named <= NAMES


def test_alerts_ask_for_what_there_is() -> None:
    for each in alerts():
        assert metrics_in(each["expr"]), each["alert"]
        assert metrics_in(each["expr"]) <= NAMES, each["alert"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_names_what_there_is(path: Path) -> None:
    assert metrics_in(path.read_text()) <= NAMES


def test_whatever_is_measured_is_looked_at() -> None:
    looked_at = {name for each in alerts() for name in metrics_in(each["expr"])}
    for path in DASHBOARDS:
        looked_at |= metrics_in("\n".join(expressions(json.loads(path.read_text()))))
    assert KNOWN.keys() - looked_at == set()


def test_labels_in_expressions_are_those_of_the_metric() -> None:
    """A selector on a label that the metric does not have finds nothing, for ever."""
    of_target = {"job", "namespace", "instance", "le"}
    texts = [each["expr"] for each in alerts()]
    for path in DASHBOARDS:
        texts += expressions(json.loads(path.read_text()))
    checked = 0
    for text in texts:
        for name, selector in re.findall(rf"({METRIC.pattern})\{{([^}}]*)\}}", text):
            spec = KNOWN.get(metric_of(name))
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert used <= of_target | set(() if spec is None else spec.labels), text
            checked += 1
    assert checked > 50
