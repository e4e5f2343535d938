"""Seeds that have found something: they are played for ever."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SAVED", "Saved"]


class Saved(NamedTuple):
    """A seed, and the edition of the simulation in which it means the run that found something."""

    seed: int
    edition: int


#: What was found.
SAVED: dict[Saved, str] = {
    Saved(1333, 1): "a pod of an epoch that the operator had not heard of was ended as one too many",
    Saved(2144, 1): "the same, with pods of a list",
}
