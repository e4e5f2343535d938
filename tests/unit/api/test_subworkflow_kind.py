"""`workflow` tasks: a template and the arguments for it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, problems, rendered, spec

from fairlead.engine.model import OutputDeclaration, ValueType, WorkKind

PATH = "spec.tasks[0].workflow"


def sub(*arguments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "a", "workflow": {"templateRef": {"name": "daily"}, "arguments": [*arguments]}, **fields}


def test_arguments_are_rendered_and_keep_their_types() -> None:
    definition = spec(
        sub(
            {"name": "day", "value": "on ${params.day}"},
            {"name": "rows", "value": "${params.rows + 1}"},
            {"name": "config", "value": {"days": ["${params.day}", None], "deep": {"n": "${params.rows}"}}},
        ),
        params=[{"name": "day", "default": "monday"}, {"name": "rows", "type": "integer", "default": 1}],
    )
    assert rendered(definition) == {
        "templateName": "daily",
        "arguments": [
            {"name": "day", "value": "on monday"},
            {"name": "rows", "value": 2},
            {"name": "config", "value": {"days": ["monday", None], "deep": {"n": 1}}},
        ],
    }
    assert compiled(definition).graph.nodes["a"].work.kind is WorkKind.WORKFLOW


def test_a_template_without_parameters_needs_no_arguments() -> None:
    task = {"name": "a", "workflow": {"templateRef": {"name": "daily"}}}
    assert rendered(spec(task)) == {"templateName": "daily", "arguments": []}


def test_outputs_are_those_of_the_child_and_can_be_read() -> None:
    reader = {"name": "b", "container": {"image": "x", "args": ["${string(tasks.a.outputs.rows + 1)}"]}}
    definition = spec(sub(outputs=[{"name": "rows", "type": "integer", "default": 0}]), reader)
    declared = compiled(definition).graph.nodes["a"].outputs
    assert declared == (OutputDeclaration(name="rows", type=ValueType.INTEGER, has_default=True, default=0),)
    assert rendered(definition, "b", a={"rows": 2})["container"]["args"] == ["3"]


def test_one_for_each_item() -> None:
    definition = spec(sub({"name": "region", "value": "${item}"}, forEach={"in": ["eu", "us"]}))
    assert problems(definition) == {}


@pytest.mark.parametrize(
    ("task", "path", "message"),
    [
        ({"name": "a", "workflow": {}}, f"{PATH}.templateRef", "is required"),
        (
            {"name": "a", "workflow": {"templateRef": {"name": "${params.x}"}}},
            f"{PATH}.templateRef.name",
            "must consist of lowercase letters, digits, '-' and '.'",
        ),
        (
            sub({"name": "day", "value": 1}, {"name": "day", "value": 2}),
            f"{PATH}.arguments[1].name",
            "another argument is for 'day', too; give each one value",
        ),
        (sub({"name": "day", "value": ["${params.x}"]}), f"{PATH}.arguments[0].value[0]", "no parameter 'x'"),
        (sub({"name": "day"}), f"{PATH}.arguments[0].value", "is required"),
        (
            sub(outputs=[{"name": "x", "from": "${object.x}"}]),
            "spec.tasks[0].outputs[0].from",
            "must not be set with `workflow`",
        ),
        (sub(pod={}), "spec.tasks[0].pod", "must not be set with `workflow`: it runs no pod"),
        (
            sub(container={"image": "x"}),
            "spec.tasks[0]",
            "must have exactly one of",
        ),
    ],
)
def test_what_is_wrong(task: dict[str, Any], path: str, message: str) -> None:
    assert problems(spec(task))[path].startswith(message)
