"""How often statuses are written: of one run, and of all small ones together.

What is written, and when it is urgent, is `writer.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .run import Run
from .timer import Timer

__all__ = ["SHARDS", "Pace", "Turns"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to write: at least so many seconds apart, and so that it takes no more than a share of the time."""

    shortest: float
    longest: float
    share: float

    def interval(self, cost: float) -> float:
        """Return how many seconds after a write of that cost the next one is due."""
        return min(max(self.shortest, cost / self.share), self.longest)


#: Of the shards of a run, and of the driver that the benchmark compares with, which is to write as often.
SHARDS = Pace(shortest=1.0, longest=10.0, share=0.02)


class Turns:
    """Lets one run after the other write its progress, at a pace that all of them keep together.

    Hundreds of small runs that each tell it once a second would leave the API server little time for their pods.

    `begin` begins to write, unless that is not wanted any more, and says so.
    """

    __slots__ = ("_began", "_begin", "_holder", "_pace", "_rest", "_waiting")

    def __init__(self, begin: Callable[[Run], bool], pace: Pace) -> None:
        self._begin = begin
        self._pace = pace
        self._holder: Run | None = None
        self._began = 0.0
        self._rest: Timer | None = None
        self._waiting: dict[str, Run] = {}

    def line_up(self, run: Run) -> bool:
        """Let a run write as soon as it has its turn. Returns whether it does so now."""
        self._waiting[run.uid] = run
        self._go_on()
        return self._holder is run

    def leave(self, run: Run) -> None:
        """It writes without a turn, for it could wait no longer."""
        self._waiting.pop(run.uid, None)

    def over(self, run: Run) -> None:
        """A run has written: if that was its turn, the next one has it in a moment."""
        if self._holder is run:
            self._holder = None
            now = asyncio.get_running_loop().time()
            self._rest = Timer(now + self._pace.interval(now - self._began), self._rested)

    def _rested(self) -> None:
        self._rest = None
        self._go_on()

    def _go_on(self) -> None:
        while self._holder is None and self._rest is None and self._waiting:
            run = self._waiting.pop(next(iter(self._waiting)))
            if self._begin(run):
                self._holder, self._began = run, asyncio.get_running_loop().time()
