"""Writing the status: whatever goes wrong with one write, the truth is persisted in the end, or people are told."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.controllers.fake_api import Stage, looptime, tasks

from fairlead.controllers import writer
from fairlead.engine import capacity
from fairlead.kube.errors import ApiError, Forbidden, Invalid, ServerError, TooLarge, Unreachable
from fairlead.kube.resources import PODS, WORKFLOWS, Resource

pytestmark = looptime

REFUSED_FOR_GOOD = [
    pytest.param(Invalid(422, "Invalid", "status.message: Too long"), id="invalid"),
    pytest.param(TooLarge(413, "RequestEntityTooLarge", "etcdserver: request is too large"), id="too large"),
    pytest.param(Forbidden(403, "Forbidden", 'User "x" cannot patch resource "workflows/status"'), id="no rights"),
]


async def running(stage: Stage, *names: str) -> None:
    """A run whose pods exist and whose status has been written."""
    await stage.begin()
    stage.apply(tasks(*names))
    await asyncio.sleep(3)


# -- bugs


@pytest.mark.parametrize("seconds", [0.5, 100])
async def test_an_error_in_encoding_a_status_does_not_end_its_writing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    tries = 0

    def broken(*_: Any, **__: Any) -> Any:
        nonlocal tries
        tries += 1
        raise ValueError("a bug")

    await running(stage, "a")
    with monkeypatch.context() as patch:
        patch.setattr(writer, "encode", broken)
        stage.ends(stage.pod("a"))
        await asyncio.sleep(seconds)
    assert 1 <= tries <= 2 * seconds + 5  # again, but not in a hot loop
    await asyncio.sleep(130)
    assert stage.phases() == {"a": "Succeeded"}
    assert stage.held() == []


# -- how often


async def test_small_runs_tell_their_progress_in_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [f"r{number}" for number in range(30)]
    patch, under_way, most = stage.api.patch, 0, 0

    async def slow(resource: Resource, *arguments: Any, **more: Any) -> Any:
        nonlocal under_way, most
        if resource is not WORKFLOWS:
            return await patch(resource, *arguments, **more)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.2)
        under_way -= 1
        return await patch(resource, *arguments, **more)

    await stage.begin()
    for run in runs:
        stage.apply(tasks("a", "b", "c"), run)
    await asyncio.sleep(3)
    monkeypatch.setattr(stage.api, "patch", slow)
    for task in ("a", "b"):
        most = 0
        for run in runs:
            stage.ends(stage.pod(task, run=run))
        await asyncio.sleep(40)
        assert {stage.phases(run)[task] for run in runs} == {"Succeeded"}
        assert most == 1
    most = 0
    for run in runs:
        stage.ends(stage.pod("c", run=run))
    await asyncio.sleep(1)
    assert most > 10, "ends do not wait for a turn"
    assert {stage.phases(run)["c"] for run in runs} == {"Succeeded"}


async def test_a_write_that_hangs_keeps_other_runs_waiting_for_half_a_minute(stage: Stage) -> None:
    await stage.begin()
    for run in ("a", "b"):
        stage.apply(tasks("x", "y"), run)
    await asyncio.sleep(3)
    hanging = stage.api.hold("patch", WORKFLOWS, name="a")
    stage.ends(stage.pod("x", run="a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("x", run="b"))
    await asyncio.sleep(20)
    assert stage.phases("b")["x"] != "Succeeded"
    await asyncio.sleep(15)
    assert stage.phases("b")["x"] == "Succeeded"
    hanging.lift()
    await asyncio.sleep(1)
    assert stage.phases("a")["x"] == "Succeeded"


# -- what it means that something is on record


async def test_a_pod_is_held_while_its_end_cannot_be_written(stage: Stage) -> None:
    await running(stage, "a", "b")
    away = stage.api.fail(ServerError(500, "InternalError", "etcd is away"), "patch", WORKFLOWS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(30)
    assert stage.held() == sorted([stage.pod("a"), stage.pod("b")])
    away.lift()
    await asyncio.sleep(15)
    assert stage.held() == [stage.pod("b")]


async def test_an_end_that_comes_during_a_write_belongs_to_the_next(stage: Stage) -> None:
    await running(stage, "a", "b", "c")
    writing = stage.api.hold("patch", WORKFLOWS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(0.5)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(0.5)
    away = stage.api.fail(ServerError(500, "InternalError", "etcd is away"), "patch", WORKFLOWS)  # for the next write
    writing.lift()
    await asyncio.sleep(5)
    assert stage.held() == sorted([stage.pod("b"), stage.pod("c")])
    away.lift()
    await asyncio.sleep(35)  # after a write that took long, the next one is not hurried
    assert stage.held() == [stage.pod("c")]


async def test_a_generation_counts_as_observed_when_it_was_planned_by(stage: Stage) -> None:
    await running(stage, "a", "b", "c")
    seen: list[tuple[int, str]] = []
    stage.api.follow(WORKFLOWS, lambda _, raw: seen.append((raw["status"]["observedGeneration"], _suspended(raw))))
    stage.ends(stage.pod("a"))
    await asyncio.sleep(0.1)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(0.1)  # this end waits for the next write, which needs no further look at the run
    edited = deepcopy(stage.raw())
    edited["spec"]["suspend"] = True
    edited["metadata"] |= {"generation": 2, "resourceVersion": "100000"}
    stage.operator.store.put(edited)  # heard of by the store alone: no worker has come round to this run yet
    await asyncio.sleep(2)
    assert (1, "False") in seen
    assert (2, "False") not in seen


def _suspended(raw: dict[str, Any]) -> str:
    return next(str(each["status"]) for each in raw["status"]["conditions"] if each["type"] == "Suspended")


async def test_of_a_workflow_only_the_status_is_written(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, set[str]]] = []
    patch = stage.api.patch

    async def noted(resource: Resource, name: str, body: Any, *rest: Any, **more: Any) -> Any:
        if resource == WORKFLOWS:
            changed = {each["path"].split("/")[1] for each in body if not each["path"].startswith("/metadata/")}
            asked.append((more.get("subresource"), changed))
        return await patch(resource, name, body, *rest, **more)

    monkeypatch.setattr(stage.api, "patch", noted)
    await running(stage, "a", "b")
    stage.respec(suspend=True)
    stage.ends(stage.pod("a"), code=1)
    await asyncio.sleep(3)
    stage.respec(suspend=False)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Failed"
    assert len(asked) > 3
    assert all(each == ("status", {"status"}) for each in asked)
    assert stage.raw()["spec"] == {**tasks("a", "b"), "suspend": False}


# -- answers that are lost


async def test_a_write_whose_answer_is_lost_counts_as_written(stage: Stage) -> None:
    await running(stage, "a", "b")
    before = stage.run()
    lost = Unreachable("timeout", maybe_applied=True)
    stage.api.fail(lost, "patch", WORKFLOWS, times=1, applied=True)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    assert stage.run() is before  # the persisted status is ours: nothing has to be read again
    assert stage.held() == [stage.pod("b")]
    assert stage.phases()["a"] == "Succeeded"


async def test_a_write_that_was_not_applied_is_repeated(stage: Stage) -> None:
    await running(stage, "a", "b")
    stage.api.fail(Unreachable("refused", maybe_applied=False), "patch", WORKFLOWS, times=3)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    assert stage.phases()["a"] == "Succeeded"


async def test_another_controllers_status_is_not_overwritten(stage: Stage) -> None:
    await running(stage, "a", "b")
    before = stage.run()
    stage.api.edit(WORKFLOWS, "daily", lambda raw: raw["status"].update(phase="Odd"))
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    assert stage.run() is not before
    assert stage.phases()["a"] == "Succeeded"
    assert stage.status()["phase"] == "Running"


# -- writes that are refused


@pytest.mark.parametrize("error", REFUSED_FOR_GOOD)
async def test_a_write_that_is_refused_for_good_is_told(stage: Stage, error: ApiError) -> None:
    await running(stage, "a")
    refused = stage.api.fail(error, "patch", WORKFLOWS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(30)
    [message] = set(stage.told("StatusNotWritable"))
    assert error.message in message
    assert stage.held() == [stage.pod("a")]
    refused.lift()
    await asyncio.sleep(70)
    assert stage.status()["phase"] == "Succeeded"


@pytest.mark.parametrize("error", REFUSED_FOR_GOOD)
async def test_one_whose_progress_is_refused_keeps_no_other_from_telling_its_own(stage: Stage, error: ApiError) -> None:
    await stage.begin()
    for name in ("daily", "other"):
        stage.apply(tasks("a", "b"), name)
    await asyncio.sleep(3)
    stage.api.fail(error, "patch", WORKFLOWS, name="daily")
    stage.ends(stage.pod("a"))
    await asyncio.sleep(20)
    assert stage.phases()["a"] == "Starting"
    stage.ends(stage.pod("a", run="other"))
    await asyncio.sleep(20)
    assert stage.phases("other")["a"] == "Succeeded"


async def test_in_an_outage_they_wait_for_the_one_whose_turn_it_is(stage: Stage) -> None:
    await stage.begin()
    for name in ("daily", "other"):
        stage.apply(tasks("a", "b"), name)
    await asyncio.sleep(3)
    away = stage.api.fail(Unreachable("refused", maybe_applied=False), "patch", WORKFLOWS)
    for name in ("daily", "other"):
        stage.ends(stage.pod("a", run=name))
    await asyncio.sleep(20)
    asked = {each.name for each in stage.api.asked[-away.hits :] if each.verb == "patch"}
    assert asked == {"daily"}
    away.lift()
    await asyncio.sleep(20)
    assert stage.phases("daily")["a"] == stage.phases("other")["a"] == "Succeeded"


@pytest.mark.parametrize("error", REFUSED_FOR_GOOD)
async def test_so_is_the_first_of_a_run(stage: Stage, error: ApiError) -> None:
    stage.api.fail(error, "patch", WORKFLOWS)
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(30)
    assert stage.told("StatusNotWritable")
    assert stage.pods() == {}


async def test_an_outage_is_not_told_as_a_refusal(stage: Stage) -> None:
    await running(stage, "a")
    stage.api.fail(Unreachable("refused", maybe_applied=False), "patch", WORKFLOWS, times=5)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(60)
    assert stage.told("StatusNotWritable") == []
    assert stage.status()["phase"] == "Succeeded"


async def test_a_create_that_is_not_answered_is_told_with_the_next_write(stage: Stage) -> None:
    stage.api.hold("create", PODS, name="daily-b-")
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(30)
    assert stage.condition("Reconciling")["reason"] == "Running"
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    assert stage.condition("Reconciling")["reason"] == "WaitingForApiServer"
    assert "one object waits to be created, since 30 s" in stage.condition("Reconciling")["message"]


# -- outputs of the run


async def test_outputs_of_a_run_that_cannot_be_recorded_fail_it(stage: Stage) -> None:
    spec = {
        "params": [{"name": "p", "type": "string", "default": "x" * 60_000}],
        "outputs": [{"name": f"o{number}", "value": "${params.p}"} for number in range(10)],
    }
    await stage.begin()
    stage.apply(tasks("a") | spec)
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Failed"
    assert stage.condition("Succeeded")["reason"] == "OutputTooLarge"
    assert capacity.size_of(stage.status().get("outputs", {})) <= capacity.OUTPUT_BYTES
    assert stage.held() == []
