"""Who goes next where there is not room for all: at the API server, and where runs are looked at.

What goes on, or ends, goes before what begins: three of four turns are its own while any of it waits. So clean-up is
never slower than creation, and a run that is under way does not wait for ten thousand that were submitted behind it;
nor does it keep them out for ever. What begins goes by priority, then one namespace after the other, so that none has
to wait for all that another has asked for; then in order.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Line", "Turn"]

T = TypeVar("T")

#: Of so many turns in a row one is of what begins, whatever else waits.
_BEGIN_EVERY = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """Where something that begins stands in line: of higher `priority` first, then by `namespace`."""

    priority: int = 0
    namespace: str = ""


class Line(Generic[T]):
    """What waits. All operations take a time that does not grow with how much waits (but for distinct priorities)."""

    def __init__(self) -> None:
        self._going: deque[T] = deque()
        self._beginning: dict[int, OrderedDict[str, deque[T]]] = {}
        self._in_a_row = 0
        self._length = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return self._length

    def add(self, item: T, turn: Turn | None = None) -> None:
        """Put something in line; without a `turn` it goes on, or ends."""
        self._length += 1
        if turn is None:
            self._going.append(item)
        else:
            namespaces = self._beginning.setdefault(turn.priority, OrderedDict())
            namespaces.setdefault(turn.namespace, deque()).append(item)

    def next(self) -> T:
        """Take out who goes next. Raises IndexError where nobody waits."""
        begins = not self._going or (self._beginning and self._in_a_row >= _BEGIN_EVERY - 1)
        item = self._next_beginning() if begins else self._going.popleft()
        self._in_a_row = 0 if begins else self._in_a_row + 1
        self._length -= 1
        return item

    def clear(self) -> None:
        """Send everybody home."""
        self._going.clear()
        self._beginning.clear()
        self._length = 0

    def _next_beginning(self) -> T:
        if not self._beginning:
            raise IndexError("nobody waits")
        priority = max(self._beginning)
        namespaces = self._beginning[priority]
        namespace, items = next(iter(namespaces.items()))
        item = items.popleft()
        if items:
            namespaces.move_to_end(namespace)
            return item
        del namespaces[namespace]
        if not namespaces:
            del self._beginning[priority]
        return item
