"""`$(VAR)`, as the kubelet expands it. The cases are those of Kubernetes' own expansion tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.local.expansion import expand, expand_environment

VARIABLES = {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_A)$(VAR_B)", "AB"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("%$(VAR_EMPTY)%", "%%"),
        ("$$(VAR_A)", "$(VAR_A)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$(VAR_A)", "$$(VAR_A)"),
        ("f000-$$VAR_A", "f000-$VAR_A"),
        ("foo\\$(VAR_C)bar", "foo\\Cbar"),
        ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
        ("$(NOBODY)", "$(NOBODY)"),
        ("foo$NOBODY", "foo$NOBODY"),
        ("$(VAR_B", "$(VAR_B"),
        ("$VAR_A)", "$VAR_A)"),
        ("$()", "$()"),
        ("$", "$"),
        ("ends in $", "ends in $"),
        ("$$", "$"),
        ("$($(VAR_A)", "$($(VAR_A)"),
        ("$(VAR_A) $ $(VAR_B) $(", "A $ B $("),
    ],
)
def test_expands_as_the_kubelet(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


@given(st.text(alphabet="$()AB \n"))
def test_a_doubled_dollar_gives_the_text_back(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"A": "wrong", "B": "wrong", "": "wrong"}) == text


def test_a_variable_may_refer_to_those_before_it() -> None:
    entries = [{"name": "A", "value": "$(TASK)-a"}, {"name": "B", "value": "$(A)-$(C)"}, {"name": "C", "value": "c"}]
    assert expand_environment(entries, {"TASK": "t"}) == {"A": "t-a", "B": "t-a-$(C)", "C": "c"}


def test_a_variable_without_a_value_is_empty_and_the_later_of_two_wins() -> None:
    assert expand_environment([{"name": "A"}, {"name": "B", "value": "1"}, {"name": "B", "value": "2"}], {}) == {
        "A": "",
        "B": "2",
    }
