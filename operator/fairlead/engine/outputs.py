"""Reading what a task hands on: one JSON object in its outputs file, and what it printed.

Declared members of the object must be of the declared types. An output that comes from what the task printed is all of
it: as it is where a string is declared, but for the newline at its end, and read as JSON otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite

from fairlead.engine.model import Json, OutputDeclaration, OutputSource, ValueType

__all__ = ["TEXT_LIMIT", "VALUES_LIMIT", "OutputError", "check_lists", "check_values", "has_type", "read_outputs"]

#: The kubelet keeps the last 4,096 bytes of a termination message: one of that length may have lost its beginning.
TEXT_LIMIT = 4096

#: Outputs that come as values (from a request, an object, a person) take at most so many bytes as JSON.
VALUES_LIMIT = 64 * 1024

#: How deeply a value may be nested.
_DEPTH_LIMIT = 64


class OutputError(Exception):
    """Outputs that are not what the task declared. `reason` is one of OutputTooLarge, OutputInvalid, OutputMissing."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def read_outputs(declared: Sequence[OutputDeclaration], text: str, stdout: str = "") -> dict[str, Json]:
    """Return the declared outputs found in `text` and `stdout`, defaults filled in. Other members are left out.

    Raises :class:`OutputError`. What no output is declared to come from is not read: the task may write what it likes.
    """
    written: dict[str, Json] = {}
    if any(declaration.source is OutputSource.FILE for declaration in declared):
        _check_size(text, "the outputs are")
        written = _parse(text)
    return _declared(declared, written, stdout)


def check_values(declared: Sequence[OutputDeclaration], given: Mapping[str, Json]) -> dict[str, Json]:
    """Return the declared outputs found in `given`, defaults filled in, as `read_outputs` does for texts.

    Raises :class:`OutputError`.
    """
    for declaration in declared:
        if declaration.name not in given and not declaration.has_default:
            raise OutputError("OutputMissing", f"there is no value for the output {declaration.name!r}")
    return _small(_declared(declared, given, None))


def check_lists(declared: Sequence[OutputDeclaration], given: Mapping[str, Json]) -> dict[str, Json]:
    """Do the same for a task over a list: each output is the list of those of its items, null for one that has none."""
    values: dict[str, Json] = {}
    for declaration in declared:
        name, type_ = declaration.name, declaration.type
        found = given.get(name, [] if declaration.has_default else None)
        if found is None:
            raise OutputError("OutputMissing", f"there is no value for the output {name!r}")
        if not isinstance(found, list) or not all(each is None or has_type(each, type_) for each in found):
            what = f"output {name!r} of a `forEach` is an array, of {type_} for each item"
            raise OutputError("OutputInvalid", f"{what}; it is {_shown(found)}")
        values[name] = [None if each is None else _kept(name, each, type_) for each in found]
    return _small(values)


def _small(values: dict[str, Json]) -> dict[str, Json]:
    if len(json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")) > VALUES_LIMIT:
        message = f"the outputs are larger than {VALUES_LIMIT} bytes; hand on an address instead"
        raise OutputError("OutputTooLarge", message)
    return values


def _declared(
    declared: Sequence[OutputDeclaration], written: Mapping[str, Json], stdout: str | None
) -> dict[str, Json]:
    """`stdout` is None for values that somebody gives, wherever those of the task itself come from."""
    values: dict[str, Json] = {}
    for declaration in declared:
        name = declaration.name
        printed = stdout is not None and declaration.source is OutputSource.STDOUT
        found = _printed(declaration, stdout) if stdout is not None and printed else written
        if name in found:
            if not has_type(found[name], declaration.type):
                how = "it is" if stdout is None else "the task printed" if printed else "the task wrote"
                raise OutputError(
                    "OutputInvalid",
                    f"output {name!r} is declared as {declaration.type}, {how} {_shown(found[name])}",
                )
            values[name] = _kept(name, found[name], declaration.type)
        elif declaration.has_default:
            values[name] = declaration.default
        else:
            how = "print it" if printed else "write it to the file named by $FAIRLEAD_OUTPUTS"
            raise OutputError(
                "OutputMissing", f"the task did not write its output {name!r}; {how} or give it a default"
            )
    return values


def _printed(declaration: OutputDeclaration, stdout: str) -> dict[str, Json]:
    """Return the output that is what the task printed, by its name; nothing where there is none."""
    name = declaration.name
    _check_size(stdout, f"output {name!r} is all that the task prints, and that is")
    if declaration.type is ValueType.STRING:
        # A program that prints nothing has not printed an empty text, if it need not.
        return {} if not stdout and declaration.has_default else {name: stdout.removesuffix("\n").removesuffix("\r")}
    return {name: _json(stdout, f"output {name!r}, all that the task printed, is")} if stdout.strip() else {}


def _check_size(text: str, what: str) -> None:
    if len(text.encode(errors="replace")) >= TEXT_LIMIT:
        raise OutputError(
            "OutputTooLarge",
            f"{what} larger than {TEXT_LIMIT - 1} bytes; write large data to storage and output its address",
        )


def has_type(value: Json, expected: ValueType | None) -> bool:
    """Tell whether a JSON value is of a declared type. As in JSON Schema, 3.0 is an integer and true is no number."""
    match expected:
        case None:
            return True
        case ValueType.STRING:
            return isinstance(value, str)
        case ValueType.BOOLEAN:
            return isinstance(value, bool)
        case ValueType.ARRAY:
            return isinstance(value, list)
        case ValueType.OBJECT:
            return isinstance(value, dict)
        case ValueType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ValueType.INTEGER:
            if isinstance(value, bool):
                return False
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _parse(text: str) -> dict[str, Json]:
    if not text.strip():
        return {}
    written = _json(text, "the outputs are")
    if not isinstance(written, dict):
        raise OutputError("OutputInvalid", f"the outputs must be one JSON object, the task wrote {_shown(written)}")
    return written


def _json(text: str, what: str) -> Json:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise OutputError("OutputInvalid", f"{what} not JSON: {error}") from None
    except RecursionError:
        raise OutputError("OutputInvalid", f"{what} nested too deeply") from None


def _kept(name: str, value: Json, expected: ValueType | None) -> Json:
    """Return a value as it is handed on. Raises for one that JSON allows and no status could hold."""
    if expected is ValueType.INTEGER:
        value = int(value)
    stack = [(value, 1)]
    while stack:
        part, depth = stack.pop()
        problem = _unfit(part) if depth <= _DEPTH_LIMIT else "is nested too deeply"
        if problem:
            raise OutputError("OutputInvalid", f"output {name!r} {problem}")
        if isinstance(part, dict):
            stack.extend((each, depth + 1) for each in (*part, *part.values()))
        elif isinstance(part, list):
            stack.extend((each, depth + 1) for each in part)
    return value


def _unfit(part: Json) -> str:
    if isinstance(part, float) and not isfinite(part):
        return "has a number that is too large"
    if isinstance(part, int) and not -(2**63) <= part < 2**63:
        return "has an integer of more than 64 bits"
    if isinstance(part, str) and any("\ud800" <= character <= "\udfff" for character in part):
        return "has half of a surrogate pair, which is not a character"
    return ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _shown(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
