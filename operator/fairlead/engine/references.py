"""Which parameters, tasks and fields of the run an expression names, found without evaluating it."""

from __future__ import annotations

from fairlead.engine.expressions import Reference

__all__ = ["ROOTS", "find_references"]

#: The names at which a path begins.
ROOTS = frozenset({"params", "run", "tasks"})


def find_references(source: str) -> tuple[Reference, ...]:
    """Return every use of `params`, `tasks` and `run` in a CEL source, in its order, repeated ones included.

    Raises :class:`ExpressionError` when the source cannot be cut into tokens, such as an unclosed string.
    """
    raise NotImplementedError(source)
