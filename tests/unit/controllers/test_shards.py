"""Large runs, whose tasks are in shards: nothing is told to be recorded before it is, and nothing is ever forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead.api import labels
from fairlead.controllers import ledger, writer
from fairlead.engine.names import shard_name
from fairlead.kube.errors import ApiError, Forbidden, Invalid, ServerError, Unreachable
from fairlead.kube.resources import PODS, TASKSTATUSSHARDS, WORKFLOWS

pytestmark = looptime

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of more than three tasks is a large one, and a shard is full with two."""
    monkeypatch.setattr(writer, "INLINE_NODES", 3)
    monkeypatch.setattr(ledger, "FULL_NODES", 2)


async def running(stage: Stage, *names: str, **more: Any) -> None:
    """A run whose pods exist and whose status has been written."""
    await stage.begin()
    stage.apply(tasks(*names, **more))
    await asyncio.sleep(7)


def stored(stage: Stage) -> list[list[str]]:
    """The names in each shard, in their order."""
    return [[task["name"] for task in shard["tasks"]] for shard in stage.shards()]


# -- where tasks are recorded


async def test_a_small_run_has_no_shards(stage: Stage) -> None:
    await running(stage, "a", "b", "c")
    assert stage.shards() == []
    assert "shards" not in stage.status()
    assert [task["name"] for task in stage.status()["tasks"]] == ["a", "b", "c"]


async def test_a_large_run_has_its_tasks_in_shards(stage: Stage) -> None:
    await running(stage, *NAMES)
    assert "tasks" not in stage.status()
    assert stage.status()["shards"] == {"count": 3}
    assert stored(stage) == [["a", "b"], ["c", "d"], ["e"]]
    assert stage.phases() == dict.fromkeys(NAMES, "Starting")


async def test_a_task_of_which_nothing_has_happened_is_in_no_shard(stage: Stage) -> None:
    await running(stage, *NAMES, parallelism=None)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    assert stage.phases()["a"] == "Succeeded"
    chain = {"tasks": [*tasks(*NAMES)["tasks"], *tasks("z", needs=["a", "b"])["tasks"]]}
    stage.apply(chain, "other")
    await asyncio.sleep(5)
    assert "z" not in stage.phases("other")
    assert stage.status("other")["counts"]["waiting"] == 1


async def test_shards_belong_to_their_run_and_are_held(stage: Stage) -> None:
    await running(stage, *NAMES)
    for index, shard in enumerate(stage.shards()):
        metadata = shard["metadata"]
        assert metadata["name"] == shard_name("daily", stage.uid(), index)
        assert metadata["finalizers"] == [labels.FINALIZER]
        assert [each["uid"] for each in metadata["ownerReferences"]] == [stage.uid()]
        assert shard["workflowUID"] == stage.uid()


async def test_a_run_comes_to_its_end(stage: Stage) -> None:
    await running(stage, *NAMES)
    for name in NAMES:
        stage.ends(stage.pod(name))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.status()["progress"] == "5/5"
    assert stage.phases() == dict.fromkeys(NAMES, "Succeeded")
    assert stage.held() == []
    assert stage.operator.controller.active == {}


async def test_nothing_is_written_while_nothing_changes(stage: Stage) -> None:
    await running(stage, *NAMES)
    await asyncio.sleep(60)
    before = len(stage.api.asked)
    await asyncio.sleep(600)
    assert {each.verb for each in stage.api.asked[before:]} <= {"get", "list"}


# -- what one change costs


async def test_one_change_is_one_small_write_of_one_shard(stage: Stage) -> None:
    sizes: list[int] = []
    stage.operator.writer._shards._wrote = lambda _, size: sizes.append(size)
    await running(stage, *NAMES)
    before = stage.api.count("patch", TASKSTATUSSHARDS)
    sizes.clear()
    stage.runs(stage.pod("c"))
    await asyncio.sleep(1.5)
    assert stage.api.count("patch", TASKSTATUSSHARDS) - before == 1
    assert len(sizes) == 1
    assert sizes[0] < 800


async def test_the_workflow_itself_is_written_less_often(stage: Stage) -> None:
    await running(stage, *NAMES)
    shards, workflow = stage.api.count("patch", TASKSTATUSSHARDS), stage.api.count("patch", WORKFLOWS)
    for name in NAMES:
        stage.runs(stage.pod(name))
        await asyncio.sleep(1.5)
    assert stage.api.count("patch", TASKSTATUSSHARDS) - shards == len(NAMES)
    assert stage.api.count("patch", WORKFLOWS) - workflow <= 2
    await asyncio.sleep(10)
    assert stage.status()["counts"]["running"] == len(NAMES)


async def test_a_change_of_its_conditions_is_written_at_once(stage: Stage) -> None:
    await running(stage, *NAMES)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(1.5)
    stage.respec(suspend=True)
    await asyncio.sleep(0.5)
    assert stage.condition("Suspended")["status"] == "True"
    assert stage.status()["message"] == "spec.suspend is true; still running: 5 tasks and items"


async def test_a_pod_is_let_go_of_once_its_shard_is_written_without_waiting_for_the_workflow(stage: Stage) -> None:
    await running(stage, *NAMES)
    stage.api.hold("patch", WORKFLOWS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    assert stage.pod("a") not in stage.held()
    assert stage.phases()["a"] == "Succeeded"


async def test_it_is_held_while_its_shard_is_not_written(stage: Stage) -> None:
    await running(stage, *NAMES)
    writing = stage.api.hold("patch", TASKSTATUSSHARDS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    assert stage.pod("a") in stage.held()
    writing.lift()
    await asyncio.sleep(1)
    assert stage.pod("a") not in stage.held()


async def test_all_are_held_while_one_of_the_shards_is_not_written(stage: Stage) -> None:
    await running(stage, *NAMES)
    writing = stage.api.hold("patch", TASKSTATUSSHARDS, name=shard_name("daily", stage.uid(), 1))
    stage.ends(stage.pod("a"))
    stage.ends(stage.pod("c"))
    await asyncio.sleep(3)
    assert stage.phases()["a"] == "Succeeded"
    assert {stage.pod("a"), stage.pod("c")} <= set(stage.held())
    writing.lift()
    await asyncio.sleep(1)
    assert not {stage.pod("a"), stage.pod("c")} & set(stage.held())


# -- restarts


async def test_a_restarted_operator_goes_on(stage: Stage) -> None:
    await running(stage, *NAMES)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    stage.api.drop(PODS, stage.pod("a"))
    await stage.restart()
    await asyncio.sleep(2)
    for name in NAMES[1:]:
        stage.ends(stage.pod(name))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("create", PODS) == len(NAMES)


async def test_a_restart_in_a_world_at_rest_writes_nothing(stage: Stage) -> None:
    await running(stage, *NAMES)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(10)
    await stage.restart()
    before = len(stage.api.asked)
    await asyncio.sleep(30)
    assert {each.verb for each in stage.api.asked[before:]} <= {"get", "list"}


@pytest.mark.parametrize("index", [0, 1, 2])
async def test_a_crash_between_the_writes_of_two_shards_loses_nothing(stage: Stage, index: int) -> None:
    await running(stage, *NAMES)
    stage.api.hold("patch", TASKSTATUSSHARDS, name=shard_name("daily", stage.uid(), index))
    for name in NAMES:
        stage.ends(stage.pod(name))
    await asyncio.sleep(3)
    assert len(stage.held()) == len(NAMES)
    for refusal in stage.api.refusals:
        refusal.lifted = True
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.phases() == dict.fromkeys(NAMES, "Succeeded")
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("create", PODS) == len(NAMES)
    assert stage.held() == []


async def test_shards_made_since_the_workflow_was_written_are_read(stage: Stage) -> None:
    await stage.begin()
    later = [*tasks("c", "d", needs=["a"])["tasks"], *tasks("e", needs=["c"])["tasks"]]
    stage.apply({"tasks": [*tasks("a", "b")["tasks"], *later]})
    await asyncio.sleep(3)
    stage.api.hold("patch", WORKFLOWS)
    for pair in (NAMES[:2], NAMES[2:4]):
        for name in pair:
            stage.ends(stage.pod(name))
        await asyncio.sleep(3)
    stage.ends(stage.pod("e"))
    await asyncio.sleep(0.5)
    assert stage.status()["shards"]["count"] < len(stage.shards())
    for pod in list(stage.pods()):
        if pod not in stage.held():
            stage.api.drop(PODS, pod)
    for refusal in stage.api.refusals:
        refusal.lifted = True
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("create", PODS) == len(NAMES)


async def test_a_list_is_whole_though_the_ends_of_some_of_its_items_were_not_written(stage: Stage) -> None:
    work = {"forEach": {"in": "${[0, 1, 2, 3]}"}, "outputs": [{"name": "x", "type": "integer"}]}
    spec = tasks("m", **work) | {"outputs": [{"name": "all", "value": "${tasks.m.outputs.?x.orValue([])}"}]}
    await stage.begin()
    stage.apply(spec)
    await asyncio.sleep(7)
    assert stored(stage) == [["m", "m[0]"], ["m[1]", "m[2]"], ["m[3]"]]
    held_up = stage.api.hold("patch", TASKSTATUSSHARDS, name=shard_name("daily", stage.uid(), 1))
    for index in range(4):
        end = {"exitCode": 0, "finishedAt": "2026-11-22T08:00:07Z", "message": f'{{"x": {index}}}'}
        stage.set_status(stage.pod(f"m[{index}]"), "Succeeded", {"terminated": end})
    await asyncio.sleep(3)
    assert (stage.phases()["m"], stage.phases()["m[1]"]) == ("Succeeded", "Starting")
    held_up.lifted = True
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.status()["outputs"] == {"all": [0, 1, 2, 3]}
    assert stage.api.count("create", PODS) == 4
    assert stage.held() == []


# -- a run that grows


async def grown(stage: Stage) -> None:
    """A run of one task and a list of four items, which is known once that task has ended."""
    listed = {"forEach": {"in": "${tasks.a.outputs.list}"}}
    spec = {
        "tasks": [
            {"name": "a", "container": {"image": "i"}, "outputs": [{"name": "list", "type": "array"}]},
            *tasks("m", needs=["a"], **listed)["tasks"],
        ]
    }
    await stage.begin()
    stage.apply(spec)
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Starting", "m": "Waiting"}
    end = {"exitCode": 0, "message": '{"list": [1, 2, 3, 4]}', "finishedAt": "2026-11-22T08:00:03Z"}
    stage.set_status(stage.pod("a"), "Succeeded", {"terminated": end})


async def test_it_moves_to_shards_once(stage: Stage) -> None:
    await grown(stage)
    await asyncio.sleep(3)
    assert "tasks" not in stage.status()
    assert stored(stage) == [["a", "m"], ["m[0]", "m[1]"], ["m[2]", "m[3]"]]
    for index in range(4):
        stage.ends(stage.pod(f"m[{index}]"))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"


async def test_until_all_is_written_it_is_read_from_the_workflow(stage: Stage) -> None:
    await grown(stage)
    last = stage.api.hold("create", TASKSTATUSSHARDS, name=shard_name("daily", stage.uid(), 2))
    await asyncio.sleep(3)
    assert len(stage.shards()) == 2
    assert "shards" not in stage.status()
    assert stage.phases()["a"] == "Starting"
    assert stage.pod("a") in stage.held()
    last.lift()
    await asyncio.sleep(1)
    assert stage.phases()["a"] == "Succeeded"
    assert stage.pod("a") not in stage.held()


@pytest.mark.parametrize("when", ["before the last shard", "before the workflow"])
async def test_a_crash_in_the_middle_of_the_move_loses_nothing(stage: Stage, when: str) -> None:
    await grown(stage)
    if when == "before the workflow":
        stage.api.hold("patch", WORKFLOWS)
    else:
        stage.api.hold("create", TASKSTATUSSHARDS, name=shard_name("daily", stage.uid(), 2))
    await asyncio.sleep(3)
    for refusal in stage.api.refusals:
        refusal.lifted = True
    # What the crash has left must not be read as newer than what comes after it.
    for index in range(4):
        stage.ends(stage.pod(f"m[{index}]"))
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert set(stage.phases().values()) == {"Succeeded"}
    assert stage.api.count("create", PODS) == 5
    await stage.restart()
    await asyncio.sleep(1)
    assert set(stage.phases().values()) == {"Succeeded"}


async def test_shards_that_a_move_has_left_over_are_emptied(stage: Stage) -> None:
    await grown(stage)
    stage.api.hold("patch", WORKFLOWS)
    await asyncio.sleep(3)
    old = {
        "metadata": {"namespace": NAMESPACE, "name": shard_name("daily", stage.uid(), 3)},
        "workflowUID": stage.uid(),
        "index": 3,
        "revision": 1,
        "tasks": [{"name": "a", "phase": "Starting"}],
    }
    stage.api.put(TASKSTATUSSHARDS, old)
    for refusal in stage.api.refusals:
        refusal.lifted = True
    await stage.restart()
    await asyncio.sleep(5)
    assert stored(stage)[3] == []
    assert stage.phases()["a"] == "Succeeded"


# -- shards that somebody removes or changes


def remove(stage: Stage, index: int) -> None:
    """Somebody takes our finalizer off a shard and deletes it."""
    name = shard_name("daily", stage.uid(), index)
    stage.api.edit(TASKSTATUSSHARDS, name, lambda raw: raw["metadata"].update(finalizers=[]))
    stage.api.drop(TASKSTATUSSHARDS, name)


async def test_a_shard_that_is_gone_is_written_again_with_the_next_change(stage: Stage) -> None:
    await running(stage, *NAMES)
    before = stage.shards()[1]["tasks"]
    remove(stage, 1)
    stage.runs(stage.pod("c"))
    await asyncio.sleep(3)
    assert stored(stage)[1] == ["c", "d"]
    assert stage.shards()[1]["tasks"][1] == before[1]
    assert stage.phases()["c"] == "Running"


async def test_one_that_nothing_changes_in_is_missed_within_a_minute_or_so(stage: Stage) -> None:
    await running(stage, *NAMES)
    before = stage.shards()[1]["tasks"]
    remove(stage, 1)
    await asyncio.sleep(70)
    assert stage.shards()[1]["tasks"] == before


async def test_deleting_one_has_no_effect_while_the_run_is_there(stage: Stage) -> None:
    await running(stage, *NAMES)
    stage.api.drop(TASKSTATUSSHARDS, shard_name("daily", stage.uid(), 0))
    for name in NAMES:
        stage.ends(stage.pod(name))
    await asyncio.sleep(90)
    assert stage.phases() == dict.fromkeys(NAMES, "Succeeded")


async def test_a_finalizer_that_was_taken_off_is_put_back(stage: Stage) -> None:
    await running(stage, *NAMES)
    name = shard_name("daily", stage.uid(), 1)
    stage.api.edit(TASKSTATUSSHARDS, name, lambda raw: raw["metadata"].update(finalizers=["others/x"]))
    await asyncio.sleep(70)
    assert stage.shards()[1]["metadata"]["finalizers"] == ["others/x", labels.FINALIZER]
    stage.ends(stage.pod("c"))
    await asyncio.sleep(3)
    assert stage.phases()["c"] == "Succeeded"


async def test_a_change_of_its_metadata_is_none_of_ours(stage: Stage) -> None:
    await running(stage, *NAMES)
    before = stage.run()
    name = shard_name("daily", stage.uid(), 0)
    stage.api.edit(TASKSTATUSSHARDS, name, lambda raw: raw["metadata"].update(annotations={"x": "y"}))
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    assert stage.run() is before
    assert stage.phases()["a"] == "Succeeded"
    assert stage.shards()[0]["metadata"]["annotations"] == {"x": "y"}


async def test_another_controllers_shard_is_not_overwritten(stage: Stage) -> None:
    await running(stage, *NAMES)
    before = stage.run()

    def change(raw: dict[str, Any]) -> None:
        raw["revision"] += 1
        raw["tasks"][0]["phase"] = "Running"

    stage.api.edit(TASKSTATUSSHARDS, shard_name("daily", stage.uid(), 0), change)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(5)
    assert stage.run() is not before
    assert stage.phases()["b"] == "Succeeded"


async def test_one_that_our_patch_does_not_fit_any_more_is_another_controllers(stage: Stage) -> None:
    await running(stage, *NAMES)
    before = stage.run()

    def change(raw: dict[str, Any]) -> None:
        raw["revision"] += 1
        del raw["tasks"][1:]

    stage.api.edit(TASKSTATUSSHARDS, shard_name("daily", stage.uid(), 0), change)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(5)
    assert stage.run() is not before, "the patch of an entry that is not there is refused as invalid, not as a conflict"
    assert stage.phases()["b"] == "Succeeded"


async def test_without_one_nothing_is_started_after_a_restart(stage: Stage) -> None:
    await running(stage, *NAMES)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    stage.api.drop(PODS, stage.pod("a"))
    await stage.crash()
    lost = stage.shards()[0]
    remove(stage, 0)
    await stage.restart()
    await asyncio.sleep(30)
    assert stage.api.count("create", PODS) == len(NAMES)
    stalled = stage.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "ShardMissing")
    assert lost["metadata"]["name"] in stalled["message"]
    del lost["metadata"]["uid"]
    stage.api.put(TASKSTATUSSHARDS, lost)
    await asyncio.sleep(70)
    for name in NAMES[1:]:
        stage.ends(stage.pod(name))
    await asyncio.sleep(3)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.condition("Stalled")["status"] == "False"


# -- answers that are lost, writes that are refused


@pytest.mark.parametrize("verb", ["create", "patch"])
async def test_a_write_whose_answer_is_lost_counts_as_written(stage: Stage, verb: str) -> None:
    lost = Unreachable("timeout", maybe_applied=True)
    if verb == "create":
        stage.api.fail(lost, "create", TASKSTATUSSHARDS, times=1, applied=True)
    await running(stage, *NAMES)
    if verb == "patch":
        stage.api.fail(lost, "patch", TASKSTATUSSHARDS, times=1, applied=True)
    before = stage.run()
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    assert stage.run() is before
    assert stage.phases()["a"] == "Succeeded"
    assert stage.pod("a") not in stage.held()


@pytest.mark.parametrize(
    "error",
    [Invalid(422, "Invalid", "too long"), Forbidden(403, "Forbidden", 'User "x" cannot patch resource "x"')],
)
async def test_a_write_that_is_refused_for_good_is_told(stage: Stage, error: ApiError) -> None:
    await running(stage, *NAMES)
    refused = stage.api.fail(error, "patch", TASKSTATUSSHARDS)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(30)
    [message] = set(stage.told("StatusNotWritable"))
    assert error.message in message
    assert stage.pod("a") in stage.held()
    refused.lift()
    await asyncio.sleep(30)
    assert stage.pod("a") not in stage.held()


async def test_an_outage_passes(stage: Stage) -> None:
    await running(stage, *NAMES)
    stage.api.fail(ServerError(500, "InternalError", "etcd"), "patch", TASKSTATUSSHARDS, times=6)
    for name in NAMES:
        stage.ends(stage.pod(name))
    await asyncio.sleep(30)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.told("StatusNotWritable") == []


# -- size


async def test_a_run_whose_outputs_are_large_moves_to_shards(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "INLINE_BYTES", 2000)
    outputs = [{"name": "x", "type": "string"}]
    await running(stage, "a", "b", outputs=outputs)
    assert "shards" not in stage.status()
    end = {"exitCode": 0, "finishedAt": "2026-11-22T08:00:03Z", "message": '{"x": "' + "x" * 3000 + '"}'}
    stage.set_status(stage.pod("a"), "Succeeded", {"terminated": end})
    await asyncio.sleep(3)
    assert stage.status()["shards"] == {"count": 1}
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}


async def test_so_does_one_with_a_large_definition(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "INLINE_DEFINITION_BYTES", 200)
    await running(stage, "a", "b", script={"source": "x" * 300, "image": "i"})
    assert stage.status()["shards"] == {"count": 1}


async def test_a_run_that_ends_at_once_is_recorded_whole(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks(*NAMES, when="${false}"))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.phases() == dict.fromkeys(NAMES, "Skipped")
    assert all(len(orjson.dumps(each)) < 2000 for each in (*stage.shards(), stage.status()))
