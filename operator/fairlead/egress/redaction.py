"""Cutting values out of a text in which any of their characters may be escaped. Pure; what is secret others know."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["CUT_OUT", "without_escaped"]

#: What stands where a value was.
CUT_OUT = "[secret]"

#: An escaped character, as in JSON, in a url, or in HTML.
_ESCAPE = re.compile(
    r"""\\u(?P<json>[0-9a-fA-F]{4})|\\(?P<letter>["\\/bfnrt])|%(?P<url>[0-9a-fA-F]{2})"""
    r"""|&\#(?:[xX]0*(?P<hexadecimal>[0-9a-fA-F]{1,6})|0*(?P<decimal>[0-9]{1,7}));|&(?P<name>amp|lt|gt|quot|apos);"""
)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NAMES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def without_escaped(text: str, values: Iterable[str]) -> str:
    """Return a text without these values, whichever of their characters are escaped in it. O(text) for each value.

    A text that is escaped twice is read once.
    """
    plain, marks = _unescaped(text)
    if len(marks) == 1:
        return text  # nothing is escaped in it
    kept, at = [], 0
    for start, end in sorted(_found(plain, values)):
        first, last = _place(marks, start), _place(marks, end)
        if first >= at:
            kept += [text[at:first], CUT_OUT]
        at = max(at, last)
    return "".join([*kept, text[at:]])


def _unescaped(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without escapes, and where in it something else stood: places there, and in the text, ascending."""
    pieces: list[str] = []
    marks = [(0, 0)]
    at = length = 0
    for found in _ESCAPE.finditer(text):
        pieces += [text[at : found.start()], _character(found)]
        length += found.start() - at
        marks += [(length, found.start()), (length + 1, found.end())]
        length += 1
        at = found.end()
    return "".join([*pieces, text[at:]]), marks


def _character(escape: re.Match[str]) -> str:
    """Return the one character that an escape stands for."""
    kind, written = escape.lastgroup, escape[escape.lastgroup or 0]
    match kind:
        case "letter":
            return _LETTERS.get(written, written)
        case "name":
            return _NAMES[written]
        case _:
            code = int(written, 10 if kind == "decimal" else 16)
            return chr(code) if code <= 0x10FFFF else "\ufffd"


def _found(plain: str, values: Iterable[str]) -> Iterator[tuple[int, int]]:
    for value in values:
        at = plain.find(value)
        while at >= 0:
            yield at, at + len(value)
            at = plain.find(value, at + len(value))


def _place(marks: list[tuple[int, int]], at: int) -> int:
    """Return where in the text the character is that is at a place without escapes."""
    there, here = marks[bisect_right(marks, (at, float("inf"))) - 1]
    return here + at - there
