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


#: Features of which each has an example: what a file has to say somewhere.
FEATURES = [
    *("forEach:", "batchSize:", "tolerate:", "repeat:", "finally:", "handles: true", "onFailure: Continue", "rules:"),
    *("skipExitCodes:", "queueTimeoutSeconds:", "deadlineSeconds:", "wait:", "condition:", "callback: true", "set:"),
    *("approval:", "http:", "resource:", "preset:", "workflow:", "templateRef:", "files:", "workspace:"),
    *("concurrencyKey:", "from: Stdout", "trigger:", "when:", "job:", "script:", "suspend: true", "parallelism:"),
]


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_has_an_example(feature: str) -> None:
    written = re.compile(rf"^[^#]*\b{feature}", re.MULTILINE)
    assert any(written.search(example.path.read_text()) for example in SMALL)


@pytest.mark.parametrize("example", SMALL, ids=lambda example: example.path.stem)
def test_it_is_short(example: headers.Example) -> None:
    lines = example.path.read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) <= 45


@pytest.mark.parametrize("example", SMALL, ids=lambda example: example.path.stem)
def test_a_file_is_named_as_its_run(example: headers.Example) -> None:
    assert example.name == example.path.stem


@each
def test_the_head_names_tasks_that_exist(example: headers.Example) -> None:
    names = {task["name"] for task in example.defined}
    assert {name.partition("[")[0] for name in example.tasks} <= names
    assert set(example.tasks.values()) <= PHASES


@each
def test_the_head_tells_of_a_failed_task_if_the_run_fails(example: headers.Example) -> None:
    ends = set(example.tasks.values())
    assert example.succeeds or ends & {"Failed", "UpstreamFailed", "Cancelled"}
    assert example.succeeds == (example.reason == "")


@each
def test_the_head_names_every_output_of_the_run(example: headers.Example) -> None:
    if example.outputs is not None:
        assert {output["name"] for output in example.definition["outputs"]} == example.outputs.keys()


@each
def test_images_are_those_that_the_test_cluster_has(example: headers.Example) -> None:
    assert set(re.findall(r"\bimage: *([^\s,}]+)", example.path.read_text())) <= IMAGES


@each
def test_scripts_are_free_of_expressions_and_python_ones_compile(example: headers.Example) -> None:
    for task in example.defined:
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


def test_the_main_readme_counts_them() -> None:
    words = {20: "twenty", 30: "thirty", 40: "forty", 50: "fifty"}
    assert f"{words[len(SMALL) // 10 * 10]} workflows" in (headers.EXAMPLES.parent / "README.md").read_text()
