"""One text with `${…}` in it: cut into literal parts and expressions, and how a value is written into a text.

A text that is exactly one expression keeps the value's type; any other is rendered. `$${` is a literal `${`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Json
from fairlead.engine.tokens import Token, tokenize

__all__ = ["Expression", "Template", "parse_template", "to_text"]

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
