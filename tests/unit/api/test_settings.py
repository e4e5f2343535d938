"""What may change while a run is going on, and what an override is good for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import EVALUATOR, compiled, problems, spec, task

from fairlead.api.compile import compile_workflow
from fairlead.api.problems import InvalidSpec
from fairlead.api.settings import compile_settings
from fairlead.api.workflow import LIVE_FIELDS
from fairlead.engine.model import Override, Settings, Tolerance


def overriding(*overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides of a task `a` with items, and of a task `b` without."""
    return spec(task("a", forEach={"in": [1]}), task("b"), overrides=list(overrides))


def test_they_can_be_read_alone() -> None:
    live = {"suspend": True, "parallelism": 3, "deadlineSeconds": 60}
    assert compile_settings({"tasks": "whatever", **live}) == Settings(suspend=True, parallelism=3, deadline_seconds=60)
    assert compiled(spec(**live)).settings == compile_settings(live)
    with pytest.raises(InvalidSpec, match=r"spec\.parallelism: must be an integer"):
        compile_settings({"parallelism": "3"})


def test_they_are_the_fields_that_the_immutability_rules_leave_out() -> None:
    assert set(LIVE_FIELDS) == {
        *("suspend", "priority", "parallelism", "deadlineSeconds", "ttlSecondsAfterFinished", "overrides"),
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"maxParallel": 2}, Override(max_parallel=2)),
        ({"tolerate": {"count": 0}}, Override(tolerance=Tolerance(count=0))),
        (
            {"maxParallel": 2, "tolerate": {"percent": 2.5}},
            Override(max_parallel=2, tolerance=Tolerance(percent=2.5)),
        ),
    ],
)
def test_an_override_replaces_limits_of_a_list(given: dict[str, Any], expected: Override) -> None:
    definition = overriding({"task": "a", **given})
    assert compiled(definition).settings.overrides == {"a": expected}
    assert compile_settings(definition) == compiled(definition).settings


def test_a_task_of_finally_may_be_overridden() -> None:
    definition = spec(**{"finally": [task("z", forEach={"in": [1]})]}, overrides=[{"task": "z", "maxParallel": 1}])
    assert compiled(definition).settings.overrides == {"z": Override(max_parallel=1)}


BAD = [
    (
        [{"task": "c", "maxParallel": 2}],
        "spec.overrides[0].task",
        "no task named 'c'",
    ),
    (
        [{"task": "b", "maxParallel": 2}],
        "spec.overrides[0].task",
        "task 'b' has no `forEach`, whose limits an override is for",
    ),
    (
        [{"task": "a", "maxParallel": 2}, {"task": "a", "maxParallel": 3}],
        "spec.overrides[1].task",
        "another override is for 'a', too; give each task one",
    ),
    ([{"task": "a"}], "spec.overrides[0]", "must have at least one of `maxParallel` and `tolerate`"),
    (
        [{"task": "a", "tolerate": {}}],
        "spec.overrides[0].tolerate",
        "must have exactly one of `count` and `percent`",
    ),
]


@pytest.mark.parametrize(("overrides", "path", "message"), BAD)
def test_says_what_is_wrong(overrides: list[dict[str, Any]], path: str, message: str) -> None:
    assert problems(overriding(*overrides)) == {path: message}


def test_it_is_told_together_with_what_does_not_fit_its_model() -> None:
    definition = overriding({"task": "c", "maxParallel": 2})
    definition["tasks"].append({"name": "x", "nope": 1})
    assert {"spec.overrides[0].task", "spec.tasks[2].nope"} <= set(problems(definition))


@pytest.mark.parametrize(("overrides", "path", "message"), BAD)
def test_a_run_is_not_held_up_by_an_override_that_does_not_fit(
    overrides: list[dict[str, Any]], path: str, message: str
) -> None:
    definition = overriding(*overrides)
    reported: list[tuple[str, str]] = []
    settings = compile_settings(definition, report=lambda *found: reported.append(found))
    assert reported == [(path, message)]
    assert settings == compile_settings(definition)
    started = compile_workflow(definition, evaluator=EVALUATOR, name="demo", namespace="sales", started=True)
    assert started.settings == settings
    assert [(warning.path, warning.message) for warning in started.warnings] == [(path, message)]
