"""Runs with the same key: never more of them active than may be, each in its turn, and through restarts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks
from tests.unit.controllers.test_actions import ask

from fairlead.controllers.buckets import group_of_key
from fairlead.kube.errors import ServerError, Unreachable
from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWS, WORKFLOWTEMPLATES

pytestmark = looptime

AWAY = ServerError(500, "InternalError", "etcd is away")


def keyed(key: str = "k", **more: Any) -> dict[str, Any]:
    return {"concurrencyKey": {"key": key, **more}, **tasks("a")}


async def applied(stage: Stage, *names: str, **more: Any) -> None:
    """Runs with the same key, each created in a second of its own."""
    for name in names:
        stage.apply(keyed(**more), name)
        await asyncio.sleep(1.5)


def phases(stage: Stage, *names: str) -> list[str]:
    return [stage.status(name).get("phase", "") for name in names]


async def ends(stage: Stage, name: str, code: int = 0) -> None:
    stage.ends(stage.pod("a", run=name), code)
    await asyncio.sleep(3)


# -- Queue


async def test_the_second_waits_for_the_first(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two")
    assert phases(stage, "one", "two") == ["Running", "Pending"]
    assert len(stage.pods()) == 1
    status = stage.status("two")
    assert status["concurrencyKey"] == "k"
    assert "startTime" not in status
    assert status["message"] == "the key 'k' is held by one (1/1)"
    for kind, value in (("Reconciling", "True"), ("Succeeded", "Unknown"), ("Finished", "False")):
        condition = stage.condition(kind, "two")
        assert (condition["status"], condition["reason"]) == (value, "WaitingForConcurrencyKey")
    await ends(stage, "one")
    assert phases(stage, "one", "two") == ["Succeeded", "Running"]
    await ends(stage, "two")
    assert phases(stage, "one", "two") == ["Succeeded", "Succeeded"]
    assert stage.status("two")["concurrencyKey"] == "k"


@pytest.mark.parametrize("code", [0, 1])
async def test_first_come_first_served(stage: Stage, code: int) -> None:
    await stage.begin()
    names = ["e", "d", "c", "b", "a"]
    await applied(stage, *names)
    for number, name in enumerate(names):
        active = [each for each in names if stage.status(each).get("phase") == "Running"]
        assert active == [name]
        assert phases(stage, *names[number + 1 :]) == ["Pending"] * (len(names) - number - 1)
        await ends(stage, name, code)
    assert len(stage.pods()) == 5


async def test_higher_priority_before_those_that_came_first(stage: Stage) -> None:
    await stage.begin()
    stage.apply(keyed(), "one")
    await asyncio.sleep(1.5)
    for name, priority in (("low", -1), ("usual", 0), ("high", 5), ("edited", 0)):
        stage.apply(keyed() | {"priority": priority}, name)
        await asyncio.sleep(1.5)
    stage.respec("edited", priority=9)
    await asyncio.sleep(1.5)
    started = []
    for active in ("one", "edited", "high", "usual", "low"):
        started += [name for name in ("low", "usual", "high", "edited") if phases(stage, name) == ["Running"]]
        await ends(stage, active)
    assert started == ["edited", "high", "usual", "low"]


async def test_whoever_replaces_others_does_so_by_age_whatever_the_priority(stage: Stage) -> None:
    await stage.begin()
    stage.apply(keyed(onConflict="Replace") | {"priority": 9}, "old")
    await asyncio.sleep(1.5)
    stage.apply(keyed(onConflict="Replace"), "new")
    await asyncio.sleep(5)
    assert phases(stage, "old", "new") == ["Cancelled", "Running"]


async def test_as_many_as_may(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, *"abcde", limit=2)
    assert phases(stage, *"abcde") == ["Running", "Running", "Pending", "Pending", "Pending"]
    await ends(stage, "b")
    assert phases(stage, *"abcde") == ["Running", "Succeeded", "Running", "Pending", "Pending"]
    assert stage.status("e")["message"] == "the key 'k' is held by a, b (2/2); 2 in line before this run"


async def test_a_place_that_changes_hands_is_free_for_the_next_each_time(stage: Stage) -> None:
    await stage.begin()
    stage.watch_is_late()
    names = [f"r{number}" for number in range(12)]
    await applied(stage, *names, limit=4)
    for over, starts in zip([names[0], *names[4:]], names[4:], strict=False):
        await ends(stage, over)
        assert phases(stage, starts, *names[1:4]) == ["Running"] * 4


async def test_other_keys_and_other_namespaces_are_none_of_its_business(stage: Stage) -> None:
    await stage.begin()
    stage.apply(keyed("k"), "one")
    stage.apply(keyed("other"), "two")
    stage.apply(tasks("a"), "three")
    await asyncio.sleep(2)
    assert phases(stage, "one", "two", "three") == ["Running"] * 3
    assert "concurrencyKey" not in stage.status("three")


async def test_two_at_once_do_not_both_pass(stage: Stage) -> None:
    await stage.begin()
    writing = stage.api.hold("patch", WORKFLOWS)
    for name in "abcd":
        stage.apply(keyed(), name)
    await asyncio.sleep(2)  # none of their starts is on record yet
    writing.lift()
    await asyncio.sleep(2)
    assert sorted(phases(stage, *"abcd")) == ["Pending", "Pending", "Pending", "Running"]
    assert len(stage.pods()) == 1


async def test_a_start_that_cannot_be_recorded_leaves_the_key_to_others_only_when_given_up(stage: Stage) -> None:
    await stage.begin()
    refused = stage.api.fail(AWAY, "patch", WORKFLOWS, name="one")
    stage.apply(keyed(), "one")
    await asyncio.sleep(1)
    refused.lift()
    stage.apply(keyed(), "two")
    await asyncio.sleep(10)
    assert sorted(phases(stage, "one", "two")) == ["Pending", "Running"]
    assert len(stage.pods()) == 1


async def test_a_start_that_may_be_on_record_holds_its_key(stage: Stage) -> None:
    def tell(name: str) -> None:
        stage.operator.workflow_event("MODIFIED", deepcopy(stage.raw(name)))

    await stage.begin()
    stage.api.leave(stage.operator.workflow_event)  # the watch is late
    stage.api.fail(Unreachable("no answer", maybe_applied=True), "patch", WORKFLOWS, name="one", applied=True, times=1)
    stage.apply(keyed(), "one")
    stage.apply(keyed() | {"priority": 5}, "two")
    tell("one")
    await asyncio.sleep(0.01)
    assert "startTime" in stage.status("one")
    tell("two")
    await asyncio.sleep(0.05)
    assert "startTime" not in stage.status("two")
    stage.api.follow(WORKFLOWS, stage.operator.workflow_event)
    await asyncio.sleep(10)
    tell("one")
    tell("two")
    await asyncio.sleep(10)
    assert phases(stage, "one", "two") == ["Running", "Pending"]


@pytest.mark.parametrize("who", ["one", "two"])
async def test_a_run_that_is_deleted_is_in_nobodys_way(stage: Stage, who: str) -> None:
    await stage.begin()
    await applied(stage, "one", "two", "three")
    stage.api.drop(WORKFLOWS, who)
    await asyncio.sleep(3)
    if who == "two":
        await ends(stage, "one")
    assert phases(stage, "three") == (["Running"] if who == "two" else ["Pending"])


async def test_a_run_that_waits_can_be_given_another_key(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two", "three")
    stage.respec("two", concurrencyKey={"key": "free"})
    await asyncio.sleep(3)
    assert phases(stage, "one", "two", "three") == ["Running", "Running", "Pending"]
    assert stage.status("two")["concurrencyKey"] == "free"
    stage.respec("three", concurrencyKey=None)
    await asyncio.sleep(3)
    assert phases(stage, "three") == ["Running"]
    assert "concurrencyKey" not in stage.status("three")


async def test_a_suspended_run_holds_its_key(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"suspend": True, **keyed()}, "one")
    await asyncio.sleep(2)
    await applied(stage, "two")
    assert phases(stage, "one", "two") == ["Suspended", "Pending"]


async def test_a_key_that_cannot_be_told_is_a_wrong_definition(stage: Stage) -> None:
    await stage.begin()
    stage.apply(keyed("x" * 300))
    await asyncio.sleep(2)
    assert stage.condition("Succeeded")["reason"] == "InvalidSpec"
    assert "spec.concurrencyKey.key" in stage.status()["message"]


# -- Refuse


async def test_a_run_may_rather_fail_than_wait(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two", onConflict="Refuse")
    assert phases(stage, "one", "two") == ["Running", "Failed"]
    for kind, value in (("Succeeded", "False"), ("Finished", "True"), ("Reconciling", "False")):
        condition = stage.condition(kind, "two")
        assert (condition["status"], condition["reason"]) == (value, "ConcurrencyRefused")
    assert "held by one" in stage.status("two")["message"]
    await ends(stage, "one")
    assert phases(stage, "two") == ["Failed"]
    await applied(stage, "three", onConflict="Refuse")
    assert phases(stage, "three") == ["Running"]


# -- Replace


async def test_a_run_may_take_the_place_of_an_older_one(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", onConflict="Replace")
    stage.runs(stage.pod("a", run="one"))
    await applied(stage, "two", onConflict="Replace")
    await asyncio.sleep(3)
    old = stage.pod("a", run="one")
    assert stage.is_ending(old)
    assert phases(stage, "two") == ["Pending"]  # until the other has ended
    assert list(stage.pods()) == [old]
    stage.ends(old, 143)
    await asyncio.sleep(6)
    assert phases(stage, "one", "two") == ["Cancelled", "Running"]
    [asked] = stage.status("one")["actions"]
    assert (asked["action"], asked["name"], asked["by"]) == ("Stop", "two", "fairlead")


async def test_of_several_that_would_take_its_place_the_newest_does(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", onConflict="Replace")
    stage.runs(stage.pod("a", run="one"))
    await applied(stage, "two", "three", onConflict="Replace")
    stage.ends(stage.pod("a", run="one"), 143)
    await asyncio.sleep(10)
    assert phases(stage, "one", "two", "three") == ["Cancelled", "Cancelled", "Running"]
    assert stage.condition("Succeeded", "two")["reason"] == "ConcurrencyReplaced"
    assert "startTime" not in stage.status("two")
    assert len(stage.status("one")["actions"]) == 1


async def test_no_more_are_stopped_than_have_to_be(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two", limit=2)
    for name in ("one", "two"):
        stage.runs(stage.pod("a", run=name))
    await applied(stage, "three", limit=2, onConflict="Replace")
    await asyncio.sleep(3)
    assert stage.is_ending(stage.pod("a", run="one"))
    assert not stage.is_ending(stage.pod("a", run="two"))


async def test_a_stop_survives_a_restart(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one")
    stage.runs(stage.pod("a", run="one"))
    await asyncio.sleep(2)
    writing = stage.api.hold("patch", WORKFLOWS, name="one")
    await applied(stage, "two", onConflict="Replace")
    writing.lifted = True
    await stage.restart()
    await asyncio.sleep(10)
    assert stage.is_ending(stage.pod("a", run="one"))
    stage.ends(stage.pod("a", run="one"), 143)
    await asyncio.sleep(10)
    assert phases(stage, "one", "two") == ["Cancelled", "Running"]


# -- restarts


async def test_the_order_survives_a_restart(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "three", "two")
    await stage.crash()
    await applied(stage, "four")
    stage.ends(stage.pod("a", run="one"))
    await stage.restart()
    await asyncio.sleep(5)
    assert phases(stage, "one", "three", "two", "four") == ["Succeeded", "Running", "Pending", "Pending"]


async def test_those_that_came_while_the_operator_was_away_start_in_their_order(stage: Stage) -> None:
    await stage.begin()
    await stage.crash()
    await applied(stage, *"dcba")
    await stage.restart()
    await asyncio.sleep(5)
    assert phases(stage, *"dcba") == ["Running", "Pending", "Pending", "Pending"]


async def test_a_run_in_line_is_not_compiled_each_time(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two")
    before = stage.api.count("patch", WORKFLOWS, "two")
    await asyncio.sleep(600)
    assert stage.api.count("patch", WORKFLOWS, "two") == before


# -- requests


async def test_what_is_asked_of_a_run_in_line_is_answered(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two")
    ask(stage, run="two", action="Approve", mode=None, tasks=["a"])
    await asyncio.sleep(5)
    assert accepted(stage) == ("False", "NotStarted")
    assert phases(stage, "two") == ["Pending"]


@pytest.mark.parametrize(("mode", "reason"), [("Graceful", "Stopped"), ("Cancel", "Cancelled")])
async def test_a_run_in_line_can_be_stopped_and_starts_nothing(stage: Stage, mode: str, reason: str) -> None:
    await stage.begin()
    await applied(stage, "one", "two", "three")
    stage.watch_is_late()
    ask(stage, run="two", mode=mode)
    await asyncio.sleep(5)
    assert accepted(stage) == ("True", "Accepted")
    assert phases(stage, "one", "two", "three") == ["Running", "Cancelled", "Pending"]
    assert stage.condition("Finished", "two")["reason"] == reason
    await ends(stage, "one")
    assert phases(stage, "two", "three") == ["Cancelled", "Running"]
    assert len(stage.pods()) == 2


async def test_what_was_over_before_it_had_started_is_not_retried(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two", onConflict="Refuse")
    ask(stage, run="two", action="Retry", mode=None)
    await ends(stage, "one")
    await asyncio.sleep(70)
    assert accepted(stage) == ("False", "NotStarted")
    assert phases(stage, "two") == ["Failed"]


def accepted(stage: Stage) -> tuple[str, str]:
    [action] = stage.api.of(WORKFLOWACTIONS).values()
    found = {each["type"]: each for each in action["status"]["conditions"]}["Accepted"]
    return found["status"], found["reason"]


async def test_a_sub_workflow_with_the_key_of_its_parent_runs_under_it(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two")
    reference = {"apiVersion": WORKFLOWS.api_version, "kind": "Workflow", "name": "one", "uid": stage.uid("one")}
    metadata = {"namespace": "ns", "name": "child", "ownerReferences": [{**reference, "controller": True}]}
    stage.apply(keyed(onConflict="Replace"), "child", metadata=metadata)
    await asyncio.sleep(3)
    assert phases(stage, "one", "two", "child") == ["Running", "Pending", "Running"]


async def test_workflows_that_own_each_other_or_themselves_hold_up_nobody(stage: Stage) -> None:
    await stage.begin()
    for name, uid, above in (("a", "u-a", "u-a"), ("b", "u-b", "u-c"), ("c", "u-c", "u-b")):
        owner = {"apiVersion": WORKFLOWS.api_version, "kind": "Workflow", "name": "x", "uid": above, "controller": True}
        metadata = {"namespace": "ns", "name": name, "uid": uid, "ownerReferences": [owner]}
        stage.apply(keyed(name), name, metadata=metadata)
    await asyncio.sleep(3)
    assert phases(stage, "a", "b", "c") == ["Running"] * 3


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_run_without_its_template_is_in_nobodys_way(stage: Stage, restarted: bool) -> None:
    await stage.begin()
    stage.apply({"concurrencyKey": {"key": "mine"}, "templateRef": {"name": "missing"}}, "old")
    await asyncio.sleep(2)
    if restarted:
        await stage.restart()
    await applied(stage, "new", key="other")
    assert phases(stage, "old", "new") == ["Pending", "Running"]


async def test_whoever_was_behind_a_run_that_turns_out_to_lack_its_template_starts(stage: Stage) -> None:
    await stage.begin()
    held = stage.api.hold("get", WORKFLOWTEMPLATES)
    stage.apply({"concurrencyKey": {"key": "mine"}, "templateRef": {"name": "missing"}}, "old")
    await asyncio.sleep(2)
    await applied(stage, "new", key="other")
    assert phases(stage, "new") == ["Pending"]
    held.lift()
    await asyncio.sleep(3)
    assert phases(stage, "new") == ["Running"]


def gone(stage: Stage) -> None:
    stage.api.drop(WORKFLOWS, "old")


def without_a_key(stage: Stage) -> None:
    stage.api.edit(WORKFLOWS, "old", lambda raw: raw["spec"].pop("concurrencyKey"))


def invalid(stage: Stage) -> None:
    template = {"metadata": {"namespace": NAMESPACE, "name": "t"}, "spec": tasks("a", needs=["nobody"])}
    stage.api.put(WORKFLOWTEMPLATES, template)


@pytest.mark.parametrize("becomes", [gone, without_a_key, invalid])
async def test_whoever_was_behind_a_run_of_which_nothing_was_known_starts(
    stage: Stage, becomes: Callable[[Stage], None]
) -> None:
    await stage.begin()
    held = stage.api.hold("get", WORKFLOWTEMPLATES)
    stage.apply({"concurrencyKey": {"key": "mine"}, "templateRef": {"name": "t"}}, "old")
    await asyncio.sleep(2)
    await applied(stage, "new", key="other")
    assert stage.status("new")["message"] == "older runs with the key 'other' are looked at first"
    becomes(stage)
    if becomes is invalid:
        held.lift()
    await asyncio.sleep(3)
    assert phases(stage, "new") == ["Running"]


async def test_a_line_that_does_not_move_costs_no_writes(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one", "two", "three")
    await asyncio.sleep(100)
    before = [each for each in stage.api.asked if each.verb in ("create", "patch", "delete")]
    await asyncio.sleep(600)
    assert [each for each in stage.api.asked if each.verb in ("create", "patch", "delete")] == before


async def test_a_retry_waits_for_its_turn_as_well(stage: Stage) -> None:
    await stage.begin()
    await applied(stage, "one")
    await ends(stage, "one", 1)
    await applied(stage, "two", "three")
    ask(stage, run="one", action="Retry", mode=None)
    await asyncio.sleep(5)
    assert phases(stage, "one", "two", "three") == ["Failed", "Running", "Pending"]
    await ends(stage, "two")
    await asyncio.sleep(70)
    assert phases(stage, "one", "two", "three") == ["Running", "Succeeded", "Pending"]
    stage.ends(stage.pod("a", 2, run="one"))
    await asyncio.sleep(70)
    assert phases(stage, "one", "three") == ["Succeeded", "Running"]


async def test_a_key_is_not_handed_over_with_a_run_on_its_way(stage: Stage) -> None:
    await stage.begin()
    group = group_of_key(NAMESPACE, "k")
    held = stage.api.hold("patch", WORKFLOWS)
    await applied(stage, "one")
    assert not stage.operator.duties.finish(group)
    assert stage.operator.duties.finish(group - 1)
    held.lift()
    await asyncio.sleep(1)
    assert stage.operator.duties.finish(group)
    await ends(stage, "one", 1)
    held = stage.api.hold("patch", WORKFLOWS)
    ask(stage, run="one", action="Retry", mode=None)
    await asyncio.sleep(3)
    assert not stage.operator.duties.finish(group)
    held.lift()
    await asyncio.sleep(3)
    assert phases(stage, "one") == ["Running"]
    assert stage.operator.duties.finish(group)


# -- many, in any order


@pytest.mark.parametrize("policies", [["Queue"], ["Queue", "Replace", "Refuse"]], ids=["Queue", "all"])
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_there_are_never_more_than_may_be_and_all_have_their_turn(
    stage: Stage, seed: int, policies: list[str]
) -> None:
    chance = random.Random(seed)
    limit = chance.choice([1, 2, 3])
    await stage.begin()
    names = [f"r{number}" for number in range(12)]
    for name in names:
        stage.apply(keyed(limit=limit, onConflict=chance.choice(policies)), name)
        await asyncio.sleep(chance.random() * 3)
        await _something(stage, names, chance, limit)
    for _ in range(80):
        await _something(stage, names, chance, limit)
        await asyncio.sleep(chance.random() * 5)
    for _ in range(100):
        await _something(stage, names, chance, limit, restarts=False)
        await asyncio.sleep(10)
    final = {"Succeeded"} if policies == ["Queue"] else {"Succeeded", "Failed", "Cancelled"}
    assert {stage.status(name)["phase"] for name in names} <= final


async def _something(stage: Stage, names: list[str], chance: random.Random, limit: int, restarts: bool = True) -> None:
    live = [pod for pod, raw in stage.pods().items() if not _has_ended(raw)]
    started = [
        name
        for name in names
        if name in stage.api.of(WORKFLOWS)
        and "startTime" in stage.status(name)
        and stage.condition("Finished", name)["status"] != "True"
    ]
    assert len(live) <= limit
    assert len(started) <= limit
    if live and chance.random() < 0.5:
        stage.ends(chance.choice(live))
    if restarts and chance.random() < 0.1:
        await stage.restart()


def _has_ended(raw: dict[str, Any]) -> bool:
    return raw.get("status", {}).get("phase") in ("Succeeded", "Failed")
