"""Creating the objects of attempts: not after what would have forbidden it, not too often, and not never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks
from tests.unit.controllers.test_actions import ask

from fairlead.controllers import start
from fairlead.engine.names import workspace_name
from fairlead.kube.errors import Forbidden, ServerError, Unreachable
from fairlead.kube.resources import CLAIMS, CONFIGMAPS, PODS

pytestmark = looptime

QUOTA = Forbidden(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5')


# -- what is not wanted any more


def suspend(stage: Stage, raw: dict[str, Any]) -> None:
    raw["spec"]["suspend"] = True
    raw["metadata"]["generation"] += 1
    stage.operator.store.put(raw)


def delete(stage: Stage, raw: dict[str, Any]) -> None:
    raw["metadata"]["deletionTimestamp"] = "2026-11-22T08:01:00Z"
    stage.operator.store.put(raw)


def remove(stage: Stage, raw: dict[str, Any]) -> None:
    stage.operator.store.remove(raw["metadata"]["uid"])


@pytest.mark.parametrize("happens", [suspend, delete, remove], ids=["suspended", "being deleted", "gone"])
async def test_what_the_store_knows_stops_a_create_that_was_planned_before(
    stage: Stage, happens: Callable[[Stage, dict[str, Any]], None]
) -> None:
    await stage.begin()
    waiting = stage.api.hold("create", PODS)
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    raw = deepcopy(stage.raw())
    raw["metadata"]["resourceVersion"] = "100000"
    happens(stage, raw)  # heard of by the store alone: no worker has come round to this run yet
    waiting.lift()
    await asyncio.sleep(0.1)
    assert stage.api.count("create", PODS) == 0


async def test_a_task_whose_create_was_stopped_starts_when_its_run_is_resumed(stage: Stage) -> None:
    await stage.begin()
    waiting = stage.api.hold("create", PODS)
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.respec(suspend=True)
    await asyncio.sleep(0.1)
    waiting.lift()
    await asyncio.sleep(5)
    assert stage.pods() == {}
    stage.respec(suspend=False)
    await asyncio.sleep(5)
    assert list(stage.pods()) == [stage.pod("a")]


async def test_a_create_whose_answer_was_lost_is_not_repeated_once_its_pod_was_seen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1: the pod may have come and gone by the time that the answer is given up."""
    monkeypatch.setattr(start, "_FIRST_RETRY_SECONDS", 30.0)
    await stage.begin()
    lost = Unreachable("no answer in time", maybe_applied=True)
    stage.api.fail(lost, "create", PODS, applied=True, times=1)
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(1)
    stage.api.edit(PODS, stage.pod("a"), lambda raw: raw["metadata"].pop("finalizers"))
    stage.api.drop(PODS, stage.pod("a"), grace=0)
    await asyncio.sleep(60)
    assert stage.api.count("create", PODS, stage.pod("a")) == 1
    assert list(stage.pods()) == [stage.pod("a", 2)]


async def test_a_create_that_waits_while_its_run_is_cancelled_never_leaves(stage: Stage) -> None:
    await stage.begin()
    waiting = stage.api.hold("create", PODS)
    stage.apply({**tasks("a"), "deadlineSeconds": 5})
    await asyncio.sleep(10)
    waiting.lift()
    await asyncio.sleep(5)
    assert stage.api.count("create", PODS) == 0
    assert stage.phases() == {"a": "Cancelled"}


async def test_a_create_that_waits_while_its_task_is_cancelled_never_leaves(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "finally": tasks("f")["tasks"], "finallyDeadlineSeconds": 5})
    await asyncio.sleep(1)
    waiting = stage.api.hold("create", PODS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(10)
    waiting.lift()
    await asyncio.sleep(5)
    assert stage.api.count("create", PODS, stage.pod("f")) == 0
    assert stage.phases() == {"a": "Succeeded", "f": "Cancelled"}


async def test_a_create_that_waits_while_its_run_is_stopped_gracefully_never_leaves(stage: Stage) -> None:
    await stage.begin()
    waiting = stage.api.hold("create", PODS)
    stage.apply(tasks("a"))
    await asyncio.sleep(5)
    ask(stage, mode="Graceful")
    await asyncio.sleep(5)
    waiting.lift()
    await asyncio.sleep(5)
    assert stage.api.count("create", PODS) == 0
    assert stage.phases() == {"a": "Cancelled"}
    assert stage.status()["phase"] == "Cancelled"


# -- names that are taken


async def test_a_pod_of_somebody_else_under_our_name_is_a_conflict(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "suspend": True})
    theirs = {"namespace": NAMESPACE, "name": stage.pod("a")}
    before = deepcopy(stage.api.put(PODS, {"metadata": theirs, "spec": {}, "status": {"phase": "Succeeded"}}))
    stage.respec(suspend=False)
    await asyncio.sleep(5)
    assert stage.phases() == {"a": "Failed"}
    assert "NameConflict" in stage.status()["message"]
    assert stage.pods() == {stage.pod("a"): before}


async def test_a_pod_of_ours_is_known_by_its_name_where_nothing_else_tells_whose_attempt_it_is(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "suspend": True})
    owner = {"kind": "Workflow", "name": "daily", "uid": stage.uid(), "controller": True}
    metadata = {"namespace": NAMESPACE, "name": stage.pod("a"), "ownerReferences": [owner]}
    stage.api.put(PODS, {"metadata": metadata, "spec": {}, "status": {"phase": "Succeeded"}})
    stage.respec(suspend=False)
    await asyncio.sleep(5)
    assert stage.phases() == {"a": "Succeeded"}


# -- errors that nobody foresaw


@pytest.mark.parametrize(
    "task", [{"container": {"image": "i"}}, {"script": {"image": "i", "source": "pass"}}], ids=["", "script"]
)
async def test_an_object_that_cannot_be_built_is_tried_again_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, task: dict[str, Any]
) -> None:
    tries = 0

    def broken(*_: Any) -> Any:
        nonlocal tries
        tries += 1
        raise KeyError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(start, "config_maps" if "script" in task else "pod_manifest", broken)
        await stage.begin()
        stage.apply(tasks("a", **task))
        await asyncio.sleep(30)
    assert 1 <= tries <= 40  # again, but not without a pause
    await asyncio.sleep(65)
    assert list(stage.pods()) == [stage.pod("a")]


async def test_an_error_in_a_request_that_is_none_of_the_servers_is_tried_again_later(stage: Stage) -> None:
    await stage.begin()
    stage.api.fail(RuntimeError("a bug"), "create", PODS, times=1)
    stage.apply(tasks("a"))
    await asyncio.sleep(65)
    assert list(stage.pods()) == [stage.pod("a")]


# -- a quota that is used up


async def full(stage: Stage, count: int) -> list[str]:
    """A run of so many tasks in a namespace whose quota is used up. Returns the names of the tasks."""
    names = [f"t{number}" for number in range(count)]
    await stage.begin()
    stage.apply(tasks(*names))
    await asyncio.sleep(2)
    assert stage.pods() == {}
    return names


async def test_one_start_at_a_time_probes_a_quota_that_is_used_up(stage: Stage) -> None:
    stage.api.fail(QUOTA, "create", PODS)
    await full(stage, 50)
    before = stage.api.count("create", PODS)
    await asyncio.sleep(60)
    probes = stage.api.count("create", PODS) - before
    assert 2 <= probes <= 13  # one in five seconds


async def test_once_a_start_succeeds_the_others_follow(stage: Stage) -> None:
    used_up = stage.api.fail(QUOTA, "create", PODS)
    names = await full(stage, 50)
    used_up.lift()
    await asyncio.sleep(12)
    assert sorted(stage.pods()) == sorted(stage.pod(name) for name in names)


async def test_a_quota_that_is_used_up_is_no_failure_of_a_task(stage: Stage) -> None:
    stage.api.fail(QUOTA, "create", PODS)
    names = await full(stage, 3)
    await asyncio.sleep(120)
    assert stage.phases() == dict.fromkeys(names, "Queued")
    assert "exceeded quota" in stage.status()["tasks"][0]["message"]


# -- what an object refers to


async def test_files_are_there_before_their_pod(stage: Stage) -> None:
    await stage.begin()
    refused = stage.api.fail(QUOTA, "create", CONFIGMAPS, times=1)
    stage.apply(tasks("a", files=[{"path": "x", "value": "y"}]))
    await asyncio.sleep(2)
    assert (refused.hits, stage.pods()) == (1, {})
    await asyncio.sleep(10)
    [volume] = stage.pods()[stage.pod("a")]["spec"]["volumes"]
    assert stage.api.of(CONFIGMAPS)[volume["configMap"]["name"]]["data"] == {"file-0": "y"}


SCRIPTED = {"script": {"image": "i", "source": "pass"}}
OFTEN = {"retry": {"limit": 3, "backoff": {"initialSeconds": 1}}}


def requests(stage: Stage) -> list[str]:
    """What was asked about ConfigMaps, in order."""
    return [each.verb for each in stage.api.asked if each.plural == CONFIGMAPS.plural]


async def left_behind(stage: Stage, **more: Any) -> None:
    """A run whose script's ConfigMap was there before its first attempt: changed by `more` from what it is to be."""
    await stage.begin()
    stage.api.fail(ServerError(503, "", "x"), "create", PODS)
    stage.apply(tasks("a", **SCRIPTED))
    await asyncio.sleep(2)
    await stage.crash()
    [name] = stage.api.of(CONFIGMAPS)
    stage.api.edit(CONFIGMAPS, name, lambda raw: raw.update(more))
    stage.api.refusals.clear()
    stage.api.asked.clear()
    await stage.restart()
    await asyncio.sleep(10)


async def test_a_script_that_is_there_already_is_read_before_it_is_used(stage: Stage) -> None:
    await left_behind(stage)
    assert requests(stage) == ["create", "get"]
    assert list(stage.pods()) == [stage.pod("a")]


@pytest.mark.parametrize(
    "forged",
    [
        {"data": {"script": "evil"}},
        {"data": {"script": "pass", "json.py": "evil"}},
        {"binaryData": {"json.py": "ZXZpbA=="}},
        {"immutable": False},
        {"metadata": {"namespace": "ns", "name": "x", "ownerReferences": [{"uid": "other"}]}},
        {"metadata": {"namespace": "ns", "name": "x"}},
    ],
    ids=["content", "more", "binary", "mutable", "owner", "no owner"],
)
async def test_a_script_that_is_not_ours_is_not_run(stage: Stage, forged: dict[str, Any]) -> None:
    await left_behind(stage, **forged)
    [attempt] = stage.status()["tasks"][0]["attempts"]
    assert (attempt["class"], attempt["reason"]) == ("Configuration", "NameConflict")
    assert "not as this run makes it" in attempt["message"]
    assert "evil" not in attempt["message"]
    assert stage.pods() == {}


async def test_a_script_that_somebody_deleted_is_made_again_for_the_next_attempt(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", **SCRIPTED, **OFTEN))
    await asyncio.sleep(2)
    [name] = stage.api.of(CONFIGMAPS)
    assert requests(stage) == ["create"]
    stage.api.drop(CONFIGMAPS, name)
    stage.ends(stage.pod("a"), 1)
    await asyncio.sleep(5)
    assert list(stage.api.of(CONFIGMAPS)) == [name]
    assert requests(stage) == ["create", "get", "create"]
    stage.ends(stage.pod("a", 2), 1)
    await asyncio.sleep(10)
    assert stage.pod("a", 3) in stage.pods()
    assert requests(stage) == ["create", "get", "create", "get"]


async def test_nor_is_one_that_somebody_put_in_its_place(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a", **SCRIPTED, **OFTEN))
    await asyncio.sleep(2)
    [name] = stage.api.of(CONFIGMAPS)
    stage.api.edit(CONFIGMAPS, name, lambda raw: raw["data"].update(script="evil"))
    stage.ends(stage.pod("a"), 1)
    await asyncio.sleep(5)
    assert stage.status()["tasks"][0]["attempts"][1]["reason"] == "NameConflict"
    assert stage.pod("a", 2) not in stage.pods()


async def test_items_that_start_together_ask_for_their_script_once(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("m", forEach={"in": list(range(30))}, **SCRIPTED, **OFTEN))
    await asyncio.sleep(2)
    assert (len(stage.pods()), requests(stage)) == (30, ["create"])
    for pod in list(stage.pods()):
        stage.ends(pod, 1)
    await asyncio.sleep(10)
    assert all(stage.pod(f"m[{index}]", 2) in stage.pods() for index in range(30))
    assert len(requests(stage)) <= 12  # by when their attempts begin, not by how many there are


async def test_an_item_that_starts_late_looks_whether_its_script_is_still_there(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("m", forEach={"in": [1, 2], "maxParallel": 1}, **SCRIPTED))
    await asyncio.sleep(70)
    [name] = stage.api.of(CONFIGMAPS)
    stage.api.drop(CONFIGMAPS, name)
    stage.ends(stage.pod("m[0]"))
    await asyncio.sleep(5)
    assert stage.pod("m[1]") in stage.pods()
    assert list(stage.api.of(CONFIGMAPS)) == [name]


def claim_of(stage: Stage, task: str) -> str:
    [volume] = stage.pods()[stage.pod(task)]["spec"]["volumes"]
    name: str = volume["persistentVolumeClaim"]["claimName"]
    return name


async def test_the_workspace_is_asked_for_once(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"workspace": {"size": "1Gi"}, **tasks(*"abcdefgh")})
    await asyncio.sleep(2)
    assert {claim_of(stage, task) for task in "abcdefgh"} == set(stage.api.of(CLAIMS))
    assert stage.api.count("create", CLAIMS) == 1


async def test_a_run_without_a_workspace_asks_for_none(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(2)
    assert stage.api.count("create", CLAIMS) == 0


async def test_a_restarted_operator_finds_the_workspace(stage: Stage) -> None:
    await stage.begin()
    both = [*tasks("a")["tasks"], *tasks("b", needs=["a"])["tasks"]]
    stage.apply({"workspace": {"size": "1Gi"}, "tasks": both})
    await asyncio.sleep(2)
    stage.ends(stage.pod("a"))
    await stage.restart()
    await asyncio.sleep(2)
    assert list(stage.api.of(CLAIMS)) == [claim_of(stage, "b")]


async def test_the_claim_of_somebody_else_is_not_ours(stage: Stage) -> None:
    await stage.begin()
    uid = stage.apply({"suspend": True, "workspace": {"size": "1Gi"}, **tasks("a")})
    stage.api.put(CLAIMS, {"metadata": {"namespace": "ns", "name": workspace_name("daily", uid)}})
    stage.respec(suspend=False)
    await asyncio.sleep(2)
    [attempt] = stage.status()["tasks"][0]["attempts"]
    assert (attempt["class"], attempt["reason"]) == ("Configuration", "NameConflict")
    assert "PersistentVolumeClaim" in attempt["message"]
    assert stage.pods() == {}
