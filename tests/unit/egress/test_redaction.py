"""Values are cut out of a text whichever of their characters are escaped."""

from __future__ import annotations

import json
import random
from html import escape
from urllib.parse import quote

import pytest

from fairlead.egress.redaction import CUT_OUT, without_escaped

VALUE = 'a/b+c"d\\e&f<g'


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(each):04x}" for each in VALUE),
        "".join(f"\\u{ord(each):04X}" for each in VALUE),
        quote(VALUE, safe=""),
        quote(VALUE, safe="").lower(),
        escape(VALUE),
        "".join(f"&#{ord(each)};" for each in VALUE),
        "".join(f"&#x{ord(each):x};" for each in VALUE),
        "".join(f"&#X000{ord(each):X};" for each in VALUE),
    ],
)
def test_a_value_is_cut_out_however_it_is_written(written: str) -> None:
    assert without_escaped(f"{written} and %2f {written}", [VALUE]) == f"{CUT_OUT} and %2f {CUT_OUT}"


def test_each_of_its_characters_may_be_written_in_another_way() -> None:
    chance = random.Random(1)
    for _ in range(200):
        ways = [lambda c: c, lambda c: f"\\u{ord(c):04x}", lambda c: f"%{ord(c):02X}", lambda c: f"&#{ord(c)};"]
        written = "".join(chance.choice(ways)(each) for each in "secret-5f0e1d")
        text = f"\\n%20{written}é\\u00e9"
        assert without_escaped(text, ["secret-5f0e1d"]) in (f"\\n%20{CUT_OUT}é\\u00e9", text.replace(written, CUT_OUT))


def test_the_rest_stays_as_it_was_written() -> None:
    text = '{"a": "\\u0041\\/%41&amp;&#65;&#99999999;\\x%zz&nope;"}'
    assert without_escaped(text, ["secret"]) == text
    assert without_escaped("nothing is escaped: secret", ["secret"]) == "nothing is escaped: secret"


def test_values_that_overlap_are_cut_out_together() -> None:
    assert without_escaped("x%61bcdef", ["abcd", "cdef"]) == f"x{CUT_OUT}"


@pytest.mark.parametrize(
    ("text", "value"),
    [("\\" * 400_000, "\\" * 100 + "X"), ("c" * 400_000 + "%", "c" * 1000 + "x"), ("&#0" * 200_000, "&#0" * 50 + "x")],
    ids=["backslashes", "letters", "zeros"],
)
def test_no_text_takes_for_ever(text: str, value: str) -> None:
    assert without_escaped(text, [value]) == text
