"""Properties of templates and references: nothing crashes, and a value comes out as it went in."""

from __future__ import annotations

import contextlib
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from fairlead.engine.expressions import Declarations, ExpressionError
from fairlead.engine.model import Json, ValueType
from fairlead.engine.references import find_references
from fairlead.engine.templates import Expression, compile_tree, parse_template, to_text
from fairlead.expr.cel import CelEvaluator

EVALUATOR = CelEvaluator()
DECLARATIONS = Declarations(params={"a": None, "s": ValueType.STRING}, tasks={"t-1": {"x": ValueType.INTEGER}})

# Much of what makes templates hard, and a little of everything else.
MARKS = [
    "$",
    "${",
    "$${",
    "}",
    "{",
    "'",
    '"',
    "'''",
    '"""',
    "\\",
    "//",
    "\n",
    "r'",
    'b"',
    "(",
    ")",
    "[",
    "]",
    ".",
    ".?",
]
WORDS = [
    "params",
    "tasks",
    "run",
    ".a",
    "['t-1']",
    "has(",
    ".map(x, ",
    "+",
    "1",
    "x",
    " ",
    "é",
    "😀",
    "`a`",
    "-",
    "__s0",
]
pieces = st.sampled_from([*MARKS, *WORDS])
texts = st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join))
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
# How CEL writes a string.
quoted = st.text().map(lambda text: "'" + re.sub(r"[\\'\n\r]", lambda found: rf"\u{ord(found[0]):04x}", text) + "'")
sources = st.one_of(
    st.sampled_from(["params.a", "{'a': {'b': 1}}.a.b", "[1, 2][0] /* x */", "x // }\n", "r'\\'", "'''a'b}'''"]), quoted
)


def literal(text: str) -> str:
    """Write a text so that it stands for itself in a template."""
    return text.replace("${", "$${")


@given(texts)
def test_any_text_parses_or_is_refused_with_a_column_inside_it(text: str) -> None:
    try:
        parse_template(text)
    except ExpressionError as error:
        assert 1 <= (error.column or 0) <= len(text)  # noqa: PT017


@given(texts.filter(lambda text: "${" not in text))
def test_a_text_without_an_expression_is_itself(text: str) -> None:
    assert "".join(map(str, parse_template(text).parts)) == text


@given(texts)
def test_any_text_can_be_written_literally(text: str) -> None:
    template = parse_template(literal(text))
    assert template.is_literal
    assert "".join(map(str, template.parts)) == text


# A literal `$` just before `${` would make it `$${`.
@given(st.lists(st.tuples(texts.filter(lambda text: not text.endswith("$")), sources), min_size=1), texts)
def test_what_is_put_together_comes_apart_again(pairs: list[tuple[str, str]], tail: str) -> None:
    text = "".join(f"{literal(before)}${{{source}}}" for before, source in pairs) + literal(tail)
    parts = parse_template(text).parts
    assert [part.source for part in parts if isinstance(part, Expression)] == [source.rstrip() for _, source in pairs]
    assert [part for part in parts if isinstance(part, str)] == [
        before for before in (*(before for before, _ in pairs), tail) if before
    ]
    for part in parts:
        if isinstance(part, Expression):
            assert text[part.column - 1 :].startswith(part.source)


@given(texts)
def test_references_of_any_text_are_found_or_it_is_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        for reference in find_references(text):
            assert text[reference.column - 1 :].startswith(reference.path[0])


@given(st.text(), st.sampled_from(["'", '"', "'''", '"""']))
def test_references_are_never_inside_strings(text: str, quote: str) -> None:
    inside = re.sub(r"[\\'\"\n\r]", "_", text) + "params.a"
    assert find_references(quote + inside + quote) == ()
    assert [reference.path for reference in find_references(f"{quote}{inside}{quote} + params.b")] == [("params", "b")]


@given(texts)
def test_any_source_compiles_or_is_refused_with_a_column_inside_it(source: str) -> None:
    try:
        program = EVALUATOR.compile(source, DECLARATIONS)
    except ExpressionError as error:
        assert 1 <= (error.column or 1) <= len(source) + 1  # noqa: PT017
    else:
        with contextlib.suppress(ExpressionError):
            program.evaluate({"params": {"a": 1, "s": ""}, "tasks": {"t-1": {"phase": "Failed", "outputs": {}}}})


def compiled(value: Json, *, text_only: bool = False, escape: bool = False) -> Json:
    problems: list[tuple[str, str]] = []
    tree = compile_tree(
        value,
        path="spec",
        evaluator=EVALUATOR,
        declarations=DECLARATIONS,
        report=lambda path, message: problems.append((path, message)),
        text_only=text_only,
        escape=escape,
    )
    assert problems == []
    return tree


@given(json_values.filter(lambda value: "\\u0000" not in json.dumps(value)))
def test_a_value_passes_through_a_whole_expression_unchanged(value: Json) -> None:
    result = compiled("${params.a}").evaluate({"params": {"a": value, "s": ""}})
    assert result == value
    assert to_text([result]) == to_text([value])  # 1 and true are equal in Python, and differ here


@given(st.text().filter(lambda text: "\x00" not in text), st.text().map(literal))
def test_a_text_is_rendered_around_the_value(value: str, before: str) -> None:
    template = f"{before} ${{params.s}}"
    tree = compiled(template)
    assert tree.evaluate({"params": {"s": value}}) == f"{before.replace('$${', '${')} {value}"


def kubelet_expands(text: str) -> str:
    """What the kubelet makes of `$(VAR)` and `$$` in args, command and env, with every variable set to `!`."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda found: "$" if found[0] == "$$" else "!", text)


dollars = st.text(alphabet=st.sampled_from("$()A{"), max_size=8)


@given(dollars, dollars)
def test_the_kubelet_gives_an_escaped_value_back_as_it_was(first: str, second: str) -> None:
    tree = compiled(["${params.s}${params.a}", "x(${params.a})"], text_only=True, escape=True)
    rendered = tree.evaluate({"params": {"s": first, "a": second}})
    assert [kubelet_expands(text) for text in rendered] == [first + second, f"x({second})"]


@given(json_values)
def test_a_tree_without_expressions_is_returned_itself_unless_it_is_empty(value: Json) -> None:
    def plain(value: Json) -> Json:
        if isinstance(value, str):
            return value.replace("$", "")
        if isinstance(value, list):
            return [plain(item) for item in value]
        return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value

    source = plain(value)
    tree = compiled(source)
    assert tree.is_constant
    assert tree.evaluate({}) == source
    assert not source or tree.evaluate({}) is source
