"""What an expression may cost, where CEL's own budget (10,000 steps, 32 levels) does not bound it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fairlead.engine.expressions import ExpressionError
from fairlead.engine.tokens import Kind, Token

__all__ = ["MAX_GROWTH", "MAX_SOURCE", "check_growth", "check_length", "copies_lists"]

#: The longest expression, in characters.
MAX_SOURCE = 4096

#: How many times larger than its inputs a chain of `map`s may make a value.
MAX_GROWTH = 1024

_GROWING = frozenset({"map", "optMap", "optFlatMap"})


def check_length(source: str) -> None:
    """Raise :class:`ExpressionError` for a source that is too long, or no text (half of a surrogate pair)."""
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise ExpressionError("the expression is not valid text", error.start + 1) from None
    if len(source) > MAX_SOURCE:
        raise ExpressionError(
            f"the expression has {len(source):,} characters, more than {MAX_SOURCE:,}", MAX_SOURCE + 1
        )


def copies_lists(tokens: Sequence[Token]) -> bool:
    """Whether a macro builds a list item by item, which the library does in quadratic time."""
    return any(name.text in {"map", "filter"} and parenthesis.text == "(" for name, parenthesis in pairwise(tokens))


def check_growth(tokens: Sequence[Token]) -> None:
    """Raise :class:`ExpressionError` for a chain such as `[s].map(a, a + a).map(a, a + a)…`.

    Each of its steps doubles the value, so that a line of source fills the memory within the budget of steps. A
    body makes its value at most as many times larger as it names its variable; the bodies multiply.
    """
    growth = 1
    for index, token in enumerate(tokens[:-3]):
        if token.text in _GROWING and tokens[index + 1].text == "(" and tokens[index + 3].text == ",":
            growth *= max(1, _uses(tokens, index + 2))
            if growth > MAX_GROWTH:
                raise ExpressionError(
                    f"the result could grow to more than {MAX_GROWTH:,} times its inputs: "
                    f"use the variable of {token.text}() less often",
                    token.start + 1,
                )


def _uses(tokens: Sequence[Token], variable: int) -> int:
    """Count where a macro's body names its variable, given the variable's index."""
    depth, uses = 0, 0
    for index in range(variable + 1, len(tokens)):
        token = tokens[index]
        depth += (token.text in {"(", "[", "[?", "{"}) - (token.text in {")", "]", "}"})
        if depth < 0:
            break
        is_field = tokens[index - 1].text in {".", ".?"}
        uses += token.kind is Kind.NAME and token.text == tokens[variable].text and not is_field
    return uses
