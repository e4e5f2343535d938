"""Log lines: one JSON object a line for machines, aligned text for people.

Code logs through the standard library; what belongs to a line besides its message goes into `extra`:
`log.info("released", extra={"workflow": "etl", "namespace": "data", "task": "load"})`.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

import orjson

__all__ = ["JsonFormatter", "LogFormat", "TextFormatter", "configure"]

# What every record has; the rest of its attributes came from `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class LogFormat(StrEnum):
    """The values of `--log-format`; AUTO is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class JsonFormatter(logging.Formatter):
    """`{"time":…,"level":…,"logger":…,"message":…}` and the extra fields, on one line.

    A field that the four are named for is not overwritten: an `extra` of that name is dropped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message and the values are."""
        line: dict[str, Any] = _extra(record)
        line |= {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        first = ("time", "level", "logger", "message")
        line = {name: line[name] for name in first} | line
        if trace := _trace(self, record):
            line["exception"] = trace
        options = orjson.OPT_NON_STR_KEYS
        try:
            return orjson.dumps(line, default=str, option=options).decode()
        except (TypeError, ValueError):  # a lone surrogate, a huge int, a cycle: better a blunt line than none
            blunt = {name: repr(value) for name, value in line.items()}
            return orjson.dumps(blunt, option=options).decode()


class TextFormatter(logging.Formatter):
    """`15:04:05.678 INFO  message  workflow=etl task=load`, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """A line, and a traceback below it if there is one."""
        at = _time(record).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        line = f"{at} {record.levelname:<7} {record.getMessage()}{fields}"
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


def configure(*, format_: str = LogFormat.AUTO, level: str | int = "INFO", stream: TextIO | None = None) -> None:
    """Send all logging to one stream, in one format; replaces what was set up before.

    Args:
        format_: one of `LogFormat`.
        level: a name or number of `logging`.
        stream: standard error by default; standard output belongs to data.

    Raises:
        ValueError: no such format or level.
    """
    stream = stream or sys.stderr
    chosen = LogFormat(format_)
    if chosen is LogFormat.AUTO:
        chosen = LogFormat.TEXT if stream.isatty() else LogFormat.JSON
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if chosen is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers[:] = [handler]


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD and not name.startswith("_")}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
