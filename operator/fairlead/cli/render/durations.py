"""Lengths of time for people: `0.4s`, `12s`, `3m05s`, `2h10m`, `3d04h`."""

from __future__ import annotations

from datetime import datetime

__all__ = ["between", "duration"]


def duration(seconds: float, *, whole: bool = False) -> str:
    """Return a length of time with about three digits; `whole` seconds when no more is known."""
    if seconds < 9.95 and not whole:
        return f"{max(seconds, 0.0):.1f}s"
    total = max(round(seconds), 0)
    minutes, hours, days = total // 60, total // 3600, total // 86_400
    if not minutes:
        return f"{total}s"
    if not hours:
        return f"{minutes}m{total % 60:02}s"
    if not days:
        return f"{hours}h{minutes % 60:02}m"
    return f"{days}d{hours % 24:02}h"


def between(start: datetime | None, end: datetime | None, now: datetime) -> str:
    """Return how long something took, or has taken so far; "" if it has not started.

    Kubernetes keeps times in whole seconds: tenths would be made up.
    """
    if start is None:
        return ""
    known = start.microsecond or (end is not None and end.microsecond)
    return duration(((end or now) - start).total_seconds(), whole=not known)
