"""Parameters: declared, typed, given a value by arguments and defaults."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, problems, spec


def declared(*arguments: dict[str, Any], **parameter: Any) -> dict[str, Any]:
    """A workflow with one parameter `p`."""
    return spec(params=[{"name": "p", **parameter}], arguments=list(arguments))


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("string", "x"),
        ("integer", 3),
        ("number", 0.5),
        ("number", 2),
        ("boolean", False),
        ("array", [1, "x", None]),
        ("object", {"a": {"b": 1}}),
    ],
)
@pytest.mark.row("A4")
def test_a_value_of_the_declared_type_is_taken(type_: str, value: Any) -> None:
    assert compiled(declared({"name": "p", "value": value}, type=type_)).graph.params == {"p": value}


def test_an_argument_wins_over_the_default() -> None:
    assert compiled(declared({"name": "p", "value": "a"}, default="b")).graph.params == {"p": "a"}


def test_a_parameter_is_a_string_unless_it_says_otherwise() -> None:
    assert problems(declared({"name": "p", "value": 1})) == {"spec.arguments[0].value": "must be of type string, not 1"}


def test_a_whole_number_becomes_an_integer() -> None:
    value = compiled(declared({"name": "p", "value": 3.0}, type="integer")).graph.params["p"]
    assert isinstance(value, int)


def test_an_expression_in_a_value_is_a_text() -> None:
    assert compiled(declared(default="${params.p}")).graph.params == {"p": "${params.p}"}


@pytest.mark.parametrize(
    ("definition", "path", "message"),
    [
        (
            declared(),
            "spec.arguments",
            "parameter 'p' has no value: add {name: p, value: …} here, or give it a default",
        ),
        (
            declared({"name": "q", "value": 1}, default="x"),
            "spec.arguments[0].name",
            "no parameter named 'q'",
        ),
        (
            declared({"name": "p", "value": "x"}, {"name": "p", "value": "y"}),
            "spec.arguments[1].name",
            "another argument is for 'p', too; give each parameter one value",
        ),
        (
            spec(params=[{"name": "p", "default": "x"}, {"name": "p"}]),
            "spec.params[1].name",
            "another parameter is named 'p', too; names must be unique",
        ),
        (declared(default=None), "spec.arguments", "parameter 'p' has no value"),
        (declared({"name": "p", "value": None}), "spec.arguments[0].value", "is required"),
        (declared(default=True, type="integer"), "spec.params[0].default", "must be of type integer, not true"),
        (declared(default="c", enum=["a", "b"]), "spec.params[0].default", 'must be one of "a", "b", not "c"'),
        (declared(default="a", enum=["a", 1]), "spec.params[0].enum[1]", "must be of type string, not 1"),
        (
            declared(default="2026-1-1", pattern=r"^\d{4}-\d{2}-\d{2}$"),
            "spec.params[0].default",
            r'must match the pattern ^\d{4}-\d{2}-\d{2}$, unlike "2026-1-1"',
        ),
        (declared(default=1, type="integer", minimum=2), "spec.params[0].default", "must be at least 2, not 1"),
        (declared(default=3, type="number", maximum=2.5), "spec.params[0].default", "must be at most 2.5, not 3"),
        (
            declared(default=3, type="integer", minimum=5, maximum=2),
            "spec.params[0].minimum",
            "must not be greater than `maximum` (2)",
        ),
        (
            declared(default=[1, "x"], type="array", items={"type": "integer"}),
            "spec.params[0].default[1]",
            'must be of type integer, not "x"',
        ),
        (
            declared(default=["eu", "mars"], type="array", items={"type": "string", "enum": ["eu", "us"]}),
            "spec.params[0].default[1]",
            'must be one of "eu", "us", not "mars"',
        ),
        (declared(default="x", items={"type": "string"}), "spec.params[0].items", "must not be set for type string"),
        (
            declared(default=1, type="integer", pattern="x"),
            "spec.params[0].pattern",
            "must not be set for type integer, only for string",
        ),
    ],
)
@pytest.mark.row("A4")
def test_says_what_is_wrong(definition: dict[str, Any], path: str, message: str) -> None:
    found = problems(definition)
    assert found[path].startswith(message)


def test_a_pattern_that_is_none_is_refused() -> None:
    assert problems(declared(default="x", pattern="("))["spec.params[0].pattern"].startswith(
        "must be a regular expression (RE2)"
    )


def test_a_hostile_pattern_takes_no_time() -> None:
    # Python's own `re` would be busy with this for longer than anybody waits.
    assert "must match" in problems(declared(default="a" * 5000 + "!", pattern="^(a+)+$"))["spec.params[0].default"]
