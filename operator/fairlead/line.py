"""Who goes next where there is not room for all: at the API server, and where runs are looked at.

What goes on (a status, a read, a run that is under way) goes before what begins and what is cleaned up: three of four
turns are its own while any of it waits. There is little of it, and much depends on it; so ten thousand runs that were
submitted hold up none that is under way, nor are they kept out for ever. Of what begins and what is cleaned up, the
latter has one of eight turns: somebody waits for a pod, and nobody for tidiness. Where much has piled up it has two of
three: each pod that is created is let go of and deleted, so then clean-up is not slower than creation. What begins goes
by priority, then one namespace after the other, so that none has to wait for all that another has asked for; then in
order.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["CLEAN_UP", "Line", "Turn", "cleaned_at_once"]

T = TypeVar("T")

#: Of so many turns in a row one is of what begins or is cleaned up, whatever else waits.
_OTHERS_EVERY = 4

#: Of so many turns of those one is clean-up's; where so much waits to be cleaned up, all but one of so many are.
_CLEANS_EVERY, _MUCH, _BEGINS_EVERY = 8, 256, 3

#: Where so many wait to be put in line for clean-up, so many are in it at once: enough for much.
_VERY_MANY, _OF_VERY_MANY = 1000, 384


@dataclass(frozen=True, slots=True)
class Turn:
    """Where something that begins stands in line: of higher `priority` first, then by `namespace`.

    `cleans`: nothing begins, something is cleaned up, and the order in which that happens is all the same.
    """

    priority: int = 0
    namespace: str = ""
    cleans: bool = False


CLEAN_UP = Turn(cleans=True)


def cleaned_at_once(waiting: int, few: int) -> int:
    """Return how many pieces of clean-up are put in line at once where so many wait for that: `few` as a rule."""
    return few if waiting < _VERY_MANY else max(few, _OF_VERY_MANY)


class Line(Generic[T]):
    """What waits. All operations take a time that does not grow with how much waits (but for distinct priorities)."""

    def __init__(self) -> None:
        self._going: deque[T] = deque()
        self._cleaning: deque[T] = deque()
        self._beginning: dict[int, OrderedDict[str, deque[T]]] = {}
        self._in_a_row = 0
        self._begun_in_a_row = self._cleaned_in_a_row = 0
        self._length = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return self._length

    def add(self, item: T, turn: Turn | None = None) -> None:
        """Put something in line; without a `turn` it goes on."""
        self._length += 1
        if turn is None:
            self._going.append(item)
        elif turn.cleans:
            self._cleaning.append(item)
        else:
            namespaces = self._beginning.setdefault(turn.priority, OrderedDict())
            namespaces.setdefault(turn.namespace, deque()).append(item)

    def next(self) -> T:
        """Take out who goes next. Raises IndexError where nobody waits."""
        if not self._length:
            raise IndexError("nobody waits")
        others = self._beginning or self._cleaning
        goes_on = self._going and not (others and self._in_a_row >= _OTHERS_EVERY - 1)
        self._in_a_row = self._in_a_row + 1 if goes_on else 0
        self._length -= 1
        return self._going.popleft() if goes_on else self._next_other()

    def clear(self) -> None:
        """Send everybody home."""
        self._going.clear()
        self._cleaning.clear()
        self._beginning.clear()
        self._length = 0

    def _next_other(self) -> T:
        if self._cleans_next():
            self._begun_in_a_row, self._cleaned_in_a_row = 0, self._cleaned_in_a_row + 1
            return self._cleaning.popleft()
        self._begun_in_a_row, self._cleaned_in_a_row = self._begun_in_a_row + 1, 0
        return self._next_beginning()

    def _cleans_next(self) -> bool:
        if not (self._cleaning and self._beginning):
            return bool(self._cleaning)
        if len(self._cleaning) >= _MUCH:
            return self._cleaned_in_a_row < _BEGINS_EVERY - 1
        return self._begun_in_a_row >= _CLEANS_EVERY - 1

    def _next_beginning(self) -> T:
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
