"""Whether a fault had an effect, by the audit log: one that nobody noticed proves nothing. Pure.

`entries` are those of a namespace. Only writes are in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from e2e.audit import resource_of
from e2e.chaos.ledger import AGENT

__all__ = ["Span", "asked_by", "hung", "refused", "written_by"]

Entry = Mapping[str, Any]

#: From when to when something was so.
Span = tuple[datetime, datetime]

_FORBIDDEN = 403


def refused(entries: Iterable[Entry], user: str, span: Span, resources: tuple[str, ...] = ()) -> int:
    """How many writes (to these resources) were forbidden to somebody in that time."""
    return sum(
        1
        for entry in entries
        if entry["user"]["username"] == user
        and _code(entry) == _FORBIDDEN
        and span[0] <= _answered(entry) <= span[1]
        and (not resources or resource_of(entry) in resources)
    )


def hung(entries: Iterable[Entry], span: Span, seconds: float) -> int:
    """How many of the operator's writes began before the end of that time, and took at least so long within it."""
    return sum(
        1
        for entry in entries
        if entry.get("userAgent", "").startswith(AGENT)
        and (min(_answered(entry), span[1]) - max(_asked(entry), span[0])).total_seconds() >= seconds
    )


def written_by(entries: Iterable[Entry], user: str) -> int:
    """How many writes of somebody had success."""
    return sum(1 for entry in entries if entry["user"]["username"] == user and 200 <= _code(entry) < 300)


def asked_by(entries: Iterable[Entry], user: str) -> frozenset[str]:
    """The names of the pods that somebody asked for, whatever the answer."""
    return frozenset(
        entry["objectRef"]["name"]
        for entry in entries
        if entry["user"]["username"] == user
        and entry["verb"] == "create"
        and resource_of(entry) == "pods"
        and "name" in entry["objectRef"]
    )


def _code(entry: Entry) -> int:
    return int(entry.get("responseStatus", {}).get("code", 0))


def _asked(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["requestReceivedTimestamp"])


def _answered(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["stageTimestamp"])
