"""How often statuses are written: of one run, and of all small ones together.

Pure but for the times that it is given. What is written, and when it is urgent, is `writer.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Lane", "Pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to write: at least so many seconds apart, and so that it takes no more than a share of the time."""

    shortest: float
    longest: float
    share: float

    def interval(self, cost: float) -> float:
        """Return how many seconds after a write of that cost the next one is due."""
        return min(max(self.shortest, cost / self.share), self.longest)


class Lane:
    """Lets one write begin when the one before it should be over, as long as that takes no more than `longest` seconds.

    Hundreds of small runs that each tell their progress once a second would leave the API server little time for their
    pods. As many as it answers in a second, one after the other, is what they may.

    Attributes:
        cost: seconds that a write takes, averaged over the last few.
    """

    __slots__ = ("_free_at", "_longest", "cost")

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._free_at = 0.0
        self.cost = 0.0

    def took(self, seconds: float) -> None:
        """Take note of what a write has cost; one that had to wait for an outage to be over says little of the next."""
        self.cost += (min(seconds, self._longest) - self.cost) / 8

    def place(self, now: float) -> float:
        """Return when the next write may begin, and take that place."""
        place = min(max(now, self._free_at), now + self._longest)
        self._free_at = place + self.cost
        return place
