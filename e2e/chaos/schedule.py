"""When what happens: random, but the same for the same seed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["Life", "lives", "random_of"]

#: One in so many is killed while it starts: that is short, but it is when it reads what it finds.
_STARTING = 6


@dataclass(frozen=True, slots=True)
class Life:
    """How long an operator lives: so many seconds from its very start, or from when it is ready to act."""

    seconds: float
    once_ready: bool


def random_of(seed: int, fault: str) -> Random:
    """Return the source of chance of one fault: what one draws does not change what another does."""
    return Random(f"{seed}/{fault}")


def lives(chosen: Random, count: int, longest: float) -> list[Life]:
    """Return the lives of so many operators, of at most so many seconds.

    How long one needs before it acts depends on the machine, so most are counted from there.
    """
    starting = {index for index in range(count) if chosen.randrange(_STARTING) == 0}
    return [Life(chosen.uniform(0.05, longest), index not in starting) for index in range(count)]
