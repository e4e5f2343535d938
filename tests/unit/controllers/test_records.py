"""Entries of nodes in a status: what is over comes back as it was, and what follows from something else is not kept."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.kit import T0, Bench, FakeWork, Value, at, bench, declared, name_of, node, retries, seen

from fairlead.controllers.records import entries, entry, has_entry, recorded_nodes
from fairlead.engine.events import StatusRecorded
from fairlead.engine.model import ACTIVE, TERMINAL, FailureClass, ForEach, Phase, Settings, WorkKind
from fairlead.engine.restore import NodeRecord
from fairlead.engine.state import Attempt, Items, NodeState

LIVE = Settings()
LIST = ForEach(items=Value(["eu", "us", "apac"]))


def attempt(number: int = 1, **more: Any) -> Attempt:
    return Attempt(number=number, object_name=f"pod-{number}", created=True, started_at=T0, **more)


def with_items(*phases: Phase, **of_task: Any) -> Bench:
    """A run of a `forEach` task `m` whose items are in these phases, and of a task `z` after it."""
    on = bench(node("m", for_each=LIST, outputs=(declared("rows"),)), node("z", "m"), begun=False)
    task = on.state("m")
    states = [
        NodeState(node=task.node, name=f"m[{index}]", phase=phase, parent=task, index=index)
        for index, phase in enumerate(phases)
    ]
    ended = {phase: phases.count(phase) for phase in TERMINAL if phase in phases}
    active = sum(phase in ACTIVE for phase in phases)
    task.items = Items(states=states, digest="d1g3st", active=active, ended=ended)
    task.phase = Phase.RUNNING
    for name, value in of_task.items():
        setattr(task, name, value)
    on.run.nodes |= {state.name: state for state in states}
    return on


def shown(on: Bench, characters: int = 1024) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(json.dumps(list(entries(on.run, on.settings, characters))))
    return found


def there_and_back(state: NodeState) -> NodeRecord:
    on = bench(replace(state.node), begun=False)
    [record] = recorded_nodes([json.loads(json.dumps(entry(on.run, LIVE, state, 1024)))])
    return record


# Tasks with items.


def test_items_follow_their_task() -> None:
    on = with_items(Phase.SUCCEEDED, Phase.RUNNING, Phase.QUEUED)
    assert [each["name"] for each in shown(on)] == ["m", "m[0]", "m[1]", "m[2]", "z"]


def test_an_item_that_waits_has_no_entry() -> None:
    on = with_items(Phase.RUNNING, Phase.WAITING, Phase.WAITING)
    assert [each["name"] for each in shown(on)] == ["m", "m[0]", "z"]


def test_one_that_waits_for_another_epoch_keeps_its_attempts() -> None:
    on = with_items(Phase.WAITING, Phase.WAITING)
    on.state("m[1]").attempts = [attempt(finished_at=at(3), failure_class=FailureClass.USER)]
    assert [each["name"] for each in shown(on)] == ["m", "m[1]", "z"]


def test_items_of_an_earlier_epoch_stay_on_record_until_there_is_a_list_again() -> None:
    # Without them a restarted controller would number attempts from 1 again, and find the objects of old ones.
    on = bench(node("a"), node("m", "a", for_each=LIST), begun=False)
    on.state("m").past = {
        0: NodeRecord(name="m[0]", phase=Phase.WAITING, attempts=(attempt(finished_at=at(3)),)),
        1: NodeRecord(name="m[1]", phase=Phase.WAITING),
    }
    assert [each["name"] for each in shown(on)] == ["a", "m", "m[0]"]
    _, _, item = recorded_nodes(shown(on))
    assert [each.number for each in item.attempts] == [1]


def test_a_task_counts_its_items() -> None:
    phases = [Phase.SUCCEEDED] * 3 + [Phase.FAILED, Phase.SKIPPED, Phase.RUNNING, Phase.STARTING, Phase.QUEUED]
    task, *_ = shown(with_items(*phases, Phase.CANCELLED, Phase.WAITING))
    assert task["items"] == {"total": 10, "succeeded": 3, "failed": 1, "skipped": 1, "cancelled": 1, "running": 2}
    assert task["itemsDigest"] == "d1g3st"


def test_outputs_of_a_task_with_items_are_theirs_and_not_written_twice() -> None:
    on = with_items(Phase.SUCCEEDED, outputs={"rows": [3]})
    on.state("m[0]").outputs = {"rows": 3}
    task, item, _ = shown(on)
    assert "outputs" not in task
    assert item["outputs"] == {"rows": 3}


def test_the_digest_of_a_list_comes_back_and_its_length() -> None:
    task, *_ = recorded_nodes(shown(with_items(Phase.RUNNING, Phase.WAITING)))
    assert (task.digest, task.total) == ("d1g3st", 2)


def test_a_task_whose_list_is_not_known_yet_has_no_digest() -> None:
    on = bench(node("m", for_each=LIST), begun=False)
    [task] = recorded_nodes(shown(on))
    assert task.digest == ""


# Attempts.


@pytest.mark.parametrize("kind", [WorkKind.WAIT, WorkKind.HTTP, WorkKind.APPROVAL])
def test_an_attempt_without_an_object_begins_by_being_on_record(kind: WorkKind) -> None:
    of_kind = node("a", work=FakeWork(kind=kind))
    state = NodeState(node=of_kind, phase=Phase.STARTING, attempts=[Attempt(number=1, object_name="a-1")])
    assert [each.number for each in there_and_back(state).attempts] == [1]


def test_one_with_an_object_is_an_intent_until_the_object_exists() -> None:
    state = NodeState(node=node("a"), phase=Phase.STARTING, attempts=[Attempt(number=1, object_name="a-1")])
    assert there_and_back(state).attempts == ()


def test_the_first_epoch_and_the_first_round_go_without_saying() -> None:
    plain = NodeState(node=node("a"), phase=Phase.RUNNING, attempts=[attempt()])
    assert "epoch" not in entry(bench(node("a")).run, LIVE, plain, 9)["attempts"][0]
    later = NodeState(node=node("a"), phase=Phase.RUNNING, attempts=[attempt(epoch=2, iteration=3)])
    assert [(each.epoch, each.iteration) for each in there_and_back(later).attempts] == [(2, 3)]


def test_outputs_of_a_round_are_kept_for_the_next() -> None:
    state = NodeState(node=node("a"), phase=Phase.BACKOFF, outputs={"cursor": "x7"}, attempts=[attempt()])
    assert there_and_back(state).outputs == {"cursor": "x7"}


def test_messages_are_cut() -> None:
    on = bench(node("a"), begun=False)
    on.state("a").attempts = [attempt(message="x" * 100, finished_at=at(1))]
    on.state("a").phase, on.state("a").message = Phase.FAILED, "y" * 100
    [task] = shown(on, characters=10)
    assert (len(task["message"]), len(task["attempts"][0]["message"])) == (10, 10)


# What a newer release has recorded (invariant S16).


@pytest.mark.parametrize("phase", ["Running", "Succeeded", "Backoff"])
def test_what_only_a_newer_release_knows_is_kept(phase: str) -> None:
    attempt = {"number": 1, "podName": name_of("a"), "startTime": "2026-11-22T08:00:00Z", "cost": {"cents": 3}}
    ended = {"completionTime": "2026-11-22T08:00:05Z"} if phase != "Running" else {}
    failed = {"reason": "ExitCode", "class": "User", "exitCode": 1} if phase == "Backoff" else {}
    of_next_year = {"name": "a", "phase": phase, "lineage": ["x"], "attempts": [attempt | ended | failed]}
    on = bench(node("a", retry=retries(3, seconds=60)), begun=False)
    after = on.restarted(recorded_nodes([of_next_year]))
    after.tell(seen("a") if phase == "Running" else StatusRecorded(revision=0), after=6)
    [task] = shown(after)
    assert (task.get("lineage"), task["attempts"][0].get("cost")) == (["x"], {"cents": 3})


def test_so_it_is_of_the_items_of_a_list_that_is_not_known_again_yet() -> None:
    of_next_year = [{"name": "m[0]", "phase": "Succeeded", "lineage": ["x"]}]
    on = bench(node("a"), node("m", "a", for_each=ForEach(items=Value([1, 2]))), begun=False)
    found = {each["name"]: each for each in shown(on.restarted(recorded_nodes(of_next_year)))}
    assert found["m[0]"]["lineage"] == ["x"]


# The law: nothing that is over is forgotten.

_MOMENTS = st.none() | st.integers(0, 10**6).map(lambda seconds: T0 + timedelta(seconds=seconds))
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@st.composite
def attempts(draw: st.DrawFn) -> list[Attempt]:
    return [
        Attempt(
            number=number,
            object_name=f"pod-{number}",
            created=True,
            node_name=draw(_TEXTS),
            due_at=draw(_MOMENTS),
            heard_at=draw(_MOMENTS),
            started_at=draw(_MOMENTS),
            running_at=draw(_MOMENTS),
            finished_at=draw(_MOMENTS),
            exit_code=draw(st.none() | st.integers(0, 255)),
            failure_class=draw(st.none() | st.sampled_from(FailureClass)),
            reason=draw(_TEXTS),
            message=draw(_TEXTS),
            epoch=draw(st.integers(1, 3)),
            iteration=draw(st.integers(1, 3)),
        )
        for number in range(1, draw(st.integers(0, 3)) + 1)
    ]


@st.composite
def states(draw: st.DrawFn) -> NodeState:
    return NodeState(
        node=node("a"),
        phase=draw(st.sampled_from(sorted(TERMINAL | {Phase.BACKOFF, Phase.RUNNING}))),
        reason=draw(_TEXTS),
        message=draw(_TEXTS),
        attempts=draw(attempts()),
        outputs=draw(st.dictionaries(_TEXTS, st.none() | st.integers(-9, 9) | _TEXTS, max_size=3)),
        started_at=draw(st.none() | st.just(at(1))),
        completed_at=draw(_MOMENTS),
        queued_at=draw(_MOMENTS),
    )


@given(state=states())
@settings(deadline=None)
def test_nothing_that_is_over_is_forgotten(state: NodeState) -> None:
    record = there_and_back(state)
    assert has_entry(state)
    assert (record.phase, record.outputs, record.attempts) == (state.phase, state.outputs, tuple(state.attempts))
    assert (record.completed_at, record.queued_at) == (state.completed_at, state.queued_at)
    first = state.attempts[0].started_at if state.attempts else None
    assert record.started_at == (state.started_at or first)
    if state.phase in TERMINAL:
        assert (record.reason, record.message) == (state.reason, state.message)
