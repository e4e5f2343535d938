"""Parameters: their declarations, and the values that arguments and defaults give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from fairlead.api.declared import Argument, Items, Parameter
from fairlead.api.problems import did_you_mean
from fairlead.engine.expressions import Declarations, Evaluator, ExpressionError, Program
from fairlead.engine.model import Json, ValueType
from fairlead.engine.outputs import has_type

__all__ = ["ValueChecker", "resolve_parameters"]

_NUMERIC = {ValueType.INTEGER, ValueType.NUMBER}


@dataclass(slots=True)
class ValueChecker:
    """Checks values against declarations.

    Patterns are matched by the evaluator's own `matches`: RE2 runs in linear time, while a hostile pattern would stop
    Python's `re`, and with it the operator, for good.
    """

    evaluator: Evaluator
    report: Callable[[str, str], None]
    _program: Program | None = field(default=None, init=False)

    def declaration(self, rules: Parameter | Items, path: str) -> None:
        """Report rules that do not go with the declared type or are not valid themselves."""
        fitting = (("pattern", {ValueType.STRING}), ("minimum", _NUMERIC), ("maximum", _NUMERIC))
        for name, types in fitting:
            if getattr(rules, name) is not None and rules.type not in types:
                wanted = " or ".join(sorted(types))
                self.report(f"{path}.{name}", f"must not be set for type {rules.type}, only for {wanted}")
        if rules.minimum is not None and rules.maximum is not None and rules.minimum > rules.maximum:
            self.report(f"{path}.minimum", f"must not be greater than `maximum` ({rules.maximum:g})")
        if rules.pattern is not None:
            try:
                self._matches("", rules.pattern)
            except ExpressionError as error:
                self.report(f"{path}.pattern", f"must be a regular expression (RE2): {error.message}")
        for index, value in enumerate(rules.enum or ()):
            if not has_type(value, rules.type):
                self.report(f"{path}.enum[{index}]", f"must be of type {rules.type}, not {_shown(value)}")
        if isinstance(rules, Parameter) and rules.items is not None:
            if rules.type is not ValueType.ARRAY:
                self.report(f"{path}.items", f"must not be set for type {rules.type}, only for array")
            self.declaration(rules.items, f"{path}.items")

    def value(self, value: Json, rules: Parameter | Items, path: str) -> Json:
        """Report what is wrong with a value; return it, with whole numbers as integers."""
        if not has_type(value, rules.type):
            self.report(path, f"must be of type {rules.type}, not {_shown(value)}")
            return value
        if rules.type is ValueType.INTEGER:
            value = int(value)
        if rules.enum is not None and value not in rules.enum:
            self.report(path, f"must be one of {', '.join(map(_shown, rules.enum))}, not {_shown(value)}")
        if rules.type in _NUMERIC:
            if rules.minimum is not None and value < rules.minimum:
                self.report(path, f"must be at least {rules.minimum:g}, not {_shown(value)}")
            if rules.maximum is not None and value > rules.maximum:
                self.report(path, f"must be at most {rules.maximum:g}, not {_shown(value)}")
        if rules.type is ValueType.STRING and rules.pattern is not None and not self._fits(value, rules.pattern):
            self.report(path, f"must match the pattern {rules.pattern}, unlike {_shown(value)}")
        if isinstance(rules, Parameter) and rules.type is ValueType.ARRAY and rules.items is not None:
            return [self.value(item, rules.items, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    def _fits(self, value: str, pattern: str) -> bool:
        try:
            return self._matches(value, pattern)
        except ExpressionError:
            return True  # the declaration was reported

    def _matches(self, value: str, pattern: str) -> bool:
        if self._program is None:
            variables = {"value": ValueType.STRING, "pattern": ValueType.STRING}
            self._program = self.evaluator.compile("value.matches(pattern)", Declarations(variables=variables))
        return bool(self._program.evaluate({"value": value, "pattern": pattern}))


def resolve_parameters(
    declared: Sequence[Parameter | None],
    arguments: Sequence[Argument | None],
    *,
    names: Collection[str],
    evaluator: Evaluator,
    report: Callable[[str, str], None],
) -> dict[str, Json]:
    """Return the value of each parameter; everything wrong is reported by field.

    `names` are those of all parameters, of those too (None in `declared`) that do not fit their model.
    """
    checker = ValueChecker(evaluator, report)
    known: dict[str, Parameter] = {}
    values: dict[str, Json] = {}
    for index, parameter in enumerate(declared):
        if parameter is None:
            continue
        path = f"spec.params[{index}]"
        if parameter.name in known:
            report(f"{path}.name", f"another parameter is named {parameter.name!r}, too; names must be unique")
            continue
        known[parameter.name] = parameter
        checker.declaration(parameter, path)
        if "default" in parameter.model_fields_set:
            values[parameter.name] = checker.value(parameter.default, parameter, f"{path}.default")
    given: set[str] = set()
    for index, argument in enumerate(arguments):
        if argument is None:
            continue
        path = f"spec.arguments[{index}]"
        name = argument.name
        if name in given:
            report(f"{path}.name", f"another argument is for {name!r}, too; give each parameter one value")
        elif name in known:
            values[name] = checker.value(argument.value, known[name], f"{path}.value")
        elif name not in names:
            report(f"{path}.name", f"no parameter named {name!r}{did_you_mean(name, tuple(names))}")
        given.add(name)
    for name in known:
        if name not in values and None not in arguments:
            report(
                "spec.arguments",
                f"parameter {name!r} has no value: add {{name: {name}, value: …}} here, or give it a default",
            )
    return values


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
