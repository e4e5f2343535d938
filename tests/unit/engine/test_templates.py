"""Templates: `${…}` in a text, and in all the texts of a tree."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fairlead.engine.expressions import Declarations, ExpressionError, Reference
from fairlead.engine.model import Json, Scope, ValueType
from fairlead.engine.references import find_references
from fairlead.engine.templates import CompiledTree, Expression, compile_tree, parse_template, to_text


@dataclass
class FakeProgram:
    """Knows the source `params.NAME` only; its value is whatever the scope has there."""

    source: str
    type: ValueType | None = None
    references: tuple[Reference, ...] = ()

    def evaluate(self, scope: Scope) -> Json:
        name = self.source.removeprefix("params.")
        if name not in scope["params"]:
            raise ExpressionError(f"no value for {name}")
        return scope["params"][name]


@dataclass
class FakeEvaluator:
    compiled: list[str] = field(default_factory=list)

    def compile(self, source: str, declarations: Declarations) -> FakeProgram:
        self.compiled.append(source)
        name = source.removeprefix("params.")
        if name not in declarations.params:
            raise ExpressionError(f"no parameter {name!r}", column=8)
        return FakeProgram(source, declarations.params[name], find_references(source))


class Problems(list[tuple[str, str]]):
    """Collects what is reported."""

    def __call__(self, path: str, message: str) -> None:
        self.append((path, message))


DECLARATIONS = Declarations(
    params={"a": ValueType.STRING, "n": ValueType.INTEGER, "list": ValueType.ARRAY, "any": None}
)


def compile_(
    value: Json,
    *,
    problems: Problems | None = None,
    text_only: bool = False,
    escape: bool = False,
    max_bytes: int = 131_071,
) -> CompiledTree:
    found = Problems()
    tree = compile_tree(
        value,
        path="spec",
        evaluator=FakeEvaluator(),
        declarations=DECLARATIONS,
        report=found if problems is None else problems,
        text_only=text_only,
        escape=escape,
        max_bytes=max_bytes,
    )
    assert problems is not None or not found
    return tree


def render(value: Json, *, text_only: bool = False, escape: bool = False, **params: Json) -> Json:
    return compile_(value, text_only=text_only, escape=escape).evaluate({"params": params})


class TestParse:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("", ()),
            ("plain $ text { } $x $(VAR)", ("plain $ text { } $x $(VAR)",)),
            ("${x}", (Expression("x", 3),)),
            ("${ x }", (Expression("x", 4),)),
            ("a ${x} b", ("a ", Expression("x", 5), " b")),
            ("${x}${y}", (Expression("x", 3), Expression("y", 7))),
            ("${ {'a': {'b': 1}}.a }", (Expression("{'a': {'b': 1}}.a", 4),)),
            ("${'}'}", (Expression("'}'", 3),)),
            ('${"\\"}"}', (Expression('"\\"}"', 3),)),
            ("${'''}\n'}'''}", (Expression("'''}\n'}'''", 3),)),
            (r"${r'\'}", (Expression(r"r'\'", 3),)),
            ("${b'}'}", (Expression("b'}'", 3),)),
            ("${x // }\n}", (Expression("x // }", 3),)),
            ("${'${y}'}", (Expression("'${y}'", 3),)),
        ],
    )
    def test_parts(self, text: str, parts: tuple[str | Expression, ...]) -> None:
        assert parse_template(text).parts == parts

    @pytest.mark.parametrize(
        ("text", "literal"),
        [("$${HOME}", "${HOME}"), ("a $${ b", "a ${ b"), ("$$${x}", "$${x}"), ("$$", "$$"), ("$${}$${}", "${}${}")],
    )
    def test_a_doubled_dollar_makes_it_literal(self, text: str, literal: str) -> None:
        assert parse_template(text).parts == (literal,)
        assert parse_template(text).is_literal

    @pytest.mark.parametrize(
        ("text", "column", "message"),
        [
            ("ab${", 3, "not closed"),
            ("ab ${x", 4, "not closed"),
            ("${ {'a': 1}", 1, "not closed"),
            ("${x // }", 1, "not closed"),
            ("ab ${}", 4, "empty"),
            ("${ // nothing\n}", 1, "empty"),
            ("${'a}", 3, "string that begins with ' is not closed"),
        ],
    )
    def test_errors_have_a_column(self, text: str, column: int, message: str) -> None:
        with pytest.raises(ExpressionError, match=message) as caught:
            parse_template(text)
        assert caught.value.column == column

    def test_whole_is_the_only_expression(self) -> None:
        assert parse_template("${x}").whole == Expression("x", 3)
        assert parse_template(" ${x}").whole is None
        assert parse_template("${x}${y}").whole is None
        assert parse_template("x").whole is None


class TestText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("as it is", "as it is"),
            (True, "true"),
            (3, "3"),
            (3.0, "3"),
            (2.5, "2.5"),
            (1e300, "1e+300"),
            ([1, 2.0, None], "[1,2,null]"),
            ({"b": 1, "a": "é"}, '{"a":"é","b":1}'),
        ],
    )
    def test_values_are_written_as_json_and_strings_raw(self, value: Json, text: str) -> None:
        assert to_text(value) == text

    def test_null_has_no_text(self) -> None:
        with pytest.raises(ExpressionError, match="is null"):
            to_text(None)


class TestTree:
    def test_a_whole_expression_keeps_its_type(self) -> None:
        assert render({"a": "${params.list}"}, list=[1, 2]) == {"a": [1, 2]}
        assert render("${params.any}", any=None) is None

    def test_any_other_template_is_text(self) -> None:
        assert render("n=${params.n}.", n=3) == "n=3."
        assert render("${params.a}${params.n}", a="x", n=3) == "x3"

    def test_text_only_makes_a_whole_expression_text_too(self) -> None:
        assert render(["${params.n}", "${params.list}"], text_only=True, n=3, list=[1]) == ["3", "[1]"]

    def test_null_in_a_text_is_an_error_with_the_path(self) -> None:
        with pytest.raises(ExpressionError, match=r"^spec\.args\[1\]: the value is null"):
            render({"args": ["x", "a ${params.any}"]}, any=None)
        with pytest.raises(ExpressionError, match=r"^spec: the value is null"):
            render("${params.any}", text_only=True, any=None)

    def test_keys_are_not_templates(self) -> None:
        assert render({"${params.a}": 1}) == {"${params.a}": 1}

    def test_what_has_no_expression_is_shared_with_the_source(self) -> None:
        source = {"args": ["${params.a}"], "rest": {"deep": [1, "x"]}}
        result = render(source, a="v")
        assert result == {"args": ["v"], "rest": {"deep": [1, "x"]}}
        assert result["rest"] is source["rest"]
        assert source["args"] == ["${params.a}"]

    def test_a_tree_without_expressions_is_constant(self) -> None:
        source = {"a": [1, None, True, "x"]}
        tree = compile_(source)
        assert tree.is_constant
        assert tree.evaluate({}) is source

    def test_an_escaped_literal_is_unescaped_in_the_result(self) -> None:
        assert render(["$${x}", "b"]) == ["${x}", "b"]

    def test_references_carry_the_path_of_their_field(self) -> None:
        tree = compile_({"env": [{"name": "A", "value": "${params.a} ${params.n}"}], "x": "${params.a}"})
        assert [(found.field, found.reference.path[-1]) for found in tree.references] == [
            ("spec.env[0].value", "a"),
            ("spec.env[0].value", "n"),
            ("spec.x", "a"),
        ]

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("${params.n}", ValueType.INTEGER),
            ("${params.any}", None),
            ("n ${params.n}", ValueType.STRING),
            ("x", ValueType.STRING),
            (True, ValueType.BOOLEAN),
            (1, ValueType.INTEGER),
            (1.5, ValueType.NUMBER),
            (["${params.n}"], ValueType.ARRAY),
            ({}, ValueType.OBJECT),
            (None, None),
        ],
    )
    def test_the_static_type(self, value: Json, expected: ValueType | None) -> None:
        assert compile_(value).type is expected

    def test_with_text_only_every_template_is_a_string(self) -> None:
        assert compile_("${params.n}", text_only=True).type is ValueType.STRING


class TestProblems:
    def test_all_are_reported_each_with_path_and_column(self) -> None:
        problems = Problems()
        tree = compile_(
            {"args": ["${", "ok ${params.a}", "x ${params.b}"], "labels": {"app.dev/x": "${}"}}, problems=problems
        )
        assert problems == [
            ("spec.args[0]", "'${' is not closed by '}' (a literal one is written '$${') (column 1)"),
            ("spec.args[2]", "no parameter 'b' (column 12)"),
            ("spec.labels[app.dev/x]", "the expression is empty: ${} (column 1)"),
        ]
        assert [found.field for found in tree.references] == ["spec.args[1]"]

    def test_the_place_in_a_text_of_several_lines_has_a_line(self) -> None:
        problems = Problems()
        compile_("one\ntwo ${params.b}", problems=problems)
        assert problems == [("spec", "no parameter 'b' (line 2, column 14)")]

    def test_every_expression_of_a_text_is_checked(self) -> None:
        problems = Problems()
        compile_("${params.b} ${params.c}", problems=problems)
        assert [message for _, message in problems] == [
            "no parameter 'b' (column 10)",
            "no parameter 'c' (column 22)",
        ]

    def test_a_tree_with_problems_raises_when_evaluated(self) -> None:
        tree = compile_(["${params.b}"], problems=Problems())
        with pytest.raises(ExpressionError, match=r"spec\[0\]: no parameter 'b'"):
            tree.evaluate({"params": {}})

    def test_an_error_at_run_time_names_the_field(self) -> None:
        for template in ("${params.a}", "a ${params.a}"):
            with pytest.raises(ExpressionError, match=r"^spec\.x: no value for a$"):
                render({"x": template})


class TestEscape:
    def test_a_value_cannot_expand_a_variable(self) -> None:
        assert render("--x=${params.a}", escape=True, a="$(HOME)") == "--x=$$(HOME)"
        assert render("${params.a}", escape=True, a="$(HOME)") == "$$(HOME)"
        assert render("${params.list}", escape=True, list=["$(A)", {"b": "$(B)"}]) == ["$$(A)", {"b": "$$(B)"}]

    def test_a_variable_in_the_template_itself_is_left_alone(self) -> None:
        assert render("$(HOME)/${params.a}", escape=True, a="x") == "$(HOME)/x"
        assert render("$(HOME)", escape=True) == "$(HOME)"

    def test_every_dollar_is_doubled(self) -> None:
        # `$$(HOME)` would come out of the kubelet's own unescaping as `$` and then the variable,
        # and two harmless values side by side must not make a variable either.
        assert render("${params.a}", text_only=True, escape=True, a="$$(HOME)") == "$$$$(HOME)"
        assert render("${params.a}${params.any}", escape=True, a="$", any="(HOME)") == "$$(HOME)"


class TestSize:
    def test_a_rendered_text_is_bounded_in_bytes(self) -> None:
        tree = compile_({"args": ["é${params.a}"]}, max_bytes=10)
        assert tree.evaluate({"params": {"a": "x" * 8}}) == {"args": ["é" + "x" * 8]}
        with pytest.raises(ExpressionError, match=r"^spec\.args\[0\]: the text has 11 bytes, more than the 10"):
            tree.evaluate({"params": {"a": "x" * 9}})

    def test_a_whole_expression_is_bounded_where_it_becomes_text(self) -> None:
        assert compile_("${params.a}", max_bytes=3).evaluate({"params": {"a": "long"}}) == "long"
        with pytest.raises(ExpressionError, match="4 bytes"):
            compile_("${params.a}", text_only=True, max_bytes=3).evaluate({"params": {"a": "long"}})

    def test_a_literal_text_is_bounded_at_compile_time(self) -> None:
        problems = Problems()
        compile_({"args": ["x" * 131_072, "x" * 131_071]}, text_only=True, problems=problems)
        assert problems == [("spec.args[0]", "the text has 131,072 bytes, more than the 131,071 that fit here")]
