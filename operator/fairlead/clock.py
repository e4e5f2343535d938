"""What time it is, for everything but the engine, which is told.

The one place that reads the time of day, so that it can be another: a simulated operator lives in virtual time, and two
of them may disagree about it. It goes with the context (`contextvars`): whatever a task starts has the task's clock.
Spans of time are measured by the event loop's own clock (`loop.time()`), never by this one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from datetime import UTC, datetime

__all__ = ["Clock", "set_clock", "utc_now"]

#: Gives the time of day, with the zone UTC.
Clock = Callable[[], datetime]


def _system() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  (the one place)


_clock: ContextVar[Clock] = ContextVar("clock", default=_system)


def utc_now() -> datetime:
    """Return the time of day, aware of its zone: UTC."""
    return _clock.get()()


def set_clock(clock: Clock) -> Token[Clock]:
    """Give this context, and all that is started from it, another clock."""
    return _clock.set(clock)
