"""Our own functions: on lists, JSON and dates. All of them are deterministic; there is no `now()`.

On lists, `sum min max avg sort distinct flatten join` are methods, and nulls, which a `forEach` leaves where an
item failed, are left out by all of them but `flatten`. `toJson fromJson dateAdd dateFormat` are functions.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cel_expr_python import cel

from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Json
from fairlead.engine.texts import to_text
from fairlead.expr.names import RENAMED
from fairlead.expr.values import MAX_RESULT_SIZE, from_cel, parse_timestamp, survey, timestamp_text

__all__ = ["FUNCTIONS", "METHODS", "declarations"]

_LIST = cel.Type.List(cel.Type.DYN)
_MAP = cel.Type.Map(cel.Type.DYN, cel.Type.DYN)


def sum_(items: list[Json]) -> Json:
    """Add numbers up; 0 for none."""
    return sum(_numbers("sum", items))


def min_(items: list[Json]) -> Json:
    """Return the least of numbers, or of strings."""
    return _ordered("min", items)[0]


def max_(items: list[Json]) -> Json:
    """Return the greatest of numbers, or of strings."""
    return _ordered("max", items)[-1]


def avg(items: list[Json]) -> float:
    """Return the mean of numbers."""
    numbers = _numbers("avg", items)
    if not numbers:
        raise ValueError("avg() of a list without values")
    return float(sum(numbers)) / len(numbers)


def sort(items: list[Json]) -> list[Json]:
    """Return numbers, or strings, in ascending order."""
    return _ordered("sort", items) if _values(items) else []


def distinct(items: list[Json]) -> list[Json]:
    """Return the values that differ, each where it comes first."""
    # Compared as JSON: to Python 1 and True are equal, to CEL 1 and 1.0.
    first: dict[str, Json] = {}
    for item in _values(items):
        first.setdefault(to_json(item), item)
    return list(first.values())


def flatten(items: list[Json]) -> list[Json]:
    """Return the items of lists within the list, one level deep."""
    return [inner for item in items for inner in (item if isinstance(item, list) else [item])]


def join(items: list[Json], separator: str = "") -> str:
    """Write the values one after the other, as they would stand in a text."""
    text = separator.join(to_text(item) for item in _values(from_cel(items)))
    return _bounded(text)


def replace(text: str, old: str, new: str, limit: int = -1) -> str:
    """Put one text in the place of another: everywhere, or `limit` times."""
    times = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + times * (len(new) - len(old)) > MAX_RESULT_SIZE:
        raise ValueError(f"the result is larger than {MAX_RESULT_SIZE:,} characters")
    return text.replace(old, new, limit)


def to_json(value: object) -> str:
    """Write a value as compact JSON, its keys sorted."""
    plain = from_cel(value)
    return _bounded(json.dumps(plain) if plain is None or isinstance(plain, str) else to_text(plain))


def from_json(text: str) -> Json:
    """Read JSON."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except ValueError as error:
        raise ValueError(f"fromJson(): {error}") from None
    except RecursionError:
        raise ValueError("fromJson(): the text nests too deeply") from None
    return value


def date_add(moment: datetime | str, amount: str) -> datetime | str:
    """Add an amount such as `1d`, `-2w` or `1h30m`; a date stays a date when whole days are added."""
    added = parse_timestamp(moment) + _amount(amount)
    if isinstance(moment, datetime):
        return added
    is_date = len(moment) == len("2026-11-22") and added.time() == datetime.min.time()
    return f"{added:%Y-%m-%d}".rjust(10, "0") if is_date else timestamp_text(added)


def date_format(moment: datetime | str, layout: str) -> str:
    """Write a timestamp or date by a layout of `%Y %m %d %H %M %S %j %y %a %A %b %B %u %V %G %F %T %%`, in UTC."""
    moment = parse_timestamp(moment).astimezone(UTC)
    return re.sub(r"%(.?)", lambda found: _directive(moment, found[1]), layout, flags=re.DOTALL)


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
# `strftime` itself would answer by the process's locale and the platform.
_DIRECTIVES: dict[str, Callable[[datetime], str]] = {
    "Y": lambda moment: f"{moment.year:04d}",
    "y": lambda moment: f"{moment.year % 100:02d}",
    "m": lambda moment: f"{moment.month:02d}",
    "d": lambda moment: f"{moment.day:02d}",
    "H": lambda moment: f"{moment.hour:02d}",
    "M": lambda moment: f"{moment.minute:02d}",
    "S": lambda moment: f"{moment.second:02d}",
    "j": lambda moment: f"{moment.timetuple().tm_yday:03d}",
    "a": lambda moment: _DAYS[moment.weekday()][:3],
    "A": lambda moment: _DAYS[moment.weekday()],
    "b": lambda moment: _MONTHS[moment.month - 1][:3],
    "B": lambda moment: _MONTHS[moment.month - 1],
    "u": lambda moment: str(moment.isoweekday()),
    "G": lambda moment: f"{moment.isocalendar().year:04d}",
    "V": lambda moment: f"{moment.isocalendar().week:02d}",
    "F": lambda moment: f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}",
    "T": lambda moment: f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}",
    "%": lambda _: "%",
}


def _directive(moment: datetime, letter: str) -> str:
    if letter not in _DIRECTIVES:
        raise ValueError(
            f"dateFormat() does not know '%{letter}'; it knows {' '.join('%' + known for known in _DIRECTIVES)}"
        )
    return _DIRECTIVES[letter](moment)


_AMOUNT = re.compile(r"(?P<sign>[+-]?)(?P<parts>(?:\d+[wdhms])+)", re.ASCII)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def _amount(text: str) -> timedelta:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"dateAdd() takes an amount such as '1d', '-2w' or '1h30m', not {text!r}")
    total = timedelta()
    for number, unit in re.findall(r"(\d+)([wdhms])", found["parts"]):
        total += timedelta(**{_UNITS[unit]: int(number)})
    return -total if found["sign"] == "-" else total


def _values(items: list[Json]) -> list[Json]:
    return [item for item in items if item is not None]


def _numbers(function: str, items: list[Json]) -> list[int | float]:
    numbers = _values(items)
    for item in numbers:
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise ValueError(f"{function}() takes numbers, not {to_json(item)}")
    return numbers


def _ordered(function: str, items: list[Json]) -> list[Json]:
    values = _values(items)
    if not values:
        raise ValueError(f"{function}() of a list without values")
    texts = sum(isinstance(item, str) for item in values)
    if 0 < texts < len(values):
        raise ValueError(f"{function}() takes either numbers or strings, not both")
    return sorted(values if texts else _numbers(function, values))


def _bounded(text: str) -> str:
    if len(text) > MAX_RESULT_SIZE:
        raise ValueError(f"the result is larger than {MAX_RESULT_SIZE:,} characters")
    return text


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let the library see a plain error with our message: it makes an error value of any exception."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            result = function(*arguments)
        except ExpressionError as error:
            raise ValueError(error.message) from None
        except OverflowError:
            raise ValueError("the date is out of range") from None
        if survey(result)[1]:
            raise ValueError("the result holds a NUL character, which a function cannot give back")
        return result

    return call


def declarations() -> list[cel.FunctionDecl]:
    """Return the declarations, for a CEL environment."""
    type_ = cel.Type
    moments = {"timestamp": type_.TIMESTAMP, "string": type_.STRING}
    # An argument of type DYN does not match a map at run time, so each type has an overload of its own.
    any_value = {
        "list": _LIST,
        "map": _MAP,
        "string": type_.STRING,
        "int": type_.INT,
        "uint": type_.UINT,
        "double": type_.DOUBLE,
        "bool": type_.BOOL,
        "null": type_.NULL,
        **moments,
        "duration": type_.DURATION,
    }
    return [
        _declare("sum", sum_, {"list": (_LIST,)}, type_.DYN, method=True),
        _declare("min", min_, {"list": (_LIST,)}, type_.DYN, method=True),
        _declare("max", max_, {"list": (_LIST,)}, type_.DYN, method=True),
        _declare("avg", avg, {"list": (_LIST,)}, type_.DOUBLE, method=True),
        _declare("sort", sort, {"list": (_LIST,)}, _LIST, method=True),
        _declare("distinct", distinct, {"list": (_LIST,)}, _LIST, method=True),
        _declare("flatten", flatten, {"list": (_LIST,)}, _LIST, method=True),
        _declare(
            RENAMED["join"], join, {"list": (_LIST,), "list_string": (_LIST, type_.STRING)}, type_.STRING, method=True
        ),
        _declare(
            RENAMED["replace"],
            replace,
            {"all": (type_.STRING,) * 3, "limit": (*(type_.STRING,) * 3, type_.INT)},
            type_.STRING,
            method=True,
        ),
        _declare("toJson", to_json, {name: (kind,) for name, kind in any_value.items()}, type_.STRING),
        _declare("fromJson", from_json, {"string": (type_.STRING,)}, type_.DYN),
        cel.FunctionDecl(
            "dateAdd",
            [_overload("dateAdd", name, date_add, (kind, type_.STRING), kind) for name, kind in moments.items()],
        ),
        _declare(
            "dateFormat", date_format, {name: (kind, type_.STRING) for name, kind in moments.items()}, type_.STRING
        ),
    ]


def _declare(
    name: str,
    function: Callable[..., Any],
    overloads: dict[str, tuple[cel.Type, ...]],
    returns: cel.Type,
    *,
    method: bool = False,
) -> cel.FunctionDecl:
    return cel.FunctionDecl(
        name,
        [
            _overload(name, suffix, function, parameters, returns, method=method)
            for suffix, parameters in overloads.items()
        ],
    )


def _overload(
    name: str,
    suffix: str,
    function: Callable[..., Any],
    parameters: tuple[cel.Type, ...],
    returns: cel.Type,
    *,
    method: bool = False,
) -> cel.Overload:
    return cel.Overload(
        f"fairlead_{name}_{suffix}",
        return_type=returns,
        parameters=list(parameters),
        is_member=method,
        impl=_guarded(function),
    )


#: What may be called, ours and the library's own, for "did you mean".
METHODS = frozenset(
    """
    avg charAt contains distinct endsWith flatten format getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear
    getHours getMilliseconds getMinutes getMonth getSeconds hasValue indexOf join lastIndexOf lowerAscii matches max
    min or orValue replace reverse size sort split startsWith substring sum trim upperAscii value
    all exists exists_one filter map optFlatMap optMap
    """.split()  # noqa: SIM905
)
FUNCTIONS = frozenset(
    """
    bool bytes dateAdd dateFormat double duration dyn fromJson has int matches size string timestamp toJson type uint
    """.split()  # noqa: SIM905
)
