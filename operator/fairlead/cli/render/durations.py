"""Lengths of time for people: `0.4s`, `12s`, `3m05s`, `2h10m`, `3d04h`."""

from __future__ import annotations

from datetime import datetime

__all__ = ["between", "duration"]


def duration(seconds: float) -> str:
    """Return a length of time with about three digits."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if not minutes:
        return f"{whole}s"
    if not hours:
        return f"{minutes}m{whole % 60:02}s"
    if not days:
        return f"{hours}h{minutes % 60:02}m"
    return f"{days}d{hours % 24:02}h"


def between(start: datetime | None, end: datetime | None, now: datetime) -> str:
    """Return how long something took, or has taken so far; "" if it has not started."""
    return "" if start is None else duration(((end or now) - start).total_seconds())
