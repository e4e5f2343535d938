"""What is noticed of pods: crafted, stripped and vanished ones included."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

from tests.unit.controllers.fake_api import Stage, looptime, tasks

from fairlead.api import labels
from fairlead.controllers.views import pod_view
from fairlead.engine.model import WorkKind
from fairlead.kube.errors import Invalid, ServerError
from fairlead.kube.resources import JOBS, PODS, ObjectKey

pytestmark = looptime


def crafted(stage: Stage, number: int) -> dict[str, Any]:
    """What somebody could create who may create pods: a copy of ours that claims to be another attempt."""
    pod = deepcopy(stage.pods()[stage.pod("a")])
    for mine in ("uid", "resourceVersion", "finalizers"):
        del pod["metadata"][mine]
    pod["metadata"]["name"] = stage.pod("a", number)
    return pod


async def test_a_pod_that_claims_to_be_an_attempt_that_cannot_be_is_ignored(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.api.put(PODS, crafted(stage, 3_000_000))
    await asyncio.sleep(1)
    assert [attempt.number for attempt in stage.run().state.nodes["a"].attempts] == [1]
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"


# -- an owner that was taken off


async def stripped(stage: Stage) -> str:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    pod = stage.pod("a")
    stage.api.edit(PODS, pod, lambda raw: raw["metadata"].pop("ownerReferences"))
    await asyncio.sleep(3)
    return pod


async def test_a_live_pod_whose_owner_was_taken_off_stays_held_and_gets_it_back(stage: Stage) -> None:
    pod = await stripped(stage)
    assert stage.holds(pod)
    [owner] = stage.pods()[pod]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Workflow", "daily", stage.uid())
    assert owner["controller"] is True


async def test_its_run_goes_on(stage: Stage) -> None:
    pod = await stripped(stage)
    stage.ends(pod)
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert list(stage.pods()) == [pod]
    assert not stage.holds(pod)


async def test_an_owner_is_put_back_beside_those_of_others(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "somebody"}
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].update(ownerReferences=[other]))
    await asyncio.sleep(3)
    owners = stage.pods()[stage.pod("a")]["metadata"]["ownerReferences"]
    assert {owner["uid"] for owner in owners} == {"somebody", stage.uid()}


async def test_a_pod_that_somebody_else_controls_by_now_is_looked_at_once_a_minute(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.api.fail(Invalid(422, "Invalid", "Only one reference can have Controller set to true"), "patch", PODS)
    other = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "somebody", "controller": True}
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].update(ownerReferences=[other], finalizers=[]))
    await asyncio.sleep(5)
    before = stage.api.count("get", PODS)
    await asyncio.sleep(600)
    assert stage.api.count("get", PODS) - before <= 11
    stage.api.drop(PODS, stage.pod("a"))
    await asyncio.sleep(65)
    assert stage.status()["tasks"][0]["attempts"][0]["class"] == "Infrastructure"


async def test_an_outage_is_asked_about_once_a_second_however_often_a_run_is_looked_at(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await asyncio.sleep(1)
    stage.api.fail(ServerError(500, "InternalError", "etcd is away"), "get", PODS)
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].update(finalizers=[]))
    stage.api.drop(PODS, stage.pod("a"))
    for _ in range(20):
        stage.operator.queue.add(stage.uid())
        await asyncio.sleep(0.1)
    before = stage.api.count("get", PODS)
    await asyncio.sleep(20)
    assert stage.api.count("get", PODS) - before <= 21


async def test_a_pod_of_another_namespace_is_no_attempt(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "suspend": True})
    await asyncio.sleep(1)
    owner = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "name": "daily", "uid": stage.uid()}
    metadata = {
        "namespace": "elsewhere",
        "name": stage.pod("a"),
        "ownerReferences": [owner | {"controller": True}],
        "labels": {labels.RUN_UID: stage.uid()},
        "annotations": {labels.NODE: "a"},
    }
    stage.api.put(PODS, {"metadata": metadata, "spec": {}, "status": {"phase": "Succeeded"}})
    await asyncio.sleep(65)
    assert stage.phases() == {"a": "Queued"}


async def test_a_pod_of_nobody_is_asked_for_nothing(stage: Stage) -> None:
    await stage.begin()
    metadata = {
        "namespace": "ns",
        "name": "x-1",
        "labels": {labels.RUN_UID: "nobody"},
    }
    stage.api.put(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}})
    await asyncio.sleep(120)
    assert [each for each in stage.api.asked if each.name == "x-1"] == []


async def test_nothing_is_kept_of_a_pod_of_nobody_that_goes(stage: Stage) -> None:
    await stage.begin()
    view = pod_view({"metadata": {"name": "x-1", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}})
    gatherer = stage.operator.gatherer
    gatherer.changed(WorkKind.POD, ObjectKey("ns", "x-1"), None, view)
    gatherer.changed(WorkKind.POD, ObjectKey("ns", "x-1"), view, None)
    assert "" not in gatherer._changed
    assert "" not in gatherer._left


# -- pods that vanish


async def test_pods_of_recorded_attempts_may_vanish_at_no_cost(stage: Stage) -> None:
    await stage.begin()
    names = [f"t{number}" for number in range(20)]
    stage.apply(tasks(*names, "late"))
    await asyncio.sleep(1)
    for name in names:
        stage.ends(stage.pod(name))
    await asyncio.sleep(3)
    assert stage.held() == [stage.pod("late")]
    for name in names:
        stage.api.drop(PODS, stage.pod(name))
    await asyncio.sleep(3)
    assert stage.api.count("get", PODS) == 0


async def test_a_live_pod_that_vanishes_is_confirmed_to_be_gone(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", retry={"infrastructureLimit": 0}))
    await asyncio.sleep(1)
    pod = stage.pod("a")
    stage.api.edit(PODS, pod, lambda raw: raw["metadata"].update(finalizers=[]))
    stage.api.drop(PODS, pod)
    await asyncio.sleep(2)
    assert stage.api.count("get", PODS, pod) == 1
    assert stage.phases() == {"a": "Failed"}


async def test_a_pod_whose_labels_were_taken_off_is_labelled_again(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].update(labels={}))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    assert stage.phases() == {"a": "Succeeded"}


async def test_one_that_lost_them_before_anything_of_it_was_recorded_is_found_by_its_name(stage: Stage) -> None:
    """The create finds that its name is taken; the watch tells nothing of the pod."""
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(0.1)
    assert "attempts" not in stage.status()["tasks"][0]
    await stage.crash()
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].update(labels={}))
    await stage.restart()
    await asyncio.sleep(5)
    assert labels.RUN_UID in stage.pods()[stage.pod("a")]["metadata"]["labels"]


async def test_a_pod_that_goes_while_no_operator_is_there_is_missed(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", retry={"infrastructureLimit": 0}))
    await asyncio.sleep(3)
    await stage.crash()
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].update(finalizers=[]))
    stage.api.drop(PODS, stage.pod("a"))
    await stage.restart()
    await asyncio.sleep(5)
    assert stage.phases() == {"a": "Failed"}


# -- outages


async def test_nothing_is_lost_by_an_outage_while_facts_are_gathered(stage: Stage) -> None:
    await stage.begin()
    job = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}]}}}}
    stage.apply({"tasks": [{"name": "a", "job": job}, *tasks("b")["tasks"]]})
    await asyncio.sleep(3)
    stage.api.fail(ServerError(500, "InternalError", "etcd is away"), "list", PODS, times=2)  # the pods of the Job
    stage.ends(stage.pod("b"))
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T08:00:03Z"}
    stage.api.edit(JOBS, stage.pod("a"), lambda raw: raw.update(status={"conditions": [complete]}))
    await asyncio.sleep(10)
    assert stage.phases() == {"a": "Succeeded", "b": "Succeeded"}
