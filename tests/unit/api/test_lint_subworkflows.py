"""What lint says of `workflow` tasks, from the templates in the same files."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.unit.api.definitions import EVALUATOR

from fairlead.api.lint import lint_documents
from fairlead.api.problems import Severity

TASK = {"name": "a", "container": {"image": "x"}}
PARAMS = [{"name": "day"}, {"name": "rows", "type": "integer", "default": 1}]
OUTPUTS = [{"name": "rows", "value": "${1}"}]


def of(kind: str, name: str, *tasks: dict[str, Any], **spec: Any) -> dict[str, Any]:
    spec = {"tasks": [*tasks] or [TASK], **spec}
    return {"apiVersion": "fairlead.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def template(name: str, *tasks: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return of("WorkflowTemplate", name, *tasks, **spec)


def runs(name: str, *arguments: Any, **fields: Any) -> dict[str, Any]:
    given = [{"name": key, "value": value} for key, value in arguments]
    return {"name": f"run-{name}", "workflow": {"templateRef": {"name": name}, "arguments": given}, **fields}


def found(*documents: dict[str, Any]) -> list[tuple[str, str]]:
    text = yaml.safe_dump_all(documents, sort_keys=False)
    return [(each.path, each.message) for each in lint_documents(text, evaluator=EVALUATOR)]


DAILY = template("daily", params=PARAMS, outputs=OUTPUTS)


def test_nothing_is_said_of_what_fits() -> None:
    task = runs("daily", ("day", "monday"), ("rows", 3), outputs=[{"name": "rows", "type": "integer"}])
    assert found(of("Workflow", "w", task), DAILY) == []
    assert found(template("w", task), DAILY) == []
    expression = runs(
        "daily", ("day", "${string(1)}"), ("rows", "${size('x')}"), outputs=[{"name": "r", "default": ""}]
    )
    assert found(of("Workflow", "w", expression), DAILY) == []


@pytest.mark.parametrize(
    ("task", "path", "message"),
    [
        (
            runs("daily"),
            "spec.tasks[0].workflow.arguments",
            "parameter 'day' of WorkflowTemplate 'daily' has no value",
        ),
        (
            runs("daily", ("day", "x"), ("row", 1)),
            "spec.tasks[0].workflow.arguments[1].name",
            "WorkflowTemplate 'daily' has no parameter 'row'; did you mean 'rows'?",
        ),
        (
            runs("daily", ("day", 1)),
            "spec.tasks[0].workflow.arguments[0].value",
            "must be of type string, as WorkflowTemplate 'daily' says, not 1",
        ),
        (
            runs("daily", ("day", "x"), outputs=[{"name": "row"}]),
            "spec.tasks[0].outputs[0].name",
            "WorkflowTemplate 'daily' has no output 'row'; did you mean 'rows'?",
        ),
    ],
)
def test_what_does_not_fit_the_template(task: dict[str, Any], path: str, message: str) -> None:
    assert found(of("Workflow", "w", task), DAILY) == [(path, message)]


def test_a_template_that_is_not_there_is_a_note() -> None:
    [note] = lint_documents(yaml.safe_dump(of("Workflow", "w", runs("daily"))), evaluator=EVALUATOR)
    assert (note.severity, note.path) == (Severity.WARNING, "spec.tasks[0].workflow.templateRef.name")


def test_templates_that_run_each_other_without_end_are_refused() -> None:
    documents = template("a", runs("b")), template("b", TASK, runs("c")), template("c", runs("a"))
    words = "the templates run each other without end"
    assert found(*documents) == [
        ("spec.tasks[0].workflow.templateRef.name", f"{words}: a → b → c → a"),
        ("spec.tasks[1].workflow.templateRef.name", f"{words}: b → c → a → b"),
        ("spec.tasks[0].workflow.templateRef.name", f"{words}: c → a → b → c"),
    ]
    assert found(template("a", runs("a"))) == [
        ("spec.tasks[0].workflow.templateRef.name", f"{words}: a → a"),
    ]
    assert found(of("Workflow", "a", runs("a")), template("a")) == []


def test_a_template_with_errors_of_its_own_does_not_stop_the_rest() -> None:
    broken = template("daily", params=[None, "x", {"name": "day"}], outputs=3)
    assert ("spec.tasks[0].workflow.arguments", "parameter 'day' of WorkflowTemplate 'daily' has no value") in found(
        of("Workflow", "w", runs("daily")), broken
    )
