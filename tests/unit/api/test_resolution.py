"""Workflows that name a template: what comes from where, and where what is wrong is told."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from tests.unit.api.definitions import EVALUATOR, RUN, task

from fairlead.api.compile import Compiled, check_template, compile_workflow
from fairlead.api.problems import InvalidSpec, Severity
from fairlead.api.resolution import merge_definition
from fairlead.api.settings import compile_settings
from fairlead.engine.model import Settings

TEMPLATE: dict[str, Any] = {
    "params": [{"name": "day"}, {"name": "rows", "type": "integer", "default": 1}],
    "taskDefaults": {"image": "x"},
    "tasks": [
        {"name": "load", "container": {"args": ["${params.day}"]}, "outputs": [{"name": "n", "type": "integer"}]}
    ],
    "outputs": [{"name": "n", "value": "${tasks.load.outputs.n}"}],
    "parallelism": 3,
    "deadlineSeconds": 60,
}


def of_template(**fields: Any) -> dict[str, Any]:
    return {"templateRef": {"name": "daily"}, "arguments": [{"name": "day", "value": "monday"}], **fields}


def compiled(spec: dict[str, Any], definition: Any = TEMPLATE) -> Compiled:
    return compile_workflow(spec, evaluator=EVALUATOR, name="demo", namespace="sales", definition=definition)


def problems(spec: dict[str, Any], definition: Any = TEMPLATE) -> list[tuple[str, str]]:
    with pytest.raises(InvalidSpec) as invalid:
        compiled(spec, definition)
    return [(problem.path, problem.message) for problem in invalid.value.problems]


def test_the_definition_is_the_templates_and_the_arguments_are_the_workflows() -> None:
    graph = compiled(of_template()).graph
    assert [*graph.nodes] == ["load"]
    assert graph.params == {"day": "monday", "rows": 1}
    [(name, _)] = graph.outputs
    assert name == "n"
    work = graph.nodes["load"].work.evaluate({"params": graph.params, "run": RUN, "tasks": {}})
    assert work["container"] == {"args": ["monday"], "image": "x"}


def test_limits_of_the_template_hold_unless_the_workflow_has_its_own() -> None:
    spec = of_template(parallelism=8, suspend=True)
    assert compiled(spec).settings == Settings(parallelism=8, deadline_seconds=60, suspend=True)
    assert compile_settings(spec, TEMPLATE) == compiled(spec).settings
    assert compile_settings({"tasks": [], "parallelism": 2}, TEMPLATE) == Settings(parallelism=2)


def test_merging_gives_a_spec_without_template_and_changes_nothing() -> None:
    spec, definition = of_template(suspend=True), deepcopy(TEMPLATE)
    merged = merge_definition(spec, definition)
    assert merged == TEMPLATE | {"arguments": spec["arguments"], "suspend": True}
    assert (spec, definition) == (of_template(suspend=True), TEMPLATE)
    assert compiled(merged, None).graph.params == {"day": "monday", "rows": 1}


def test_a_template_suspends_nothing_and_passes_no_arguments() -> None:
    stray = TEMPLATE | {"suspend": True, "arguments": [{"name": "day", "value": "sunday"}]}
    assert problems(of_template(), stray) == [
        ("spec.templateRef", "WorkflowTemplate 'daily': spec.arguments: unknown field"),
        ("spec.templateRef", "WorkflowTemplate 'daily': spec.suspend: unknown field"),
    ]


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        (
            {"templateRef": {"name": "daily"}},
            "spec.arguments",
            "parameter 'day' has no value: add {name: day, value: …} here, or give it a default",
        ),
        (
            of_template(arguments=[{"name": "dya", "value": "x"}, {"name": "day", "value": "x"}]),
            "spec.arguments[0].name",
            "no parameter named 'dya'; did you mean 'day'?",
        ),
        (
            of_template(tasks=[task()]),
            "spec.tasks",
            "must not be set together with `templateRef`: `params`, `taskDefaults`, `tasks`, `finally` and `outputs`",
        ),
        (of_template(params=[]), "spec.params", "must not be set together with `templateRef`"),
        (of_template(parallelism=0), "spec.parallelism", "must be greater than or equal to 1"),
        (of_template(templateRef={"nam": "x"}), "spec.templateRef.nam", "unknown field; did you mean 'name'?"),
        (of_template(templateRef="daily"), "spec.templateRef", "must be an object"),
        (of_template(templateRef={"name": "-"}), "spec.templateRef.name", "must consist of lowercase letters"),
        ({}, "spec.tasks", "is required, unless `templateRef` is given"),
    ],
)
def test_what_is_wrong_with_the_workflow_is_told_there(spec: dict[str, Any], path: str, message: str) -> None:
    found = dict(problems(spec))
    assert found[path].startswith(message)


def test_a_template_that_is_not_known_is_told_with_all_else_that_is_wrong() -> None:
    assert problems(of_template(paralelism=1), None) == [
        ("spec.paralelism", "unknown field; did you mean 'parallelism'?"),
        ("spec.templateRef.name", "there is no WorkflowTemplate 'daily'"),
    ]


def test_what_is_wrong_with_the_template_is_told_with_its_place_there() -> None:
    broken = deepcopy(TEMPLATE)
    broken["tasks"][0]["container"]["args"] = ["${params.dya}"]
    broken["parallelism"] = 0
    spec = of_template(arguments=[{"name": "day", "value": 1}])
    (first, second, third) = problems(spec, broken)
    assert first == ("spec.arguments[0].value", "must be of type string, not 1")
    assert second[0] == third[0] == "spec.templateRef"
    assert second[1].startswith("WorkflowTemplate 'daily': spec.parallelism: must be greater")
    assert third[1].startswith("WorkflowTemplate 'daily': spec.tasks[0].container.args[0]: no parameter 'dya'")


def test_advice_about_a_template_is_not_given_to_each_of_its_runs() -> None:
    implied = deepcopy(TEMPLATE)
    implied["tasks"].append({"name": "b", "container": {"args": ["${tasks.load.outputs.n}"]}})
    assert compiled(of_template(), implied).warnings == ()
    [advice] = check_template(implied, evaluator=EVALUATOR)
    assert (advice.severity, advice.path) == (Severity.WARNING, "spec.tasks[1].container.args[0]")


def test_a_template_is_checked_without_values_for_its_parameters() -> None:
    assert check_template(TEMPLATE, evaluator=EVALUATOR) == ()


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"arguments": []}, "spec.arguments", "unknown field"),
        ({"suspend": True}, "spec.suspend", "unknown field"),
        ({"templateRef": {"name": "x"}}, "spec.templateRef", "unknown field"),
        ({"tasks": None}, "spec.tasks", "is required"),
        ({"params": []}, "spec.tasks[0].container.args[0]", "no parameter 'day'"),
        ({"params": [{"name": "day", "default": 1}]}, "spec.params[0].default", "must be of type string"),
        ({"tasks": [task(needs=["b"])]}, "spec.tasks[0].needs[0]", "no task named 'b'"),
    ],
)
def test_what_is_wrong_with_a_template(change: dict[str, Any], path: str, message: str) -> None:
    found = {each.path: each.message for each in check_template(TEMPLATE | change, evaluator=EVALUATOR)}
    assert found[path].startswith(message)


@pytest.mark.parametrize("spec", [None, [], "x"])
def test_what_is_no_template(spec: Any) -> None:
    assert [str(each) for each in check_template(spec, evaluator=EVALUATOR)] == ["spec: must be an object"]
