"""Runs that are over or gone: nothing stays held or alive, however long an outage lasts, and the sweep sees to all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Refusal, Stage, looptime, tasks

from fairlead.engine.model import WorkKind
from fairlead.kube.errors import Conflict, Forbidden, ServerError
from fairlead.kube.resources import PODS, WORKFLOWS, ObjectKey
from fairlead.kube.transport import Page

pytestmark = looptime

NO_RIGHTS = Forbidden(403, "Forbidden", 'User "fairlead" cannot patch resource "pods" in API group ""')
BROKEN = ServerError(500, "InternalError", "cannot decode")


# -- what cannot be released


def gone(stage: Stage) -> None:
    """The Workflow is gone, and the garbage collector deletes its pods."""
    stage.api.drop(WORKFLOWS, "daily")
    for pod in list(stage.pods()):
        stage.api.drop(PODS, pod)


def deleting(stage: Stage) -> None:
    """The Workflow is being deleted in the foreground, and the garbage collector deletes its pods."""
    stage.api.edit(WORKFLOWS, "daily", lambda raw: raw["metadata"].update(deletionTimestamp="2026-11-22T08:01:00Z"))
    for pod in list(stage.pods()):
        stage.api.drop(PODS, pod)


def finished(stage: Stage) -> None:
    """The run ends."""
    for pod in stage.pods():
        stage.ends(pod)


@pytest.mark.parametrize("happens", [gone, deleting, finished])
@pytest.mark.parametrize("seconds", [30, 130])
async def test_what_could_not_be_released_is_looked_at_again(
    stage: Stage, happens: Callable[[Stage], None], seconds: float
) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    missing = stage.api.fail(NO_RIGHTS, "patch", PODS)
    happens(stage)
    await asyncio.sleep(seconds)
    assert len(stage.held()) == 2
    missing.lift()
    await asyncio.sleep(65)
    assert stage.held() == []
    assert happens is finished or stage.pods() == {}


@pytest.mark.parametrize("happens", [gone, deleting])
async def test_a_pod_whose_labels_were_taken_off_is_released_with_its_run(
    stage: Stage, happens: Callable[[Stage], None]
) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].update(labels={}))
    happens(stage)
    await asyncio.sleep(5)
    assert stage.pods() == {}


async def test_what_could_not_be_released_is_not_forgotten_over_what_changes_as_the_run_ends(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    operator, loop = stage.operator, asyncio.get_running_loop()
    look_again = operator.queue.add_after

    def hear() -> None:
        key = ObjectKey(NAMESPACE, stage.pod("b"))
        view = operator.informers[WorkKind.POD].get(key)
        operator.gatherer.changed(WorkKind.POD, key, view, view)

    def look_again_when_more_was_heard(uid: str, seconds: float) -> None:
        look_again(uid, seconds)
        if seconds == 0.0:  # the run is in line once more, as one that is over
            loop.call_at(loop.time(), hear)

    operator.queue.add_after = look_again_when_more_was_heard  # type: ignore[method-assign]
    missing = stage.api.fail(NO_RIGHTS, "patch", PODS, name=stage.pod("a"))
    stage.ends(stage.pod("b"))
    await asyncio.sleep(3)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(30)
    assert stage.held() == [stage.pod("a")]
    missing.lift()
    await asyncio.sleep(65)
    assert stage.held() == []


async def test_nothing_is_looked_at_again_once_nothing_is_held(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(130)
    before = len(stage.api.asked)
    await asyncio.sleep(300)
    assert {each.verb for each in stage.api.asked[before:]} <= {"list"}


async def test_finalizers_of_others_stay(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    pod = stage.pod("a")
    stage.api.edit(PODS, pod, lambda raw: raw["metadata"]["finalizers"].append("example.org/theirs"))
    stage.ends(pod)
    await asyncio.sleep(3)
    assert stage.pods()[pod]["metadata"].get("finalizers") == ["example.org/theirs"]


# -- a run that is over and is edited


async def test_an_edit_of_a_run_that_is_over_is_observed_and_no_more(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    before = stage.status()
    stage.respec(parallelism=3)
    await asyncio.sleep(5)
    after = stage.status()
    assert (before["observedGeneration"], after["observedGeneration"]) == (1, 2)
    assert [each["observedGeneration"] for each in after["conditions"]] == [2] * len(after["conditions"])
    changed = {"observedGeneration", "conditions", "revision"}
    assert {key: value for key, value in after.items() if key not in changed} == {
        key: value for key, value in before.items() if key not in changed
    }
    assert [each["lastTransitionTime"] for each in after["conditions"]] == [
        each["lastTransitionTime"] for each in before["conditions"]
    ]


# -- what lives on


async def stray(stage: Stage) -> tuple[str, Refusal]:
    """A live pod of a run that is over, which cannot be deleted for now."""
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    pod = deepcopy(stage.pods()[stage.pod("a")])
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    for own in ("uid", "resourceVersion"):
        del pod["metadata"][own]
    pod["metadata"]["name"] = stage.pod("a", 2)
    broken = stage.api.fail(BROKEN, "delete", PODS)
    stage.api.put(PODS, pod)
    await asyncio.sleep(20)
    return stage.pod("a", 2), broken


async def test_a_live_pod_of_a_run_that_is_over_is_deleted_in_the_end(stage: Stage) -> None:
    pod, broken = await stray(stage)
    assert not stage.is_ending(pod)
    broken.lift()
    await asyncio.sleep(130)
    assert pod not in stage.held()
    assert pod not in stage.pods()


# -- the sweep


async def test_a_workflow_that_cannot_be_read_hides_no_other_from_the_sweep(stage: Stage) -> None:
    for name in ("w0", "w1", "w2"):
        stage.apply({"suspend": True, **tasks("a")}, name)
    unreadable = stage.api.fail(BROKEN, "get", WORKFLOWS, name="w0")
    sweep = stage.operator.cleaner.sweep
    try:
        await sweep()
    except ServerError:
        pytest.fail("the sweep ended at the first Workflow that could not be read")
    assert {workflow.name for workflow in stage.operator.store} == {"w1", "w2"}
    unreadable.lift()
    await sweep()
    assert {workflow.name for workflow in stage.operator.store} == {"w0", "w1", "w2"}


async def test_the_sweep_finds_what_no_watch_told(stage: Stage) -> None:
    await stage.begin()
    stage.api.leave(stage.operator.workflow_event)
    stage.apply(tasks("a"))
    await asyncio.sleep(65)
    assert list(stage.pods()) == [stage.pod("a")]
    stage.api.drop(WORKFLOWS, "daily")
    await asyncio.sleep(65)
    assert stage.held() == []


async def test_a_run_that_a_list_lacks_is_gone_only_if_it_is_not_found_by_its_name(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lags behind, or was restored from a backup, lists what there was."""
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)

    async def nothing(*_: Any, **__: Any) -> AsyncIterator[Page]:
        yield Page(items=[], resource_version="1", remaining=None)

    with monkeypatch.context() as patched:
        patched.setattr(stage.api, "list_pages", nothing)
        await stage.operator.cleaner.sweep()
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"


async def test_what_a_run_that_is_gone_has_orphaned_while_nobody_looked_is_released(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    stage.apply(tasks("a"), "other")
    await asyncio.sleep(1)
    orphan, live = stage.pod("a"), stage.pod("a", run="other")
    await stage.crash()
    stage.api.drop(WORKFLOWS, "daily")  # with --cascade=orphan
    for pod in (orphan, live):
        stage.api.edit(PODS, pod, lambda raw: raw["metadata"].pop("ownerReferences"))
    await stage.restart()
    await asyncio.sleep(65)
    assert stage.held() == [live]


async def test_a_conflict_does_not_make_us_forget_a_run_that_is_there(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"ttlSecondsAfterFinished": 0, **tasks("a")})
    await asyncio.sleep(1)
    busy = Conflict(409, "Conflict", "please apply your changes to the latest version and try again")
    stage.api.fail(busy, "delete", WORKFLOWS, times=2)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(60)
    assert stage.api.of(WORKFLOWS) == {}


async def test_an_answer_that_is_late_does_not_bring_a_deleted_workflow_back(stage: Stage) -> None:
    await stage.begin()
    uid = stage.apply({"suspend": True, **tasks("a")})
    await asyncio.sleep(3)
    late = deepcopy(stage.respec(suspend=False))
    stage.api.drop(WORKFLOWS, "daily")
    await asyncio.sleep(0)
    stage.operator.store.put(late)
    stage.operator.queue.add(uid)
    await asyncio.sleep(5)
    assert stage.operator.store.get(uid) is None


# -- the time to live


@pytest.mark.row("fine:ttl-under-gitops")
@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"argocd.argoproj.io/tracking-id": "app:fairlead.dev/Workflow:default/daily"}},
        {"labels": {"kustomize.toolkit.fluxcd.io/name": "app"}},
    ],
    ids=["Argo CD", "Flux"],
)
async def test_a_run_that_a_gitops_tool_tracks_outlives_its_time_and_only_its_pods_go(
    stage: Stage, metadata: dict[str, dict[str, str]]
) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "ttlSecondsAfterFinished": 120})
    stage.api.edit(WORKFLOWS, "daily", lambda raw: raw["metadata"].update(metadata))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(300)
    assert "daily" in stage.api.of(WORKFLOWS)
    assert stage.pods() == {}


@pytest.mark.row("fine:ttl-under-gitops")
async def test_any_other_run_goes_when_its_time_has_come(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "ttlSecondsAfterFinished": 120})
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(60)
    assert "daily" in stage.api.of(WORKFLOWS)
    await asyncio.sleep(120)
    assert "daily" not in stage.api.of(WORKFLOWS)
