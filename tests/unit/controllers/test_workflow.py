"""A run from its first pod to its end, through restarts and the end of the operator."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.unit.controllers.fake_api import T0, Stage, looptime, tasks

from fairlead.kube.resources import PODS, WORKFLOWS
from fairlead.kube.transport import JsonObject

pytestmark = looptime


async def test_a_run_succeeds_and_lets_go_of_its_pods(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    assert stage.held() == [stage.pod("a"), stage.pod("b")]
    for pod in stage.pods():
        stage.ends(pod)
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.held() == []
    assert stage.operator.controller.active == {}
    assert stage.told("Started") == ["2 tasks"]


async def test_a_restarted_operator_goes_on(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [*tasks("a")["tasks"], *tasks("b", needs=["a"])["tasks"]]})
    await asyncio.sleep(1)
    await stage.crash()
    stage.ends(stage.pod("a"))
    await stage.restart()
    await asyncio.sleep(1)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(2)
    assert stage.phases() == {"a": "Succeeded", "b": "Succeeded"}
    assert stage.api.count("create", PODS) == 2


async def test_what_a_newer_operator_has_recorded_outlives_an_older_one(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    await stage.crash()

    def newer(raw: JsonObject) -> None:
        raw["status"]["estimate"] = "3 min"
        raw["status"]["tasks"][0]["lineage"] = ["x"]
        raw["status"]["tasks"][0]["attempts"][0]["cost"] = {"cents": 3}

    stage.api.edit(WORKFLOWS, "daily", newer)
    await stage.restart()
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    status = stage.status()
    assert status["phase"] == "Succeeded"
    assert status.get("estimate") == "3 min"
    assert status["tasks"][0].get("lineage") == ["x"]
    assert status["tasks"][0]["attempts"][0].get("cost") == {"cents": 3}


# -- a definition that is refused after a restart


async def refused_after_a_restart(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    await stage.crash()
    stage.respec(**tasks("a", "b", needs=["nobody"]))
    await stage.restart()
    await asyncio.sleep(5)


async def test_a_run_that_has_started_keeps_its_record_when_its_definition_is_refused(stage: Stage) -> None:
    await refused_after_a_restart(stage)
    assert stage.status()["startTime"] == "2026-11-22T08:00:00Z"
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}
    stalled = stage.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "nobody" in stalled["message"]


async def test_it_goes_on_once_its_definition_can_be_read_again(stage: Stage) -> None:
    await refused_after_a_restart(stage)
    stage.respec(**tasks("a", "b"))
    await asyncio.sleep(2)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("create", PODS) == 2


# -- time


async def test_the_clock_of_a_node_that_is_behind_does_not_shorten_the_time_of_a_task(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", timeoutSeconds=60))
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"), since=T0 - timedelta(seconds=400))
    await asyncio.sleep(30)
    assert not stage.is_ending(stage.pod("a"))
    await asyncio.sleep(40)
    assert stage.is_ending(stage.pod("a"))


async def test_a_time_limit_passes_without_any_event(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", timeoutSeconds=5))
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(4)
    assert not stage.is_ending(stage.pod("a"))
    await asyncio.sleep(2)
    assert stage.is_ending(stage.pod("a"))


# -- the end of the operator


async def test_nothing_is_created_once_the_operator_ends(stage: Stage) -> None:
    await stage.begin()
    waiting = stage.api.hold("create", PODS)
    stage.apply(tasks("a", "b", "c"))
    await asyncio.sleep(1)
    ending = asyncio.create_task(stage.operator.controller.drain(5))
    await asyncio.sleep(0.1)
    waiting.lift()
    await asyncio.gather(ending, return_exceptions=True)
    assert stage.api.count("create", PODS) == 0


async def test_nothing_is_begun_once_the_operator_ends(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [*tasks("a")["tasks"], *tasks("b", needs=["a"])["tasks"]]})
    await asyncio.sleep(1)
    await stage.operator.controller.drain(5)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    assert list(stage.pods()) == [stage.pod("a")]


async def test_the_latest_state_is_persisted_before_the_operator_ends(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(3)
    writing = stage.api.hold("patch", WORKFLOWS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(0.1)  # this write is under way when the next end becomes known
    stage.ends(stage.pod("b"), code=1)
    await asyncio.sleep(0.1)
    ending = asyncio.create_task(stage.operator.controller.drain(5))
    await asyncio.sleep(0.1)
    writing.lift()
    await ending
    assert stage.phases() == {"a": "Succeeded", "b": "Failed"}
    assert stage.status()["phase"] == "Failed"
