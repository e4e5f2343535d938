"""What does not fit the models: told by field, in words, all at once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, problems, spec, task


@pytest.mark.parametrize(
    ("definition", "path", "message"),
    [
        (spec(paralelism=3), "spec.paralelism", "unknown field; did you mean 'parallelism'?"),
        (spec(parallelism="3"), "spec.parallelism", 'must be an integer, not "3"'),
        (spec(parallelism=0), "spec.parallelism", "must be greater than or equal to 1"),
        (spec(suspend="yes"), "spec.suspend", 'must be true or false, not "yes"'),
        ({}, "spec.tasks", "is required"),
        ({"tasks": []}, "spec.tasks", "must have at least 1 item, not 0"),
        ({"tasks": {}}, "spec.tasks", "must be a list, not {}"),
        (spec("x"), "spec.tasks[0]", 'must be an object, not "x"'),  # type: ignore[arg-type]
        (spec(task(foreach={})), "spec.tasks[0].foreach", "unknown field; did you mean 'forEach'?"),
        (spec(task(timeout_seconds=3)), "spec.tasks[0].timeout_seconds", "unknown field; did you mean 'timeoutSeconds"),
        (spec(task(forEach={})), "spec.tasks[0].forEach.in", "is required"),
        (spec(task(forEach={"in": [], "max": 3})), "spec.tasks[0].forEach.max", "unknown field"),
        (spec(task(onFailure="Ignore")), "spec.tasks[0].onFailure", "must be one of Fail, Continue, not 'Ignore'"),
        (
            spec(task(retry={"rules": [{"reasons": ["out of memory"]}]})),
            "spec.tasks[0].retry.rules[0].reasons[0]",
            "must be a reason in CamelCase such as OOMKilled, unlike",
        ),
        (spec(task(skipExitCodes=[0])), "spec.tasks[0].skipExitCodes[0]", "must be greater than or equal to 1"),
        (spec(task(neds=[])), "spec.tasks[0].neds", "unknown field; did you mean 'needs'?"),
        (spec(task(retry={"limt": 1})), "spec.tasks[0].retry.limt", "unknown field; did you mean 'limit'?"),
        (spec(task(needs=[1])), "spec.tasks[0].needs[0]", "must be a string (put it in quotes), not 1"),
        (
            spec(task("Load")),
            "spec.tasks[0].name",
            "must consist of lowercase letters, digits and '-', and begin and end with a letter or a digit, unlike",
        ),
        (
            spec(task(outputs=[{"name": "a-b"}])),
            "spec.tasks[0].outputs[0].name",
            "must consist of letters, digits and '_', and not begin with a digit, unlike \"a-b\"",
        ),
        (spec(task("x" * 64)), "spec.tasks[0].name", "must have at most 63 characters"),
        (
            spec(task(retry={"backoff": {"jitter": "full"}})),
            "spec.tasks[0].retry.backoff.jitter",
            "must be one of None, Full, not 'full'; did you mean 'Full'?",
        ),
        (
            spec(task(retry={"backoff": {"factor": 1.5}})),
            "spec.tasks[0].retry.backoff.factor",
            "must be an integer, not 1.5",
        ),
        (
            spec(task(env=[{"name": "A", "valu": "x"}])),
            "spec.tasks[0].env[0].valu",
            "unknown field; did you mean 'value'?",
        ),
        (
            spec(task(container={"image": "x", "name": "y"})),
            "spec.tasks[0].container.name",
            "must not be set: the container of a task is always named `main`",
        ),
        (
            spec(task(container={"image": "x", "terminationMessagePath": "/x"})),
            "spec.tasks[0].container.terminationMessagePath",
            "must not be set: outputs are read from the container's termination message",
        ),
        (spec(task(pod={"restartPolicy": "Always"})), "spec.tasks[0].pod.restartPolicy", "must not be set: use"),
        (spec(task(pod={"containers": []})), "spec.tasks[0].pod.containers", "must not be set: the task is"),
    ],
)
def test_says_what_does_not_fit(definition: dict[str, Any], path: str, message: str) -> None:
    found = problems(definition)
    assert list(found) == [path]
    assert found[path].startswith(message)


def test_a_spec_that_is_no_object_is_said_so() -> None:
    assert problems("[]") == {"spec": "must be an object"}


def test_everything_is_told_at_once_even_about_what_does_not_fit() -> None:
    found = problems(
        spec(
            task("extract", retry={"limt": 1}, outputs=[{"name": "rows", "type": "integer"}]),
            task("load", needs=["extrct"], trigger="AllSucceded"),
            task("report", needs=["load"], env=[{"name": "N", "value": "${tasks.extract.outputs.row}"}]),
            arguments=[{"name": "dya", "value": 1}],
            params=[{"name": "day", "type": "strin"}],
        )
    )
    assert list(found) == [
        "spec.arguments[0].name",
        "spec.params[0].type",
        "spec.tasks[0].retry.limt",
        "spec.tasks[1].needs[0]",
        "spec.tasks[1].trigger",
        "spec.tasks[2].env[0].value",
    ]


def test_problems_come_in_the_order_of_the_tasks() -> None:
    found = problems(spec(*(task(f"t{index}", retry={"x": 1}) for index in range(12))))
    assert list(found) == [f"spec.tasks[{index}].retry.x" for index in range(12)]


def test_what_is_wrong_with_the_defaults_is_not_blamed_on_the_tasks() -> None:
    found = problems(spec(task(container={}), taskDefaults={"image": 1}))
    assert list(found) == ["spec.taskDefaults.image"]


def test_a_field_that_is_null_is_not_there_as_for_the_api_server() -> None:
    empty = task(needs=None, pod=None, container={"image": "x", "command": None, "resources": {"limits": None}})
    assert not problems(spec(empty, params=None))


def test_null_within_a_value_is_a_value() -> None:
    definition = spec(params=[{"name": "p", "type": "object", "default": {"a": None}}])
    assert compiled(definition).graph.params == {"p": {"a": None}}
