"""Lint: what is wrong with a file, and in which line."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from tests.unit.api.definitions import EVALUATOR

from fairlead.api.lint import lint_documents, lint_text, read_templates
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
        (
            GOOD.replace("Workflow", "Workflw"),
            2,
            "kind",
            "must be Workflow, WorkflowTemplate or WorkflowAction, not 'Workflw'; did you",
        ),
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


@pytest.mark.parametrize("value", ["!!int", "!!bool x", "!!float ''", "!!timestamp x", "!!int '0x'"])
def test_a_tag_that_does_not_fit_its_value_is_the_files_mistake(value: str) -> None:
    [problem] = lint_documents(f"a: {value}\n", evaluator=EVALUATOR)
    assert problem.message.startswith("this is not YAML: ")


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_have_no_problems(path: Path) -> None:
    templates = read_templates(each.read_text(encoding="utf-8") for each in path.parent.glob("*.yaml"))
    assert not lint_documents(path.read_text(encoding="utf-8"), evaluator=EVALUATOR, templates=templates)


TEMPLATE = """\
apiVersion: fairlead.dev/v1alpha1
kind: WorkflowTemplate
metadata: {name: daily}
spec:
  params: [{name: day}]
  tasks:
  - name: a
    container: {image: x, args: ["${params.day}"]}
"""
USE = HEADER + "spec:\n  templateRef: {name: daily}\n  arguments: [{name: day, value: monday}]\n"


def test_a_workflow_and_its_template_may_stand_in_the_same_text() -> None:
    assert not found(USE + "---\n" + TEMPLATE)
    [problem] = found(TEMPLATE + "---\n" + USE.replace("monday", "1"))
    assert (problem.path, problem.line) == ("spec.arguments[0].value", 16)


def test_templates_of_other_files_can_be_given() -> None:
    assert not lint_documents(USE, evaluator=EVALUATOR, templates=read_templates(["a: [", TEMPLATE]))


def test_a_template_that_is_not_there_is_a_note_and_all_else_is_checked() -> None:
    [note] = found(USE)
    assert (note.path, note.line, note.severity) == ("spec.templateRef.name", 6, Severity.WARNING)
    assert note.message.startswith("no WorkflowTemplate 'daily' is among these files")
    first, second = found(USE + "  paralelism: 1\n")
    assert (first.path, second.path) == ("spec.templateRef.name", "spec.paralelism")


@pytest.mark.parametrize(
    ("workflow", "template", "known"),
    [("", "", True), ("sales", "", True), ("", "sales", True), ("sales", "sales", True), ("sales", "hr", False)],
)
def test_a_template_is_known_within_its_namespace(workflow: str, template: str, known: bool) -> None:
    texts = [TEMPLATE.replace("{name: daily}", f"{{name: daily, namespace: {template or '~'}}}")]
    use = USE.replace("  name: demo\n", f"  name: demo\n  namespace: {workflow or '~'}\n")
    problems = lint_documents(use, evaluator=EVALUATOR, templates=read_templates(texts))
    assert bool(problems) is not known


def test_an_invalid_template_is_told_once_at_its_own_place() -> None:
    first, second = found(USE + "---\n" + TEMPLATE.replace("params.day", "params.dya"))
    assert (first.subject, first.path, first.line) == ("Workflow/demo", "spec.templateRef", 6)
    assert first.message == "WorkflowTemplate 'daily' has errors of its own"
    assert (second.subject, second.line) == ("WorkflowTemplate/daily", 16)


def test_actions_are_checked() -> None:
    text = (
        "apiVersion: fairlead.dev/v1alpha1\nkind: WorkflowAction\nmetadata: {generateName: stop-}\n"
        "spec:\n  workflowName: demo\n  workflowUID: u\n  action: Stop\n  mode: Slowly\n"
    )
    [problem] = found(text)
    assert (problem.subject, problem.path, problem.line) == ("WorkflowAction/stop-", "spec.mode", 8)


def test_what_only_the_operator_writes_is_nobodys_to_write() -> None:
    [problem] = found(GOOD.replace("kind: Workflow", "kind: TaskStatusShard"))
    assert problem.path == "kind"


def test_the_page_about_templates_shows_what_lint_accepts() -> None:
    page = (EXAMPLES.parent / "docs" / "templates.md").read_text()
    first, second = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found(first) == []
    tasks = textwrap.indent(second, "  ")
    run = f"{HEADER}spec:\n  params: [{{name: days, type: array, default: []}}]\n  tasks:\n{tasks}---\n{first}"
    assert found(run) == []
