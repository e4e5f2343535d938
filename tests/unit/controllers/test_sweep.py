"""How often all Workflows are looked at."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controllers.fake_api import looptime

from fairlead.controllers.sweep import Sweep
from fairlead.kube.errors import Unreachable


class Looking:
    """Looks that take no time; `fails` says what is wrong with each of the first ones."""

    def __init__(self, known: int = 0, fails: tuple[str, ...] = ()) -> None:
        self.at: list[float] = []
        self._fails = list(fails)
        self.sweep = Sweep(self._look, lambda: known)

    async def _look(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        if self._fails:
            raise Unreachable(self._fails.pop(0), maybe_applied=False)

    async def go_on_for(self, seconds: float) -> list[float]:
        """Return how many seconds after its beginning each look was."""
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.sweep.run()
        return [round(at - began, 1) for at in self.at]


@pytest.mark.parametrize(
    ("known", "seconds"), [(0, 60.0), (3_000, 60.0), (6_000, 120.0), (9_000, 180.0), (100_000, 180.0)]
)
@looptime
async def test_many_are_looked_at_less_often_but_never_forgotten(known: int, seconds: float) -> None:
    assert await Looking(known).go_on_for(400) == [seconds * turn for turn in range(1, int(400 / seconds) + 1)]


@looptime
async def test_one_that_fails_is_told_and_ends_nothing() -> None:
    looking = Looking(fails=("no answer",))
    await looking.go_on_for(70)
    assert "the Workflows cannot be read: no answer" in looking.sweep.problem


@looptime
async def test_what_was_wrong_is_over_with_the_next_that_succeeds_and_that_is_soon() -> None:
    looking = Looking(9_000, fails=("no answer", "still none"))
    assert await looking.go_on_for(400) == [180.0, 195.0, 210.0, 390.0]
    assert looking.sweep.problem == ""
