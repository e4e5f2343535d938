"""Which names an expression uses."""

from __future__ import annotations

import pytest

from fairlead.engine.expressions import ExpressionError, Reference
from fairlead.engine.references import find_references
from fairlead.engine.tokens import string_value


def paths(source: str) -> list[str]:
    return [".".join(reference.path) for reference in find_references(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("params.day", ["params.day"]),
        ("params['day']", ["params.day"]),
        ('params[r"day"]', ["params.day"]),
        (r"params['\u0064ay']", ["params.day"]),
        ("params.`a-b`", ["params.a-b"]),
        ("params . day", ["params.day"]),
        ("params // a comment\n .day", ["params.day"]),
        ("run.name", ["run.name"]),
        ("tasks.extract.outputs.rows", ["tasks.extract.outputs.rows"]),
        ("tasks['sign-off'].outputs['n']", ["tasks.sign-off.outputs.n"]),
        ("tasks.extract.phase", ["tasks.extract.phase"]),
        ("params.a + params.b + params.a", ["params.a", "params.b", "params.a"]),
        ("{params.a: [tasks.b.phase]}", ["params.a", "tasks.b.phase"]),
        ("[1].exists(i, i > params.a)", ["params.a"]),
        ("x ?params.y : 3", ["params.y"]),
        (".params.x", ["params.x"]),
    ],
)
def test_a_path_is_found_however_it_is_written(source: str, expected: list[str]) -> None:
    assert paths(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("params.config.host", ["params.config"]),
        ("params.list[0]", ["params.list"]),
        ("tasks.a.outputs.rows.x.y", ["tasks.a.outputs.rows"]),
        ("params.day.size()", ["params.day"]),
        ("tasks.a.outputs.rows.sum() > 0", ["tasks.a.outputs.rows"]),
    ],
)
def test_a_path_ends_at_the_value(source: str, expected: list[str]) -> None:
    assert paths(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("toJson(params)", ["params"]),
        ("params.size()", ["params"]),
        ("tasks", ["tasks"]),
        ("tasks.a", ["tasks.a"]),
        ("tasks.a.outputs", ["tasks.a.outputs"]),
        ("tasks[x].phase", ["tasks"]),
        ("tasks[params.x].phase", ["tasks", "params.x"]),
        ("params['a' + 'b']", ["params"]),
    ],
)
def test_a_whole_map_or_a_dynamic_index_gives_the_shorter_path(source: str, expected: list[str]) -> None:
    assert paths(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "'params.x'",
        '"tasks.a.phase"',
        "'''params.x\nrun.name'''",
        r"r'\' + params_x",
        "b'params.x'",
        "'it\\'s params.x'",
        "x.params",
        "x.?params.y",
        "x().tasks.a",
        "[1][0].run",
        "myparams.x + params2.y",
        "// params.x",
        "params(1)",
    ],
)
def test_strings_comments_and_fields_of_other_values_are_no_references(source: str) -> None:
    assert paths(source) == []


@pytest.mark.parametrize(
    ("source", "optional"),
    [
        ("tasks.a.outputs.rows", False),
        ("tasks.a.outputs.?rows", True),
        ("tasks.?a.outputs.rows", True),
        ("tasks[?'a'].outputs.rows", True),
        ("has(tasks.a.outputs.rows)", True),
        ("tasks.a.outputs.rows.?x", False),
        ("has(tasks.a.outputs.rows.x)", False),
        ("(tasks.a.outputs.rows)", False),
    ],
)
def test_an_optional_step_within_the_path_makes_it_optional(source: str, optional: bool) -> None:
    (reference,) = find_references(source)
    assert reference.path == ("tasks", "a", "outputs", "rows")
    assert reference.optional is optional


def test_the_column_is_that_of_the_root() -> None:
    assert find_references("1 + params.day") == (Reference(("params", "day"), column=5),)


def test_a_name_with_a_dash_reads_as_a_subtraction() -> None:
    assert paths("tasks.sign-off.outputs.x") == ["tasks.sign"]


def test_the_roots_cannot_be_variables_of_a_macro() -> None:
    with pytest.raises(ExpressionError, match=r"'params' cannot be the variable of all\(\)") as caught:
        find_references("x.all(params, params.y)")
    assert caught.value.column == 7


@pytest.mark.parametrize("source", ["'abc", '"abc', "'''abc'", "'a\nb'", r"'\'"])
def test_an_unclosed_string_is_an_error(source: str) -> None:
    with pytest.raises(ExpressionError, match="is not closed") as caught:
        find_references(source)
    assert caught.value.column is not None


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'a'", "a"),
        ('""', ""),
        ("'''it's'''", "it's"),
        (r"'\n\t\\\''", "\n\t\\'"),
        (r"'\x41\u00e9\U0001f600\101'", "Aé😀A"),
        (r"r'\n'", r"\n"),
    ],
)
def test_string_literals_are_decoded(literal: str, value: str) -> None:
    assert string_value(literal) == value
