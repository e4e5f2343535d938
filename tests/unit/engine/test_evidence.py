"""Records of different age: what follows from an end that is not on record is not believed, everything else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.kit import T0, Bench, Value, at, bench, failed, node, records_of, succeeded

from fairlead.engine.evidence import believable
from fairlead.engine.model import ForEach, Graph, Node, Phase, TriggerRule
from fairlead.engine.state import Attempt, NodeRecord


def graph(*nodes: Node) -> Graph:
    return bench(*nodes, begun=False).graph


def record(name: str, phase: Phase, *attempts: int, **more: Any) -> NodeRecord:
    tried = tuple(Attempt(number=number, object_name=f"{name}-{number}", created=True) for number in attempts)
    return NodeRecord(name=name, phase=phase, attempts=tried, **more)


def phases(found: list[NodeRecord]) -> dict[str, str]:
    return {each.name: each.phase.value for each in found}


PAIR = graph(node("a"), node("b", "a"))


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.SKIPPED, Phase.UPSTREAM_FAILED, Phase.SUCCEEDED, Phase.FAILED])
@pytest.mark.parametrize("parent", [None, Phase.RUNNING, Phase.BACKOFF])
def test_what_follows_from_an_end_that_is_not_on_record_waits(phase: Phase, parent: Phase | None) -> None:
    records = [record("b", phase)]
    if parent is not None:
        records.append(record("a", parent, 1))
    assert phases(believable(PAIR, records))["b"] == "Waiting"


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.SKIPPED, Phase.SUCCEEDED, Phase.FAILED])
def test_where_it_is_on_record_it_is_believed(phase: Phase) -> None:
    records = [record("a", Phase.SUCCEEDED, 1), record("b", phase)]
    assert believable(PAIR, records) == records


def test_whoever_had_an_attempt_needs_nobody() -> None:
    # It was not started before its parent's end was durable.
    records = [record("b", Phase.SUCCEEDED, 1)]
    assert believable(PAIR, records) == records


@pytest.mark.parametrize(
    "own",
    [record("b", Phase.CANCELLED, reason="Cancelled"), record("b", Phase.SUCCEEDED, reason="Marked")],
    ids=["cancelled", "marked"],
)
def test_nor_does_what_somebody_decided(own: NodeRecord) -> None:
    assert believable(PAIR, [own]) == [own]


def test_a_task_without_parents_needs_nobody() -> None:
    records = [record("a", Phase.SKIPPED)]
    assert believable(PAIR, records) == records


def test_one_leads_to_the_next() -> None:
    chain = graph(node("c", "b"), node("b", "a"), node("a"))
    records = [record("a", Phase.RUNNING, 1), record("b", Phase.UPSTREAM_FAILED), record("c", Phase.UPSTREAM_FAILED)]
    assert phases(believable(chain, records)) == {"a": "Running", "b": "Waiting", "c": "Waiting"}


def test_a_trigger_that_fires_early_needs_no_more_than_that() -> None:
    early = graph(node("a"), node("b"), node("c", "a", "b", trigger=TriggerRule.ONE_FAILED))
    records = [record("a", Phase.FAILED, 1), record("b", Phase.RUNNING, 1), record("c", Phase.QUEUED)]
    assert believable(early, records) == records


def test_finally_needs_the_ends_of_all_others() -> None:
    last = graph(node("a"), node("b"), node("f", final=True))
    records = [record("a", Phase.SUCCEEDED, 1), record("f", Phase.QUEUED)]
    assert phases(believable(last, records))["f"] == "Waiting"
    records.append(record("b", Phase.SUCCEEDED, 1))
    assert believable(last, records) == records


def test_a_failure_that_counts_as_a_success_does_so_here() -> None:
    tolerant = graph(node("a", continue_on_failure=True), node("b", "a", trigger=TriggerRule.ONE_SUCCESS))
    records = [record("a", Phase.FAILED, 1), record("b", Phase.QUEUED)]
    assert believable(tolerant, records) == records


# Lists.

LISTED = graph(node("a"), node("m", "a", for_each=ForEach(items=Value([1, 2]))))


def test_a_list_whose_beginning_follows_from_nothing_waits_with_its_items() -> None:
    records = [record("m", Phase.RUNNING, digest="d"), record("m[0]", Phase.QUEUED), record("m[1]", Phase.SKIPPED)]
    assert phases(believable(LISTED, records)) == {"m": "Waiting", "m[0]": "Waiting", "m[1]": "Waiting"}


def test_one_of_which_an_item_was_started_is_believed() -> None:
    records = [record("m", Phase.RUNNING, digest="d"), record("m[0]", Phase.RUNNING, 1), record("m[1]", Phase.SKIPPED)]
    assert believable(LISTED, records) == records


@pytest.mark.parametrize("other", [None, Phase.RUNNING, Phase.WAITING])
def test_the_end_of_a_list_is_believed_when_those_of_all_its_items_are_on_record(other: Phase | None) -> None:
    task = record("m", Phase.SUCCEEDED, digest="d", total=2, started_at=at(1), completed_at=at(9))
    records = [record("a", Phase.SUCCEEDED, 1), task, record("m[0]", Phase.SUCCEEDED, 1)]
    if other is not None:
        records.append(record("m[1]", other, 1))
    found = {each.name: each for each in believable(LISTED, records)}
    assert (found["m"].phase, found["m"].digest, found["m"].started_at) == (Phase.RUNNING, "d", at(1))
    assert found["m"].completed_at is None
    complete = [*records[:3], record("m[1]", Phase.FAILED, 1)]
    assert believable(LISTED, complete) == complete


def test_nor_is_what_followed_from_that() -> None:
    listed = graph(node("m", for_each=ForEach(items=Value([1, 2]))), node("z", "m"))
    task = record("m", Phase.SUCCEEDED, digest="d", total=2)
    records = [task, record("m[0]", Phase.SUCCEEDED, 1), record("z", Phase.QUEUED)]
    assert phases(believable(listed, records)) == {"m": "Running", "m[0]": "Succeeded", "z": "Waiting"}


def test_items_of_a_longer_list_in_an_earlier_epoch_do_not_count() -> None:
    task = record("m", Phase.SUCCEEDED, digest="d", total=2)
    records = [record("a", Phase.SUCCEEDED, 1), task, record("m[0]", Phase.SUCCEEDED, 1), record("m[5]", Phase.FAILED)]
    assert phases(believable(LISTED, records))["m"] == "Running"


# Epochs.


def test_attempts_of_an_earlier_epoch_prove_nothing_and_are_kept() -> None:
    old = record("b", Phase.QUEUED, 1)
    [found] = believable(PAIR, [old], epoch=2, epoch_at=at(100))
    assert (found.phase, found.attempts) == (Phase.WAITING, old.attempts)


def test_what_ended_in_an_earlier_epoch_was_looked_at_then() -> None:
    records = [record("a", Phase.WAITING, 1), record("b", Phase.SUCCEEDED, completed_at=at(50))]
    assert believable(PAIR, records, epoch=2, epoch_at=at(100)) == records
    records[1] = replace(records[1], completed_at=at(150))
    assert phases(believable(PAIR, records, epoch=2, epoch_at=at(100)))["b"] == "Waiting"


# The law: a record that was written at one moment is believed as it is.


def whole(on: Bench) -> list[NodeRecord]:
    return records_of(on.run)


@given(
    triggers=st.lists(st.sampled_from(TriggerRule), min_size=6, max_size=6),
    edges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10),
    ends=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8),
)
@settings(deadline=None, max_examples=200)
def test_records_of_one_moment_are_all_believed(
    triggers: list[TriggerRule], edges: list[tuple[int, int]], ends: list[tuple[int, bool]]
) -> None:
    needs = {child: {parent for parent, other in edges if other == child and parent < child} for child in range(6)}
    nodes = (
        node(f"n{index}", *(f"n{parent}" for parent in sorted(needs[index])), trigger=triggers[index])
        for index in range(6)
    )
    on = bench(*nodes)
    for index, good in ends:
        if on.state(f"n{index}").current is not None:
            on.tell((succeeded if good else failed)(f"n{index}"))
    assert believable(on.graph, whole(on)) == whole(on)
    assert on.run.started_at == T0
