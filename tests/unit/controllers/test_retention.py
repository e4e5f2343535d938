"""Pods and Jobs that have ended: never deleted too early, and not kept for longer than they are wanted."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.unit.controllers.fake_api import T0, Stage, looptime, tasks

from fairlead.api import labels
from fairlead.clock import set_clock
from fairlead.controllers.retention import Retention, kept_for
from fairlead.engine.classify import JobView, PodView
from fairlead.engine.model import WorkKind
from fairlead.kube.errors import Conflict, NotFound, ServerError
from fairlead.kube.resources import JOBS, PODS, WORKFLOWS, ObjectKey
from fairlead.line import CLEAN_UP, Turn, cleaned_at_once

pytestmark = looptime

BROKEN = ServerError(500, "InternalError", "etcd is away")


async def ended(stage: Stage, code: int = 0, **spec: Any) -> str:
    """A run whose only pod has just ended, as is on record. Returns the pod's name."""
    await stage.begin()
    stage.apply({**tasks("a"), **spec})
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    stage.ends(stage.pod("a"), code)
    await asyncio.sleep(3)
    assert stage.held() == []
    return stage.pod("a")


# -- how long


@pytest.mark.parametrize(
    ("code", "spec", "kept", "gone"),
    [
        pytest.param(0, {}, 590, 620, id="succeeded: ten minutes"),
        pytest.param(0, {"podRetention": {"succeededSeconds": 120}}, 110, 140, id="succeeded, as the user says"),
        pytest.param(0, {"podRetention": {"succeededSeconds": 0}}, 40, 60, id="succeeded, at least three lease times"),
        pytest.param(1, {"podRetention": {"failedSeconds": 120}}, 110, 140, id="failed, as the user says"),
        pytest.param(1, {"podRetention": {"failedSeconds": 0}}, 40, 60, id="failed, at least three lease times"),
    ],
)
@pytest.mark.row("fine:pods-that-finished")
async def test_for_how_long_pods_are_kept(
    stage: Stage, code: int, spec: dict[str, Any], kept: float, gone: float
) -> None:
    await ended(stage, code, **spec)
    await asyncio.sleep(kept)
    assert len(stage.pods()) == 1
    await asyncio.sleep(gone - kept)
    assert stage.pods() == {}


@pytest.mark.row("fine:pods-that-finished")
async def test_failed_pods_are_kept_for_as_long_as_their_run(stage: Stage) -> None:
    await ended(stage, 1)
    await asyncio.sleep(100_000)
    assert len(stage.pods()) == 1


async def test_what_counts_is_how_the_attempt_ended_and_not_its_pod(stage: Stage) -> None:
    pod = await ended(stage, 0, tasks=tasks("a", outputs=[{"name": "x"}])["tasks"])
    assert stage.status()["tasks"][0]["reason"] == "OutputMissing"
    assert stage.pods()[pod]["metadata"]["labels"][labels.RESULT] == "Failed"
    await stage.restart()
    await asyncio.sleep(1000)
    assert list(stage.pods()) == [pod]


async def test_an_exit_code_that_means_skipped_is_no_failure(stage: Stage) -> None:
    await ended(stage, 3, tasks=tasks("a", skipExitCodes=[3])["tasks"])
    assert stage.phases() == {"a": "Skipped"}
    await asyncio.sleep(700)
    assert stage.pods() == {}


async def test_jobs_are_kept_like_pods(stage: Stage) -> None:
    await stage.begin()
    job = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}]}}}}
    stage.apply({"tasks": [{"name": "a", "job": job}]})
    await asyncio.sleep(1)
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T08:00:01Z"}
    stage.api.edit(JOBS, stage.pod("a"), lambda raw: raw.update(status={"conditions": [complete]}))
    await asyncio.sleep(590)
    assert len(stage.jobs()) == 1
    await asyncio.sleep(60)
    assert stage.jobs() == {}


# -- what is left alone


async def test_the_pods_of_a_run_that_goes_on_are_deleted_as_well(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(700)
    assert list(stage.pods()) == [stage.pod("b")]
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"


async def test_what_is_held_is_not_deleted(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    stage.api.fail(BROKEN, "patch", PODS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2000)
    assert stage.holds(stage.pod("a"))
    assert not stage.is_ending(stage.pod("a"))


async def test_what_is_not_on_record_is_not_deleted(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a", "b"), "podRetention": {"succeededSeconds": 0}})
    await asyncio.sleep(3)
    away = stage.api.fail(BROKEN, "patch", WORKFLOWS)
    pod = stage.pod("a")
    stage.ends(pod)
    stage.api.edit(PODS, pod, lambda raw: raw["metadata"].update(finalizers=[]))  # somebody lets go of it in our stead
    await asyncio.sleep(300)
    assert pod in stage.pods()
    assert not stage.is_ending(pod)
    away.lift()
    await asyncio.sleep(150)
    assert pod not in stage.pods()
    assert stage.phases()["a"] == "Succeeded"


async def test_pods_of_nobody_are_left_alone(stage: Stage) -> None:
    await stage.begin()
    theirs = {"namespace": "ns", "name": "theirs", "labels": {labels.RUN_UID: "u"}}
    stage.api.put(PODS, {"metadata": theirs, "spec": {}})
    stage.ends("theirs")
    await asyncio.sleep(2000)
    assert list(stage.pods()) == ["theirs"]
    assert not stage.is_ending("theirs")


# -- restarts, outages


async def test_a_restarted_operator_counts_from_the_end_of_the_pod_but_for_the_lease_times(stage: Stage) -> None:
    await ended(stage)
    await asyncio.sleep(400)
    await stage.restart()
    await asyncio.sleep(190)
    assert len(stage.pods()) == 1
    await asyncio.sleep(30)
    assert stage.pods() == {}


async def test_what_came_due_while_the_operator_was_away_stays_for_the_lease_times(stage: Stage) -> None:
    await ended(stage)
    await stage.crash()
    await asyncio.sleep(5000)
    await stage.restart()
    await asyncio.sleep(40)
    assert len(stage.pods()) == 1
    await asyncio.sleep(20)
    assert stage.pods() == {}


async def test_deleting_is_tried_again(stage: Stage) -> None:
    broken = stage.api.fail(BROKEN, "delete", PODS)
    await ended(stage)
    await asyncio.sleep(2000)
    assert len(stage.pods()) == 1
    broken.lift()
    await asyncio.sleep(70)
    assert stage.pods() == {}


async def test_nothing_is_asked_once_all_is_deleted_or_kept(stage: Stage) -> None:
    await ended(stage, 1)
    await asyncio.sleep(1000)
    before = len(stage.api.asked)
    await asyncio.sleep(1000)
    assert {each.verb for each in stage.api.asked[before:]} <= {"list"}
    assert len(stage.operator.retention) == 0


# -- many, in any order


@dataclass
class World:
    """What stands around the retention: a cache, a store, a server that refuses now and then."""

    seed: int
    views: dict[ObjectKey, PodView] = field(default_factory=dict)
    deleted: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    recorded: dict[str, float] = field(default_factory=dict)
    at_once: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.spec = {"podRetention": {"succeededSeconds": self.random.choice([0, 60, 600])}}
        if self.random.random() < 0.5:
            self.spec["podRetention"]["failedSeconds"] = self.random.choice([0, 90, 1000])

    def get(self, key: ObjectKey) -> PodView | None:
        return self.views.get(key)

    async def delete(self, _resource: Any, name: str, namespace: str, *, uid: str, turn: Turn) -> None:
        assert turn is CLEAN_UP
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.random.random())
        self.at_once -= 1
        chance = self.random.random()
        if chance < 0.2:
            raise BROKEN
        found = self.views.get(ObjectKey(namespace, name))
        if found is None:
            raise NotFound(404)
        if found.uid != uid:
            raise Conflict(409)
        assert name not in self.deleted
        self.deleted[name] = (asyncio.get_running_loop().time(), clock())
        del self.views[ObjectKey(namespace, name)]

    def pod(self, number: int) -> tuple[ObjectKey, PodView]:
        code = self.random.choice([0, 1])
        name = f"p{number}"
        view = PodView(
            name=name,
            uid=f"uid-{number}",
            owner_name="daily",
            owner_uid="run",
            node="a",
            number=number,
            phase="Failed" if code else "Succeeded",
            created_at=T0,
            exit_code=code,
            finished_at=clock() - timedelta(seconds=self.random.randint(0, 800)),
            held=True,
        )
        return ObjectKey("ns", name), view


def clock() -> datetime:
    return T0 + timedelta(seconds=asyncio.get_running_loop().time())


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_nothing_goes_too_early_and_all_goes_in_time(
    seed: int,
) -> None:
    set_clock(clock)
    world = World(seed)
    workflow = type("W", (), {"deleting": False, "spec": world.spec, "status": _finished()})
    store: Any = {"run": workflow}
    subject = Retention(cast("Any", world), store, cast("Any", {WorkKind.POD: world}), lambda _: None, workers=4)
    running = asyncio.create_task(subject.run())
    everything: dict[str, PodView] = {}
    for number in range(60):
        key, view = world.pod(number)
        everything[view.name] = view
        world.views[key] = view
        subject.changed(WorkKind.POD, key, view)
        await asyncio.sleep(world.random.random() * 20)
        world.views[key] = view = replace(view, held=False)  # its outcome is on record, and it is let go of
        world.recorded[view.name] = asyncio.get_running_loop().time()
        for _ in range(world.random.randint(1, 3)):
            subject.changed(WorkKind.POD, key, view)
    await asyncio.sleep(3000)
    running.cancel()
    for name, view in everything.items():
        limit = world.spec["podRetention"].get("failedSeconds" if view.exit_code else "succeededSeconds")
        if limit is None:
            assert name not in world.deleted
            continue
        at, wall = world.deleted[name]
        assert at >= world.recorded[name] + 45
        assert view.finished_at is not None
        assert wall >= view.finished_at + timedelta(seconds=limit)
    assert len(subject) == 0
    assert world.most <= 4


async def test_where_very_many_are_due_many_go_at_a_time() -> None:
    """As many as the line takes for much: else what is created would be more, for as long as that waits."""
    set_clock(clock)
    world = World(1)
    world.spec = {"podRetention": {"succeededSeconds": 0, "failedSeconds": 0}}
    workflow = type("W", (), {"deleting": False, "spec": world.spec, "status": _finished()})
    store: Any = {"run": workflow}
    subject = Retention(cast("Any", world), store, cast("Any", {WorkKind.POD: world}), lambda _: None, workers=4)
    running = asyncio.create_task(subject.run())
    for number in range(3000):
        key, view = world.pod(number)
        world.views[key] = view = replace(view, held=False)
        subject.changed(WorkKind.POD, key, view)
    await asyncio.sleep(600)
    running.cancel()
    assert (len(world.deleted), len(subject)) == (3000, 0)
    assert world.most == cleaned_at_once(3000, 4) > 4


def _finished() -> dict[str, Any]:
    return {"conditions": [{"type": "Finished", "status": "True"}]}


NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("more", "given", "seconds"),
    [
        pytest.param({"succeeded": True}, {}, 540, id="a Job that is complete"),
        pytest.param({"succeeded": False}, {}, None, id="a Job that failed"),
        pytest.param({"succeeded": True, "result": "Failed"}, {}, None, id="whose attempt failed"),
        pytest.param({"succeeded": False, "result": "Succeeded"}, {}, 540, id="whose attempt succeeded"),
        pytest.param({"succeeded": True, "result": "Cancelled"}, {"failedSeconds": 0}, -60, id="cancelled"),
    ],
)
def test_how_much_longer(more: dict[str, Any], given: dict[str, int], seconds: float | None) -> None:
    view = JobView(
        name="j",
        uid="u",
        owner_name="daily",
        owner_uid="run",
        node="a",
        number=1,
        created_at=T0,
        finished_at=NOW - timedelta(seconds=60),
        **more,
    )
    assert kept_for(view, given, NOW) == seconds
