"""Shards are held while their run is there, and never longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead.api import labels
from fairlead.controllers import ledger, writer
from fairlead.controllers.buckets import group_of, group_of_key
from fairlead.engine.names import shard_name
from fairlead.kube.errors import Forbidden, ServerError
from fairlead.kube.resources import PODS, TASKSTATUSSHARDS, WORKFLOWS

pytestmark = looptime

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of more than three tasks is a large one, and a shard is full with two."""
    monkeypatch.setattr(writer, "INLINE_NODES", 3)
    monkeypatch.setattr(ledger, "FULL_NODES", 2)


async def running(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks(*NAMES))
    await asyncio.sleep(3)
    assert len(stage.shards()) == 3


async def finished(stage: Stage) -> None:
    await running(stage)
    for name in NAMES:
        stage.ends(stage.pod(name))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"


def gone(stage: Stage) -> None:
    """The Workflow is gone, and the garbage collector deletes what it owned."""
    stage.api.drop(WORKFLOWS, "daily")
    collect(stage)


def deleting(stage: Stage) -> None:
    """The Workflow is being deleted in the foreground, and the garbage collector deletes what it owns."""
    stage.api.edit(WORKFLOWS, "daily", lambda raw: raw["metadata"].update(deletionTimestamp="2026-11-22T08:01:00Z"))
    collect(stage)


def collect(stage: Stage) -> None:
    for resource in (PODS, TASKSTATUSSHARDS):
        for name in list(stage.api.of(resource)):
            stage.api.drop(resource, name)


def left(stage: Stage) -> list[str]:
    return [*stage.api.of(TASKSTATUSSHARDS), *stage.pods()]


@pytest.mark.parametrize("happens", [gone, deleting])
@pytest.mark.parametrize("state", [running, finished])
async def test_they_go_with_their_run(stage: Stage, state: Callable[..., object], happens: Callable[..., None]) -> None:
    await state(stage)  # type: ignore[misc]
    happens(stage)
    await asyncio.sleep(2)
    assert left(stage) == []


async def test_they_stay_held_when_the_run_has_ended(stage: Stage) -> None:
    await finished(stage)
    await asyncio.sleep(200)
    assert all(labels.FINALIZER in shard["metadata"]["finalizers"] for shard in stage.shards())
    assert len(stage.shards()) == 3


async def test_those_of_a_run_that_went_while_nobody_watched_are_found(stage: Stage) -> None:
    await finished(stage)
    await stage.crash()
    gone(stage)
    assert len(left(stage)) == 3
    await stage.restart()
    await asyncio.sleep(65)
    assert left(stage) == []


async def test_those_of_a_run_that_had_a_key_are_found_by_its_holder(stage: Stage) -> None:
    """Its bucket was that of its key, and only what it has left tells so."""
    await stage.begin()
    uid = stage.apply({"concurrencyKey": {"key": "k"}, **tasks(*NAMES)})
    await asyncio.sleep(3)
    assert group_of_key(NAMESPACE, "k") != group_of(uid)
    for name in NAMES:
        stage.ends(stage.pod(name))
    await asyncio.sleep(3)
    await stage.crash()
    gone(stage)
    assert [len(stage.api.of(TASKSTATUSSHARDS)), len(stage.pods())] == [3, 0]
    stage.operator = stage._new_operator()
    stage.operator.holdings.groups = frozenset({group_of_key(NAMESPACE, "k")})
    await stage.begin()
    await asyncio.sleep(65)
    assert left(stage) == []


async def test_what_could_not_be_released_is_tried_again(stage: Stage) -> None:
    await finished(stage)
    broken = stage.api.fail(ServerError(500, "InternalError", "etcd"), "patch", TASKSTATUSSHARDS)
    gone(stage)
    await asyncio.sleep(30)
    assert len(left(stage)) == 3
    broken.lift()
    await asyncio.sleep(65)
    assert left(stage) == []


TERMINATING = Forbidden(
    403,
    "Forbidden",
    "unable to create new content in namespace ns because it is being terminated",
    {"causes": [{"reason": "NamespaceTerminating"}]},
)


async def test_a_namespace_that_goes_while_a_shard_is_due_can_go(stage: Stage) -> None:
    await stage.begin()
    stage.api.fail(TERMINATING, "create", TASKSTATUSSHARDS)
    stage.apply(tasks(*NAMES))
    await asyncio.sleep(2)
    for pod in stage.pods():
        stage.ends(pod)
    await asyncio.sleep(2)
    # The namespace takes the pods first, and the Workflow only when those are gone.
    assert stage.held() == []
    assert stage.told("StatusNotWritable") == []
    gone(stage)
    await asyncio.sleep(2)
    assert left(stage) == []


async def test_so_it_can_when_the_operator_is_started_only_then(stage: Stage) -> None:
    await stage.begin()
    blocked = stage.api.fail(ServerError(500, "InternalError", "etcd"), "create", TASKSTATUSSHARDS)
    stage.apply(tasks(*NAMES))
    await asyncio.sleep(2)
    await stage.crash()
    blocked.lift()
    stage.api.fail(TERMINATING, "create", TASKSTATUSSHARDS)
    for name in NAMES:
        stage.ends(stage.pod(name))
    await stage.restart()
    await asyncio.sleep(30)
    assert stage.held() == []


async def test_those_of_other_runs_are_left_alone(stage: Stage) -> None:
    await running(stage)
    stage.apply(tasks(*NAMES), "other")
    await asyncio.sleep(3)
    before = len(stage.api.of(TASKSTATUSSHARDS))
    stage.api.drop(WORKFLOWS, "daily")
    await asyncio.sleep(130)
    held = sorted(
        name
        for name, each in stage.api.of(TASKSTATUSSHARDS).items()
        if labels.FINALIZER in each["metadata"]["finalizers"]
    )
    assert held == [shard_name("other", stage.uid("other"), index) for index in range(3)]
    assert len(stage.api.of(TASKSTATUSSHARDS)) == before  # to collect them is not our business
