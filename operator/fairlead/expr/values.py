"""Values on their way into CEL and back: plain JSON on our side, typed by the declarations on CEL's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fairlead.engine.expressions import Declarations, ExpressionError
from fairlead.engine.model import Json, Scope, ValueType

__all__ = [
    "MAX_LIST_ITEMS",
    "MAX_RESULT_SIZE",
    "coerce",
    "duration_text",
    "from_cel",
    "parse_timestamp",
    "survey",
    "timestamp_text",
    "whole",
]

#: What one expression may give back, counted in characters of its JSON, roughly.
MAX_RESULT_SIZE = 1024 * 1024

#: The longest list that `map` and `filter` may run over. The library copies the result for each item, so that
#: 10,000 items (its own limit) take seconds, in which nothing else happens in the process.
MAX_LIST_ITEMS = 2_000


def coerce(value: Json, declared: ValueType | None) -> Json:
    """Give a number its declared type: JSON writes 1 and 1.0 alike, CEL tells them apart."""
    if declared is ValueType.NUMBER and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if declared is ValueType.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def whole(root: str, scope: Scope, declarations: Declarations) -> dict[str, Json]:
    """Return `params`, `run`, `tasks` or a record as a map, with the declared types inside."""
    value: Mapping[str, Json] = scope.get(root, {})
    match root:
        case "params":
            return _coerce_all(value, declarations.params)
        case "run":
            return dict(value)  # startTime stays a string here: the library takes no timestamp inside a map
        case "tasks":
            return {
                name: {**task, "outputs": _coerce_all(task.get("outputs", {}), declarations.tasks.get(name, {}))}
                for name, task in value.items()
            }
        case _:
            return _coerce_all(value, declarations.records[root])


def _coerce_all(values: Mapping[str, Json], types: Mapping[str, ValueType | None]) -> dict[str, Json]:
    return {name: coerce(value, types.get(name)) for name, value in values.items()}


def parse_timestamp(value: Json) -> datetime:
    """Read an RFC 3339 timestamp, or a date as its first moment in UTC.

    Raises :class:`ExpressionError` if it is neither.
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ExpressionError(f"{value!r} is neither a timestamp nor a date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def timestamp_text(value: datetime) -> str:
    """Write a timestamp as RFC 3339 in UTC, with a fraction only where there is one."""
    value = value.astimezone(UTC)
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    return f"{value:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{fraction}Z"


def duration_text(value: timedelta) -> str:
    """Write a duration in seconds, as protobuf's JSON does: `90s`, `1.5s`."""
    microseconds = value // timedelta(microseconds=1)
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{sign}{seconds}" + (f".{fraction:06d}".rstrip("0") if fraction else "") + "s"


def from_cel(value: object) -> Json:
    """Return the library's plain value as JSON. The keys of objects are sorted: CEL's maps have no order.

    Raises :class:`ExpressionError` for what JSON does not have, and for more than `MAX_RESULT_SIZE`.
    """
    try:
        return _json(value, [MAX_RESULT_SIZE])
    except RecursionError:
        raise ExpressionError("the result nests too deeply") from None


def _json(value: object, budget: list[int]) -> Json:
    budget[0] -= len(value) + 2 if isinstance(value, str) else 2
    if budget[0] < 0:
        raise ExpressionError(f"the result is larger than {MAX_RESULT_SIZE:,} characters")
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise ExpressionError(f"the result is {value}, which is not a JSON number")
            return value
        case list():
            return [_json(item, budget) for item in value]
        case dict():
            return {key: _json(value[key], budget) for key in _sorted_keys(value, budget)}
        case datetime():
            return timestamp_text(value)
        case timedelta():
            return duration_text(value)
        case bytes() | bytearray():
            raise ExpressionError("the result is of type bytes, which JSON does not have: use string(…)")
        case _:
            raise ExpressionError("the result is a type, which JSON does not have")


def _sorted_keys(value: Mapping[object, object], budget: list[int]) -> list[str]:
    keys = []
    for key in value:
        if not isinstance(key, str):
            raise ExpressionError(f"an object's keys must be strings, not {key!r}")
        keys.append(key)
        budget[0] -= len(key) + 2
    return sorted(keys)


def survey(value: object) -> tuple[int, bool]:
    """Return the length of the longest list (or map) in a value, and whether a text in it holds a NUL character.

    The library cuts a text from Python short at a NUL, without a word: such a value must not get there.
    """
    longest, nul, pending = 0, False, [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            nul = nul or "\x00" in item
        elif isinstance(item, dict):
            longest = max(longest, len(item))
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            longest = max(longest, len(item))
            pending.extend(item)
    return longest, nul
