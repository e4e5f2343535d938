"""The examples keep their own rules. That each of them runs is for the end-to-end suite to show."""

import ast
import re

import pytest
from tests.unit.examples import headers

SMALL = headers.small()
ALL = [*SMALL, headers.nycflights()]
IMAGES = {"busybox:1.36", "python:3.11-slim-bookworm", "fairlead.dev/nycflights:demo"}
PHASES = {"Succeeded", "Failed", "Skipped", "UpstreamFailed", "Cancelled"}

each = pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)


def test_there_are_at_least_ten() -> None:
    assert len(SMALL) >= 10


@pytest.mark.parametrize("example", SMALL, ids=lambda example: example.path.stem)
def test_a_file_is_named_as_its_run(example: headers.Example) -> None:
    assert example.name == example.path.stem


@each
def test_the_head_names_tasks_that_exist(example: headers.Example) -> None:
    names = {task["name"] for task in example.workflow["spec"]["tasks"]}
    assert example.tasks.keys() <= names
    assert set(example.tasks.values()) <= PHASES


@each
def test_the_head_tells_of_a_failed_task_if_the_run_fails(example: headers.Example) -> None:
    ends = set(example.tasks.values())
    assert example.succeeds == (not ends & {"Failed", "UpstreamFailed", "Cancelled"})
    assert example.succeeds == (example.reason == "")


@each
def test_the_head_names_every_output_of_the_run(example: headers.Example) -> None:
    if example.outputs is not None:
        assert {output["name"] for output in example.workflow["spec"]["outputs"]} == example.outputs.keys()


@each
def test_images_are_those_that_the_test_cluster_has(example: headers.Example) -> None:
    assert set(re.findall(r"\bimage: *([^\s,}]+)", example.path.read_text())) <= IMAGES


@each
def test_scripts_are_free_of_expressions_and_python_ones_compile(example: headers.Example) -> None:
    for task in example.workflow["spec"]["tasks"]:
        script = task.get("script", {})
        assert "${" not in script.get("source", "")
        if script and "interpreter" not in script:
            ast.parse(script["source"], filename=f"{example.name}/{task['name']}")


@pytest.mark.parametrize("example", SMALL, ids=lambda example: example.name)
def test_the_readme_lists_it_with_its_end(example: headers.Example) -> None:
    (row,) = re.findall(rf"^\| \[{example.name}\]\({example.path.name}\) .*$", _readme(), re.MULTILINE)
    *_, ends, locally, _ = (cell.strip() for cell in row.split("|"))
    assert ends.startswith("Succeeded" if example.succeeds else "Failed")
    assert locally == ("yes" if example.local else "no")


def _readme() -> str:
    return (headers.EXAMPLES / "README.md").read_text()
