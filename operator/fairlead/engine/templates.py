"""Templates: `${…}` in a text, and in all the texts of a JSON tree.

A text that is exactly one expression keeps the value's type; any other is rendered. `$${` is a literal `${`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fairlead.engine.expressions import Declarations, Evaluator, Reference
from fairlead.engine.model import Json, Scope, ValueType

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


@dataclass(frozen=True, slots=True)
class Expression:
    """One `${source}` of a template. `column` is where `source` begins in the template's text, from 1."""

    source: str
    column: int


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut into literal parts and expressions; `$${` has already become `${` in the literal ones."""

    parts: tuple[str | Expression, ...]

    @property
    def is_literal(self) -> bool:
        """Whether it has no expression."""
        raise NotImplementedError

    @property
    def whole(self) -> Expression | None:
        """The expression, if the text is exactly one: its value then keeps its type."""
        raise NotImplementedError


def parse_template(text: str) -> Template:
    """Cut a text into literal parts and expressions.

    Raises :class:`ExpressionError` for an empty or unclosed `${`, with its column in `text`.
    """
    raise NotImplementedError(text)


def to_text(value: Json) -> str:
    """Render a value as it stands inside a text: strings raw, everything else as compact JSON.

    A number without a fraction is written as an integer. Raises :class:`ExpressionError` for null, also
    called "nothing here": a text with a hole in it is worse than an error.
    """
    raise NotImplementedError(value)


@dataclass(frozen=True, slots=True)
class FieldReference:
    """A reference, and the path of the field whose expression has it (`spec.tasks[1].container.args[0]`)."""

    field: str
    reference: Reference


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

    def evaluate(self, scope: Scope) -> Json:
        """Return the tree with each template replaced by its value.

        Parts without templates are shared with the source, not copied: do not change the result in place.
        Raises :class:`ExpressionError`; its message begins with the path of the field.
        """
        raise NotImplementedError(scope)


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
    escape
        `$` in a value is doubled, so that the kubelet's `$(VAR)` expansion gives back the value as it was. A
        `$(VAR)` written in the template itself stays as it is, and works.
    max_bytes
        the largest text that a template may render to, in UTF-8.
    """
    raise NotImplementedError(value, path, evaluator, declarations, report, text_only, escape, max_bytes)
