"""Log lines: JSON for machines, text for people."""

from __future__ import annotations

__all__ = ["configure"]


def configure(*, format_: str = "auto", level: str = "INFO") -> None:
    """Set up the root logger; format_: json, text, or auto (text on a TTY)."""
    raise NotImplementedError
