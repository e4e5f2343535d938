from __future__ import annotations

from typing import cast

from fairlead.controllers.pace import Pace, Turns
from fairlead.controllers.run import Run


class Writing:
    """Runs by name; `refuses` are those that do not want to write any more."""

    def __init__(self, *refuses: str) -> None:
        self.begun: list[str] = []
        self.turns = Turns(self._begin)
        self._refuses = refuses
        self._runs: dict[str, Run] = {}

    def run(self, name: str) -> Run:
        return self._runs.setdefault(name, cast("Run", _Named(name)))

    def line_up(self, *names: str) -> list[bool]:
        return [self.turns.line_up(self.run(name)) for name in names]

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


def test_one_writes_after_the_other() -> None:
    writing = Writing()
    assert writing.line_up("a", "b", "c") == [True, False, False]
    for name, begun in (("a", "ab"), ("b", "abc"), ("c", "abc")):
        writing.turns.over(writing.run(name))
        assert "".join(writing.begun) == begun
    assert writing.line_up("d") == [True]


def test_who_could_not_wait_gives_its_place_back() -> None:
    writing = Writing()
    writing.line_up("a", "b", "c")
    writing.turns.leave(writing.run("b"))
    writing.turns.over(writing.run("b"))
    assert writing.begun == ["a"], "the turn is still a's"
    writing.turns.over(writing.run("a"))
    assert writing.begun == ["a", "c"]


def test_who_does_not_want_to_any_more_keeps_nobody() -> None:
    writing = Writing("b")
    writing.line_up("a", "b", "c")
    writing.turns.over(writing.run("a"))
    assert writing.begun == ["a", "c"]
    assert Writing("b").line_up("b", "c") == [False, True]


def test_who_lines_up_twice_has_one_turn() -> None:
    writing = Writing()
    writing.line_up("a", "b", "b")
    for _ in range(2):
        for name in "ab":
            writing.turns.over(writing.run(name))
    assert writing.begun == ["a", "b"]
