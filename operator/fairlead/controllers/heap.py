"""How the process uses its memory: what is set once, before anything starts. Nothing here knows what is kept in it."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

__all__ = ["look_for_garbage_less_often", "share_one_heap"]

#: `M_ARENA_MAX` of glibc's malloc.h.
_M_ARENA_MAX = -8


def look_for_garbage_less_often() -> None:
    """Have Python look for cycles after 10,000 new objects, not 700, and never among what has been imported.

    Nearly all that is allocated here is freed by reference counts, or lives as long as its run: with the defaults a
    large run is looked through again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def share_one_heap() -> None:
    """Have the C library keep one heap for all threads, where it is glibc: by default each thread gets its own.

    Large definitions are compiled in a thread. What it has freed there, nobody else could use again: ten megabytes of
    a run of 10,000 tasks. Threads of Python take turns anyway, so none of them waits for the heap.
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library has no such thing, or no name for it
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
