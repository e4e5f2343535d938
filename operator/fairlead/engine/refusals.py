"""A user's request that cannot apply."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """Nothing has been changed. `reason` is a constant in CamelCase, `message` for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
