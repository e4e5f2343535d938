"""What a YAML text may come to, looked at before anything is made of it.

A text of some lines can stand for billions of values, by aliases of aliases, and one of some kilobytes can be nested so
deeply that the C library runs out of stack. Both are seen in the events of the parser, which cost neither.
"""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["MOST_BYTES", "MOST_DEEP", "MOST_VALUES", "check_yaml"]

#: More than ten times what an API server takes, and several documents may be in a file.
MOST_BYTES = 32 * 1024 * 1024
#: Values in one document, those of its aliases written out: three times a definition of 10,000 tasks.
MOST_VALUES = 2_000_000
MOST_DEEP = 200

_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class _TooMuch(yaml.MarkedYAMLError):
    """The text is refused, whether it is YAML or not."""

    def __init__(self, problem: str, event: Any = None) -> None:
        super().__init__(problem=problem, problem_mark=None if event is None else event.start_mark)


def check_yaml(text: str) -> None:
    """Raise `yaml.YAMLError` for a text that is too large, or comes to too much. What is no YAML is left to others."""
    if len(text) > MOST_BYTES:
        raise _TooMuch(f"it has more than {MOST_BYTES // 1024**2} MiB")
    try:
        _check(text)
    except _TooMuch:
        raise
    except yaml.YAMLError:
        return


def _check(text: str) -> None:
    anchors: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []  # anchor, and how many values there were before
    values = 0
    for event in yaml.parse(text, _Parser):
        if isinstance(event, yaml.DocumentStartEvent):
            anchors, values = {}, 0
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                raise _TooMuch(f"*{event.anchor} contains itself", event)
            values += anchors.get(str(event.anchor), 1)
        elif isinstance(event, _OPENING):
            open_.append((event.anchor, values))
            values += 1
            if len(open_) > MOST_DEEP:
                raise _TooMuch(f"it is nested more than {MOST_DEEP} deep", event)
        elif isinstance(event, _CLOSING):
            anchor, before = open_.pop()
            if anchor is not None:
                anchors[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                anchors[event.anchor] = 1
        if values > MOST_VALUES:
            raise _TooMuch(f"it comes to more than {MOST_VALUES:,} values", event)
