from __future__ import annotations

import asyncio
from typing import cast

from tests.unit.controllers.fake_api import looptime

from fairlead.controllers.pace import Pace, Turns
from fairlead.controllers.run import Run


class Writing:
    """Runs by name; `refuses` are those that do not want to write any more."""

    def __init__(self, *refuses: str) -> None:
        self.begun: list[str] = []
        self.turns = Turns(self._begin, Pace(shortest=0.0, longest=0.5, share=0.1))
        self._refuses = refuses
        self._runs: dict[str, Run] = {}

    def run(self, name: str) -> Run:
        return self._runs.setdefault(name, cast("Run", _Named(name)))

    def line_up(self, *names: str) -> list[bool]:
        return [self.turns.line_up(self.run(name)) for name in names]

    async def over(self, name: str, pause: float = 0.5) -> str:
        """Let a run be through, and return who has begun when the pause is over."""
        self.turns.over(self.run(name))
        await asyncio.sleep(pause)
        return "".join(self.begun)

    def _begin(self, run: Run) -> bool:
        if run.uid in self._refuses:
            return False
        self.begun.append(run.uid)
        return True


class _Named:
    def __init__(self, uid: str) -> None:
        self.uid = uid


def test_what_costs_much_is_written_less_often() -> None:
    pace = Pace(shortest=1.0, longest=30.0, share=0.02)
    assert [pace.interval(cost) for cost in (0.0, 0.02, 0.1, 1.0)] == [1.0, 1.0, 5.0, 30.0]


@looptime
async def test_one_writes_after_the_other() -> None:
    writing = Writing()
    assert writing.line_up("a", "b", "c") == [True, False, False]
    for name, begun in (("a", "ab"), ("b", "abc"), ("c", "abc")):
        assert await writing.over(name) == begun
    assert writing.line_up("d") == [True]


@looptime
async def test_all_together_write_for_a_tenth_of_the_time() -> None:
    writing = Writing()
    writing.line_up("a", "b", "c")
    await asyncio.sleep(0.02)
    assert await writing.over("a", 0.199) == "a"
    assert writing.line_up("d") == [False], "who comes in the pause waits, too"
    await asyncio.sleep(0.002)
    assert writing.begun == ["a", "b"]
    await asyncio.sleep(9)
    assert await writing.over("b", 0.499) == "ab", "but never for longer than half a second"
    await asyncio.sleep(0.002)
    assert writing.begun == ["a", "b", "c"]


@looptime
async def test_who_could_not_wait_gives_its_place_back() -> None:
    writing = Writing()
    writing.line_up("a", "b", "c")
    writing.turns.leave(writing.run("b"))
    assert await writing.over("b") == "a", "the turn is still a's"
    assert await writing.over("a") == "ac"


@looptime
async def test_who_does_not_want_to_any_more_keeps_nobody() -> None:
    writing = Writing("b")
    writing.line_up("a", "b", "c")
    assert await writing.over("a") == "ac"
    assert Writing("b").line_up("b", "c") == [False, True]


@looptime
async def test_who_lines_up_twice_has_one_turn() -> None:
    writing = Writing()
    writing.line_up("a", "b", "b")
    for _ in range(2):
        for name in "ab":
            await writing.over(name)
    assert writing.begun == ["a", "b"]
