"""CEL, Google's Common Expression Language, behind `fairlead.engine.expressions.Evaluator`.

The library wraps cel-cpp: an expression is parsed and type-checked once and evaluated in microseconds, with a
budget of 10,000 steps. What happens around it here: names become typed variables (`names.py`), values are
converted (`values.py`), our functions are added (`functions.py`), and its errors are put into words
(`messages.py`). Evaluation holds the interpreter's lock, so a thread is no remedy for a slow expression: what can
be slow is refused instead (`limits.py`).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_letters, digits
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings

from fairlead.engine.expressions import Declarations, ExpressionError, Reference
from fairlead.engine.model import Json, Scope, ValueType
from fairlead.engine.references import ROOTS
from fairlead.expr import functions as own
from fairlead.expr import messages
from fairlead.expr.limits import check_growth, check_length, copies_lists
from fairlead.expr.names import Slot, Source, did_you_mean, resolve
from fairlead.expr.values import MAX_LIST_ITEMS, coerce, from_cel, parse_timestamp, survey, whole

__all__ = ["CelEvaluator", "CelProgram"]

_LIST = cel.Type.List(cel.Type.DYN)
_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_TYPES: dict[ValueType | None, cel.Type] = {
    ValueType.STRING: cel.Type.STRING,
    ValueType.INTEGER: cel.Type.INT,
    ValueType.NUMBER: cel.Type.DOUBLE,
    ValueType.BOOLEAN: cel.Type.BOOL,
    ValueType.ARRAY: _LIST,
    ValueType.OBJECT: _MAP,
    None: cel.Type.DYN,
}
# By the letter of a slot's name, see `names.py`: CEL's type and the one that a value is coerced to.
_SLOTS: dict[str, tuple[cel.Type, ValueType | None]] = {
    "s": (cel.Type.STRING, ValueType.STRING),
    "i": (cel.Type.INT, ValueType.INTEGER),
    "d": (cel.Type.DOUBLE, ValueType.NUMBER),
    "b": (cel.Type.BOOL, ValueType.BOOLEAN),
    "l": (_LIST, ValueType.ARRAY),
    "m": (_MAP, ValueType.OBJECT),
    "t": (cel.Type.TIMESTAMP, None),
    "x": (cel.Type.DYN, None),
}
_RESULTS = {
    "string": ValueType.STRING,
    "timestamp": ValueType.STRING,
    "duration": ValueType.STRING,
    "integer": ValueType.INTEGER,
    "unsigned integer": ValueType.INTEGER,
    "number": ValueType.NUMBER,
    "boolean": ValueType.BOOLEAN,
    "array": ValueType.ARRAY,
    "object": ValueType.OBJECT,
}
# Where there are names that are not everywhere, for whoever looks for one in another place.
_ELSEWHERE = {
    "attempt": "in `retry.rules[].when`",
    "index": "in a task with `forEach`, but not in its `when` or `forEach.in`",
    "item": "in a task with `forEach`, but not in its `when` or `forEach.in`",
    "iteration": "in a task with `repeat`, but not in its `when` or `forEach`",
    "object": "in what is asked about an object: `wait.condition.when`, and the conditions and outputs of a `resource`",
    "outputs": "in `repeat.until`",
    "previous": "in a task with `repeat`, but not in its `when`, `forEach` or `repeat.until`",
    "response": "in the `successWhen` and the outputs of an `http` task",
}
_OPTIONAL = "the value may be missing: end it with .orValue(…)"


class CelEvaluator:
    """Compiles CEL. One for a process is enough; it keeps the compiled form of the sources it met last."""

    def __init__(self, cached: int = 4096) -> None:
        # A schedule starts the same workflow again and again: the same sources, and the same types for them.
        self._compile = functools.lru_cache(cached)(_compile)
        self._environment = functools.lru_cache(256)(_environment)

    def compile(self, source: str, declarations: Declarations) -> CelProgram:
        """Parse and type-check. Raises :class:`ExpressionError` with a column in `source`."""
        check_length(source)
        resolved = resolve(source, declarations)
        check_growth(resolved.tokens)
        variables = tuple(sorted((name, declarations.variables[name]) for name in resolved.variables))
        records = tuple((name, ValueType.OBJECT) for name in sorted(resolved.wholes - ROOTS))
        # Environments are shared by growing in fours: nearly all expressions make do with the smallest.
        most = max((slot.number for slot in resolved.slots), default=0)
        size = next(size for size in (4, 16, 64, 256, 1024) if most < size)
        try:
            expression, type_ = self._compile(self._environment((*variables, *records), size), resolved.text)
        except RuntimeError as error:
            raise _translated(str(error), resolved, declarations) from None
        return CelProgram(
            type=_result_type(type_),
            references=resolved.references,
            _expression=expression,
            _slots=resolved.slots,
            _wholes=resolved.wholes,
            _variables=variables,
            _declarations=declarations,
            _copies_lists=copies_lists(resolved.tokens),
        )


@dataclass(frozen=True, slots=True)
class CelProgram:
    """A compiled expression; implements `fairlead.engine.expressions.Program`."""

    type: ValueType | None
    references: tuple[Reference, ...]
    _expression: cel.Expression
    _slots: tuple[Slot, ...]
    _wholes: frozenset[str]
    _variables: tuple[tuple[str, ValueType | None], ...]
    _declarations: Declarations
    _copies_lists: bool

    def evaluate(self, scope: Scope) -> Json:
        """Return the value as plain JSON: timestamps as RFC 3339, durations in seconds (`90s`), keys sorted.

        Raises :class:`ExpressionError`.
        """
        data = self._data(scope)
        self._check(data)
        try:
            value = self._expression.eval(data=data)
        except RuntimeError as error:
            raise ExpressionError(messages.at_run_time(str(error))) from None
        if value.type() == cel.Type.ERROR:
            raise ExpressionError(self._explain(str(value.plain_value()), scope))
        try:
            plain = value.plain_value()
        except (TypeError, SystemError):
            # The library has no Python form for an optional, alone or inside a list.
            raise ExpressionError(_OPTIONAL) from None
        return from_cel(plain)

    def _data(self, scope: Scope) -> dict[str, Any]:
        data: dict[str, Any] = {root: whole(root, scope, self._declarations) for root in self._wholes}
        for name, declared in self._variables:
            if name in scope:
                data[name] = coerce(scope[name], declared)
        for slot in self._slots:
            value: Json = scope
            try:
                for step in slot.path:
                    value = value[step]
            except (KeyError, TypeError):
                continue  # an error only if the expression comes to need it
            data[slot.name] = parse_timestamp(value) if slot.letter == "t" else coerce(value, _SLOTS[slot.letter][1])
        return data

    def _check(self, data: Mapping[str, Any]) -> None:
        """Refuse what the library would cut short or take too long for."""
        for name, value in data.items():
            longest, nul = survey(value)
            if nul:
                raise ExpressionError(f"{_spell(self._path(name))} holds a NUL character, which an expression cannot")
            if self._copies_lists and longest > MAX_LIST_ITEMS:
                raise ExpressionError(
                    f"map() and filter() take lists of at most {MAX_LIST_ITEMS:,} items, and there is one of "
                    f"{longest:,} in {_spell(self._path(name))}"
                )

    def _path(self, variable: str) -> tuple[str, ...]:
        """Return what a variable of the evaluation stands for."""
        return next((slot.path for slot in self._slots if slot.name == variable), (variable,))

    def _explain(self, message: str, scope: Scope) -> str:
        """Put an error value into words, with the paths of the source in place of our variables."""
        if missing := re.search(r'No value with name "(\w+)" found', message):
            path = self._path(missing[1])
            text = f"{_spell(path)} has no value"
            if path[0] == "tasks" and (phase := scope.get("tasks", {}).get(path[1], {}).get("phase")):
                text += f": the task is {phase}"
            return text
        if found := re.search(r"Unexpected value type for '(\w+)': (\w+)\. \(Expected (.*)\)", message):
            path = self._path(found[1])
            given = _PYTHON_TYPES.get(found[2], found[2])
            return f"{_spell(path)} is of type {given}, not {messages.type_name(found[3])}"
        message = messages.at_run_time(message)
        for slot in self._slots:
            message = message.replace(f"'{slot.name}", f"'{_spell(slot.path)}")
        return message


_PYTHON_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
    "NoneType": "null",
}


def _spell(path: tuple[str, ...]) -> str:
    """Write a path as CEL has it: `tasks['sign-off'].outputs.x`."""
    root, *steps = path
    return root + "".join(f".{step}" if step.isidentifier() else f"[{step!r}]" for step in steps)


def _translated(text: str, source: Source, declarations: Declarations) -> ExpressionError:
    """Make our error of what the library raised at compile time: words, and the column in the original source."""
    message, line, column = messages.locate(text)
    if line < 0 or column < 0:
        return ExpressionError(messages.in_type_check(message))
    lines = source.text.split("\n")
    offset = sum(len(earlier) + 1 for earlier in lines[: line - 1]) + column - 1
    name = messages.undeclared(message)
    is_call = source.text[offset : offset + 1] == "(" and not message.startswith("Syntax")
    if is_call:
        # CEL points at the parenthesis; people look at the name.
        offset = len(source.text[:offset].rstrip("_" + ascii_letters + digits))
    if name is None:
        words = messages.in_type_check(message)
    elif is_call:
        words = _unknown_function(name, is_method=source.text[:offset].endswith("."))
    else:
        words = _unknown_variable(name.partition(".")[0], declarations)
    return ExpressionError(words, source.original_offset(offset) + 1)


def _unknown_variable(name: str, declarations: Declarations) -> str:
    if name in declarations.params:
        return f"no variable {name!r}; the parameter is params.{name}"
    if name in declarations.tasks:
        return f"no variable {name!r}; the task is tasks.{name}"
    if name in _ELSEWHERE:
        return f"no variable {name!r} here: there is one only {_ELSEWHERE[name]}"
    hint = " (a literal '${' is written '$${')" if name.isupper() else ""
    known = [*ROOTS, *declarations.variables, *declarations.records]
    return f"no variable {name!r}{did_you_mean(name, known)}{hint}"


def _unknown_function(name: str, *, is_method: bool) -> str:
    if is_method and name in own.FUNCTIONS:
        return f"{name}() is a function: write {name}(value)"
    if not is_method and name in own.METHODS:
        return f"{name}() is a method: write value.{name}()"
    known = own.METHODS if is_method else own.FUNCTIONS
    return f"no {'method' if is_method else 'function'} {name!r}{did_you_mean(name, known)}"


def _result_type(type_: cel.Type) -> ValueType | None:
    """Map a static type to ours. Raises :class:`ExpressionError` for what cannot be the value of a field."""
    name = messages.type_name(type_.name())
    if name == "optional":
        raise ExpressionError(_OPTIONAL)
    if name in {"bytes", "type"}:
        raise ExpressionError(f"the value is of type {name}, which JSON does not have")
    return _RESULTS.get(name)


def _compile(environment: cel.Env, source: str) -> tuple[cel.Expression, cel.Type]:
    expression = environment.compile(source)
    return expression, expression.return_type()


def _environment(variables: tuple[tuple[str, ValueType | None], ...], size: int) -> cel.Env:
    """Build an environment with `size` slots of each type."""
    declared = {f"__{letter}{number}": type_ for letter, (type_, _) in _SLOTS.items() for number in range(size)}
    declared |= dict.fromkeys(ROOTS, _MAP)
    declared |= {name: _TYPES[type_] for name, type_ in variables}
    return cel.NewEnv(
        config=_config(),
        variables=declared,
        extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional(), ext_math.ExtMath()],
        functions=_functions(),
    )


@functools.cache
def _functions() -> list[cel.FunctionDecl]:
    return own.declarations()


@functools.cache
def _config() -> cel.EnvConfig:
    """Declare the comparisons anew, between numbers of different types too, as the API server does.

    The library can compare 1 with 1.5; only its checker refuses it unless told otherwise.
    """
    numbers = ("int", "uint", "double")
    mixed = [(left, right) for left in numbers for right in numbers if left != right]
    ordered = [*mixed, *((kind, kind) for kind in (*numbers, "bool", "string", "bytes", "timestamp", "duration"))]
    excluded, added = [], []
    for name, pairs in (
        *((f"_{symbol}_", ordered) for symbol in ("<", "<=", ">", ">=")),
        ("_==_", mixed),
        ("_!=_", mixed),
    ):
        excluded.append({"name": name})
        overloads: list[Mapping[str, Any]] = [
            {"id": f"{name}{left}_{right}", "args": [{"type_name": left}, {"type_name": right}], "return": _BOOL}
            for left, right in pairs
        ]
        if pairs is mixed:
            anything = {"type_name": "T", "is_type_param": True}
            overloads.append({"id": f"{name}same", "args": [anything, anything], "return": _BOOL})
        added.append({"name": name, "overloads": overloads})
    # JSON is YAML.
    return cel.NewEnvConfigFromYaml(json.dumps({"stdlib": {"exclude_functions": excluded}, "functions": added}))


_BOOL = {"type_name": "bool"}
