"""Logs that are kept after their pods: the end of each, whatever became of the pod, and at nobody's cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.controllers.fake_api import LOGS, looptime, tasks
from tests.unit.controllers.shelf import ArchivingStage

from fairlead.controllers.buckets import ALL
from fairlead.controllers.log_keeper import PATIENCE_SECONDS
from fairlead.controllers.options import OperatorOptions
from fairlead.kube.errors import ApiError, Forbidden, NotFound, ServerError
from fairlead.kube.resources import JOBS, PODS, WORKFLOWS

pytestmark = looptime

Options = Callable[..., ArchivingStage]

WAITING = "fairlead_archive_logs_waiting"

AWAY = ServerError(500, "InternalError", "the node does not answer")


@pytest.fixture
async def keeping(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Options]:
    """Make a stage whose operator keeps logs."""
    made: list[ArchivingStage] = []

    def make(**options: Any) -> ArchivingStage:
        made.append(ArchivingStage(monkeypatch, OperatorOptions(keep_logs=True, **options)))
        return made[0]

    yield make
    for each in made:
        await each.crash()


async def started(stage: ArchivingStage, text: str = "hello\n", **spec: Any) -> str:
    """A run whose only pod runs, and has logged something. Returns the pod's name."""
    await stage.begin()
    stage.apply({**tasks("a"), **spec})
    await asyncio.sleep(1)
    pod = stage.pod("a")
    stage.runs(pod)
    stage.api.logs[pod] = text
    return pod


def result(stage: ArchivingStage, name: str) -> float:
    """How many logs this has become of."""
    value = stage.operator.metrics.registry.get_sample_value("fairlead_archive_logs_total", {"result": name})
    return value or 0


@pytest.mark.parametrize("code", [0, 1])
async def test_the_log_of_an_attempt_is_kept_when_it_has_ended(keeping: Options, code: int) -> None:
    stage = keeping()
    pod = await started(stage)
    stage.ends(pod, code)
    await asyncio.sleep(1)
    assert stage.shelf.logs() == {f"{pod}.log.gz": "hello\n"}
    assert (result(stage, "written"), stage.api.count("get", LOGS)) == (1, 1)


async def test_that_of_a_run_that_was_another_replicas_is_kept_by_whoever_takes_it_over(keeping: Options) -> None:
    stage = keeping()
    pod = await started(stage)
    stage.operator.holdings.groups = frozenset()
    stage.ends(pod)
    await asyncio.sleep(100)
    assert stage.shelf.logs() == {}
    stage.operator.holdings.groups = ALL
    stage.operator.duties.begin(ALL)
    assert stage.operator.logs is not None
    assert len(stage.operator.logs) == 1
    await asyncio.sleep(1)
    stage.operator.duties.begin(ALL)
    await asyncio.sleep(1)
    assert stage.shelf.logs() == {f"{pod}.log.gz": "hello\n"}
    assert (result(stage, "written"), stage.api.count("get", LOGS)) == (1, 1)


async def test_without_being_asked_for_none_is_kept(keeping: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = ArchivingStage(monkeypatch, OperatorOptions())
    pod = await started(stage)
    stage.ends(pod)
    await asyncio.sleep(10)
    assert stage.shelf.logs() == {}
    await stage.crash()


async def test_of_a_long_log_the_end_is_kept(keeping: Options) -> None:
    stage = keeping(kept_log_bytes=1024)
    pod = await started(stage, "".join(f"line {number}\n" for number in range(5000)))
    stage.ends(pod)
    await asyncio.sleep(1)
    kept = stage.shelf.logs()[f"{pod}.log.gz"]
    assert kept.endswith("line 4998\nline 4999\n")
    assert 512 < len(kept) <= 1024


async def test_of_one_line_that_is_too_long_the_beginning_is_kept(keeping: Options) -> None:
    stage = keeping(kept_log_bytes=1024)
    pod = await started(stage, "short\n" + "x" * 5000)
    stage.ends(pod)
    await asyncio.sleep(1)
    assert stage.shelf.logs() == {f"{pod}.log.gz": "x" * 1024}


async def test_a_pod_that_never_ran_has_none(keeping: Options) -> None:
    stage = keeping()
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw.update(status={"phase": "Failed", "reason": "Evicted"}))
    await asyncio.sleep(100)
    assert (stage.shelf.logs(), stage.api.count("get", LOGS)) == ({}, 0)


async def test_what_a_pod_has_logged_is_read_as_soon_as_it_has_to_go(keeping: Options) -> None:
    """Its containers, and their logs with them, are gone as soon as it has ended."""
    stage = keeping()
    pod = await started(stage, tasks=tasks("a", timeoutSeconds=10)["tasks"])
    await asyncio.sleep(15)
    assert stage.is_ending(pod)
    assert stage.shelf.logs() == {f"{pod}.part.log.gz": "hello\n"}
    stage.api.fail(NotFound(404, "NotFound", "no such container"), "get", LOGS)
    stage.ends(pod, 143)
    await asyncio.sleep(5)
    assert stage.shelf.logs() == {f"{pod}.part.log.gz": "hello\n"}
    assert (result(stage, "partial"), result(stage, "unavailable")) == (1, 1)


async def test_where_there_is_time_the_whole_log_takes_the_place_of_that(keeping: Options) -> None:
    stage = keeping()
    pod = await started(stage, tasks=tasks("a", timeoutSeconds=10)["tasks"])
    await asyncio.sleep(15)
    stage.api.logs[pod] = "hello\nbye\n"
    stage.ends(pod, 143)
    await asyncio.sleep(1)
    assert stage.shelf.logs() == {f"{pod}.log.gz": "hello\nbye\n"}


async def test_the_logs_of_a_jobs_pods_are_kept(keeping: Options) -> None:
    stage = keeping()
    await stage.begin()
    job = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}]}}}}
    stage.apply({"tasks": [{"name": "a", "job": job}]})
    await asyncio.sleep(1)
    name = stage.pod("a")
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "controller": True}
    owner["uid"] = stage.jobs()[name]["metadata"]["uid"]
    for suffix in ("x1", "x2"):
        stage.api.logs[f"{name}-{suffix}"] = f"I am {suffix}\n"
        metadata = {
            "namespace": "ns",
            "name": f"{name}-{suffix}",
            "labels": {"batch.kubernetes.io/job-name": name},
            "ownerReferences": [owner],
        }
        stage.api.put(PODS, {"kind": "Pod", "metadata": metadata, "spec": {}})
    ended = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    ended["lastTransitionTime"] = "2026-11-22T08:00:02Z"
    stage.api.edit(JOBS, name, lambda raw: raw.update(status={"conditions": [ended]}))
    await asyncio.sleep(3)
    assert stage.shelf.logs() == {f"{name}-x1.log.gz": "I am x1\n", f"{name}-x2.log.gz": "I am x2\n"}


async def test_a_node_that_does_not_answer_is_asked_again_for_a_minute(keeping: Options) -> None:
    stage = keeping()
    away = stage.api.fail(AWAY, "get", LOGS)
    pod = await started(stage)
    stage.ends(pod)
    await asyncio.sleep(30)
    assert stage.shelf.logs() == {}
    away.lift()
    await asyncio.sleep(10)
    assert stage.shelf.logs() == {f"{pod}.log.gz": "hello\n"}


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        pytest.param(AWAY, 13, id="a node that is gone, after a minute"),
        pytest.param(NotFound(404, "NotFound", "no such pod"), 1, id="a pod that is gone"),
        pytest.param(
            Forbidden(403, "Forbidden", 'User "fairlead" cannot get resource "pods/log" in API group ""'),
            1,
            id="a right that the operator lacks",
        ),
    ],
)
async def test_what_cannot_be_had_is_given_up(keeping: Options, error: ApiError, tries: int) -> None:
    stage = keeping()
    refused = stage.api.fail(error, "get", LOGS)
    pod = await started(stage, ttlSecondsAfterFinished=0)
    stage.ends(pod)
    await asyncio.sleep(200)
    assert abs(refused.hits - tries) <= 1
    assert (result(stage, "unavailable"), stage.shelf.logs()) == (1, {})
    assert stage.api.of(WORKFLOWS) == {}


async def test_a_pod_is_not_deleted_before_its_log_is_kept(keeping: Options) -> None:
    stage = keeping()
    stage.shelf.broken = True
    pod = await started(stage, podRetention={"succeededSeconds": 0})
    stage.ends(pod)
    await asyncio.sleep(300)
    assert list(stage.pods()) == [pod]
    assert stage.held() == []
    stage.shelf.broken = False
    await asyncio.sleep(90)
    assert (stage.pods(), stage.shelf.logs()) == ({}, {f"{pod}.log.gz": "hello\n"})


async def test_but_pods_do_not_pile_up_because_of_an_archive_that_is_away(keeping: Options) -> None:
    stage = keeping()
    stage.shelf.broken = True
    pod = await started(stage, podRetention={"succeededSeconds": 0})
    stage.ends(pod)
    await asyncio.sleep(PATIENCE_SECONDS + 100)
    assert stage.pods() == {}
    assert (result(stage, "lost"), stage.operator.metrics.registry.get_sample_value(WAITING)) == (1, 0)


async def test_a_run_is_not_deleted_before_its_logs_are_kept(keeping: Options) -> None:
    stage = keeping()
    held = stage.api.hold("get", LOGS)
    pod = await started(stage, ttlSecondsAfterFinished=0)
    stage.ends(pod)
    await asyncio.sleep(30)
    assert list(stage.api.of(WORKFLOWS)) == ["daily"]
    held.lift()
    await asyncio.sleep(30)
    assert (stage.api.of(WORKFLOWS), stage.shelf.logs()) == ({}, {f"{pod}.log.gz": "hello\n"})


async def test_after_a_restart_a_log_is_not_read_again(keeping: Options) -> None:
    stage = keeping()
    pod = await started(stage)
    stage.ends(pod)
    await asyncio.sleep(5)
    await stage.restart()
    await asyncio.sleep(5)
    assert (stage.api.count("get", LOGS), result(stage, "present")) == (1, 1)


async def test_an_end_is_recorded_and_let_go_of_however_long_its_log_takes(keeping: Options) -> None:
    stage = keeping()
    stage.api.hold("get", LOGS)
    pod = await started(stage)
    stage.ends(pod)
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.held() == []
