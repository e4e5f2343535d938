"""What is encoded of a large run when something changes: what has changed, and nothing that would grow stale."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.unit.engine.kit import Bench, Value, at, bench, failed, node, retries, seen, succeeded

from fairlead.controllers import changes
from fairlead.controllers.changes import all_entries, changed_entries, touch_queued
from fairlead.engine.capacity import attempt_characters
from fairlead.engine.model import ForEach, Phase, Settings
from fairlead.engine.state import Attempt, NodeRecord


def changed(on: Bench, *known: str) -> dict[str, dict[str, Any]]:
    found = changed_entries(on.graph, on.run, on.settings, known)
    return {name: orjson.loads(entry) for name, entry in found}


def listed(size: int, **more: Any) -> Bench:
    return bench(node("m", for_each=ForEach(items=Value(list(range(size))), **more)), node("z", "m"))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the nodes that entries have been made of."""
    names: list[str] = []
    make = changes.entry

    def entry(run: Any, settings: Any, state: Any, characters: int) -> dict[str, Any]:
        names.append(state.name)
        return make(run, settings, state, characters)

    monkeypatch.setattr(changes, "entry", entry)
    return names


def test_only_what_has_changed_is_encoded(encoded: list[str]) -> None:
    on = bench(*(node(f"t{number}") for number in range(10_000)))
    changed(on)
    encoded.clear()
    on.tell(succeeded("t5000"))
    assert list(changed(on)) == ["t5000"]
    assert encoded == ["t5000"]


def test_of_a_list_the_item_and_the_counts_of_its_task(encoded: list[str]) -> None:
    on = listed(2_000)
    changed(on)
    encoded.clear()
    on.tell(succeeded("m[1000]"))
    found = changed(on)
    assert encoded == ["m", "m[1000]"]
    assert found["m"]["items"] == {"total": 2000, "running": 1999, "succeeded": 1}


def test_nothing_changes_twice() -> None:
    on = bench(node("a"))
    on.tell(seen("a"))
    assert list(changed(on)) == ["a"]
    assert changed(on) == {}


def test_they_come_in_the_order_of_the_definition() -> None:
    on = bench(node("z"), node("m", for_each=ForEach(items=Value([1, 2]))), node("a"))
    on.tell(seen("a"), seen("m[1]"), seen("z"), seen("m[0]"))
    assert list(changed(on)) == ["z", "m", "m[0]", "m[1]", "a"]


def test_a_node_of_which_nothing_has_happened_has_no_entry() -> None:
    on = bench(node("a"), node("b", "a"))
    assert list(changed(on)) == ["a"]
    assert [name for name, _ in all_entries(on.run, on.settings)] == ["a"]


def test_one_that_has_an_entry_keeps_it_when_it_waits_again() -> None:
    on = bench(node("a"), node("b", "a"))
    changed(on)
    on.run.touch(on.state("b"))
    assert list(changed(on, "b")) == ["b"]


def test_one_that_waits_does_not_name_for_what() -> None:
    on = bench(node("a"), node("b", "a"))
    on.state("b").attempts = [Attempt(number=1, object_name="b-1", created=True, finished_at=at(0))]
    on.run.touch(on.state("b"))
    waiting = changed(on)["b"]
    assert waiting["reason"] == "WaitingForTasks"
    assert "message" not in waiting


def test_what_lasts_until_the_record_is_written_is_not_written() -> None:
    on = bench(node("a"), begun=False)
    on.tell()
    on.state("a").attempts.clear()
    on.state("a").phase = Phase.QUEUED
    on.run.touch(on.state("a"))
    on.run.unproven_revision = on.run.revision
    assert set(changed(on)["a"]) <= {"name", "phase", "queuedTime"}


def test_nodes_in_line_are_written_again_when_the_user_has_changed_what_holds_them() -> None:
    on = bench(node("a"), node("b"), settings=Settings(suspend=True))
    assert {each["reason"] for each in changed(on).values()} == {"Suspended"}
    on.settings = Settings(parallelism=0)
    on.tell()
    touch_queued(on.run)
    assert {each["reason"] for each in changed(on).values()} == {"WaitingForParallelism"}


def test_items_known_from_before_keep_their_entries_until_there_is_a_list() -> None:
    on = bench(node("a"), node("m", "a", for_each=ForEach(items=Value([1, 2]))))
    attempt = Attempt(number=1, object_name="x", created=True, finished_at=at(1))
    on.state("m").past = {1: NodeRecord(name="m[1]", phase=Phase.WAITING, attempts=(attempt,))}
    on.run.touch(on.state("m"))
    assert changed(on)["m[1]"]["attempts"][0]["podName"] == "x"
    assert "m[1]" in [name for name, _ in all_entries(on.run, on.settings)]


def test_items_that_are_to_be_run_again_are_not_shown_as_they_were() -> None:
    on = bench(node("a"), node("m", "a", for_each=ForEach(items=Value([1, 2]))))
    on.state("m").past = {index: NodeRecord(name=f"m[{index}]", phase=Phase.WAITING) for index in (0, 1)}
    on.run.touch(on.state("m"))
    assert [name for name in changed(on, "m", "m[1]") if name.startswith("m[")] == ["m[1]"]


def test_messages_are_shorter_where_there_are_many_attempts() -> None:
    on = bench(node("a", retry=retries(200)))
    for number in range(1, 101):
        on.tell(failed("a", number, end=number, reason="x" * 10), after=number)
    on.state("a").attempts[0].message = "y" * 2000
    on.run.touch(on.state("a"))
    shown = changed(on)["a"]["attempts"]
    assert len(shown[0]["message"]) == attempt_characters(len(on.state("a").attempts)) < 400
