"""Creating the objects of attempts, and ending them: no longer Stalled than that takes."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.controllers.fake_api import Stage, looptime, tasks
from tests.unit.controllers.test_actions import ask

from fairlead import line
from fairlead.controllers import apply, workflow
from fairlead.engine.commands import EndAttempt
from fairlead.engine.model import WorkKind
from fairlead.kube.errors import ApiError, Conflict, Forbidden, ServerError
from fairlead.kube.resources import CONFIGMAPS, JOBS, PODS, Resource

pytestmark = looptime

MODIFIED = Conflict(
    409,
    "Conflict",
    'Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes to the latest '
    "version and try again",
)
NO_RIGHTS = Forbidden(403, "Forbidden", 'User "fairlead" cannot delete resource "pods" in API group ""')
RETRIED = {"limit": 1, "onTimeout": True, "backoff": {"initialSeconds": 0}}


async def timing_out(stage: Stage, **more: object) -> str:
    """A run whose only pod has run for longer than it may, when this returns."""
    await stage.begin()
    stage.apply(tasks("a", timeoutSeconds=10, **more))
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(10.5)
    return stage.pod("a")


async def test_the_end_of_a_task_that_runs_is_not_put_off_as_what_is_tidied_up(stage: Stage) -> None:
    pod = await timing_out(stage)
    assert stage.api.turns == [("pods", pod, None)]


async def test_so_many_objects_of_a_run_are_created_at_once_and_the_others_when_those_are_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "CREATED_AT_ONCE", 2)
    await stage.begin()
    creates = stage.api.hold("create", PODS)
    stage.apply(tasks("a", "b", "c", "d", "e"))
    await asyncio.sleep(5)
    assert creates.hits == 2
    assert stage.phases() == {"a": "Starting", "b": "Starting", "c": "Queued", "d": "Queued", "e": "Queued"}
    assert stage.status()["tasks"][2]["reason"] == "WaitingForApiServer"
    creates.lift()
    await asyncio.sleep(1)
    assert len(stage.pods()) == 5


async def test_a_run_is_looked_at_for_what_something_follows_from(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = workflow.plan

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal looks
        looks += 1
        return look(*arguments, **more)

    await stage.begin()
    stage.apply(tasks("a", "b", "c"))
    await asyncio.sleep(5)
    monkeypatch.setattr(workflow, "plan", counted)
    for task in ("a", "b"):
        for _ in range(5):
            stage.runs(stage.pod(task))
            await asyncio.sleep(0.15)
    await asyncio.sleep(5)
    assert looks <= 2 * 3, "a second for news to come together, and the status that tells of it"
    looks = 0
    stage.ends(stage.pod("a"))
    await asyncio.sleep(0.05)
    assert looks >= 1, "an end is not waited with"


async def test_after_a_refusal_the_first_that_is_created_lets_the_others_follow(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, patch, created = stage.api.create, stage.api.patch, asyncio.Event()

    async def slow(resource: Resource, *arguments: Any, **more: Any) -> Any:
        await asyncio.sleep(0.05)
        return await create(resource, *arguments, **more)

    async def slow_patch(*arguments: Any, **more: Any) -> Any:
        await asyncio.sleep(0.02)
        return await patch(*arguments, **more)

    await stage.begin()
    monkeypatch.setattr(stage.api, "create", slow)
    monkeypatch.setattr(stage.api, "patch", slow_patch)
    over = stage.api.fail(Forbidden(403, "Forbidden", "exceeded quota: q"), "create", PODS)
    stage.apply(tasks(*"abcdefgh"))
    await asyncio.sleep(3)
    stage.api.follow(PODS, lambda *_: created.set())
    over.lift()
    async with asyncio.timeout(300):
        await created.wait()
    await asyncio.sleep(0.4)
    assert len(stage.pods()) == 8


async def test_what_is_stopped_while_it_is_created_is_ended_as_soon_as_it_is_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, answered = stage.api.create, asyncio.Event()

    async def late(resource: Resource, body: Any, namespace: str, **more: Any) -> Any:
        if resource is PODS:
            more.pop("before_send")()
            await answered.wait()
        return await create(resource, body, namespace, **more)

    await stage.begin()
    monkeypatch.setattr(stage.api, "create", late)
    stage.apply(tasks("a"))
    await asyncio.sleep(2)
    ask(stage)
    await asyncio.sleep(1)
    answered.set()
    await asyncio.sleep(0.3)
    assert stage.api.count("delete", PODS) == 1


async def test_so_many_objects_are_released_at_once_and_each_once_however_often_it_is_asked_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "_RELEASED_AT_ONCE", 1)
    await stage.begin()
    stage.apply(tasks("a", "b", "c"))
    await asyncio.sleep(1)
    releases = stage.api.hold("patch", PODS)
    for task in "abc":
        stage.ends(stage.pod(task))
    await asyncio.sleep(130)  # asked for again after each minute
    assert releases.hits == 1
    releases.lift()
    await asyncio.sleep(1)
    assert not stage.held()
    assert stage.api.count("patch", PODS) <= 4  # the one that was under way was asked for again


async def test_more_are_released_at_once_while_very_many_wait(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "_RELEASED_AT_ONCE", 1)
    monkeypatch.setattr(line, "_VERY_MANY", 2)
    monkeypatch.setattr(line, "_OF_VERY_MANY", 3)
    await stage.begin()
    stage.apply(tasks("a", "b", "c", "d"))
    await asyncio.sleep(1)
    releases = stage.api.hold("patch", PODS)
    for task in "abcd":
        stage.ends(stage.pod(task))
    await asyncio.sleep(10)
    assert releases.hits == 3
    releases.lift()
    await asyncio.sleep(1)
    assert not stage.held()


async def test_what_was_let_go_is_not_let_go_again_because_its_watch_is_late(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(10)  # over, so that all that is still seen as held is let go
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("patch", PODS) == 2


async def test_a_defect_about_one_object_keeps_no_other_from_being_released(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "_RELEASED_AT_ONCE", 1)
    await stage.begin()
    stage.apply(tasks("a", "b", "c"))
    await asyncio.sleep(1)
    broken = stage.api.hold("patch", PODS)
    broken.error = RuntimeError("a bug")
    for task in "abc":
        stage.ends(stage.pod(task))
    await asyncio.sleep(5)
    assert len(stage.held()) == 3
    broken.lift()
    await asyncio.sleep(1)
    assert stage.held() == [stage.pod("a")]
    await asyncio.sleep(60)
    assert not stage.held()


@pytest.mark.parametrize("verb", ["patch", "delete"])
@pytest.mark.parametrize("error", [MODIFIED, ServerError(500, "InternalError", "x")], ids=["409", "500"])
async def test_ending_is_repeated_after_an_error_that_passes(stage: Stage, verb: str, error: ApiError) -> None:
    stage.api.fail(error, verb, PODS, times=1)
    pod = await timing_out(stage, retry=RETRIED)
    await asyncio.sleep(5)
    assert list(stage.pods()) == [pod]  # no second attempt beside a live first one
    assert stage.is_ending(pod)
    stage.ends(pod, code=143)
    await asyncio.sleep(2)
    assert sorted(stage.pods()) == [stage.pod("a", 2)]
    assert stage.status()["tasks"][0]["attempts"][0]["reason"] == "TimedOut"


async def test_a_run_is_stalled_for_as_long_as_the_rights_to_end_its_pods_are_missing(stage: Stage) -> None:
    missing = stage.api.fail(NO_RIGHTS, "delete", PODS)
    pod = await timing_out(stage)
    await asyncio.sleep(5)
    stalled = stage.condition("Stalled")
    assert stalled["status"] == "True"
    assert "cannot delete" in stalled["message"]
    missing.lift()
    await asyncio.sleep(15)
    assert stage.is_ending(pod)
    assert stage.condition("Stalled")["status"] == "False"
    assert "cannot delete" not in stage.status()["message"]


async def test_what_can_be_done_does_not_hide_that_something_else_cannot(stage: Stage) -> None:
    missing = stage.api.fail(Forbidden(403, "", 'User "x" cannot impersonate resource "y"'), "get", CONFIGMAPS)
    condition = {"apiVersion": "v1", "kind": "ConfigMap", "name": "flag", "when": "${object.data.ready == 'yes'}"}
    await stage.begin()
    [pod] = tasks("a", timeoutSeconds=10, retry=RETRIED)["tasks"]
    stage.apply({"tasks": [pod, {"name": "flag", "wait": {"condition": condition}}]})
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(15)
    assert stage.is_ending(stage.pod("a"))
    stalled = stage.condition("Stalled")
    assert (stalled["status"], "cannot impersonate" in stalled["message"]) == ("True", True)
    missing.lift()
    await asyncio.sleep(15)
    assert stage.condition("Stalled")["status"] == "False"


async def test_ending_is_tried_again_after_an_outage_longer_than_its_retries(stage: Stage) -> None:
    missing = stage.api.fail(NO_RIGHTS, "delete", PODS)
    pod = await timing_out(stage)
    await asyncio.sleep(120)
    assert stage.condition("Stalled")["status"] == "True"
    missing.lift()
    await asyncio.sleep(65)
    assert stage.is_ending(pod)
    assert stage.condition("Stalled")["status"] == "False"


async def test_one_that_ends_by_itself_meanwhile_is_kept_like_any_other(stage: Stage) -> None:
    """S12: a finished pod is kept for a while, or an operator whose view is old would create it again."""
    stage.api.fail(ServerError(500, "InternalError", "x"), "delete", PODS, times=4)
    pod = await timing_out(stage)
    assert not stage.is_ending(pod)
    stage.ends(pod, code=1)
    await asyncio.sleep(30)
    assert stage.phases() == {"a": "Failed"}
    assert pod in stage.pods()
    assert not stage.is_ending(pod)


async def test_a_pod_that_must_not_count_is_ended_although_its_task_is_over(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    pod = deepcopy(stage.pods()[stage.pod("a")])
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    stray = stage.pod("a", 2)
    kept = ("namespace", "labels", "annotations", "ownerReferences", "finalizers")
    stage.api.put(PODS, pod | {"metadata": {"name": stray} | {key: pod["metadata"][key] for key in kept}})
    stage.runs(stray)
    await asyncio.sleep(5)
    assert stage.is_ending(stray)
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}


# -- by force, where the node does not answer


def by_force(stage: Stage, kind: WorkKind) -> EndAttempt:
    return EndAttempt(node="a", number=1, object_name=stage.pod("a"), kind=kind, reason="Superseded", force=True)


async def test_a_pod_is_ended_without_its_node(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    stage.api.drop(PODS, stage.pod("a"), 30)  # its node's taint did that, and the node does not answer
    await asyncio.sleep(60)
    assert stage.holds(stage.pod("a"))
    stage.operator.applier.dispatch(stage.run(), by_force(stage, WorkKind.POD))
    await asyncio.sleep(2)
    assert stage.pods() == {}
    assert stage.status()["tasks"][0]["attempts"][0]["reason"] == "Superseded"


async def test_a_job_is_ended_with_its_pods_without_their_node(stage: Stage) -> None:
    await stage.begin()
    job = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}]}}}}
    stage.apply({"tasks": [{"name": "a", "job": job}]})
    await asyncio.sleep(1)
    name = stage.pod("a")
    pod = {"namespace": "ns", "name": f"{name}-x", "labels": {"batch.kubernetes.io/job-name": name}}
    stage.api.put(PODS, {"metadata": pod | {"name": "of-somebody-else"}})
    owners = [{"kind": "Job", "name": name, "uid": stage.jobs()[name]["metadata"]["uid"], "controller": True}]
    more = {"ownerReferences": owners, "finalizers": ["batch.kubernetes.io/job-tracking"]}
    stage.api.put(PODS, {"metadata": pod | more})
    stage.operator.applier.dispatch(stage.run(), by_force(stage, WorkKind.JOB))
    await asyncio.sleep(2)
    assert stage.pods()[f"{name}-x"]["metadata"]["deletionGracePeriodSeconds"] == 0
    assert "of-somebody-else" in stage.pods()
    assert stage.api.count("delete", JOBS) >= 1
