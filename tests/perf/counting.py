"""What something costs, counted: the same on every machine, however busy it is.

Calls tell of everything that calls something, built-in functions too; lines also of loops that call nothing. What is
seen of neither is the inside of one built-in call, such as the copy of a list: where that may matter, the test gives
the operation things whose comparison or hashing is a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["LARGE", "RATIO", "SMALL", "calls", "lines"]

#: The two sizes that are compared, and how many times the cost at the small one the cost at the large one may be.
SMALL, LARGE, RATIO = 1_000, 10_000, 1.3


def calls(work: Callable[[], Any]) -> int:
    """Return how many functions were called during `work`."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def lines(work: Callable[[], Any]) -> int:
    """Return how many lines of the operator were executed during `work`."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
        return trace if "/fairlead/" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
