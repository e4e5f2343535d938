"""How many requests are under way at once, and which of those that wait goes next.

As many as the API server answers without letting them queue: its own times tell (the idea of TCP Vegas, which Netflix'
`concurrency-limits` uses for requests). It starts low, as each connection costs a TLS handshake, grows while another
request costs the others nothing, and shrinks when they begin to wait for each other, or when the server says that it
has too much to do.

Who waits goes by `fairlead.line`: statuses and reads first, then creates, and between them clean-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fairlead.line import Line, Turn

__all__ = ["Slots"]

#: Requests that may be seen to wait for one another in the server: below, the limit grows; above, it shrinks. Some have
#: to, else the server is not busy.
_FEW_WAITING, _MANY_WAITING = 4.0, 8.0

#: What is about as large each time: the times of requests about it can be compared with one another.
_ALIKE = frozenset({"pods", "jobs"})

#: How much one answer counts in the mean.
_WEIGHT = 0.1

#: Seconds for which the shortest answer of a kind is the measure of the others.
_WINDOW_SECONDS = 30.0

#: What is left of the limit when the server says that it has too much to do; at most so often, in seconds.
_BACK_OFF, _BACK_OFF_SECONDS = 0.5, 1.0

#: Below this, all answers count as equally fast (seconds): that is the event loop's own doing.
_GRAIN_SECONDS = 0.002


class Slots:
    """Places for requests, at most `most` and at least `least` of them. `clock` gives seconds, from anywhere."""

    def __init__(self, most: int, *, least: int = 4, start: int = 8, clock: Callable[[], float] | None = None) -> None:
        self._most = float(most)
        self._least = float(min(least, most))
        self._limit = float(min(start, most))
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._busy = 0
        self._line: Line[asyncio.Future[None]] = Line()
        self._shortest: dict[tuple[str, str], _Shortest] = {}
        self._swiftness = 1.0
        self._backed_off_at = float("-inf")

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return int(self._limit)

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return self._busy

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return len(self._line)

    @asynccontextmanager
    async def place(self, turn: Turn | None = None) -> AsyncIterator[None]:
        """Wait for a place, and hold it. Without a `turn` the request goes before all that have one."""
        if self._busy >= self.limit or self._line:
            await self._wait(turn)
        else:
            self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._let_in()

    def answered(self, verb: str, resource: str, seconds: float) -> None:
        """An answer came. Those of one verb and resource take equally long where nothing is in their way."""
        if resource not in _ALIKE:
            return
        seconds = max(seconds, _GRAIN_SECONDS)
        now = self._clock()
        shortest = self._shortest.get((verb, resource))
        if shortest is None:
            shortest = self._shortest[verb, resource] = _Shortest(now)
        swiftness = shortest.of(seconds, now) / seconds
        self._swiftness += _WEIGHT * (swiftness - self._swiftness)
        if self._busy * 2 < self.limit:
            return  # the limit holds nobody up: nothing is learnt of it
        waiting = self._limit * (1.0 - self._swiftness)
        if waiting < _FEW_WAITING:
            self._set(self._limit + 1.0 / self._limit)
        elif waiting > _MANY_WAITING:
            self._set(self._limit - 1.0 / self._limit)

    def overloaded(self) -> None:
        """The server has said, or shown by not answering, that it has too much to do."""
        if self._clock() - self._backed_off_at >= _BACK_OFF_SECONDS:
            self._backed_off_at = self._clock()
            self._set(self._limit * _BACK_OFF)

    def _set(self, limit: float) -> None:
        self._limit = min(self._most, max(self._least, limit))
        self._let_in()

    async def _wait(self, turn: Turn | None) -> None:
        place = asyncio.get_running_loop().create_future()
        self._line.add(place, turn)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # let in and cancelled at the same time
                self._busy -= 1
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._busy < self.limit and self._line:
            place = self._line.next()
            if not place.done():  # else whoever waited was cancelled
                self._busy += 1
                place.set_result(None)


class _Shortest:
    """The shortest time of the current window and the one before it."""

    __slots__ = ("_before", "_now", "_since")

    def __init__(self, now: float) -> None:
        self._since = now
        self._before = self._now = float("inf")

    def of(self, seconds: float, now: float) -> float:
        """Take a time into account; returns the shortest."""
        if now - self._since >= _WINDOW_SECONDS:
            self._since, self._before, self._now = now, self._now, seconds
        self._now = min(self._now, seconds)
        return min(self._now, self._before)
