"""Reading the tasks of a run, wherever they are recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.api.shard import TaskStatusShard, read_tasks


def shard(index: int, *names: str, phase: str = "Running", **more: Any) -> dict[str, Any]:
    tasks = [{"name": name, "phase": phase} for name in names]
    return {"index": index, "workflowUID": "u", "revision": 1, "tasks": tasks, **more}


def sharded(*recorded: str) -> dict[str, Any]:
    return {"shards": {"count": 1}, "actions": [{"uid": uid} for uid in recorded]}


def read(status: dict[str, Any], *shards: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["phase"] for each in read_tasks(status, shards)}


def test_of_a_small_run_they_are_in_its_status() -> None:
    assert read({"tasks": [{"name": "a", "phase": "Failed"}]}, shard(0, "a")) == {"a": "Failed"}
    assert read({}) == {}


def test_of_a_large_run_they_are_in_its_shards_in_any_order() -> None:
    assert list(read(sharded(), shard(1, "c"), shard(0, "a", "b"))) == ["a", "b", "c"]


def test_items_follow_their_task_in_their_order() -> None:
    found = read(sharded(), shard(0, "m[10]", "a", "m"), shard(1, "m[9]", "m[0]", "b"))
    assert list(found) == ["m", "m[0]", "m[9]", "m[10]", "a", "b"]


def test_one_that_has_moved_is_where_it_has_moved_to() -> None:
    assert read(sharded(), shard(0, "a", phase="Running"), shard(1, "a", phase="Failed")) == {"a": "Failed"}


UNDO = {
    "action": "u1",
    "tasks": [{"name": "a", "phase": "Failed"}, {"name": "gone", "phase": "Failed"}],
    "added": ["c"],
}


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        pytest.param((), {"a": "Failed", "b": "Waiting", "gone": "Failed"}, id="not on record"),
        pytest.param(("u0",), {"a": "Failed", "b": "Waiting", "gone": "Failed"}, id="another is"),
        pytest.param(("u0", "u1"), {"a": "Waiting", "b": "Waiting", "c": "Waiting"}, id="on record"),
    ],
)
def test_what_an_action_has_changed_counts_once_it_is_on_record(
    recorded: tuple[str, ...], expected: dict[str, str]
) -> None:
    changed = shard(0, "a", "b", "c", phase="Waiting", undo=UNDO)
    assert read(sharded(*recorded), changed) == expected
    TaskStatusShard.model_validate_json(json.dumps(changed), strict=False)
