"""Templates: `${…}` in all the texts of a JSON tree, compiled once and evaluated for each run or attempt.

The syntax of a single text is in `texts.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from fairlead.engine.expressions import Declarations, Evaluator, ExpressionError, Program, Reference
from fairlead.engine.model import Json, Scope, ValueType
from fairlead.engine.texts import Expression, Template, parse_template, to_text

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

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


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
    if value == {} or value == []:
        return _NO_FIELDS if isinstance(value, dict) else _NO_ITEMS
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
            return _shared(value, fields.values(), value.values()) or _Object(fields)
        if isinstance(value, list):
            items = [self.compile(item, f"{path}[{index}]") for index, item in enumerate(value)]
            return _shared(value, items, value) or _List(items)
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


def _shared(value: Json, parts: Iterable[_Part], items: Iterable[Json]) -> _Part | None:
    """Return the value itself as a constant, when each of its parts is one that is its item itself."""
    same = all(isinstance(part, _Constant) and part.value is item for part, item in zip(parts, items, strict=True))
    return _Constant(value) if same else None


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


#: Shared, and never changed in place: most tasks have several empty trees, and a run has many tasks.
_NO_FIELDS = CompiledTree((), ValueType.OBJECT, True, _Constant({}))
_NO_ITEMS = CompiledTree((), ValueType.ARRAY, True, _Constant([]))

# `bool` is an `int` in Python, so it comes first.
_TYPES = (
    (bool, ValueType.BOOLEAN),
    (int, ValueType.INTEGER),
    (float, ValueType.NUMBER),
    (str, ValueType.STRING),
    (list, ValueType.ARRAY),
    (dict, ValueType.OBJECT),
)
