"""Lint: what is wrong with a file, and in which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.api.definitions import EVALUATOR

from fairlead.api.lint import lint_documents, lint_text
from fairlead.api.problems import Problem, Severity

HEADER = "apiVersion: fairlead.dev/v1alpha1\nkind: Workflow\nmetadata:\n  name: demo\n"
GOOD = HEADER + "spec:\n  tasks:\n  - name: a\n    container: {image: x}\n"
EXAMPLES = Path(__file__).parents[3] / "examples"


def found(text: str) -> list[Problem]:
    return lint_documents(text, evaluator=EVALUATOR)


def test_a_good_workflow_has_no_problems() -> None:
    assert not found(GOOD)


@pytest.mark.parametrize(
    ("text", "line", "path", "message"),
    [
        (GOOD.replace("container:", "contaner:"), 8, "spec.tasks[0].contaner", "unknown field; did you mean"),
        (GOOD + "    retry:\n      limt: 1\n", 10, "spec.tasks[0].retry.limt", "unknown field; did you mean 'limit'?"),
        (GOOD + "    resources: {}\n", 9, "spec.tasks[0].resources", "unknown field"),
        (GOOD.replace("{image: x}", "{}"), 8, "spec.tasks[0].container.image", "is required"),
        (GOOD + "  parallelism: 1\n  parallelism: 2\n", 10, "spec.parallelism", "is written twice"),
        (GOOD + "  - name: b\n", 9, "spec.tasks[1]", "must have exactly one of"),
        (GOOD.replace("name: demo", "name: Demo"), 4, "metadata.name", "must consist of"),
        (GOOD.replace("name: demo", "nam: demo"), 4, "metadata.nam", "unknown field; did you mean 'name'?"),
        (GOOD.replace("spec:", "sepc:"), 5, "sepc", "unknown field; did you mean 'spec'?"),
        (GOOD.replace("v1alpha1", "v1"), 1, "apiVersion", "must be fairlead.dev/v1alpha1, not"),
        (GOOD.replace("Workflow", "Workflw"), 2, "kind", "must be Workflow, not 'Workflw'; did you mean"),
        (HEADER, 1, "spec", "is required"),
        (HEADER + "spec: [", 6, "", "this is not YAML"),
    ],
)
def test_says_what_is_wrong_and_where(text: str, line: int, path: str, message: str) -> None:
    problem = next(problem for problem in found(text) if problem.path == path)
    assert problem.message.startswith(message)
    assert problem.line == line


def test_documents_of_others_are_skipped() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nwhat: ever\n---\n---\n" + GOOD + "---\n- 1\n"
    linted = lint_text(text, evaluator=EVALUATOR)
    assert (linted.problems, linted.checked, linted.skipped) == ((), ("Workflow/demo",), 2)


def test_problems_name_the_document() -> None:
    text = GOOD + "---\n" + GOOD.replace("name: demo", "name: other").replace("container", "contaner")
    assert {problem.subject for problem in found(text)} == {"Workflow/other"}


def test_warnings_are_told_apart() -> None:
    text = GOOD + "  - name: b\n    container: {image: '${tasks.a.phase}'}\n"
    assert [(problem.severity, problem.line) for problem in found(text)] == [(Severity.WARNING, 10)]


def test_a_date_is_a_string_as_it_is_to_kubectl() -> None:
    text = GOOD + "  params:\n  - name: day\n    default: 2026-11-22\n"
    assert not found(text)


def test_json_is_yaml_too() -> None:
    text = '{"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "metadata": {"name": "x"}, "spec": {}}'
    assert [problem.path for problem in found(text)] == ["spec.tasks"]


@pytest.mark.parametrize("value", ["!!binary aGk=", "!!set {a}", ".nan", "&a [*a]"])
def test_what_json_does_not_have_is_refused(value: str) -> None:
    (problem,) = found(GOOD + f"  arguments: {value}\n")
    assert problem.message.startswith("this is not YAML")


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_have_no_problems(path: Path) -> None:
    assert not found(path.read_text(encoding="utf-8"))
