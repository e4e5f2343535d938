"""Outputs that are what a task printed: read while its pod is there, before its end is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.controllers.fake_api import LOGS, Stage, looptime, tasks

from fairlead.kube.errors import Forbidden, ServerError
from fairlead.kube.resources import JOBS, PODS

pytestmark = looptime

AWAY = ServerError(500, "InternalError", 'Get "https://10.0.0.7:10250/containerLogs/…": dial tcp: no route to host')
NO_RIGHTS = Forbidden(403, "Forbidden", 'User "fairlead" cannot get resource "pods/log" in API group ""')
PRINTS = [{"name": "x", "from": "Stdout"}]
ENDED = {"terminated": {"exitCode": 0, "startedAt": "2026-11-22T08:00:01Z", "finishedAt": "2026-11-22T08:00:02Z"}}


async def running(stage: Stage, printed: str = "hello\n", **more: Any) -> str:
    """A run whose task `a` runs, and will have printed this. Returns the name of its pod."""
    await stage.begin()
    stage.apply(tasks("a", **({"outputs": PRINTS} | more)))
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    stage.api.logs[stage.pod("a")] = printed
    await asyncio.sleep(1)
    return stage.pod("a")


def task(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.status()["tasks"][0]
    return found


async def test_what_a_task_printed_is_its_output(stage: Stage) -> None:
    stage.ends(await running(stage))
    await asyncio.sleep(2)
    assert task(stage)["outputs"] == {"x": "hello"}
    assert stage.held() == []


async def test_logs_are_read_only_where_an_output_comes_from_them(stage: Stage) -> None:
    stage.ends(await running(stage, outputs=[{"name": "x", "default": "y"}]))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("get", LOGS) == 0


async def test_nothing_is_read_of_a_task_that_failed(stage: Stage) -> None:
    stage.ends(await running(stage), code=1)
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Failed"
    assert stage.api.count("get", LOGS) == 0


async def test_the_end_is_told_only_with_what_was_printed(stage: Stage) -> None:
    pod = await running(stage)
    reading = stage.api.hold("get", LOGS)
    stage.ends(pod)
    await asyncio.sleep(50)
    assert task(stage)["phase"] == "Running"
    assert stage.holds(pod)
    assert not stage.is_ending(pod)
    reading.lift()
    await asyncio.sleep(2)
    assert task(stage)["outputs"] == {"x": "hello"}


async def test_a_slow_log_holds_up_no_other_task(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [tasks("a", outputs=PRINTS)["tasks"][0], *tasks("b")["tasks"]]})
    await asyncio.sleep(1)
    stage.api.hold("get", LOGS)
    stage.ends(stage.pod("a"))
    stage.ends(stage.pod("b"))
    await asyncio.sleep(2)
    assert stage.phases()["b"] == "Succeeded"


async def test_a_log_is_read_before_a_pod_is_ended_for_its_sidecar(stage: Stage) -> None:
    pod = await running(stage)
    stage.set_status(pod, "Running", ENDED)
    await asyncio.sleep(20)
    assert stage.api.count("get", LOGS) == 1
    stage.api.logs.clear()  # they go when the pod, that we end for its sidecar, ends
    await asyncio.sleep(20)
    assert stage.is_ending(pod)
    stage.set_status(pod, "Succeeded", ENDED)
    await asyncio.sleep(2)
    assert task(stage)["outputs"] == {"x": "hello"}


@pytest.mark.parametrize("times", [1, 5])
async def test_a_node_that_does_not_answer_is_asked_again(stage: Stage, times: int) -> None:
    pod = await running(stage)
    stage.api.fail(AWAY, "get", LOGS, times=times)
    stage.ends(pod)
    await asyncio.sleep(50)
    assert task(stage)["outputs"] == {"x": "hello"}


async def test_a_log_that_is_not_to_be_had_is_an_infrastructure_failure(stage: Stage) -> None:
    pod = await running(stage, retry={"infrastructureLimit": 0})
    stage.api.fail(AWAY, "get", LOGS)
    stage.ends(pod)
    await asyncio.sleep(70)
    [attempt] = task(stage)["attempts"]
    assert (attempt["class"], attempt["reason"], attempt["exitCode"]) == ("Infrastructure", "LogUnavailable", 0)
    assert "no route to host" in attempt["message"]


async def test_missing_rights_are_nobodys_failure(stage: Stage) -> None:
    pod = await running(stage)
    missing = stage.api.fail(NO_RIGHTS, "get", LOGS)
    stage.ends(pod)
    await asyncio.sleep(300)
    assert stage.condition("Stalled")["status"] == "True"
    assert "pods/log" in stage.condition("Stalled")["message"]
    missing.lift()
    await asyncio.sleep(15)
    assert task(stage)["outputs"] == {"x": "hello"}


async def test_a_restarted_operator_reads_it_again(stage: Stage) -> None:
    pod = await running(stage)
    reading = stage.api.hold("get", LOGS)
    stage.ends(pod)
    await asyncio.sleep(2)
    reading.lift()
    await stage.restart()
    await asyncio.sleep(2)
    assert task(stage)["outputs"] == {"x": "hello"}


async def test_more_than_an_output_may_be_is_too_large(stage: Stage) -> None:
    stage.ends(await running(stage, printed="y" * 5000))
    await asyncio.sleep(2)
    assert task(stage)["reason"] == "OutputTooLarge"


async def test_a_job_prints_in_its_pod(stage: Stage) -> None:
    await stage.begin()
    job = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}]}}}}
    stage.apply({"tasks": [{"name": "a", "job": job, "outputs": PRINTS}]})
    await asyncio.sleep(1)
    name = stage.pod("a")
    metadata = {
        "namespace": "ns",
        "name": f"{name}-x",
        "labels": {"batch.kubernetes.io/job-name": name},
        "ownerReferences": [{"kind": "Job", "uid": stage.jobs()[name]["metadata"]["uid"], "controller": True}],
    }
    stage.api.put(PODS, {"metadata": metadata, "spec": {}})
    stage.ends(f"{name}-x")
    stage.api.logs[f"{name}-x"] = "hello\n"
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T08:00:09Z"}
    stage.api.edit(JOBS, name, lambda raw: raw.update(status={"conditions": [complete]}))
    await asyncio.sleep(3)
    assert task(stage)["outputs"] == {"x": "hello"}
