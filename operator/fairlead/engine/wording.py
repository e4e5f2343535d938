"""How messages for people are worded the same everywhere: long texts cut, long lists of names named in part, times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from fairlead.engine.capacity import MESSAGE_CHARACTERS

__all__ = ["few", "shorten", "timestamp"]


def few(names: Sequence[str], shown: int = 5) -> str:
    """Return the first names of a list, and how many more there are."""
    named = ", ".join(names[:shown])
    return named if len(names) <= shown else f"{named} and {len(names) - shown} more"


def shorten(message: str) -> str:
    """Cut a message to what a status may hold; a longer one ends in an ellipsis. What is no UTF-8 becomes `?`."""
    if not message.isascii():
        message = message.encode("utf-8", "replace").decode("utf-8")
    return message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + "…"


@lru_cache(maxsize=1024)  # five in each entry of a status, which are written again and again
def timestamp(moment: datetime) -> str:
    """Return a moment (UTC) as the API writes it, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
