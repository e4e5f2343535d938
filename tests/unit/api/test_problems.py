"""Suggestions for names that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairlead.api.problems import did_you_mean, nearest
from fairlead.expr.names import did_you_mean as in_expressions

FEW = ("extract", "load")
MANY = (*(f"task-{number}" for number in range(5000)), *FEW)


@pytest.mark.parametrize("known", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("name", ["extrat", "extracct", "extrakt", "extarct", "xtract", "extractt"])
def test_one_slip_is_seen_among_few_and_among_many(known: tuple[str, ...], name: str) -> None:
    assert did_you_mean(name, known) == "; did you mean 'extract'?"


def test_more_than_a_slip_is_seen_among_few() -> None:
    assert did_you_mean("extraction", FEW) == "; did you mean 'extract'?"
    assert did_you_mean("extraction", MANY) == ""


def test_what_is_unlike_all_gets_no_suggestion() -> None:
    assert did_you_mean("publish", FEW) == ""


def test_several_may_be_near() -> None:
    assert nearest("task-12345", MANY, 3) == ["task-1234", "task-1235", "task-1245"]


def test_many_known_names_are_not_walked_through_for_each_that_is_wrong() -> None:
    class Names(dict[str, int]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("it takes a second for 10,000 names that are wrong")

    known = Names.fromkeys(MANY, 0)
    assert did_you_mean("extrat", known) == "; did you mean 'extract'?"
    assert in_expressions("extrat", known) == "; did you mean 'extract'?"
