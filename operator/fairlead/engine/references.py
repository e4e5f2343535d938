"""Which parameters, tasks and fields an expression names, found without evaluating it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fairlead.engine.expressions import ExpressionError, Reference
from fairlead.engine.tokens import Kind, Token, string_value, tokenize

__all__ = ["ROOTS", "Occurrence", "find_references", "scan"]

#: The names at which a path begins, in every expression.
ROOTS = frozenset({"params", "run", "tasks"})

# Macros whose first argument names a variable.
_BINDERS = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map", "optMap", "optFlatMap"})


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a reference stands: `source[start:end]`. `complete` tells that the path leads to one value.

    That is a parameter, a field of the run or of a record, a task's phase or one of its outputs, read plainly; it is
    neither optional (there may be no value) nor a whole map.
    """

    reference: Reference
    start: int
    end: int
    complete: bool


def find_references(source: str) -> tuple[Reference, ...]:
    """Return every use of `params`, `tasks` and `run` in a CEL source, in its order, repeated ones included.

    Raises :class:`ExpressionError` when the source cannot be cut into tokens (an unclosed string), and when a
    macro's variable is given one of the three names, which would change what they mean.
    """
    return tuple(occurrence.reference for occurrence in scan(tuple(tokenize(source))))


def scan(tokens: Sequence[Token], roots: Collection[str] = ROOTS) -> tuple[Occurrence, ...]:
    """Like :func:`find_references`, for the tokens of a source and any roots, and with the place of each reference."""
    return tuple(
        _follow(tokens, index)
        for index, token in enumerate(tokens)
        if token.text in roots and token.kind is Kind.NAME and _stands_alone(tokens, index)
    )


def _stands_alone(tokens: Sequence[Token], index: int) -> bool:
    """Whether the name at `index` is read as a variable: not a field, not a function, not a macro's variable."""
    name, before, after = tokens[index], _text(tokens, index - 1), _text(tokens, index + 1)
    if after == "(":
        return False
    if before == "." and _is_operand_end(tokens, index - 2):
        return False
    if before == "(" and after == "," and _text(tokens, index - 2) in _BINDERS and _text(tokens, index - 3) == ".":
        raise ExpressionError(
            f"{name.text!r} cannot be the variable of {tokens[index - 2].text}(): it has a meaning of its own",
            name.start + 1,
        )
    return before != ".?"


def _follow(tokens: Sequence[Token], index: int) -> Occurrence:
    """Read the steps of a path (`.name`, `['name']` and their optional forms) as far as they are plain to see."""
    root = tokens[index]
    path, optional, position = [root.text], False, index + 1
    while not _leads_to_a_value(path) and (step := _step(tokens, position)):
        path.append(step.name)
        optional = optional or step.optional
        position += step.length
    if _text(tokens, index - 2) == "has" and _text(tokens, index - 1) == "(" and _text(tokens, position) == ")":
        optional = True
    reference = Reference(tuple(path), root.start + 1, optional)
    return Occurrence(reference, root.start, tokens[position - 1].end, _leads_to_a_value(path) and not optional)


def _leads_to_a_value(path: Sequence[str]) -> bool:
    if path[0] == "tasks":
        return len(path) == 4 or (len(path) == 3 and path[2] != "outputs")
    return len(path) == 2


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    optional: bool
    length: int


def _step(tokens: Sequence[Token], position: int) -> _Step | None:
    """Read one step at `position`; None when the path ends there or goes on dynamically."""
    symbol = _text(tokens, position)
    if position + 1 >= len(tokens):
        return None
    name = tokens[position + 1]
    if symbol in {".", ".?"} and _text(tokens, position + 2) != "(":
        if name.kind is Kind.NAME:
            return _Step(name.text, symbol == ".?", 2)
        if name.kind is Kind.QUOTED_NAME:
            return _Step(name.text.strip("`"), symbol == ".?", 2)
    if symbol in {"[", "[?"} and name.kind is Kind.STRING and _text(tokens, position + 2) == "]":
        return _Step(string_value(name.text), symbol == "[?", 3)
    return None


def _is_operand_end(tokens: Sequence[Token], index: int) -> bool:
    """Whether a value ends at `index`, so that a dot after it selects a field (and does not begin `.params`)."""
    if index < 0:
        return False
    token = tokens[index]
    return token.kind is not Kind.SYMBOL or token.text in {")", "]", "}"}


def _text(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].text if 0 <= index < len(tokens) else ""
