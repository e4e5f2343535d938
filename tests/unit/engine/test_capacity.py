"""A run cannot outgrow its record: it is told which limit it has reached, and comes to an end."""

import pytest
from tests.unit.engine.kit import Bench, Value, bench, declared, failed, node, retries, succeeded

from fairlead.engine import capacity
from fairlead.engine.capacity import MESSAGE_CHARACTERS, attempt_characters, message_characters, size_of
from fairlead.engine.events import StatusRecorded
from fairlead.engine.model import Settings, TriggerRule, ValueType

TEXT = (declared("x", ValueType.STRING),)
TEN = '{"x": "2345678901"}'


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "OUTPUT_BYTES", 2 * size_of({"x": "2345678901"}))
    monkeypatch.setattr(capacity, "ATTEMPTS", 3)


@pytest.mark.usefixtures("little_room")
def test_outputs_of_all_tasks_together_are_limited() -> None:
    on = bench(*(node(name, outputs=TEXT) for name in "abc"))
    on.tell(succeeded("a", text=TEN), succeeded("b", text=TEN))
    on.tell(succeeded("c", text=TEN))
    assert on.phases() == {"a": "Succeeded", "b": "Succeeded", "c": "Failed"}
    assert on.state("c").reason == "OutputTooLarge"
    assert "all tasks of this run together" in on.state("c").message


@pytest.mark.usefixtures("little_room")
def test_they_count_the_same_after_a_restart() -> None:
    on = bench(*(node(name, outputs=TEXT) for name in "abc"))
    on.tell(succeeded("a", text='{"x":  "äöüß1"}'))
    on.tell(succeeded("b", text=TEN))
    assert on.restarted().run.output_bytes == on.run.output_bytes


def test_outputs_of_nothing_take_no_room() -> None:
    assert size_of({}) == 0
    assert size_of({"x": "ü"}) == len('{"x":"ü"}'.encode())


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_attempts_of_all_tasks_together_are_limited(restarted: bool) -> None:
    on = bench(node("a", retry=retries(9)), node("b", retry=retries(9)))
    on.tell(failed("a"), failed("b"), after=1)
    on = on.restarted() if restarted else on
    on.tell(after=1)
    on.tell(failed("a", 2, end=2), after=2)
    assert on.phase("a") == "Starting"
    on.tell(failed("b", 2, end=2))
    assert on.phase("b") == "Failed"
    assert on.state("b").message.endswith("(this run has had 3 attempts, the most it may)")


@pytest.mark.usefixtures("little_room")
def test_what_the_order_of_ends_decides_is_recorded_before_anything_follows() -> None:
    on = bench(
        *(node(name, outputs=TEXT) for name in "abc"),
        node("d", "c", trigger=TriggerRule.ONE_FAILED),
        settings=Settings(),
    )
    on.tell(succeeded("a", text=TEN), succeeded("b", text=TEN))
    assert on.started(succeeded("c", text=TEN)) == []
    assert on.started(StatusRecorded(revision=on.run.revision)) == ["d/1"]


def test_outputs_of_one_task_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "NODE_OUTPUT_BYTES", size_of({"x": "2345678901"}) - 1)
    on = bench(node("a", outputs=TEXT))
    on.tell(succeeded("a", text=TEN))
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "OutputTooLarge")
    assert on.state("a").message.endswith("write large data to storage and output its address")


def test_attempts_of_one_task_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "NODE_ATTEMPTS", 2)
    on = bench(node("a", retry=retries(9)))
    on.tell(failed("a"), after=1)
    on.tell(after=1)
    on.tell(failed("a", 2, end=2), after=2)
    assert on.phase("a") == "Failed"
    assert on.state("a").message.endswith("(it has had 2 attempts, the most that one task may)")


@pytest.mark.parametrize(("attempts", "characters"), [(0, 1024), (32, 1024), (100, 327), (1000, 32), (5000, 32)])
def test_messages_of_a_node_are_shorter_where_it_has_had_many_attempts(attempts: int, characters: int) -> None:
    assert attempt_characters(attempts) == characters


def test_limits_fit_into_the_objects_that_hold_them() -> None:
    # A Workflow: its definition, its results, and some 64 KiB of conditions and users' requests.
    assert capacity.DEFINITION_BYTES + capacity.RESULT_BYTES + 64 * 1024 < 1_000_000
    # A shard with one node that has had as many attempts as it may, each with a message of four bytes a character.
    node_bytes = capacity.NODE_ATTEMPTS * (350 + 4 * attempt_characters(capacity.NODE_ATTEMPTS))
    assert node_bytes + capacity.NODE_OUTPUT_BYTES < 1_000_000


@pytest.mark.parametrize(("tasks", "characters"), [(0, 1024), (1, 1024), (128, 1024), (1000, 131), (10_000, 64)])
def test_messages_are_shorter_where_there_are_many(tasks: int, characters: int) -> None:
    assert message_characters(tasks) == characters <= MESSAGE_CHARACTERS


def outputs_of(size: int) -> Bench:
    """A run of one task whose own outputs are so large, as JSON."""
    on = bench(node("a"), outputs=(("x", Value("x" * (size - len('{"x":""}')))),))
    on.tell(succeeded("a"))
    return on


def test_results_of_the_run_may_have_their_size() -> None:
    on = outputs_of(capacity.RESULT_BYTES)
    assert on.run.outcome is not None
    assert on.run.outcome.succeeded
    assert size_of(on.run.outputs) == capacity.RESULT_BYTES


def test_larger_results_of_the_run_fail_it() -> None:
    on = outputs_of(capacity.RESULT_BYTES + 1)
    assert on.run.outcome is not None
    assert (on.run.outcome.succeeded, on.run.outcome.reason) == (False, "OutputTooLarge")
    assert on.run.outputs == {}
