"""`fairlead lint`: which files, which form, which exit code. What is found is the business of `api/lint.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.main import app

GOOD = """\
apiVersion: fairlead.dev/v1alpha1
kind: Workflow
metadata: {name: good}
spec:
  tasks:
    - {name: extract, container: {image: x}}
"""
BAD = GOOD.replace("name: good", "name: bad") + "    - {name: load, container: {image: x}, needs: [extrakt]}\n"
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"


def lint(*arguments: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["lint", *map(str, arguments)], input=text)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "deep/er/bad.yml").write_text(f"{OTHER}---\n{BAD}")
    (tmp_path / "deep/notes.txt").write_text("no YAML: [")
    return tmp_path


def test_a_good_file_is_silent_on_standard_output(files: Path) -> None:
    result = lint(files / "good.yaml")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, "")
    assert result.stderr == "1 document in 1 file checked, no errors\n"


def test_a_directory_is_searched_and_what_is_not_ours_is_counted(files: Path) -> None:
    result = lint(files)
    assert result.exit_code == ExitCode.FAILED
    assert result.stderr == "2 documents in 2 files checked, 1 other document skipped, 1 error\n"


def test_a_problem_has_its_file_its_line_its_field_and_a_proposal(files: Path) -> None:
    file = files / "deep/er/bad.yml"
    line = lint(file).stdout
    assert line.startswith(f"{file}:11: spec.tasks[1].needs[0]: ")
    assert "extrakt" in line
    assert "did you mean 'extract'?" in line
    assert len(line.splitlines()) == 1


def test_the_simple_form_has_a_line_for_each_problem(files: Path) -> None:
    result = lint(files, "-o", "simple")
    assert result.stdout.startswith(f"{files / 'deep/er/bad.yml'}:11: error: spec.tasks[1].needs[0]: ")
    assert result.stderr == ""


def test_the_json_form_is_for_programs(files: Path) -> None:
    result = lint(files, "-o", "json")
    (problem,) = json.loads(result.stdout)
    assert problem.pop("message")
    assert problem == {
        "file": str(files / "deep/er/bad.yml"),
        "line": 11,
        "subject": "Workflow/bad",
        "severity": "Error",
        "path": "spec.tasks[1].needs[0]",
    }
    assert json.loads(lint(files / "good.yaml", "-o", "json").stdout) == []


def test_a_file_named_twice_is_checked_once(files: Path) -> None:
    assert "in 2 files" in lint(files, files / "good.yaml").stderr


def test_standard_input_is_a_file_too() -> None:
    assert lint("-", text=BAD).stdout.startswith("-:")


def test_what_is_no_yaml_is_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: b\n: : :")
    result = lint(tmp_path)
    assert result.exit_code == ExitCode.FAILED
    assert f"{tmp_path / 'x.yaml'}:2: this is not YAML" in result.stdout


def test_warnings_fail_only_where_that_is_wanted(tmp_path: Path) -> None:
    implied = GOOD.replace("container: {image: x}}", "container: {image: x}, outputs: [{name: rows}]}")
    reader = "    - {name: load, container: {image: x, args: ['${tasks.extract.outputs.rows}']}}\n"
    (tmp_path / "x.yaml").write_text(implied + reader)
    result = lint(tmp_path)
    assert result.exit_code == ExitCode.OK
    assert "warning: " in result.stdout
    assert lint(tmp_path, "--strict").exit_code == ExitCode.FAILED


def test_a_missing_file_and_an_empty_directory_are_wrong_usage(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        result = lint(path)
        assert isinstance(result.exception, CliError)
        assert result.exception.code == ExitCode.USAGE


def test_a_template_may_stand_in_another_file(tmp_path: Path) -> None:
    header = "apiVersion: fairlead.dev/v1alpha1\nkind: "
    tasks = "spec:\n  params: [{name: day}]\n  tasks:\n    - {name: a, container: {image: x}}\n"
    (tmp_path / "template.yaml").write_text(f"{header}WorkflowTemplate\nmetadata: {{name: daily}}\n{tasks}")
    use = "spec:\n  templateRef: {name: daily}\n  arguments: [{name: dya, value: x}, {name: day, value: x}]\n"
    (tmp_path / "a-run.yaml").write_text(f"{header}Workflow\nmetadata: {{name: run}}\n{use}")
    result = lint(tmp_path, "-o", "simple")
    assert result.stdout == (
        f"{tmp_path}/a-run.yaml:6: error: spec.arguments[0].name: no parameter named 'dya'; did you mean 'day'?\n"
    )
