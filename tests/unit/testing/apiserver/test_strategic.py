"""Strategic merge patches."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.testing.apiserver.strategic import strategically_merged


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (["a"], {"finalizers": ["b"]}, ["b", "a"]),
        (["a", "b", "c"], {"finalizers": ["c", "a"]}, ["b", "c", "a"]),
        (["a", "b"], {"$deleteFromPrimitiveList/finalizers": ["a", "z"]}, ["b"]),
        (["a"], {"finalizers": None}, None),
    ],
)
def test_finalizers_are_a_set_in_the_real_ones_order(before: list[str], patch: dict[str, Any], after: Any) -> None:
    merged = strategically_merged({"metadata": {"finalizers": before}}, {"metadata": patch})
    assert merged["metadata"].get("finalizers") == after


def test_a_list_is_merged_by_its_key() -> None:
    before = {"spec": {"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]}}
    patch = {"spec": {"containers": [{"name": "b", "image": "2"}, {"name": "c"}]}}
    containers = strategically_merged(before, patch)["spec"]["containers"]
    assert {each["name"]: each.get("image") for each in containers} == {"a": "1", "b": "2", "c": None}
    assert containers[0]["args"] == ["x"]


def test_an_item_a_map_and_a_whole_list_can_be_deleted_or_replaced() -> None:
    before = {"status": {"conditions": [{"type": "A"}, {"type": "B"}], "map": {"x": 1}, "other": {"y": 1}}}
    patch = {
        "status": {
            "conditions": [{"type": "A", "$patch": "delete"}],
            "map": {"$patch": "delete"},
            "other": {"$patch": "replace", "z": 2},
        }
    }
    assert strategically_merged(before, patch) == {"status": {"conditions": [{"type": "B"}], "other": {"z": 2}}}


def test_owners_are_told_apart_by_their_uid() -> None:
    before = {"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}, {"uid": "2", "name": "b"}]}}
    patch = {"metadata": {"ownerReferences": [{"uid": "1", "$patch": "delete"}]}}
    assert strategically_merged(before, patch) == {"metadata": {"ownerReferences": [{"uid": "2", "name": "b"}]}}


def test_every_other_list_is_replaced() -> None:
    before = {"spec": {"containers": [{"name": "a", "args": ["x", "y"]}]}}
    patch = {"spec": {"containers": [{"name": "a", "args": ["z"]}]}}
    assert strategically_merged(before, patch) == {"spec": {"containers": [{"name": "a", "args": ["z"]}]}}
