"""The watchman says nothing of the operator that is shipped, whatever happens to it, and speaks up of a broken one."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.testing.watching import (
    DIAMOND,
    Broken,
    Scene,
    ask,
    attempt,
    broken,
    condition,
    entry,
    is_over,
    real,
    task,
    watched,
)

from fairlead.api import labels
from fairlead.kube.resources import EVENTS, PODS, TASKSTATUSSHARDS, WORKFLOWS, WORKFLOWTEMPLATES
from fairlead.testing.cluster import Cluster

RETRIED = {"tasks": [task("bad", retry={"limit": 2, "backoff": {"initialSeconds": 5}}), task("after", "bad")]}
ITEMS = {
    "parallelism": 5,
    "tasks": [task("m", forEach={"in": list(range(20)), "maxParallel": 3}), task("n", "m"), task("o")],
}


async def crashes(cluster: Cluster) -> None:
    for _ in range(6):
        await asyncio.sleep(1.37)
        cluster.hosts[0].crash()
        await asyncio.sleep(0.5)
        cluster.hosts[0].start()


async def suspends(cluster: Cluster) -> None:
    for _ in range(4):
        await asyncio.sleep(1.1)
        cluster.patch(WORKFLOWS, "daily", {"spec": {"suspend": True}})
        await asyncio.sleep(4)
        cluster.patch(WORKFLOWS, "daily", {"spec": {"suspend": False}})


async def stops(cluster: Cluster) -> None:
    await asyncio.sleep(4)
    ask(cluster, "halt", "Stop", mode="Cancel")


async def retries(cluster: Cluster) -> None:
    await cluster.until(lambda: is_over(cluster))
    ask(cluster, "again", "Retry")
    await cluster.until(lambda: cluster.get(WORKFLOWS, "daily")["status"].get("epoch") == 2)


async def deletes(cluster: Cluster) -> None:
    await asyncio.sleep(4)
    cluster.delete(WORKFLOWS, "daily")


async def squeezes(cluster: Cluster) -> None:
    await asyncio.sleep(4)
    cluster.patch(WORKFLOWS, "daily", {"spec": {"parallelism": 1, "overrides": [{"task": "m", "maxParallel": 1}]}})


async def strips(cluster: Cluster) -> None:
    await asyncio.sleep(1)
    for pod in cluster.list(PODS):
        cluster.patch(PODS, pod["metadata"]["name"], {"metadata": {"finalizers": None, "labels": None}})
        cluster.delete(PODS, pod["metadata"]["name"], gracePeriodSeconds=0)


MANY = {
    "parallelism": 100,
    "tasks": [
        task("bad", forEach={"in": list(range(205)), "tolerate": {"percent": 100}}),
        task("next"),
        task("bad-too"),
    ],
}


async def has_a_template(cluster: Cluster) -> None:
    spec = {"tasks": [task("x"), task("y", "x")]}
    cluster.put(WORKFLOWTEMPLATES, {"metadata": {"name": "t"}, "spec": spec}, "default")


CHILD = {"tasks": [task("sub", workflow={"templateRef": {"name": "t"}}), task("after", "sub")]}


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(real(DIAMOND), id="a run"),
        pytest.param(real(DIAMOND, crashes), id="crashes"),
        pytest.param(real(DIAMOND, operators=2), id="two operators"),
        pytest.param(real(DIAMOND, suspends), id="suspended and resumed"),
        pytest.param(real(DIAMOND, stops), id="stopped"),
        pytest.param(real(DIAMOND, deletes), id="deleted"),
        pytest.param(real(DIAMOND, strips), id="its pods deleted by force"),
        pytest.param(real(RETRIED), id="attempts that fail"),
        pytest.param(real(RETRIED, retries, crashes), id="retried by its user"),
        pytest.param(real(ITEMS), id="items"),
        pytest.param(real(ITEMS, squeezes), id="limits lowered on the way"),
        pytest.param(real(MANY, retries), id="one so large that it is recorded in shards"),
        pytest.param(real(CHILD, has_a_template, suspends), id="a sub-workflow"),
    ],
)
def test_the_shipped_operator_violates_nothing(scene: Scene) -> None:
    assert watched(scene) == []


# -- S1


def test_s1_an_attempt_is_created_once() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a")
        await operator.release("a")
        await operator.delete(PODS, operator.pod_name("a"))
        await operator.create_pod("a")

    assert any(each.startswith("S1: Pod default/daily-a-") and "again" in each for each in broken(DIAMOND, act))


def test_s1_one_attempt_at_a_time() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a", 1)
        await operator.create_pod("a", 2)

    assert any(each.startswith("S1: ") and "goes on" in each for each in broken(DIAMOND, act))


def test_s1_what_somebody_else_took_away_may_be_created_again() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a")
        name = operator.pod_name("a")
        operator.cluster.patch(PODS, name, {"metadata": {"finalizers": None}})
        operator.cluster.delete(PODS, name)
        await operator.create_pod("a")

    assert not [each for each in broken(DIAMOND, act) if each.startswith("S1")]


# -- S2


def told(invariant: str, words: str, violations: list[str]) -> bool:
    return any(each.startswith(f"{invariant}: ") and words in each for each in violations)


def test_s2_nothing_is_created_before_what_it_needs_has_ended() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a")
        await operator.create_pod("b")

    assert told("S2", "before the end of a was durable", broken(DIAMOND, act))


def test_s2_a_finished_pod_that_we_hold_is_as_good_as_a_record() -> None:
    async def act(operator: Broken) -> None:
        await ended_pod(operator)
        await operator.create_pod("b")

    assert broken(DIAMOND, act) == []


def test_s2_a_finished_pod_that_nothing_holds_is_not() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a", finalizers=[])
        await asyncio.sleep(10)
        await operator.create_pod("b")

    assert told("S2", "before the end of a was durable", broken(DIAMOND, act))


def test_s2_a_record_is_enough() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("a", "Succeeded", attempt()))
        await operator.create_pod("b")

    assert broken(DIAMOND, act) == []


def test_s2_finally_comes_after_every_main_task() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(*(entry(name, "Succeeded") for name in "abc"))
        await operator.create_pod("z")

    assert told("S2", "of `finally`, was created before the end of d", broken(DIAMOND, act))


def test_s2_finally_comes_at_once_when_the_run_is_stopped() -> None:
    async def act(operator: Broken) -> None:
        ask(operator.cluster, "halt", "Stop")
        await operator.create_pod("z")

    assert broken(DIAMOND, act) == []


def test_s2_what_is_tried_again_has_not_ended() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("bad")
        await asyncio.sleep(10)
        await operator.create_pod("after")

    spec = {"tasks": [task("bad", retry={"limit": 1}), task("after", "bad", trigger="AllDone")]}
    assert told("S2", "before the end of bad", broken(spec, act))
    assert broken({"tasks": [task("bad"), spec["tasks"][1]]}, act) == []


def test_s2_every_item_has_to_end() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("m", "Running", items={"total": 2}))
        await operator.create_pod("m[0]")
        await asyncio.sleep(10)
        await operator.create_pod("n")

    spec = {"tasks": [task("m", forEach={"in": [1, 2]}), task("n", "m")]}
    assert told("S2", "before the end of m", broken(spec, act))


def test_s2_an_approval_is_on_record_before_anything_follows() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("ok", "Running", attempt(ended=False)))
        await operator.create_pod("after")

    spec = {"tasks": [task("ok", approval={"message": "?"}), task("after", "ok")]}
    assert told("S2", "before the end of ok", broken(spec, act))


def test_s2_what_follows_from_durable_ends_may_be_computed() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("bad", "Failed", attempt()))
        await operator.create_pod("last")

    values = task("values", set={"values": [{"name": "x", "value": "1"}]})
    spec = {
        "tasks": [task("bad"), values, task("skipped", "bad"), task("last", "skipped", "values", trigger="AllDone")]
    }
    assert broken(spec, act) == []


# -- S3


def test_s3_a_terminal_phase_is_final() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("a", "Failed"))
        await operator.record(entry("a", "Running"))

    assert any("S3" in each and "'a' was recorded as Failed, and is Running" in each for each in broken(DIAMOND, act))


def test_s3_a_terminal_phase_does_not_get_lost() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("a", "Succeeded"))
        await operator.record()

    assert any("S3" in each and "nothing now" in each for each in broken(DIAMOND, act))


async def write_shard(operator: Broken, *tasks: dict[str, Any]) -> None:
    uid = operator.daily()["metadata"]["uid"]
    body = {"workflowUID": uid, "index": 0, "revision": 1, "tasks": list(tasks)}
    path = TASKSTATUSSHARDS.path("default", "daily-shard-0")
    if operator.cluster.get(TASKSTATUSSHARDS, "daily-shard-0"):
        await operator.send("PATCH", path, {"tasks": list(tasks)})
    else:
        owner = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "name": "daily", "uid": uid}
        metadata = {"name": "daily-shard-0", "ownerReferences": [{**owner, "controller": True}]}
        head = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "TaskStatusShard", "metadata": metadata}
        await operator.send("POST", TASKSTATUSSHARDS.path("default"), {**head, **body})


def test_s3_nor_in_a_shard() -> None:
    async def act(operator: Broken) -> None:
        await write_shard(operator, entry("a", "Failed", attempt()))
        await operator.record(shards={"count": 1})
        await write_shard(operator, entry("a", "Running", attempt(ended=False)))

    violations = broken(DIAMOND, act)
    assert told("S3", "'a' was recorded as Failed, and is Running", violations)
    assert told("S3", "the end of attempt 1 of 'a' was on record", violations)


def test_s3_another_epoch_begins_anew() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("a", "Failed"))
        await operator.record(entry("a", "Waiting"), epoch=2)

    assert broken(DIAMOND, act) == []


def test_s3_a_run_that_is_over_stays_so() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(conditions=[condition("Succeeded", "True"), condition("Finished", "True")])
        moved = "2026-11-22T08:00:01Z"
        await operator.record(
            conditions=[condition("Succeeded", "Unknown", moved), condition("Finished", "False", moved)]
        )

    assert any(each.startswith("S3") and "Succeeded=True" in each for each in broken(DIAMOND, act))


# -- S4


async def ended_pod(operator: Broken) -> None:
    await operator.create_pod("a")
    await asyncio.sleep(10)


def test_s4_a_pod_is_not_released_before_its_end_is_on_record() -> None:
    async def act(operator: Broken) -> None:
        await ended_pod(operator)
        await operator.release("a")

    assert any(each.startswith("S4") and "was released" in each for each in broken(DIAMOND, act))


def test_s4_a_pod_whose_end_is_on_record_is_released() -> None:
    async def act(operator: Broken) -> None:
        await ended_pod(operator)
        await operator.record(entry("a", "Succeeded", attempt()))
        await operator.release("a")
        await asyncio.sleep(60)
        await operator.delete(PODS, operator.pod_name("a"))

    assert broken(DIAMOND, act) == []


def test_s4_a_pod_is_kept_for_three_lease_times() -> None:
    async def act(operator: Broken) -> None:
        await ended_pod(operator)
        await operator.record(entry("a", "Succeeded", attempt()))
        await operator.release("a")
        await operator.delete(PODS, operator.pod_name("a"))

    assert any(each.startswith("S4") and "less than 45 s" in each for each in broken(DIAMOND, act))


# -- S5


async def failures(operator: Broken, count: int) -> None:
    for number in range(1, count + 1):
        await operator.create_pod("bad", number)
        await asyncio.sleep(30)


def test_s5_the_users_own_budget() -> None:
    violations = broken({"tasks": [task("bad", retry={"limit": 1})]}, lambda operator: failures(operator, 3))
    assert told("S5", "follows 2 failures of its own; the limit is 1", violations)
    assert not told("S5", "failures", broken(RETRIED, lambda operator: failures(operator, 3)))


def test_s5_all_budgets_together() -> None:
    async def act(operator: Broken) -> None:
        for number in range(1, 4):
            await operator.create_pod("a", number)
            operator.cluster.delete(PODS, operator.pod_name("a", number))
            await asyncio.sleep(60)

    spec = {"tasks": [task("a", retry={"limit": 0, "infrastructureLimit": 1})]}
    assert told("S5", "one too many: its budgets allow 2", broken(spec, act))


def test_s5_budgets_on_record() -> None:
    async def act(operator: Broken) -> None:
        lost = [attempt(number, **{"class": "Infrastructure"}) for number in range(1, 4)]
        await operator.record(entry("a", "Backoff", *lost))

    spec = {"tasks": [task("a", retry={"infrastructureLimit": 1})]}
    assert told("S5", "'a' has 3 failures of class Infrastructure in epoch 1; 2 are allowed", broken(spec, act))


def test_s5_back_off() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("bad", 1)
        await asyncio.sleep(10)
        await operator.create_pod("bad", 2)

    spec = {"tasks": [task("bad", retry={"limit": 1, "backoff": {"initialSeconds": 20}})]}
    assert told("S5", "20 s after the failure before it", broken(spec, act))


def test_s5_a_clock_that_is_ahead_is_no_violation() -> None:
    async def scene(cluster: Cluster, watchman: Any) -> None:
        cluster.host().skew = timedelta(seconds=60)
        await real(RETRIED)(cluster, watchman)

    assert watched(scene) == []


# -- S6


def test_s6_parallelism() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("x")
        await operator.create_pod("y")

    spec = {"parallelism": 1, "tasks": [task("x"), task("y")]}
    assert any(each.startswith("S6") and "parallelism is 1" in each for each in broken(spec, act))


def test_s6_the_items_of_a_task() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("m[0]")
        await operator.create_pod("m[1]")

    spec = {"tasks": [task("m", forEach={"in": [1, 2], "maxParallel": 1})]}
    assert any(each.startswith("S6") and "maxParallel is 1" in each for each in broken(spec, act))


# -- S7


async def suspended(operator: Broken) -> None:
    operator.cluster.patch(WORKFLOWS, "daily", {"spec": {"suspend": True}})
    await operator.record()


def test_s7_nothing_is_started_after_suspension_is_acknowledged() -> None:
    async def act(operator: Broken) -> None:
        await suspended(operator)
        await operator.create_pod("a")

    assert told("S7", "generation 2, which is suspended", broken(DIAMOND, act))


def test_s7_until_it_is_resumed() -> None:
    async def act(operator: Broken) -> None:
        await suspended(operator)
        operator.cluster.patch(WORKFLOWS, "daily", {"spec": {"suspend": False}})
        await operator.create_pod("a")

    assert broken(DIAMOND, act) == []


def test_s7_another_operator_may_not_have_heard_of_it() -> None:
    async def act(operator: Broken) -> None:
        await suspended(operator)
        await Broken(operator.cluster, "another").create_pod("a")

    assert broken(DIAMOND, act) == []


def test_s7_nothing_but_finally_is_started_after_a_stop_is_acknowledged() -> None:
    async def act(operator: Broken) -> None:
        ask(operator.cluster, "halt", "Stop")
        await operator.record(stop={"mode": "Cancel", "reason": "Cancelled"})
        await operator.create_pod("z")
        await operator.create_pod("a")

    violations = broken(DIAMOND, act)
    assert told("S7", "attempt 1 of 'a'", violations)
    assert not told("S7", "attempt 1 of 'z'", violations)


# -- S8


def test_s8_the_spec_is_the_users() -> None:
    async def act(operator: Broken) -> None:
        await operator.send("PATCH", WORKFLOWS.path("default", "daily"), {"spec": {"suspend": True}})

    assert broken(DIAMOND, act) == ["S8: update of Workflow default/daily: nothing of it is the operator's"]


def test_s8_foreign_pods_are_left_alone() -> None:
    async def act(operator: Broken) -> None:
        uid = operator.daily()["metadata"]["uid"]
        metadata = {"name": operator.pod_name("a"), "labels": {labels.RUN_UID: uid}}
        spec = {"containers": [{"name": "main", "image": "i"}]}
        operator.cluster.put(PODS, {"metadata": metadata, "spec": spec}, "default")
        await operator.delete(PODS, operator.pod_name("a"))

    assert any("S8: " in each and "nothing of it is the operator's" in each for each in broken(DIAMOND, act))


@pytest.mark.parametrize(
    "metadata", [{"finalizers": None}, {"labels": {"theirs": None}}, {"annotations": {"theirs": "x"}}], ids=str
)
def test_s8_what_others_have_on_a_pod_stays(metadata: dict[str, Any]) -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a", finalizers=["theirs.dev/x"], labels={"theirs": "x"})
        path = PODS.path("default", operator.pod_name("a"))
        await operator.send("PATCH", path, {"metadata": metadata})

    assert any(each.startswith("S8") and "theirs" in each for each in broken(DIAMOND, act))


def test_s8_a_delete_names_the_uid() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a")
        await operator.send("DELETE", PODS.path("default", operator.pod_name("a")))

    assert any(each.startswith("S8: DELETE ") for each in broken(DIAMOND, act))


def test_s8_whatever_is_created_belongs_to_a_run() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a", ownerReferences=[])

    assert any(each.startswith("S8") and "no Workflow controls it" in each for each in broken(DIAMOND, act))


# -- S9


def test_s9_the_observed_generation_exists() -> None:
    assert told("S9", "from 0 to 7", broken(DIAMOND, lambda operator: operator.record(observedGeneration=7)))


def test_s9_the_observed_generation_does_not_decrease() -> None:
    async def act(operator: Broken) -> None:
        await operator.record()
        await operator.record(observedGeneration=0)

    assert told("S9", "from 1 to 0", broken(DIAMOND, act))


def test_s9_a_condition_moves_with_its_status() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(conditions=[condition("Succeeded", "Unknown")])
        await operator.record(conditions=[condition("Succeeded", "Unknown", "2026-11-22T08:00:01Z")])

    assert told("S9", "lastTransitionTime has moved", broken(DIAMOND, act))


# -- S10, S15, S17


def test_s10_a_world_at_rest_is_left_in_peace() -> None:
    async def scene(cluster: Cluster, watchman: Any) -> None:
        cluster.put(WORKFLOWS, {"metadata": {"name": "daily"}, "spec": DIAMOND}, "default")
        watchman.at_rest()
        await asyncio.sleep(300)
        await Broken(cluster).record(entry("a", "Waiting"))

    assert [each.invariant for each in watched(scene)] == ["S10"]


def test_s15_objects_stay_small() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("a", "Running", message="x" * 4_000))

    assert any(each.startswith("S15") for each in broken(DIAMOND, act, object_bytes=4_000))
    assert broken(DIAMOND, act) == []


def test_s17_no_secret_is_told() -> None:
    async def act(operator: Broken) -> None:
        await operator.record(entry("a", "Running", message="the password is hunter2"))
        event = {"kind": "Event", "apiVersion": "v1", "metadata": {"name": "e"}, "message": "hunter2"}
        await operator.send("POST", EVENTS.path("default"), event)

    told = [each for each in broken(DIAMOND, act, canaries=["hunter2"]) if each.startswith("S17")]
    assert len(told) == 2


# -- L2


def test_l2_a_run_that_is_over_leaves_nothing_behind() -> None:
    async def scene(cluster: Cluster, watchman: Any) -> None:
        cluster.put(WORKFLOWS, {"metadata": {"name": "daily"}, "spec": DIAMOND}, "default")
        operator = Broken(cluster)
        await operator.create_pod("a")
        await operator.record(conditions=[condition("Succeeded", "False"), condition("Finished", "True")])
        watchman.at_rest()

    [violation] = watched(scene)
    assert violation.invariant == "L2"
    assert "is over, and Pod default/daily-a" in violation.text


def test_l2_nothing_of_a_run_that_is_gone_is_held() -> None:
    async def act(operator: Broken) -> None:
        await operator.create_pod("a")
        operator.cluster.delete(WORKFLOWS, "daily", propagationPolicy="Background")
        await asyncio.sleep(60)

    assert any(each.startswith("L2") and "still held" in each for each in broken(DIAMOND, act))
