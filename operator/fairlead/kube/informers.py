"""Informers of one resource in several namespaces, read as one copy: for an operator that serves those and no others.

Each namespace is listed and watched by itself, so that rights in it are enough, and one that may not be read, since it
is not there yet or not any more, holds up none of the others. What a copy promises is `Informer`'s to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Generic, TypeVar

from .informer import Informer
from .resources import ObjectKey

__all__ = ["Informers"]

T = TypeVar("T")

#: How often those that may not be read are told from those that are slow.
_LOOK_SECONDS = 0.5


class Informers(Generic[T]):
    """Several informers, of which `make(namespace)` makes one for each namespace.

    Attributes:
        parts: the informer of each namespace.
    """

    def __init__(self, namespaces: tuple[str, ...], make: Callable[[str], Informer[T]]) -> None:
        self.parts: Mapping[str, Informer[T]] = MappingProxyType({each: make(each) for each in namespaces})
        self._running: dict[str, Informer[T]] = {}
        self._late: set[asyncio.Task[None]] = set()

    def get(self, key: ObjectKey) -> T | None:
        """One object's projection, or None if it is not in view."""
        part = self.parts.get(key.namespace)
        return None if part is None else part.get(key)

    def by_owner(self, owner_uid: str) -> Mapping[ObjectKey, T]:
        """What belongs to one owner; do not iterate over it across an await."""
        found = [owned for part in self.parts.values() if (owned := part.by_owner(owner_uid))]
        # An owner is in one namespace with what it owns. Where objects of others claim to be owned by it, all are told.
        return found[0] if len(found) == 1 else {key: value for owned in found for key, value in owned.items()}

    def owners(self) -> Mapping[str, Mapping[ObjectKey, T]]:
        """Everything, by owner; '' are the ones without."""
        return {uid: self.by_owner(uid) for part in self.parts.values() for uid in part.owners()}

    def items(self) -> Iterator[tuple[ObjectKey, T]]:
        """Every object in view; do not go on iterating after an await."""
        return chain.from_iterable(part.items() for part in self.parts.values())

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    @property
    def last_error(self) -> str | None:
        """What is wrong, where nothing can be read in any namespace; None while some are."""
        errors = [part.last_error for part in self.parts.values()]
        return errors[0] if all(errors) else None

    def staleness(self) -> float:
        """Seconds since the server last proved that we hear it, wherever we may."""
        return max((part.staleness() for part in self._running.values() if not part.refused), default=0.0)

    def idle(self) -> float:
        """Seconds since the loop that did least did anything."""
        return max((part.idle() for part in self._running.values()), default=0.0)

    async def confirm_gone(self, key: ObjectKey, uid: str | None = None) -> bool:
        """Ask the server whether an object that left the view is really gone. Raises `ApiError`."""
        return await self.parts[key.namespace].confirm_gone(key, uid)

    async def refocus(self, label_selector: str) -> None:
        """Follow other objects from now on. Returns when all that there is was told, wherever it may be read."""
        waiting = {asyncio.create_task(part.refocus(label_selector)): part for part in self.parts.values()}
        self._late |= waiting.keys()
        for task in waiting:
            task.add_done_callback(self._late.discard)
        while pending := [task for task, part in waiting.items() if not (task.done() or part.refused)]:
            await asyncio.wait(pending, timeout=_LOOK_SECONDS)
        for task in waiting:
            if task.done():
                task.result()

    async def run(self) -> None:
        """List and watch in all namespaces until cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace in self.parts:
                group.create_task(self.run_part(namespace))

    async def run_part(self, namespace: str) -> None:
        """List and watch in one namespace until cancelled."""
        self._running[namespace] = self.parts[namespace]
        await self.parts[namespace].run()
