"""Events that wait to be written: one namespace after the other, each in order.

Nothing is sent here. A namespace whose Events come to nothing, be it for a webhook of its own, is set aside for a while
and keeps no other one waiting.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from .transport import JsonObject

__all__ = ["EventQueue", "Pending"]

#: How many times the first pause the longest is.
_LONGEST_PAUSE = 8


@dataclass(slots=True)
class Pending:
    """An Event and what came of it so far: when it was first tried (0.0: never), and how often it was answered."""

    event: JsonObject
    tried_at: float = 0.0
    answers: int = 0

    @property
    def namespace(self) -> str:
        """Where it is to be written."""
        return str(self.event["metadata"]["namespace"])


@dataclass(slots=True)
class _Lane:
    events: deque[Pending] = field(default_factory=deque)
    pause: int = 0


class EventQueue:
    """What `next` has given is followed by `done` or `put_back`, before the next one. Times are in seconds."""

    def __init__(self, retry_seconds: float) -> None:
        self._retry_seconds = retry_seconds
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[str] = deque()
        self._aside: list[tuple[float, str]] = []
        self._length = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return self._length

    @property
    def due(self) -> float | None:
        """When the first of the namespaces that are set aside has its turn, None where there is none."""
        return self._aside[0][0] if self._aside else None

    def add(self, event: JsonObject) -> None:
        """Put an Event in line."""
        self._length += 1
        pending = Pending(event)
        lane = self._lanes.get(pending.namespace)
        if lane is None:
            lane = self._lanes[pending.namespace] = _Lane()
            self._ready.append(pending.namespace)
        lane.events.append(pending)

    def next(self, now: float) -> Pending | None:
        """Take out the one that may be written next."""
        while self._aside and self._aside[0][0] <= now:
            self._ready.append(heapq.heappop(self._aside)[1])
        if not self._ready:
            return None
        self._length -= 1
        return self._lanes[self._ready.popleft()].events.popleft()

    def done(self, pending: Pending) -> None:
        """Its namespace has been answered; what else it has goes on."""
        lane = self._lanes.get(pending.namespace)
        if lane is None:
            return  # all was dropped meanwhile
        lane.pause = 0
        if lane.events:
            self._ready.append(pending.namespace)
        else:
            del self._lanes[pending.namespace]

    def give_up(self, pending: Pending, now: float) -> None:
        """It is written no more, and its namespace is still set aside."""
        lane = self._lanes.get(pending.namespace)
        if lane is None:
            return  # all was dropped meanwhile
        if lane.events:
            self._set_aside(pending.namespace, lane, now)
        else:
            del self._lanes[pending.namespace]

    def put_back(self, pending: Pending, now: float) -> None:
        """Nothing has come of it: it is the first of its namespace again, which is set aside, for longer each time."""
        lane = self._lanes[pending.namespace]
        lane.events.appendleft(pending)
        self._length += 1
        self._set_aside(pending.namespace, lane, now)

    def hurry(self) -> None:
        """Set no namespace aside any longer."""
        self._ready.extend(name for _, name in sorted(self._aside))
        self._aside.clear()

    def clear(self) -> int:
        """Drop all that waits; return how many those were."""
        left = self._length
        self._lanes.clear()
        self._ready.clear()
        self._aside.clear()
        self._length = 0
        return left

    def _set_aside(self, namespace: str, lane: _Lane, now: float) -> None:
        lane.pause = min(2 * lane.pause or 1, _LONGEST_PAUSE)
        heapq.heappush(self._aside, (now + self._retry_seconds * lane.pause, namespace))
