"""Runs that are over: how many are kept, that they are archived first, and that nothing else is held up by that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks
from tests.unit.controllers.shelf import ArchivingStage

from fairlead.api.retention import LEAST_SECONDS
from fairlead.clock import utc_now
from fairlead.controllers.options import HistoryPolicy, OperatorOptions
from fairlead.engine.history import HistoryLimits
from fairlead.kube.errors import ServerError
from fairlead.kube.resources import (
    CONTROLLERREVISIONS,
    PODS,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
)

pytestmark = looptime

Options = Callable[..., ArchivingStage]


@pytest.fixture
async def archiving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Options]:
    """Make a stage whose operator has an archive, and these options."""
    made: list[ArchivingStage] = []

    def make(**options: Any) -> ArchivingStage:
        made.append(ArchivingStage(monkeypatch, OperatorOptions(**options)))
        return made[0]

    yield make
    for each in made:
        await each.crash()


#: The metadata of a run that Argo CD has applied.
TRACKED = {"namespace": NAMESPACE, "name": "daily", "annotations": {"argocd.argoproj.io/tracking-id": "x"}}


def limits(succeeded: int | None = None, failed: int | None = None, **namespaces: HistoryLimits) -> HistoryPolicy:
    return HistoryPolicy(HistoryLimits(succeeded, failed), namespaces)


async def finish(stage: Stage, name: str, code: int = 0, **spec: Any) -> None:
    """A run comes, and ends a second later than whatever ended before."""
    stage.apply({**tasks("a"), **spec}, name)
    await asyncio.sleep(1)
    pod = stage.pod("a", run=name)
    stage.runs(pod)
    stage.ends(pod, code)
    await asyncio.sleep(2)


def left(stage: Stage) -> list[str]:
    return sorted(stage.api.of(WORKFLOWS))


def retry(stage: Stage, name: str) -> None:
    """The user of a run has it go on by itself."""
    body = {"workflowName": name, "workflowUID": stage.uid(name), "action": "Retry"}
    metadata = {"namespace": NAMESPACE, "name": "again"}
    stage.api.put(WORKFLOWACTIONS, {"kind": "WorkflowAction", "metadata": metadata, "spec": body})


# -- history limits


async def test_of_each_namespace_so_many_runs_are_kept(archiving: Options) -> None:
    stage = archiving(history=limits(succeeded=2, failed=1))
    await stage.begin()
    for number in range(4):
        await finish(stage, f"good-{number}")
        await finish(stage, f"bad-{number}", code=1)
    await asyncio.sleep(5)
    assert left(stage) == ["bad-3", "good-2", "good-3"]


async def test_a_namespace_may_have_limits_of_its_own(archiving: Options) -> None:
    stage = archiving(history=limits(succeeded=0, **{NAMESPACE: HistoryLimits(succeeded=1)}))
    await stage.begin()
    await finish(stage, "one")
    await finish(stage, "two")
    await asyncio.sleep(5)
    assert left(stage) == ["two"]


def template(stage: Stage, **history: int) -> None:
    spec = {**tasks("a"), "historyLimits": history}
    stage.api.put(
        WORKFLOWTEMPLATES,
        {"kind": "WorkflowTemplate", "metadata": {"namespace": NAMESPACE, "name": "etl"}, "spec": spec},
    )


async def test_a_template_says_how_many_of_its_runs_are_kept(stage: Stage) -> None:
    await stage.begin()
    template(stage, succeeded=1)
    await finish(stage, "other")
    for number in range(3):
        stage.apply({"templateRef": {"name": "etl"}}, f"etl-{number}")
        await asyncio.sleep(1)
        stage.ends(stage.pod("a", run=f"etl-{number}"))
        await asyncio.sleep(2)
    await asyncio.sleep(5)
    assert left(stage) == ["etl-2", "other"]


async def test_limits_that_are_changed_count_at_once(stage: Stage) -> None:
    await stage.begin()
    template(stage)
    for number in range(3):
        stage.apply({"templateRef": {"name": "etl"}}, f"etl-{number}")
        await asyncio.sleep(1)
        stage.ends(stage.pod("a", run=f"etl-{number}"))
        await asyncio.sleep(2)
    assert len(left(stage)) == 3
    stage.api.edit(WORKFLOWTEMPLATES, "etl", lambda raw: raw["spec"].update(historyLimits={"succeeded": 2}))
    await asyncio.sleep(5)
    assert left(stage) == ["etl-1", "etl-2"]


async def test_without_limits_nothing_is_deleted(stage: Stage) -> None:
    await stage.begin()
    for number in range(3):
        await finish(stage, f"good-{number}")
    await asyncio.sleep(1000)
    assert len(left(stage)) == 3


async def test_one_that_goes_on_or_waits_is_not_counted(archiving: Options) -> None:
    stage = archiving(history=limits(succeeded=1, failed=0))
    await stage.begin()
    stage.apply(tasks("a"), "running")
    stage.apply({**tasks("a"), "suspend": True}, "suspended")
    await finish(stage, "one")
    await asyncio.sleep(100)
    assert left(stage) == ["one", "running", "suspended"]


async def test_one_that_argo_cd_would_apply_again_is_neither_deleted_nor_counted(archiving: Options) -> None:
    stage = archiving(history=limits(succeeded=1))
    await stage.begin()
    await finish(stage, "tracked")
    stage.api.edit(
        WORKFLOWS,
        "tracked",
        lambda raw: raw["metadata"].update(annotations={"argocd.argoproj.io/tracking-id": "x"}),
    )
    await finish(stage, "one")
    await finish(stage, "two")
    await asyncio.sleep(5)
    assert left(stage) == ["tracked", "two"]


async def test_of_one_that_would_be_applied_again_the_pods_go_but_not_at_once(stage: Stage) -> None:
    """A controller that has lost touch could create anew what is gone earlier."""
    await stage.begin()
    stage.apply({**tasks("a", "b"), "ttlSecondsAfterFinished": 0}, metadata=TRACKED)
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    stage.ends(stage.pod("b"), 1)
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Failed"
    ended_at = datetime.fromisoformat(stage.status()["completionTime"])
    await asyncio.sleep((ended_at - utc_now()).total_seconds() + LEAST_SECONDS - 1)
    assert len(stage.pods()) == 2
    await asyncio.sleep(5)
    assert (left(stage), stage.pods()) == (["daily"], {})


async def test_after_a_restart_the_same_ones_are_kept(archiving: Options) -> None:
    stage = archiving(history=limits(succeeded=1))
    await stage.begin()
    refused = stage.api.fail(ServerError(500, "InternalError", "no"), "delete", WORKFLOWS)
    for number in range(3):
        await finish(stage, f"good-{number}")
    await stage.restart()
    await asyncio.sleep(5)
    assert len(left(stage)) == 3
    refused.lift()
    await asyncio.sleep(30)
    assert left(stage) == ["good-2"]


async def test_one_that_has_changed_since_we_heard_of_it_is_judged_anew(archiving: Options) -> None:
    """The delete has its version: what somebody has written meanwhile makes it fail."""
    stage = archiving(history=limits(failed=0))
    await stage.begin()
    held = stage.api.hold("delete", WORKFLOWS)
    await finish(stage, "daily", code=1)
    await asyncio.sleep(3)
    stage.api.edit(
        WORKFLOWS, "daily", lambda raw: raw["metadata"].update(labels={"kustomize.toolkit.fluxcd.io/name": "x"})
    )
    held.lift()
    await asyncio.sleep(60)
    assert stage.api.count("delete", WORKFLOWS) == 1
    assert left(stage) == ["daily"]


# -- the archive


async def test_a_run_is_archived_as_soon_as_it_has_ended(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    await finish(stage, "daily")
    assert [(each.name, each.phase) for each in stage.shelf.runs()] == [("daily", "Succeeded")]
    run = stage.shelf.run().workflow
    assert run["spec"] == tasks("a")
    assert [(each["name"], each["phase"]) for each in run["status"]["tasks"]] == [("a", "Succeeded")]
    assert left(stage) == ["daily"]


async def test_the_tasks_of_a_large_run_are_archived_from_its_shards(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    names = [f"t{number:03}" for number in range(250)]
    stage.apply({"tasks": [{"name": name, "set": {"values": [{"name": "x", "value": "1"}]}} for name in names]})
    await asyncio.sleep(20)
    assert len(stage.api.of(TASKSTATUSSHARDS)) > 0
    assert [each["name"] for each in stage.shelf.run().workflow["status"]["tasks"]] == names


async def test_the_definition_of_a_run_of_a_template_is_archived_with_it(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    template(stage)
    stage.apply({"templateRef": {"name": "etl"}})
    await asyncio.sleep(1)
    stage.api.edit(WORKFLOWTEMPLATES, "etl", lambda raw: raw["spec"].update(tasks=[]))
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    definition = stage.shelf.run().definition
    assert definition is not None
    assert definition["tasks"] == tasks("a")["tasks"]


async def test_one_whose_definition_is_gone_is_archived_without(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    template(stage)
    stage.apply({"templateRef": {"name": "etl"}})
    await asyncio.sleep(1)
    (revision,) = stage.api.of(CONTROLLERREVISIONS)
    stage.api.drop(CONTROLLERREVISIONS, revision)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(3)
    assert stage.shelf.run().definition is None


async def test_an_invalid_one_is_archived_too(archiving: Options) -> None:
    stage = archiving(history=limits(failed=0))
    await stage.begin()
    stage.watch_is_late()
    stage.apply(tasks("a", needs=["nobody"]))
    await asyncio.sleep(5)
    assert [each.phase for each in stage.shelf.runs()] == ["Failed"]
    assert left(stage) == []


async def test_each_end_of_a_run_that_was_retried_is_archived(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    await finish(stage, "daily", code=1)
    retry(stage, "daily")
    await asyncio.sleep(2)
    stage.ends(stage.pod("a", 2))
    await asyncio.sleep(3)
    assert [(each.phase, each.epoch) for each in stage.shelf.runs()] == [("Failed", 1), ("Succeeded", 2)]


async def test_after_a_restart_it_is_only_asked_whether_it_is_there(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    await finish(stage, "daily")
    stage.shelf.asked.clear()
    await stage.restart()
    await asyncio.sleep(100)
    assert [verb for verb, _ in stage.shelf.asked] == ["holds"]


@pytest.mark.parametrize("due", ["its ttl", "a history limit"])
async def test_no_run_is_deleted_before_it_is_archived(archiving: Options, due: str) -> None:
    stage = archiving(history=limits(succeeded=None if due == "its ttl" else 0))
    stage.shelf.broken = True
    await stage.begin()
    await finish(stage, "daily", **({"ttlSecondsAfterFinished": 0} if due == "its ttl" else {}))
    await asyncio.sleep(10_000)
    assert left(stage) == ["daily"]
    assert "the disk is full" in stage.told("ArchiveUnavailable")[0]
    assert stage.operator.metrics.registry.get_sample_value("fairlead_archive_failing_seconds") > 9_000
    stage.shelf.broken = False
    await asyncio.sleep(75)
    assert left(stage) == []
    assert stage.shelf.run().workflow["status"]["phase"] == "Succeeded"
    assert stage.operator.metrics.registry.get_sample_value("fairlead_archive_failing_seconds") == 0


async def test_an_archive_that_is_away_holds_up_nothing_else(archiving: Options) -> None:
    stage = archiving(keep_logs=True)
    stage.shelf.broken = True
    await stage.begin()
    stage.apply({"tasks": [*tasks("a")["tasks"], {"name": "b", "needs": ["a"], "container": {"image": "i"}}]})
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("b"))
    await asyncio.sleep(2)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.held() == []
    creates = stage.api.count("create", PODS)
    stage.api.drop(WORKFLOWS, "daily")
    for pod in list(stage.pods()):
        stage.api.drop(PODS, pod)
    await asyncio.sleep(5)
    assert (left(stage), stage.pods(), creates) == ([], {}, 2)


async def test_a_bug_in_the_record_of_one_run_keeps_no_other_from_the_archive(
    archiving: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairlead.controllers import archiver

    original = archiver.pack

    def pack(workflow: Any, *args: Any, **more: Any) -> bytes:
        if workflow["metadata"]["name"] == "strange":
            raise RuntimeError("a defect")
        return original(workflow, *args, **more)

    monkeypatch.setattr(archiver, "pack", pack)
    stage = archiving(history=limits(succeeded=0))
    await stage.begin()
    await finish(stage, "strange")
    await finish(stage, "daily")
    await asyncio.sleep(100)
    assert left(stage) == ["strange"]


# -- sub-workflows


def parent(**spec: Any) -> dict[str, Any]:
    return {"tasks": [{"name": "sub", "workflow": {"templateRef": {"name": "etl"}}}], **spec}


async def child_of(stage: Stage, *others: dict[str, Any], **fields: Any) -> str:
    """A run of a sub-workflow, whose pod exists, and of other tasks. Returns the child's name."""
    template(stage)
    spec = parent(ttlSecondsAfterFinished=0)
    spec["tasks"] += others
    stage.apply(spec, **fields)
    await asyncio.sleep(2)
    (child,) = [name for name in left(stage) if name != "daily"]
    return child


async def test_a_run_waits_until_its_sub_workflows_are_archived(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    child = await child_of(stage)
    stage.shelf.broken = True
    stage.ends(stage.pod("a", run=child))
    await asyncio.sleep(60)
    assert stage.status()["phase"] == "Succeeded"
    assert left(stage) == sorted(["daily", child])
    stage.shelf.broken = False
    await asyncio.sleep(75)
    assert "daily" not in left(stage)
    assert sorted(each.name for each in stage.shelf.runs()) == sorted(["daily", child])


async def test_a_sub_workflow_is_neither_counted_nor_deleted_by_itself(archiving: Options) -> None:
    stage = archiving(history=limits(succeeded=0))
    await stage.begin()
    template(stage, succeeded=0)
    stage.apply({**parent(), "tasks": [*parent()["tasks"], *tasks("more")["tasks"]]})
    await asyncio.sleep(2)
    (child,) = [name for name in left(stage) if name != "daily"]
    stage.ends(stage.pod("a", run=child))
    await asyncio.sleep(100)
    assert left(stage) == sorted(["daily", child])


async def test_a_run_whose_sub_workflow_goes_on_by_itself_is_not_deleted(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    child = await child_of(stage)
    stage.shelf.broken = True
    stage.ends(stage.pod("a", run=child), 1)
    await asyncio.sleep(5)
    assert stage.status()["phase"] == "Failed"
    retry(stage, child)
    await asyncio.sleep(5)
    stage.shelf.broken = False
    await asyncio.sleep(200)
    assert left(stage) == sorted(["daily", child])
    stage.ends(stage.pod("a", 2, run=child))
    await asyncio.sleep(30)
    assert "daily" not in left(stage)


async def test_a_run_that_would_be_applied_again_leaves_its_sub_workflows_alone(archiving: Options) -> None:
    stage = archiving()
    await stage.begin()
    child = await child_of(stage, *tasks("more")["tasks"], metadata=TRACKED)
    stage.ends(stage.pod("more"))
    stage.ends(stage.pod("a", run=child), 1)
    await asyncio.sleep(5)
    assert stage.status()["phase"] == "Failed"
    retry(stage, child)
    await asyncio.sleep(200)
    assert left(stage) == sorted(["daily", child])
    assert stage.pod("more") not in stage.pods()
    assert stage.status(child)["phase"] == "Running"
    stage.ends(stage.pod("a", 2, run=child))
    await asyncio.sleep(100)
    assert stage.status(child)["phase"] == "Succeeded"
    assert left(stage) == sorted(["daily", child])


async def with_one_below(stage: Stage) -> None:
    """A run that is over and due, and one that it owns without our labels, as a manifest of it would make it."""
    await stage.begin()
    stage.apply({**tasks("a"), "ttlSecondsAfterFinished": 0})
    await asyncio.sleep(1)
    owner = {"apiVersion": WORKFLOWS.api_version, "kind": WORKFLOWS.kind, "name": "daily", "uid": stage.uid()}
    metadata = {"namespace": NAMESPACE, "name": "below", "ownerReferences": [owner | {"controller": True}]}
    stage.apply(tasks("a"), "below", metadata=metadata)
    await asyncio.sleep(2)


async def test_a_run_waits_for_all_that_it_owns_whoever_made_it(stage: Stage) -> None:
    await with_one_below(stage)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(100)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.status("below")["phase"] == "Running"
    assert left(stage) == ["below", "daily"]
    stage.ends(stage.pod("a", run="below"))
    await asyncio.sleep(30)
    assert "daily" not in left(stage)


async def test_a_run_waits_until_all_that_it_owns_is_archived_whoever_made_it(archiving: Options) -> None:
    stage = archiving()
    await with_one_below(stage)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(5)
    stage.shelf.broken = True
    stage.ends(stage.pod("a", run="below"))
    await asyncio.sleep(100)
    assert [each.name for each in stage.shelf.runs()] == ["daily"]
    assert left(stage) == ["below", "daily"]
    stage.shelf.broken = False
    await asyncio.sleep(75)
    assert "daily" not in left(stage)
    assert sorted(each.name for each in stage.shelf.runs()) == ["below", "daily"]
