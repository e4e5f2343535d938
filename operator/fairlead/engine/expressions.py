"""Expressions by protocol, and the template syntax around them.

`${…}` in a string is an expression. This module finds the expressions in a text, says which parameters and
tasks an expression refers to, and renders templates; *evaluating* an expression is the business of an
:class:`Evaluator` (CEL, in `fairlead.expr`), which the engine never imports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fairlead.engine.model import Json, Scope, ValueType

__all__ = [
    "Declarations",
    "Evaluator",
    "Expression",
    "ExpressionError",
    "Program",
    "Reference",
    "Template",
    "find_references",
    "parse_template",
    "to_text",
]


class ExpressionError(Exception):
    """An expression that does not parse, does not type-check or fails when evaluated.

    `column` counts from 1 within the expression's own source; None when it is not known.
    """

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """The names that an expression may use, with their types.

    `tasks` maps each task in scope to its declared outputs; `variables` has further top-level names
    (`item`, `index`; none yet). `run` (name, namespace, uid, startTime) is always there.
    """

    params: Mapping[str, ValueType] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, ValueType]] = field(default_factory=dict)
    variables: Mapping[str, ValueType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """One name that an expression uses: `params.day` is (params, day); `tasks['a'].outputs.x` is (tasks, a, outputs, x).

    `optional` tells that the path was read with `.?` or through `orValue`, so that a missing value is no error.
    """

    path: tuple[str, ...]
    column: int
    optional: bool = False


class Program(Protocol):
    """A compiled expression."""

    @property
    def type(self) -> ValueType | None:
        """The static type of its value, None when only known at run time."""
        ...

    def evaluate(self, scope: Scope) -> Json:
        """Return the value as plain JSON. Raises :class:`ExpressionError`."""
        ...


class Evaluator(Protocol):
    """Turns the source of an expression into a program."""

    def compile(self, source: str, declarations: Declarations) -> Program:
        """Parse and type-check. Raises :class:`ExpressionError` with a column."""
        ...
