"""A call that is to be made at some moment, and knows when.

Loops do not all tell: uvloop makes an ordinary handle, without `when`, of a call that is due within a millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["Timer"]


class Timer:
    """Calls `call(*arguments)` when the loop's time is `due`, unless cancelled."""

    __slots__ = ("_handle", "due")

    def __init__(self, due: float, call: Callable[..., object], *arguments: Any) -> None:
        self.due = due
        self._handle: asyncio.Handle = asyncio.get_running_loop().call_at(due, call, *arguments)

    def cancel(self) -> None:
        """Do not call."""
        self._handle.cancel()
