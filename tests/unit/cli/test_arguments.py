"""Parameters and files given on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead.cli.arguments import split_assignments, with_arguments
from fairlead.cli.exits import CliError
from fairlead.cli.source import load_yaml, pick_workflow, read_text

SPEC = {
    "params": [
        {"name": "day", "type": "string"},
        {"name": "untyped"},
        {"name": "limit", "type": "integer"},
        {"name": "share", "type": "number"},
        {"name": "dry", "type": "boolean"},
        {"name": "regions", "type": "array"},
        {"name": "target", "type": "object"},
    ],
    "arguments": [{"name": "day", "value": "2026-01-01"}, {"name": "limit", "value": 3}],
}


def _given(**texts: str) -> dict[str, Any]:
    return {each["name"]: each["value"] for each in with_arguments(SPEC, {}, texts)["arguments"]}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("day", "2026-01-31", "2026-01-31"),
        ("day", "7", "7"),
        ("untyped", "true", "true"),
        ("limit", "7", 7),
        ("share", "0.5", 0.5),
        ("dry", "true", True),
        ("regions", '["eu"]', ["eu"]),
        ("target", '{"a": 1}', {"a": 1}),
        ("limit", '"seven"', "seven"),  # JSON, but no integer: the compile step says so, with its path
    ],
)
def test_a_text_is_read_by_the_declared_type(name: str, text: str, value: object) -> None:
    assert _given(**{name: text})[name] == value


@pytest.mark.parametrize(("name", "text"), [("limit", "seven"), ("regions", "eu,us"), ("dry", "yes")])
def test_a_text_that_is_no_json_is_refused_with_an_example(name: str, text: str) -> None:
    with pytest.raises(CliError, match=f"-p {name}: '{text}' is no .*; write JSON, such as"):
        _given(**{name: text})


def test_what_was_typed_wins_over_the_file_and_the_file_over_the_workflow() -> None:
    spec = with_arguments(SPEC, {"day": "from file", "limit": 5}, {"limit": "7"})
    assert spec["arguments"] == [{"name": "day", "value": "from file"}, {"name": "limit", "value": 7}]
    assert SPEC["arguments"] == [{"name": "day", "value": "2026-01-01"}, {"name": "limit", "value": 3}]


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(CliError, match="no parameter is called 'daay'; did you mean 'day'"):
        _given(daay="x")


@pytest.mark.parametrize("text", ["day", "=x", ""])
def test_an_assignment_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(CliError, match="write NAME=VALUE"):
        split_assignments([text], "-p")


def test_a_value_may_contain_an_equals_sign_and_be_empty() -> None:
    assert split_assignments(["a=b=c", "d="], "-p") == {"a": "b=c", "d": ""}


FLOW = "apiVersion: fairlead.dev/v1alpha1\nkind: Workflow\nmetadata: {name: %s}\nspec: {}\n"


def test_the_workflow_is_found_among_other_documents() -> None:
    text = f"kind: Secret\napiVersion: v1\n---\n---\n{FLOW % 'a'}---\n- a list\n"
    path = Path("x.yaml")
    assert pick_workflow(load_yaml(text, path), path, None)["metadata"] == {"name": "a"}


def test_of_several_workflows_one_has_to_be_named() -> None:
    path = Path("x.yaml")
    documents = load_yaml(f"{FLOW % 'a'}---\n{FLOW % 'b'}", path)
    assert pick_workflow(documents, path, "b")["metadata"]["name"] == "b"
    with pytest.raises(CliError, match="several Workflows: a, b"):
        pick_workflow(documents, path, None)
    with pytest.raises(CliError, match="no Workflow called 'c'; it has a, b"):
        pick_workflow(documents, path, "c")


def test_a_file_without_a_workflow_says_so() -> None:
    with pytest.raises(CliError, match="has no Workflow"):
        pick_workflow([{"kind": "Workflow", "apiVersion": "argoproj.io/v1alpha1"}], Path("x.yaml"), None)


def test_a_date_stays_a_string_as_it_does_in_kubernetes() -> None:
    assert load_yaml("day: 2026-01-31", Path("x.yaml")) == [{"day": "2026-01-31"}]


def test_what_is_no_yaml_is_refused_with_its_line() -> None:
    with pytest.raises(CliError, match=r"x\.yaml:2: this is not YAML"):
        load_yaml("a: b\n: : :", Path("x.yaml"))


def test_a_missing_file_and_a_directory_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="there is no such file"):
        read_text(tmp_path / "x")
    with pytest.raises(CliError, match="is a directory"):
        read_text(tmp_path)
