"""Merge patches and JSON patches."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.testing.apiserver.merging import merged, operated
from fairlead.testing.apiserver.refusals import Refused

OBJECT: dict[str, Any] = {"a": {"b": 1, "c": [1, 2]}, "d": "x"}


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ({}, OBJECT),
        ({"d": None}, {"a": OBJECT["a"]}),
        ({"a": {"b": None}}, {"a": {"c": [1, 2]}, "d": "x"}),
        ({"a": {"c": [3]}}, {"a": {"b": 1, "c": [3]}, "d": "x"}),
        ({"n": {"m": {"gone": None, "k": 1}}}, {**OBJECT, "n": {"m": {"k": 1}}}),
        ({"a": "text"}, {"a": "text", "d": "x"}),
    ],
)
def test_a_merge_patch(patch: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(OBJECT, patch) == after


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ({"op": "add", "path": "/a/c/1", "value": 9}, {"a": {"b": 1, "c": [1, 9, 2]}, "d": "x"}),
        ({"op": "add", "path": "/a/c/-", "value": 9}, {"a": {"b": 1, "c": [1, 2, 9]}, "d": "x"}),
        ({"op": "add", "path": "/d", "value": 9}, {"a": OBJECT["a"], "d": 9}),
        ({"op": "replace", "path": "/a/c/0", "value": 9}, {"a": {"b": 1, "c": [9, 2]}, "d": "x"}),
        ({"op": "replace", "path": "/new", "value": 9}, {**OBJECT, "new": 9}),
        ({"op": "remove", "path": "/a/b"}, {"a": {"c": [1, 2]}, "d": "x"}),
        ({"op": "move", "from": "/d", "path": "/e"}, {"a": OBJECT["a"], "e": "x"}),
        ({"op": "copy", "from": "/d", "path": "/a~1~0"}, {**OBJECT, "a/~": "x"}),
        ({"op": "test", "path": "/a/b", "value": 1}, OBJECT),
        ({"op": "test", "path": "/missing", "value": None}, OBJECT),
    ],
)
def test_a_json_patch(operation: dict[str, Any], after: dict[str, Any]) -> None:
    assert operated(OBJECT, [operation]) == after


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a/b", "value": 2},
        {"op": "test", "path": "/a/b", "value": True},
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing/deep", "value": 1},
        {"op": "replace", "path": "/a/c/2", "value": 1},
        {"op": "add", "path": "/a/c/4", "value": 1},
        {"op": "unheard-of", "path": "/a"},
    ],
)
def test_an_operation_that_fails(operation: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        operated(OBJECT, [operation])
    assert refused.value.answer.code == 422


def test_ten_thousand_operations_are_the_most() -> None:
    with pytest.raises(Refused) as refused:
        operated(OBJECT, [{"op": "add", "path": "/d", "value": 1}] * 10_001)
    assert refused.value.answer.code == 413


def test_what_a_patch_does_not_touch_is_shared_and_what_it_touches_is_not() -> None:
    before = {"a": {"b": [1]}, "c": {"d": [1]}}
    after = operated(before, [{"op": "add", "path": "/a/b/-", "value": 2}, {"op": "add", "path": "/a/b/-", "value": 3}])
    assert after == {"a": {"b": [1, 2, 3]}, "c": {"d": [1]}}
    assert before == {"a": {"b": [1]}, "c": {"d": [1]}}
    assert after["c"] is before["c"]
