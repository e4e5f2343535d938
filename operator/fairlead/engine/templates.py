"""Templates: `${…}` in a text, and in all the texts of a JSON tree.

A text that is exactly one expression keeps the value's type; any other is rendered. `$${` is a literal `${`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from fairlead.engine.expressions import Declarations, Evaluator, ExpressionError, Program, Reference
from fairlead.engine.model import Json, Scope, ValueType
from fairlead.engine.tokens import Token, tokenize

__all__ = [
    "MAX_TEXT_BYTES",
    "CompiledTree",
    "Expression",
    "FieldReference",
    "Template",
    "compile_tree",
    "parse_template",
    "to_text",
]

#: The kernel takes at most 128 KiB for one argument or environment string, its final NUL included.
MAX_TEXT_BYTES = 128 * 1024 - 1

# Beyond this a float has no fraction to lose, and writing it as an integer would only add digits.
_EXACT_FLOATS = 2**53


@dataclass(frozen=True, slots=True)
class Expression:
    """One `${source}` of a template. `column` is where `source` begins in the template's text, from 1."""

    source: str
    column: int


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut into literal parts and expressions; `$${` has already become `${` in the literal ones.

    No literal part is empty, and no two of them are neighbours; the empty text has no parts.
    """

    parts: tuple[str | Expression, ...]

    @property
    def is_literal(self) -> bool:
        """Whether it has no expression."""
        return not any(isinstance(part, Expression) for part in self.parts)

    @property
    def whole(self) -> Expression | None:
        """The expression, if the text is exactly one: its value then keeps its type."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0]
        return None


def parse_template(text: str) -> Template:
    """Cut a text into literal parts and expressions.

    Raises :class:`ExpressionError` for an empty or unclosed `${`, with its column in `text`.
    """
    parts: list[str | Expression] = []
    literal, position = "", 0
    while (opening := text.find("${", position)) >= 0:
        if opening > position and text[opening - 1] == "$":
            literal += text[position : opening - 1] + "${"
            position = opening + 2
            continue
        literal += text[position:opening]
        expression, position = _expression(text, opening)
        parts += [literal, expression] if literal else [expression]
        literal = ""
    literal += text[position:]
    return Template((*parts, literal) if literal else tuple(parts))


def _expression(text: str, opening: int) -> tuple[Expression, int]:
    """Read the expression that opens at `opening`; return it and the position after its closing brace."""
    depth = 0
    first: Token | None = None
    for token in _tokens(text, opening):
        if token.text == "}":
            if depth == 0:
                if first is None:
                    raise ExpressionError("the expression is empty: ${}", opening + 1)
                return Expression(text[first.start : token.start].rstrip(), first.start + 1), token.end
            depth -= 1
        elif token.text == "{":
            depth += 1
        first = first or token
    raise _unclosed(opening)


def _tokens(text: str, opening: int) -> Iterator[Token]:
    try:
        yield from tokenize(text, opening + 2)
    except ExpressionError as error:
        # The string may well be the quote after a forgotten brace: both are named.
        raise ExpressionError(f"{error.message}, nor is the '${{' at column {opening + 1}", error.column) from None


def _unclosed(opening: int) -> ExpressionError:
    return ExpressionError("'${' is not closed by '}' (a literal one is written '$${')", opening + 1)


def to_text(value: Json) -> str:
    """Render a value as it stands inside a text: strings raw, everything else as compact JSON.

    A number without a fraction is written as an integer, and an object's keys are sorted (an evaluator may give
    them in any order, and the same value must render the same). Raises :class:`ExpressionError` for null: a
    text with a hole in it is worse than an error.
    """
    if value is None:
        raise ExpressionError("the value is null, which has no text; give a default, or use toJson() for 'null'")
    if isinstance(value, str):
        return value
    return json.dumps(_integral(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _integral(value: Json) -> Json:
    """Return the value with every `2.0` in it as `2`: JSON knows one kind of number, and so do readers."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOATS:
        return int(value)
    if isinstance(value, list):
        return [_integral(item) for item in value]
    if isinstance(value, dict):
        return {key: _integral(item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class FieldReference:
    """A reference, and the path of the field whose expression has it (`spec.tasks[1].container.args[0]`)."""

    field: str
    reference: Reference


class _Part(Protocol):
    """A node of a compiled tree."""

    def evaluate(self, scope: Scope) -> Json: ...


@dataclass(frozen=True, slots=True)
class CompiledTree:
    """A JSON tree whose templates are compiled; it implements `fairlead.engine.model.Evaluable`.

    `type` is the static type of the value: that of a constant, that of the program when the tree is one
    whole expression, string for any other template; None when only known at run time.
    `is_constant` tells that there is nothing to evaluate: `evaluate` returns the same object each time.
    """

    references: tuple[FieldReference, ...]
    type: ValueType | None
    is_constant: bool
    _root: _Part

    def evaluate(self, scope: Scope) -> Json:
        """Return the tree with each template replaced by its value.

        Parts without templates are shared with the source, not copied: do not change the result in place.
        Raises :class:`ExpressionError`; its message begins with the path of the field.
        """
        return self._root.evaluate(scope)


def compile_tree(
    value: Json,
    *,
    path: str,
    evaluator: Evaluator,
    declarations: Declarations,
    report: Callable[[str, str], None],
    text_only: bool = False,
    escape: bool = False,
    max_bytes: int = MAX_TEXT_BYTES,
) -> CompiledTree:
    """Compile every template in a JSON tree (values of objects and items of lists, at any depth; not keys).

    path
        the field that `value` stands in, the beginning of every path that is reported.
    report
        called with the path of a field and a message for each thing that is wrong. All are reported, none is
        raised; a tree with problems can be asked for its references, and raises when evaluated.
    text_only
        every template becomes a string, a whole expression too: for fields that are strings in Kubernetes.
        Literal texts over `max_bytes` are reported.
    escape
        `$` in a value is doubled, so that the kubelet's `$(VAR)` expansion gives back the value as it was. A
        `$(VAR)` written in the template itself stays as it is, and works.
    max_bytes
        the largest text that a template may render to, in UTF-8; a whole expression is bound by it only with
        `text_only`.
    """
    compiler = _Compiler(evaluator, declarations, report, text_only, escape, max_bytes, [])
    root = compiler.compile(value, path)
    constant = isinstance(root, _Constant)
    return CompiledTree(tuple(compiler.references), _type_of(value, root), constant, root)


@dataclass(frozen=True, slots=True)
class _Compiler:
    evaluator: Evaluator
    declarations: Declarations
    report: Callable[[str, str], None]
    text_only: bool
    escape: bool
    max_bytes: int
    references: list[FieldReference]

    def compile(self, value: Json, path: str) -> _Part:
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, dict):
            fields = {key: self.compile(item, _child(path, key)) for key, item in value.items()}
            return _Constant(value) if _unchanged(fields.values(), value.values()) else _Object(fields)
        if isinstance(value, list):
            items = [self.compile(item, f"{path}[{index}]") for index, item in enumerate(value)]
            return _Constant(value) if _unchanged(items, value) else _List(items)
        return _Constant(value)

    def _text(self, text: str, path: str) -> _Part:
        try:
            template = parse_template(text)
        except ExpressionError as error:
            return self._broken(path, error.message, text, error.column)
        if template.is_literal:
            literal = "".join(map(str, template.parts))
            if self.text_only and (problem := _too_long(literal, self.max_bytes)):
                return self._broken(path, problem, text, None)
            return _Constant(literal if "$${" in text else text)
        parts: list[str | Program] = []
        broken: _Part | None = None
        for part in template.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            try:
                program = self.evaluator.compile(part.source, self.declarations)
            except ExpressionError as error:
                column = part.column + (error.column or 1) - 1
                broken = self._broken(path, error.message, text, column)
            else:
                parts.append(program)
                self.references.extend(FieldReference(path, reference) for reference in program.references)
        if broken:
            return broken
        if not self.text_only and len(parts) == 1 and not isinstance(parts[0], str):
            return _Value(path, parts[0], self.escape)
        return _Text(path, tuple(parts), self.escape, self.max_bytes)

    def _broken(self, path: str, message: str, text: str, column: int | None) -> _Part:
        message += _place(text, column)
        self.report(path, message)
        return _Broken(path, message)


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Json

    def evaluate(self, scope: Scope) -> Json:  # noqa: ARG002
        return self.value


@dataclass(frozen=True, slots=True)
class _Broken:
    path: str
    message: str

    def evaluate(self, scope: Scope) -> Json:  # noqa: ARG002
        raise ExpressionError(f"{self.path}: {self.message}")


@dataclass(frozen=True, slots=True)
class _Object:
    fields: dict[str, _Part]

    def evaluate(self, scope: Scope) -> Json:
        return {key: part.evaluate(scope) for key, part in self.fields.items()}


@dataclass(frozen=True, slots=True)
class _List:
    items: list[_Part]

    def evaluate(self, scope: Scope) -> Json:
        return [part.evaluate(scope) for part in self.items]


@dataclass(frozen=True, slots=True)
class _Value:
    """A whole expression that keeps its type."""

    path: str
    program: Program
    escape: bool

    def evaluate(self, scope: Scope) -> Json:
        try:
            value = self.program.evaluate(scope)
        except ExpressionError as error:
            raise ExpressionError(f"{self.path}: {error.message}", error.column) from error
        return _escaped(value) if self.escape else value


@dataclass(frozen=True, slots=True)
class _Text:
    """A text with values in it."""

    path: str
    parts: tuple[str | Program, ...]
    escape: bool
    max_bytes: int

    def evaluate(self, scope: Scope) -> Json:
        texts = []
        try:
            for part in self.parts:
                if isinstance(part, str):
                    texts.append(part)
                else:
                    text = to_text(part.evaluate(scope))
                    texts.append(text.replace("$", "$$") if self.escape else text)
        except ExpressionError as error:
            raise ExpressionError(f"{self.path}: {error.message}", error.column) from error
        rendered = "".join(texts)
        if problem := _too_long(rendered, self.max_bytes):
            raise ExpressionError(f"{self.path}: {problem}")
        return rendered


def _unchanged(parts: Iterable[_Part], values: Iterable[Json]) -> bool:
    """Whether every part is a constant that is its value itself, so that the source can be shared."""
    return all(isinstance(part, _Constant) and part.value is value for part, value in zip(parts, values, strict=True))


def _escaped(value: Json) -> Json:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return value


def _too_long(text: str, max_bytes: int) -> str | None:
    # Four bytes a character at most: only a text that may be too long is encoded to find out.
    size = len(text) if len(text) * 4 <= max_bytes else len(text.encode("utf-8", "surrogatepass"))
    return f"the text has {size:,} bytes, more than the {max_bytes:,} that fit here" if size > max_bytes else None


def _child(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def _place(text: str, column: int | None) -> str:
    if column is None:
        return ""
    if "\n" not in text:
        return f" (column {column})"
    before = text[: column - 1]
    return f" (line {before.count(chr(10)) + 1}, column {column - 1 - before.rfind(chr(10))})"


def _type_of(value: Json, root: _Part) -> ValueType | None:
    if isinstance(root, _Value):
        return root.program.type
    if isinstance(root, _Broken):
        return None
    for python_type, value_type in _TYPES:
        if isinstance(value, python_type):
            return value_type
    return None


# `bool` is an `int` in Python, so it comes first.
_TYPES = (
    (bool, ValueType.BOOLEAN),
    (int, ValueType.INTEGER),
    (float, ValueType.NUMBER),
    (str, ValueType.STRING),
    (list, ValueType.ARRAY),
    (dict, ValueType.OBJECT),
)
