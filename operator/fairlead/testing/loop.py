"""An event loop in virtual time: whatever waits is waited for at once, and always in the same order.

Nothing here takes real time: when all that is left to do is due later, the clock is put forward. Threads would bring
back chance, so work for one is done at once on the loop. The code that runs notices nothing of it, as long as it
measures time by the loop's clock and reads the time of day from :mod:`fairlead.clock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["Stalled", "VirtualLoop", "run"]

T = TypeVar("T")

#: Seconds; a power of two, so that sums of ticks are exact: else a timer could be due "in 1e-14 s" for ever.
_TICK = 2.0**-20


#: Turns of the loop in which no time passes; no honest work needs so many.
_MOST_TURNS = 100_000


class Stalled(RuntimeError):
    """Nothing gets on: everything waits for something that nothing will bring about, or something goes in circles."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop; `time()` begins at 0. `stall_at` is when at the latest everything must have come to its end."""

    def __init__(self, stall_at: float = 10_000_000.0) -> None:
        super().__init__()
        self._ticks = self._turns = 0
        self._stall_at = stall_at
        self._selector = self  # what BaseEventLoop asks to wait

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._ticks * _TICK

    def select(self, timeout: float | None) -> list[Any]:
        """Wait, by putting the clock forward.

        Raises:
            Stalled: nothing is due, now or later; it is later than `stall_at`; or time does not pass any more.
        """
        if timeout is None:
            raise Stalled("everything waits, and no timer is set")
        self._turns = self._turns + 1 if timeout <= 0 else 0
        if self._turns > _MOST_TURNS:
            raise Stalled(f"something goes round and round at {self.time():g} s")
        if timeout > 0:
            self._ticks += -int(-timeout // _TICK)
            if self.time() > self._stall_at:
                raise Stalled(f"no end after {self._stall_at:g} virtual seconds")
        return []

    def run_in_executor(self, _: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Do the work at once, on the loop."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # whatever it is, it belongs to who waits
            done.set_exception(error)
        return done

    def _process_events(self, event_list: Any) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """There is no other thread that would have to wake this one."""


def run(main: Coroutine[Any, Any, T], stall_at: float = 10_000_000.0) -> T:
    """Run a coroutine to its end in a loop of its own; returns its result.

    Raises:
        Stalled: see :class:`VirtualLoop`.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(stall_at)) as runner:
        return runner.run(main)
