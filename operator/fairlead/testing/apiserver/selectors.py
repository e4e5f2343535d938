"""Label and field selectors: what a list or a watch is about.

A selector is parsed once, and then a function. What may be selected by in a kind is the kind's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from .exchange import Object
from .refusals import bad_request

__all__ = ["Selector", "label_selector", "select"]

Labels = Mapping[str, str]
Selector = Callable[[Object], bool]

_SET = re.compile(r"\s*(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)\s*")
_EQUAL = re.compile(r"\s*(?P<key>[^\s!=]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=()]*)\s*")
_ORDER = re.compile(r"\s*(?P<key>[^\s!=<>]+)\s*(?P<operator>[<>])\s*(?P<value>-?\d+)\s*")
_EXISTS = re.compile(r"\s*(?P<not>!?)\s*(?P<key>[^\s!=(),<>]+)\s*")
_NO_LABELS: Labels = {}


@lru_cache(maxsize=1024)
def label_selector(text: str) -> Callable[[Labels], bool]:
    """Parse what kubectl's `-l` takes. Raises `Refused` where the server says that it cannot."""
    terms = [_term(each, text) for each in _split(text)]
    if not terms:
        return lambda _: True
    if len(terms) == 1:
        return terms[0]
    return lambda labels: all(term(labels) for term in terms)


def select(labels: str, fields: str, readable: Mapping[str, Callable[[Object], str]]) -> Selector | None:
    """Return what says whether an object is selected; None if all are.

    Args:
        labels: a label selector, or "".
        fields: a field selector, or "".
        readable: the fields that may be selected by, and how each is read.

    Raises:
        Refused: one of the two cannot be understood.
    """
    chosen: list[Selector] = []
    if labels.strip():
        chosen.append(_of_labels(label_selector(labels)))
    for each in filter(None, (part.strip() for part in fields.split(","))):
        match = re.fullmatch(r"(?P<field>[^!=]+?)(?P<operator>==|!=|=)(?P<value>.*)", each)
        if match is None:
            raise bad_request(f"invalid field selector: {fields}; can't understand {each!r}")
        read = readable.get(match["field"])
        if read is None:
            raise bad_request(f"field label not supported: {match['field']}")
        chosen.append(_of_field(read, match["value"], wanted=match["operator"] != "!="))
    if not chosen:
        return None
    if len(chosen) == 1:
        return chosen[0]
    return lambda obj: all(selector(obj) for selector in chosen)


def _of_labels(matches: Callable[[Labels], bool]) -> Selector:
    return lambda obj: matches(obj["metadata"].get("labels") or _NO_LABELS)


def _of_field(read: Callable[[Object], str], value: str, *, wanted: bool) -> Selector:
    return lambda obj: (read(obj) == value) is wanted


def _split(text: str) -> list[str]:
    """Split at the commas that are not within parentheses."""
    return [part for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _term(part: str, whole: str) -> Callable[[Labels], bool]:
    if match := _SET.fullmatch(part):
        key = match["key"]
        values = frozenset(each.strip() for each in match["values"].split(","))
        if match["operator"] == "in":
            return lambda labels: labels.get(key, _ABSENT) in values
        return lambda labels: labels.get(key, _ABSENT) not in values
    if match := _EQUAL.fullmatch(part):
        key, value = match["key"], match["value"]
        if match["operator"] == "!=":  # what has no such label is selected as well
            return lambda labels: labels.get(key, _ABSENT) != value
        return lambda labels: labels.get(key, _ABSENT) == value
    if match := _ORDER.fullmatch(part):
        return _ordered(match["key"], match["operator"], int(match["value"]))
    if match := _EXISTS.fullmatch(part):
        key, wanted = match["key"], not match["not"]
        return lambda labels: (key in labels) is wanted
    raise bad_request(f"unable to parse requirement: {whole!r}: found {part.strip()!r}")


#: A missing label; equal to no value, the empty one included.
_ABSENT: Any = object()


def _ordered(key: str, operator: str, bound: int) -> Callable[[Labels], bool]:
    def matches(labels: Labels) -> bool:
        try:
            value = int(labels[key])
        except (KeyError, ValueError):
            return False
        return value > bound if operator == ">" else value < bound

    return matches
