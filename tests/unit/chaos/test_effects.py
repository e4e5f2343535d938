from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from e2e.chaos.effects import asked_by, hung, refused, written_by

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPAN = (NOW, NOW + timedelta(seconds=20))


def entry(code: int = 200, asked: float = 1, took: float = 0.1, **fields: Any) -> dict[str, Any]:
    return {
        "verb": "create",
        "user": {"username": "us"},
        "userAgent": "fairlead/0.1.0",
        "objectRef": {"resource": "pods", "name": "a"},
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": (NOW + timedelta(seconds=asked)).isoformat(),
        "stageTimestamp": (NOW + timedelta(seconds=asked + took)).isoformat(),
        **fields,
    }


def test_what_was_forbidden_to_somebody_in_that_time_is_counted() -> None:
    status = {"resource": "workflows", "subresource": "status", "name": "w"}
    entries = [
        entry(403),
        entry(403, objectRef=status),
        entry(403, asked=-5),
        entry(403, asked=25),
        entry(403, user={"username": "them"}),
        entry(200),
    ]

    assert refused(entries, "us", SPAN) == 2
    assert refused(entries, "us", SPAN, ("workflows/status",)) == 1
    assert refused(entries, "us", SPAN, ("jobs",)) == 0


def test_what_took_long_in_that_time_has_hung() -> None:
    assert hung([entry(took=15), entry(asked=-2, took=6), entry(504, asked=10, took=60)], SPAN, 3) == 3
    assert hung([entry(), entry(asked=-10, took=12), entry(asked=18, took=9), entry(asked=30, took=9)], SPAN, 3) == 0
    assert hung([entry(took=15, userAgent="kubelet/1")], SPAN, 3) == 0


def test_who_has_written_and_who_has_asked_for_which_pods() -> None:
    entries = [
        entry(201),
        entry(409, objectRef={"resource": "pods", "name": "b"}),
        entry(201, objectRef={"resource": "pods", "subresource": "binding", "name": "c"}),
        entry(403, objectRef={"resource": "pods"}),
        entry(200, verb="patch", user={"username": "them"}),
    ]

    assert (written_by(entries, "us"), written_by(entries, "them")) == (2, 1)
    assert (asked_by(entries, "us"), asked_by(entries, "them")) == ({"a", "b"}, frozenset())
