"""When what happens: random, but the same for the same seed. Pure."""

from __future__ import annotations

from random import Random

__all__ = ["lifetimes", "random_of"]


def random_of(seed: int, fault: str) -> Random:
    """Return the source of chance of one fault: what one draws does not change what another does."""
    return Random(f"{seed}/{fault}")


def lifetimes(chosen: Random, count: int, shortest: float, longest: float) -> list[float]:
    """Return how many seconds each of so many operators lives."""
    return [chosen.uniform(shortest, longest) for _ in range(count)]
