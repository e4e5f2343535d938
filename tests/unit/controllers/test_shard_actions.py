"""What a user asks of a large run changes tasks in several shards: after a crash all of it is found, or none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.controllers.fake_api import Stage, looptime, tasks
from tests.unit.controllers.test_actions import answer, ask

from fairlead.controllers import ledger, writer
from fairlead.engine.names import shard_name
from fairlead.kube.resources import PODS, TASKSTATUSSHARDS, WORKFLOWACTIONS, WORKFLOWS

pytestmark = looptime

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of more than three tasks is a large one, and a shard is full with two."""
    monkeypatch.setattr(writer, "INLINE_NODES", 3)
    monkeypatch.setattr(ledger, "FULL_NODES", 2)


async def failed(stage: Stage) -> None:
    """A run of five tasks of which the first, the third and the fifth have failed, each in a shard of its own."""
    await stage.begin()
    stage.apply(tasks(*NAMES))
    await asyncio.sleep(2)
    for name in NAMES:
        stage.ends(stage.pod(name), code=int(name in "ace"))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Failed"
    assert stage.phases() == {name: "Failed" if name in "ace" else "Succeeded" for name in NAMES}


async def retried(stage: Stage) -> None:
    """Somebody has asked for a retry, and time has passed."""
    ask(stage, action="Retry", mode=None)
    await asyncio.sleep(3)


def undone(stage: Stage) -> list[dict[str, Any] | None]:
    """What is to be undone in each shard."""
    return [shard.get("undo") for shard in stage.shards()]


async def test_a_retry_is_carried_out(stage: Stage) -> None:
    await failed(stage)
    await retried(stage)
    assert stage.status()["epoch"] == 2
    assert stage.phases() == {name: "Starting" if name in "ace" else "Succeeded" for name in NAMES}
    for name in "ace":
        stage.ends(stage.pod(name, 2))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.held() == []


async def test_nothing_is_left_to_be_undone(stage: Stage) -> None:
    await failed(stage)
    await retried(stage)
    assert undone(stage) == [None, None, None]


async def test_the_last_action_leaves_nothing_either(stage: Stage) -> None:
    await failed(stage)
    ask(stage, action="Mark", mode=None, phase="Succeeded", tasks=["a", "c", "e"])
    await asyncio.sleep(5)
    assert stage.status()["phase"] == "Succeeded"
    assert undone(stage) == [None, None, None]
    assert stage.operator.controller.active == {}


async def test_until_the_workflow_is_written_nothing_has_changed_for_whoever_reads(stage: Stage) -> None:
    await failed(stage)
    before = stage.phases()
    writing = stage.api.hold("patch", WORKFLOWS)
    await retried(stage)
    assert all(undone(stage))
    assert stage.phases() == before
    assert stage.api.count("create", PODS) == len(NAMES)
    writing.lift()
    await asyncio.sleep(2)
    assert stage.api.count("create", PODS) == len(NAMES) + 3


@pytest.mark.parametrize("index", [0, 1, 2, None])
async def test_a_crash_before_that_leaves_the_run_as_it_was(stage: Stage, index: int | None) -> None:
    await failed(stage)
    before = stage.phases()
    if index is None:
        stage.api.hold("patch", WORKFLOWS)
    else:
        stage.api.hold("patch", TASKSTATUSSHARDS, name=shard_name("daily", stage.uid(), index))
    await retried(stage)
    await stage.crash()
    stage.api.drop(WORKFLOWACTIONS, "please")
    for refusal in stage.api.refusals:
        refusal.lifted = True
    await stage.restart()
    await asyncio.sleep(30)
    assert stage.status()["phase"] == "Failed"
    assert stage.phases() == before
    assert stage.api.count("create", PODS) == len(NAMES)


@pytest.mark.parametrize("index", [0, 1, 2, None])
async def test_after_a_crash_it_is_carried_out_as_a_whole(stage: Stage, index: int | None) -> None:
    await failed(stage)
    if index is None:
        stage.api.hold("patch", WORKFLOWS)
    else:
        stage.api.hold("patch", TASKSTATUSSHARDS, name=shard_name("daily", stage.uid(), index))
    await retried(stage)
    for refusal in stage.api.refusals:
        refusal.lifted = True
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.status()["epoch"] == 2
    assert answer(stage)["Accepted"] == ("True", "Accepted")
    assert stage.phases() == {name: "Starting" if name in "ace" else "Succeeded" for name in NAMES}
    for name in "ace":
        stage.ends(stage.pod(name, 2))
    await asyncio.sleep(5)
    assert stage.status()["phase"] == "Succeeded"
    assert undone(stage) == [None, None, None]
    assert stage.api.count("create", PODS) == len(NAMES) + 3


async def test_another_operator_undoes_nothing_that_is_being_put_on_record(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the shards before the Workflow is written, and would write them after."""
    await failed(stage)
    writing = stage.api.hold("patch", WORKFLOWS)
    await retried(stage)
    assert all(undone(stage))
    stage.api.drop(WORKFLOWACTIONS, "please")  # for the other one, it has come to nothing
    ask(stage, "nonsense", action="Clear", mode=None, tasks=["nobody"])
    other = Stage(monkeypatch)
    other.api = stage.api
    other.operator = other._new_operator()
    await other.begin()
    await asyncio.sleep(3)
    writing.lift()
    await asyncio.sleep(5)
    assert stage.status()["epoch"] == 2
    assert stage.phases() == {name: "Starting" if name in "ace" else "Succeeded" for name in NAMES}
    for name in "ace":
        stage.ends(stage.pod(name, 2))
    await asyncio.sleep(5)
    assert stage.status()["phase"] == "Succeeded"
    assert len(stage.pods()) == len(NAMES) + 3
    await other.crash()


async def test_a_crash_after_it_needs_nothing_to_be_undone(stage: Stage) -> None:
    await failed(stage)
    await retried(stage)
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.phases() == {name: "Starting" if name in "ace" else "Succeeded" for name in NAMES}
    assert stage.api.count("create", PODS) == len(NAMES) + 3


async def test_one_that_is_refused_has_nothing_to_undo(stage: Stage) -> None:
    await failed(stage)
    stage.api.hold("patch", WORKFLOWS)
    ask(stage, action="Retry", mode=None, tasks=["b"])
    await asyncio.sleep(3)
    assert undone(stage) == [None, None, None]


async def test_of_a_run_that_moves_to_shards_by_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "INLINE_NODES", 5)
    await failed(stage)
    assert "shards" not in stage.status()
    monkeypatch.setattr(writer, "INLINE_NODES", 3)
    await retried(stage)
    assert stage.status()["shards"] == {"count": 3}
    assert stage.status()["epoch"] == 2
    assert undone(stage) == [None, None, None]
