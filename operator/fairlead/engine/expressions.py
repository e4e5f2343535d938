"""What the engine knows about expressions: their names, their errors, and two protocols.

*Evaluating* an expression is the business of an :class:`Evaluator` (CEL, in `fairlead.expr`), which the engine
never imports: it is handed one. Which names an expression uses is found by `references.py`; `${…}` in a
text is read by `texts.py`, and in a whole JSON tree by `templates.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fairlead.engine.model import Json, Scope, ValueType

__all__ = [
    "Declarations",
    "Evaluator",
    "ExpressionError",
    "Program",
    "Reference",
]


class ExpressionError(Exception):
    """An expression that does not parse, does not type-check or fails when evaluated.

    `column` is the position, counted from 1 in characters, within the text that was given (for an expression
    its own source, for a template the whole text); None when it is not known.
    """

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """The names that an expression may use, with their types; a type of None is checked at run time only.

    `tasks` maps each task in scope to its declared outputs (those of a `forEach` task are arrays);
    `variables` has further top-level names (`item`, `index`, `object`), and `records` those that have a few known
    fields (`attempt`, `response`). `run` (name, namespace, uid: strings; attempt: an integer; startTime: a timestamp)
    is always there, with the further fields of `run` (`summary`), and so is `tasks.<name>.phase`, a string.
    """

    params: Mapping[str, ValueType | None] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, ValueType | None]] = field(default_factory=dict)
    variables: Mapping[str, ValueType | None] = field(default_factory=dict)
    records: Mapping[str, Mapping[str, ValueType | None]] = field(default_factory=dict)
    run: Mapping[str, ValueType | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """One name that an expression uses, as a path.

    `params.day` is (params, day), and `tasks['sign-off'].outputs.by` is (tasks, sign-off, outputs, by). A path is
    as long as the source tells: `toJson(params)` is (params,), `tasks[name]` is (tasks,), and `tasks.a` is
    (tasks, a). It never goes on into a value: `params.config.host` is (params, config). `optional` tells that
    the path was read with `.?`, `[?…]` or `has()`, so that a missing value is no error.
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

    @property
    def references(self) -> tuple[Reference, ...]:
        """The parameters, tasks, and fields of the run and of records that it uses, in the order of the source."""
        ...

    def evaluate(self, scope: Scope) -> Json:
        """Return the value as plain JSON. Raises :class:`ExpressionError`."""
        ...


class Evaluator(Protocol):
    """Turns the source of an expression into a program."""

    def compile(self, source: str, declarations: Declarations) -> Program:
        """Parse and type-check. Raises :class:`ExpressionError` with a column."""
        ...
