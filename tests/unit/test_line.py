"""Who goes next where there is not room for all."""

from __future__ import annotations

import pytest

from fairlead.line import CLEAN_UP, Line, Turn


def drained(line: Line[str]) -> list[str]:
    return [line.next() for _ in range(len(line))]


def test_what_goes_on_has_three_of_four_turns() -> None:
    line: Line[str] = Line()
    for number in range(6):
        line.add(f"go {number}")
        line.add(f"begin {number}", Turn())
    assert drained(line) == [
        *("go 0", "go 1", "go 2", "begin 0", "go 3", "go 4", "go 5", "begin 1"),
        *("begin 2", "begin 3", "begin 4", "begin 5"),
    ]


def test_clean_up_has_one_of_eight_turns() -> None:
    line: Line[str] = Line()
    for number in range(3):
        line.add(f"clean {number}", CLEAN_UP)
    line.add("begin 0", Turn(9))
    for number in range(1, 9):
        line.add(f"begin {number}", Turn(-9))
    line.add("status")
    assert drained(line) == [
        *("status", "begin 0", "begin 1", "begin 2", "begin 3", "begin 4", "begin 5", "begin 6", "clean 0"),
        *("begin 7", "begin 8", "clean 1", "clean 2"),
    ]


def test_where_much_is_to_be_cleaned_up_two_pieces_of_it_go_for_each_creation() -> None:
    line: Line[str] = Line()
    for number in range(1000):
        line.add(f"clean {number}", CLEAN_UP)
        line.add(f"begin {number}", Turn())
    order = [each.partition(" ")[0] for each in drained(line)]
    assert order[:1100] == [*(["clean", "clean", "begin"] * 366), "clean", "clean"]
    assert order.count("clean") == 1000


def test_what_goes_on_leaves_a_turn_to_clean_up_as_well() -> None:
    line: Line[str] = Line()
    line.add("clean", CLEAN_UP)
    for number in range(4):
        line.add(f"go {number}")
    assert drained(line) == ["go 0", "go 1", "go 2", "clean", "go 3"]


def test_higher_priority_begins_first() -> None:
    line: Line[str] = Line()
    for number, priority in enumerate((0, 5, -3, 5, 0)):
        line.add(f"{priority} {number}", Turn(priority))
    assert drained(line) == ["5 1", "5 3", "0 0", "0 4", "-3 2"]


def test_namespaces_take_turns() -> None:
    line: Line[str] = Line()
    for number in range(4):
        line.add(f"greedy {number}", Turn(namespace="greedy"))
    line.add("late 0", Turn(namespace="late"))
    line.add("later 0", Turn(namespace="later"))
    assert drained(line) == ["greedy 0", "late 0", "later 0", "greedy 1", "greedy 2", "greedy 3"]


def test_one_that_has_had_its_turn_comes_again_behind_the_others() -> None:
    line: Line[str] = Line()
    line.add("a 0", Turn(namespace="a"))
    line.add("b 0", Turn(namespace="b"))
    assert line.next() == "a 0"
    line.add("a 1", Turn(namespace="a"))
    assert drained(line) == ["b 0", "a 1"]


def test_nobody_waits() -> None:
    line: Line[str] = Line()
    with pytest.raises(IndexError):
        line.next()
    line.add("x", Turn())
    line.add("y")
    line.clear()
    assert not line
    with pytest.raises(IndexError):
        line.next()
