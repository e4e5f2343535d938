"""The library's error texts in words that a user of Fairlead can act on.

A text that is not recognised is passed on as it is: an odd message is better than none. What the library says is
pinned by its exact version and by the tests of this module.
"""

from __future__ import annotations

import re

from fairlead.expr.names import RENAMED

__all__ = ["at_run_time", "in_type_check", "locate", "type_name", "undeclared"]

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")
_EXPECTING = re.compile(r" expecting .*$")
_TYPES = {
    "int": "integer",
    "uint": "unsigned integer",
    "int64": "integer",
    "uint64": "unsigned integer",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "map": "object",
    "null_type": "null",
    "optional_type": "optional",
    "*opaque*": "optional",
    "*error*": "unknown",
    "dyn": "unknown",
}
_ORIGINAL_NAMES = {ours: theirs for theirs, ours in RENAMED.items()}
_TOO_DEEP = "the expression nests too deeply: at most 32 levels (a chain of + counts each)"


def locate(text: str) -> tuple[str, int, int]:
    """Return the first error in what `compile` raised: message, line and column, both -1 when it has no place."""
    for found in _ERROR.finditer(text):
        return found[3].removesuffix(" [INVALID_ARGUMENT]"), int(found[1]), int(found[2])
    return _STATUS.sub("", text), -1, -1


def in_type_check(message: str) -> str:
    """Put an error of `compile` into words, other than that of an unknown name."""
    if found := re.match(r"found no matching overload for '(.*?)' applied to '\((.*)\)'$", message):
        return _mismatch(found[1], [type_name(argument) for argument in _split(found[2])])
    if found := re.match(r"expression of type '(.*)' cannot be the (operand of a select|range)", message):
        what = "has no fields" if "select" in found[2] else "is nothing to iterate over"
        return f"a value of type {type_name(found[1])} {what}"
    if message.startswith("Syntax error: "):
        return _syntax(message.removeprefix("Syntax error: "))
    if "recursion" in message:
        return _TOO_DEEP
    return message


def undeclared(message: str) -> str | None:
    """Return the name that an error of `compile` calls undeclared, None for any other error."""
    found = re.match(r"undeclared reference to '(.*?)' ", message)
    return _ORIGINAL_NAMES.get(found[1], found[1]) if found else None


def _syntax(message: str) -> str:
    if "'<EOF>'" in message.split(" expecting ", maxsplit=1)[0]:
        return "the expression ends too early"
    if found := re.match(
        r"(?:mismatched input|extraneous input|no viable alternative at input|.*error at:) '(.*?)'", message
    ):
        return f"unexpected {found[1].strip()!r}"
    return "syntax error: " + _EXPECTING.sub("", message)


def _mismatch(function: str, types: list[str]) -> str:
    """Say that an operator or function does not take these types."""
    symbol = function.strip("_@")
    match function, types:
        case "_?_:_", [condition, _, _] if condition not in {"boolean", "unknown"}:
            return f"the condition of ?: is of type {condition}, not boolean"
        case "_?_:_", [_, one, other]:
            return f"the two branches of ?: differ in type: {one} and {other}"
        case "_[_]", [container, index]:
            return f"a value of type {container} cannot be indexed by one of type {index}"
        case (("!_" | "-_" | "not_strictly_false"), [operand]):
            return f"'{symbol}' does not take a value of type {operand}"
        case _, [left, right] if function == "@in" or re.fullmatch(r"_\W+_", function):
            return f"'{symbol}' does not take {left} and {right}" + _hint(symbol, {left, right})
        case _:
            name = _ORIGINAL_NAMES.get(function, function)
            return f"{name}() does not take these types: {', '.join(types) or 'none'}"


def _hint(symbol: str, types: set[str]) -> str:
    if types == {"integer", "number"}:
        return ": write the integer as 1.0 or double(…)"
    if symbol == "+" and "string" in types:
        return ": use string(…)"
    if "null" in types:
        return ": it is never null" if symbol in {"==", "!="} else ": give a default, or leave nulls out"
    if "optional" in types:
        return ": end it with .orValue(…)"
    return ""


def at_run_time(message: str) -> str:
    """Put an error of an evaluation into words."""
    message = _STATUS.sub("", _STATUS.sub("", message)).strip()
    if found := re.match(r'Key not found in map : "?(.*?)"?$', message):
        return f"no key {found[1]!r}"
    if found := re.match(r"Index error: index=(-?\d+) size=(\d+)", message):
        return f"index {found[1]} is outside a list of {found[2]}"
    if message.endswith("<jump_condition>"):
        return "a condition is not a boolean"
    if found := re.match(r"No matching overloads found : (?:\((.*?)\)\.)?([^()]+)(?:\((.*)\))?$", message):
        receiver = [found[1]] if found[1] else []
        return _mismatch(found[2], [type_name(argument) for argument in (*receiver, *_split(found[3] or ""))])
    if "optional.none() dereference" in message:
        return "value() of something that is missing: use orValue(…)"
    if "Iteration budget exceeded" in message:
        return "the expression needs too many steps: macros may run over 10,000 items in all"
    if message.startswith("Non-CEL value type for 'Python function"):
        return "a list given to a function holds a timestamp or duration: use string(…)"
    if "int too big" in message or re.match(r"Integer value .* out of range", message):
        return "an integer does not fit into 64 bits"
    if "basic_string" in message:
        return "a text holds half of a surrogate pair"
    if "SELECT to non-message" in message:
        return "only an object has fields"
    if "recursion limit" in message:
        return _TOO_DEEP
    return message


def type_name(cel: str) -> str:
    """Return the name of a CEL type as the API spells it: `map(string, dyn)` is an object."""
    outer = re.split(r"[(<]", cel.strip(), maxsplit=1)[0].lower()
    return _TYPES.get(outer, outer.rpartition(".")[2])


def _split(arguments: str) -> list[str]:
    """Split `string, map(string, dyn)` at its outer commas."""
    parts, depth = [""], 0
    for character in arguments:
        depth += (character in "(<") - (character in ")>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
