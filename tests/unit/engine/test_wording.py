"""Words for people: what is long is cut, and says that it was."""

import pytest
from tests.unit.engine.kit import at

from fairlead.engine.capacity import MESSAGE_CHARACTERS
from fairlead.engine.wording import few, shorten, timestamp


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d", "e"], "a, b, c and 2 more")],
)
def test_the_first_names_and_how_many_more(names: list[str], text: str) -> None:
    assert few(names, 3) == text


def test_a_long_message_ends_in_an_ellipsis() -> None:
    assert shorten("x" * MESSAGE_CHARACTERS) == "x" * MESSAGE_CHARACTERS
    assert shorten("x" * (MESSAGE_CHARACTERS + 1)) == "x" * (MESSAGE_CHARACTERS - 1) + "…"


def test_what_no_utf_8_can_stand_for_is_a_question_mark_in_a_message() -> None:
    assert shorten("für caf\udce9").encode() == "für caf?".encode()
    assert shorten("\ud800" * (MESSAGE_CHARACTERS + 1)) == "?" * (MESSAGE_CHARACTERS - 1) + "…"


def test_a_time_as_the_api_writes_it() -> None:
    assert timestamp(at(61.9)) == "2026-11-22T08:01:01Z"
