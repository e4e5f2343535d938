"""Whoever carries out the attempts of one kind from their start to their end, beside pods and Jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from fairlead.engine.commands import EndAttempt
from fairlead.engine.events import Event

from .run import Run
from .start import Creator

__all__ = ["Carrier", "Insist"]

#: Repeats a call that is safe to repeat, while the API server is away or rights are missing, which it shows on the run.
Insist: TypeAlias = Callable[[Run, Callable[[], Awaitable[object]]], Awaitable[None]]


class Carrier(Creator, Protocol):
    """Creates the objects of attempts of one kind, and what comes after that. Facts go into the run's inbox."""

    async def end(self, run: Run, end: EndAttempt, insist: Insist) -> Event | None:
        """Bring about the end of an attempt. Returns that it is gone, if so; how it ends otherwise is told later.

        Raises `ApiError` where that cannot be asked for now; it is called again then.
        """
        ...

    def resync(self, run: Run) -> None:
        """See to it that every live attempt of a run is followed, and told of once more."""
        ...
