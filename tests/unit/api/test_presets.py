"""The presets against statuses as the kinds' own controllers write them: the real CEL, each trap a step of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.api.presets import PRESETS, NameRule, advice, name_rule, preset_for, refusals
from fairlead.engine.expressions import Declarations
from fairlead.engine.model import ValueType
from fairlead.expr.cel import CelEvaluator

RECORDED = {path.stem: yaml.safe_load(path.read_text()) for path in (Path(__file__).parent / "recorded").glob("*.yaml")}
EVALUATOR = CelEvaluator()
OBJECT = Declarations(variables={"object": ValueType.OBJECT})


def evaluate(source: str, status: Any) -> Any:
    program = EVALUATOR.compile(source, OBJECT)
    return program.evaluate({"object": {"metadata": {"name": "demo", "generation": 2}, **status}})


def means(name: str, seen: Any) -> str:
    """What a preset says of an object, asked in the order in which whoever follows it asks."""
    failed, succeeded = (evaluate(source, seen) for source in (PRESETS[name].failure, PRESETS[name].success))
    assert not (failed and succeeded)
    return "Failed" if failed else "Succeeded" if succeeded else "Running"


def steps() -> Iterator[Any]:
    for name, recorded in sorted(RECORDED.items()):
        for title, sequence in recorded["sequences"].items():
            for number, step in enumerate(sequence):
                yield pytest.param(name, step, id=f"{name} {title} {number}{' TRAP' if step.get('trap') else ''}")


@pytest.mark.row("F2")
def test_each_preset_has_a_record_of_both_ends_and_of_a_trap() -> None:
    assert set(RECORDED) == set(PRESETS)
    for name, recorded in RECORDED.items():
        assert (recorded["apiVersion"], recorded["kind"]) == (PRESETS[name].api_version, PRESETS[name].kind)
        all_steps = [step for sequence in recorded["sequences"].values() for step in sequence]
        assert {step["means"] for step in all_steps} == {"Running", "Succeeded", "Failed"}
        assert name == "TrainJob" or any(step.get("trap") for step in all_steps)


@pytest.mark.parametrize(("name", "step"), [*steps()])
@pytest.mark.row("F2")
def test_what_a_status_means(name: str, step: dict[str, Any]) -> None:
    seen = {"status": step["status"]}
    assert means(name, seen) == step["means"]
    if step["means"] == "Failed":
        assert evaluate(PRESETS[name].message, seen) == step["message"]


@pytest.mark.parametrize("name", PRESETS)
def test_an_object_that_nobody_has_looked_at_is_running(name: str) -> None:
    assert means(name, {}) == "Running"
    assert isinstance(evaluate(PRESETS[name].message, {}), str)


@pytest.mark.parametrize("name", PRESETS)
def test_each_is_found_by_its_kind(name: str) -> None:
    preset = PRESETS[name]
    assert preset_for({"apiVersion": preset.api_version, "kind": preset.kind}) is preset
    assert preset_for({"apiVersion": "example.com/v1", "kind": preset.kind}) is None


@pytest.mark.parametrize(
    ("name", "spec", "path", "why"),
    [
        (
            "SparkApplication",
            {"restartPolicy": {"type": "Always"}},
            "spec.restartPolicy.type",
            "must not be 'Always': it would be run again after each end and so never complete",
        ),
        (
            "FlinkDeployment",
            {"job": {}, "flinkConfiguration": {"kubernetes.operator.job.restart.failed": "true"}},
            "spec.flinkConfiguration[kubernetes.operator.job.restart.failed]",
            "must not be 'true': a job that has failed would be started again and again",
        ),
        ("FlinkDeployment", {}, "spec.job", "is required: without a job it is a session cluster, which never ends"),
        (
            "FlinkSessionJob",
            {"job": {"state": "suspended"}},
            "spec.job.state",
            "must not be 'suspended': a suspended job never ends",
        ),
    ],
)
def test_what_never_ends_is_refused(name: str, spec: dict[str, Any], path: str, why: str) -> None:
    [(found, message)] = refusals(PRESETS[name], {"spec": spec})
    assert found == path
    assert message.startswith(why)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("SparkApplication", {"restartPolicy": {"type": "Never"}}),
        ("SparkApplication", {}),
        ("FlinkDeployment", {"job": {"jarURI": "local:///x.jar"}}),
        ("FlinkSessionJob", {"job": {"state": "running"}}),
        ("RayJob", {"suspend": True}),  # as for a queue, which resumes it
    ],
)
def test_what_ends_is_not(name: str, spec: dict[str, Any]) -> None:
    assert [*refusals(PRESETS[name], {"spec": spec})] == []


@pytest.mark.parametrize(
    ("name", "spec", "path", "words"),
    [
        ("Job", {}, "spec.backoffLimit", "the Job's own retries (6 unless set) multiply with the task's"),
        ("RayJob", {"backoffLimit": 2, "shutdownAfterJobFinishes": True}, "spec.backoffLimit", "own retries (2)"),
        ("VolcanoJob", {}, "spec.maxRetry", "own retries (3 unless set)"),
        (
            "SparkApplication",
            {"timeToLiveSeconds": 60},
            "spec.timeToLiveSeconds",
            "a SparkApplication that is gone before its end was recorded counts as deleted",
        ),
        ("RayJob", {}, "spec.shutdownAfterJobFinishes", "is not set to true: the Ray cluster stays up"),
        (
            "FlinkDeployment",
            {"job": {}},
            "spec.flinkConfiguration[kubernetes.operator.jm-deployment.shutdown-ttl]",
            "is not set to 60 s: the JobManager of a finished job stays up for a day",
        ),
    ],
)
def test_advice(name: str, spec: dict[str, Any], path: str, words: str) -> None:
    [(found, message)] = advice(PRESETS[name], {"spec": spec}, retry_limit=2)
    assert found == path
    assert words in message


def test_no_advice_where_only_one_of_two_retries() -> None:
    assert [*advice(PRESETS["Job"], {"spec": {}}, retry_limit=0)] == []
    assert [*advice(PRESETS["Job"], {"spec": {"backoffLimit": 0}}, retry_limit=2)] == []


@pytest.mark.parametrize(
    ("group", "kind", "rule"),
    [
        ("ray.io", "RayJob", NameRule(47, letter_first=True)),
        ("ray.io", "RayCluster", NameRule(47, letter_first=True)),
        ("flink.apache.org", "FlinkDeployment", NameRule(45, letter_first=True)),
        ("flink.apache.org", "FlinkSessionJob", NameRule(45, letter_first=True)),
        ("trainer.kubeflow.org", "TrainJob", NameRule(40, letter_first=True)),
        ("batch", "Job", NameRule()),
        ("example.com", "Widget", NameRule()),
    ],
)
def test_what_controllers_ask_of_names(group: str, kind: str, rule: NameRule) -> None:
    assert name_rule(group, kind) == rule


def test_the_documentation_lists_them_all() -> None:
    page = (Path(__file__).parents[3] / "docs" / "resource-tasks.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| `([^`]+)` (\w+) \|", page, re.MULTILINE)
    assert listed == [(preset.name, preset.api_version, preset.kind) for preset in PRESETS.values()]
