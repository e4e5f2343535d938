"""Tasks that run a template as a child Workflow: one for each attempt, stopped and suspended with its parent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.controllers import widgets as kit
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime
from tests.unit.controllers.widgets import WIDGETS, child, says, widget, widgets

from fairlead.api import labels
from fairlead.engine.commands import EndAttempt
from fairlead.engine.model import WorkKind
from fairlead.engine.names import attempt_name
from fairlead.kube.errors import ServerError
from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWS

pytestmark = looptime


@pytest.fixture(autouse=True)
async def served(stage: Stage) -> None:
    kit.install(stage)


async def begun(stage: Stage, **more: Any) -> str:
    """A run with one sub-workflow, whose Widget is there. Returns the child's name."""
    await stage.begin()
    stage.apply({"tasks": [child(**more)]})
    await asyncio.sleep(2)
    return stage.pod("sub")


def finish(stage: Stage, name: str, state: str = "Done") -> None:
    """Let the Widget of a child end."""
    says(stage, attempt_name(name, stage.uid(name), "w", 1), state=state)


def attempt(stage: Stage, number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = stage.status()["tasks"][0]["attempts"][number - 1]
    return found


def ask(stage: Stage, name: str, created: str = "", **spec: Any) -> None:
    """Ask something of the parent."""
    metadata = {"namespace": NAMESPACE, "name": name} | ({"creationTimestamp": created} if created else {})
    spec |= {"workflowName": "daily", "workflowUID": stage.uid(), "requestedBy": {"username": "ann"}}
    stage.api.put(WORKFLOWACTIONS, {"kind": "WorkflowAction", "metadata": metadata, "spec": spec})


def requests(stage: Stage) -> dict[str, dict[str, Any]]:
    return {name: raw["spec"] for name, raw in stage.api.of(WORKFLOWACTIONS).items()}


# -- a child


@pytest.mark.row("A5")
@pytest.mark.row("fine:sub-workflow")
async def test_a_child_is_a_workflow_that_its_parent_owns(stage: Stage) -> None:
    name = await begun(stage)
    made = stage.raw(name)
    assert made["spec"] == {"templateRef": {"name": "inner"}, "arguments": [{"name": "day", "value": "1"}]}
    [owner] = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Workflow", "daily", stage.uid(), True)
    assert made["metadata"]["labels"][labels.DEPTH] == "1"
    assert "finalizers" not in made["metadata"]


async def test_it_runs_by_itself_and_its_parent_says_how_it_gets_on(stage: Stage) -> None:
    name = await begun(stage)
    assert stage.status(name)["phase"] == "Running"
    assert len(widgets(stage)) == 1
    assert stage.phases() == {"sub": "Running"}
    assert stage.status()["tasks"][0]["message"] == "0/1 tasks have ended"


async def test_its_success_is_that_of_the_task(stage: Stage) -> None:
    name = await begun(stage)
    finish(stage, name)
    await asyncio.sleep(10)
    assert stage.status(name)["phase"] == "Succeeded"
    assert stage.status()["phase"] == "Succeeded"


async def test_its_failure_is_the_users_and_says_what_it_says(stage: Stage) -> None:
    name = await begun(stage)
    finish(stage, name, "Broken")
    await asyncio.sleep(10)
    assert stage.status()["phase"] == "Failed"
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("SubworkflowFailed", "User")
    assert "task 'w' failed" in attempt(stage)["message"]


async def test_another_attempt_is_another_child(stage: Stage) -> None:
    name = await begun(stage, retry={"limit": 1})
    finish(stage, name, "Broken")
    await asyncio.sleep(30)
    assert sorted(stage.api.of(WORKFLOWS)) == sorted(["daily", name, stage.pod("sub", 2)])


@pytest.mark.row("A5")
async def test_templates_that_run_each_other_come_to_an_end(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [child(template="endless")]})
    await asyncio.sleep(60)
    runs = stage.api.of(WORKFLOWS)
    assert len(runs) == 9
    deepest = next(raw for raw in runs.values() if raw["metadata"].get("labels", {}).get(labels.DEPTH) == "8")
    [tried] = deepest["status"]["tasks"][0]["attempts"]
    assert (tried["reason"], tried["class"]) == ("NestingTooDeep", "Configuration")
    assert stage.status()["phase"] == "Failed"


async def test_somebody_elses_workflow_under_our_name_is_left_alone(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [child()], "suspend": True})
    stage.apply({"tasks": [widget()], "suspend": True}, name=stage.pod("sub"))
    stage.respec(suspend=False)
    await asyncio.sleep(5)
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("NameConflict", "Configuration")


async def test_a_child_goes_with_its_parent_not_by_a_time_of_its_own(stage: Stage) -> None:
    name = await begun(stage)
    stage.respec(name, ttlSecondsAfterFinished=0)
    finish(stage, name)
    await asyncio.sleep(30)
    assert name in stage.api.of(WORKFLOWS)
    assert stage.status()["phase"] == "Succeeded"


async def test_a_child_that_somebody_deletes_is_replaced(stage: Stage) -> None:
    name = await begun(stage, retry={"infrastructureLimit": 1})
    stage.api.drop(WORKFLOWS, name)
    await asyncio.sleep(30)
    assert attempt(stage)["class"] == "Infrastructure"
    assert stage.pod("sub", 2) in stage.api.of(WORKFLOWS)


async def test_a_child_whose_owner_was_taken_off_gets_it_back(stage: Stage) -> None:
    name = await begun(stage)
    stage.api.edit(WORKFLOWS, name, lambda raw: raw["metadata"].pop("ownerReferences"))
    await asyncio.sleep(3)
    assert stage.raw(name)["metadata"]["ownerReferences"][0]["uid"] == stage.uid()
    finish(stage, name)
    await asyncio.sleep(10)
    assert stage.status()["phase"] == "Succeeded"


async def test_a_workflow_that_only_claims_to_be_a_child_is_none(stage: Stage) -> None:
    name = await begun(stage)
    forged = json.loads(json.dumps(stage.raw(name)))
    for mine in ("uid", "resourceVersion"):
        del forged["metadata"][mine]
    forged["metadata"]["name"] = "forged-1"
    forged["status"] = {"conditions": [{"type": kind, "status": "True"} for kind in ("Finished", "Succeeded")]}
    stage.api.put(WORKFLOWS, forged)
    await asyncio.sleep(5)
    assert stage.phases() == {"sub": "Running"}


async def test_a_workflow_that_a_manifest_makes_is_judged_by_the_expressions_of_its_task(stage: Stage) -> None:
    await stage.begin()
    manifest = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "spec": {"templateRef": {"name": "inner"}}}
    manifest["spec"] |= {"arguments": [{"name": "day", "value": "1"}]}
    condition = "${object.status.phase == 'Running'}"
    stage.apply({"tasks": [widget("sub", manifest=manifest, successWhen=condition, failureWhen=None)]})
    await asyncio.sleep(8)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.status(stage.pod("sub"))["phase"] == "Running"


async def test_a_workflow_of_another_namespace_is_no_child(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [child()], "suspend": True})
    await asyncio.sleep(3)
    owner = {"apiVersion": WORKFLOWS.api_version, "kind": "Workflow", "name": "daily", "uid": stage.uid()}
    metadata = {
        "namespace": "elsewhere",
        "name": stage.pod("sub"),
        "ownerReferences": [owner | {"controller": True}],
        "labels": {labels.RUN_UID: stage.uid()},
        "annotations": {labels.NODE: "sub"},
    }
    stage.apply({"tasks": [widget("w", successWhen="${true}")]}, metadata=metadata)
    await asyncio.sleep(70)
    assert stage.phases() == {"sub": "Queued"}


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "never", 7])
async def test_a_note_on_a_child_that_makes_no_sense_is_none(stage: Stage, since: object) -> None:
    name = await begun(stage)
    note = json.dumps({"attempt": 1, "epoch": 1, "since": since})
    stage.api.edit(WORKFLOWS, name, lambda raw: raw["metadata"]["annotations"].update({labels.CARRIES: note}))
    finish(stage, name)
    await asyncio.sleep(10)
    assert stage.status()["phase"] == "Succeeded"


async def test_a_child_that_its_user_retries_by_itself_goes_on(stage: Stage) -> None:
    name = await begun(stage)
    finish(stage, name, "Broken")
    await asyncio.sleep(10)
    assert stage.status()["phase"] == "Failed"
    spec = {"workflowName": name, "workflowUID": stage.uid(name), "action": "Retry", "requestedBy": {"username": "ann"}}
    metadata = {"namespace": NAMESPACE, "name": "again"}
    stage.api.put(WORKFLOWACTIONS, {"kind": "WorkflowAction", "metadata": metadata, "spec": spec})
    await asyncio.sleep(70)
    assert stage.status(name)["phase"] == "Running"
    says(stage, attempt_name(name, stage.uid(name), "w", 2), state="Done")
    await asyncio.sleep(10)
    assert (stage.status(name)["phase"], stage.status()["phase"]) == ("Succeeded", "Failed")


async def test_a_child_that_waits_for_its_template_ends_with_its_task(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [child(template="missing", deadlineSeconds=10)]})
    await asyncio.sleep(300)
    assert (stage.phases(), stage.status()["phase"]) == ({"sub": "Failed"}, "Failed")
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("DeadlineExceeded", "Timeout")
    assert stage.status(stage.pod("sub"))["phase"] == "Cancelled"


# -- crashes


async def test_an_answer_that_is_lost_creates_no_second_child(stage: Stage) -> None:
    stage.api.fail(ServerError(500, "InternalError", "x"), "create", WORKFLOWS, times=1, applied=True)
    name = await begun(stage)
    finish(stage, name)
    await asyncio.sleep(10)
    assert sorted(stage.api.of(WORKFLOWS)) == sorted(["daily", name])
    assert stage.status()["phase"] == "Succeeded"


async def test_a_child_that_was_not_recorded_is_adopted(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [child()]})
    await asyncio.sleep(0.05)
    writing = stage.api.hold("patch", WORKFLOWS, name="daily")
    await asyncio.sleep(5)
    name = stage.pod("sub")
    assert "attempts" not in stage.status()["tasks"][0]
    await stage.crash()
    writing.lift()
    stage.respec(suspend=True)
    await stage.restart()
    await asyncio.sleep(5)
    stage.respec(suspend=False)
    finish(stage, name)
    await asyncio.sleep(15)
    assert stage.status()["phase"] == "Succeeded"
    assert stage.api.count("create", WORKFLOWS) == 1


async def test_a_restarted_operator_hears_of_an_end_that_came_while_it_was_away(stage: Stage) -> None:
    name = await begun(stage)
    await asyncio.sleep(3)
    await stage.crash()
    stage.api.drop(WORKFLOWS, name)
    await stage.restart()
    await asyncio.sleep(5)
    assert attempt(stage)["reason"] == "ObjectGone"


# -- what goes down


@pytest.mark.row("fine:sub-workflow")
async def test_active_children_are_suspended_and_resumed_with_their_parent(stage: Stage) -> None:
    name = await begun(stage)
    stage.respec(suspend=True)
    await asyncio.sleep(4)
    assert stage.raw(name)["spec"]["suspend"] is True
    assert stage.status()["tasks"][0]["reason"] == "Suspended"
    stage.respec(suspend=False)
    await asyncio.sleep(2)
    assert stage.raw(name)["spec"]["suspend"] is False


async def test_a_child_that_somebody_has_suspended_stays_so(stage: Stage) -> None:
    name = await begun(stage)
    stage.respec(name, suspend=True)
    await asyncio.sleep(1)
    stage.respec(suspend=True)
    await asyncio.sleep(2)
    stage.respec(suspend=False)
    await asyncio.sleep(70)
    assert stage.raw(name)["spec"]["suspend"] is True


async def test_suspension_goes_down_after_a_crash_in_between(stage: Stage) -> None:
    name = await begun(stage)
    await stage.crash()
    stage.respec(suspend=True)
    await stage.restart()
    await asyncio.sleep(5)
    assert stage.raw(name)["spec"]["suspend"] is True


async def test_children_of_finally_are_not_suspended(stage: Stage) -> None:
    name = await begun(stage)
    stage.api.edit(WORKFLOWS, name, lambda raw: raw["metadata"]["annotations"].update({labels.FINAL: "true"}))
    stage.respec(suspend=True)
    await asyncio.sleep(5)
    assert not stage.raw(name)["spec"].get("suspend")


async def test_a_child_that_is_created_while_its_parent_is_being_suspended_is_suspended(stage: Stage) -> None:
    await stage.begin()
    creating = stage.api.fail(ServerError(500, "InternalError", "x"), "create", WORKFLOWS, times=1, applied=True)
    stage.apply({"tasks": [child()]})
    await asyncio.sleep(0.1)
    assert creating.hits == 1
    stage.respec(suspend=True)
    await asyncio.sleep(5)
    assert stage.raw(stage.pod("sub"))["spec"]["suspend"] is True


async def test_a_child_is_asked_to_stop_in_the_operators_own_name(stage: Stage) -> None:
    name = await begun(stage, timeoutSeconds=10)
    await asyncio.sleep(15)
    [(action, spec)] = requests(stage).items()
    assert action == f"{name}-cancel-1"
    assert spec == {
        "workflowName": name,
        "workflowUID": stage.uid(name),
        "action": "Stop",
        "mode": "Cancel",
        "reason": "TimedOut",
        "requestedBy": {"username": "fairlead"},
    }
    assert stage.raw(name)["metadata"]["annotations"][labels.ENDING] == "TimedOut"


async def test_the_task_ends_when_the_child_has_and_for_the_reason_that_it_was_ended(stage: Stage) -> None:
    name = await begun(stage, timeoutSeconds=10)
    inner = attempt_name(name, stage.uid(name), "w", 1)
    stage.api.edit(WIDGETS, inner, lambda raw: raw["metadata"].update(finalizers=["acme.example/slow"]))
    await asyncio.sleep(60)
    assert (stage.phases(), stage.phases(name)) == ({"sub": "Running"}, {"w": "Starting"})
    stage.api.edit(WIDGETS, inner, lambda raw: raw["metadata"].update(finalizers=[]))
    await asyncio.sleep(10)
    assert stage.phases(name) == {"w": "Cancelled"}
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("TimedOut", "Timeout")


@pytest.mark.parametrize(("mode", "passed_on"), [("Cancel", "Cancel"), ("Terminate", "Terminate")])
@pytest.mark.row("A5")
@pytest.mark.row("fine:sub-workflow")
async def test_a_stop_of_the_parent_stops_its_children(stage: Stage, mode: str, passed_on: str) -> None:
    name = await begun(stage)
    ask(stage, "stop", action="Stop", mode=mode)
    await asyncio.sleep(15)
    assert [spec["mode"] for action, spec in requests(stage).items() if action != "stop"] == [passed_on]
    assert stage.phases(name) == {"w": "Cancelled"}
    assert stage.phases() == {"sub": "Cancelled"}
    assert widgets(stage) == {}


async def test_a_graceful_stop_of_the_parent_lets_them_finish(stage: Stage) -> None:
    name = await begun(stage)
    ask(stage, "stop", action="Stop", mode="Graceful")
    await asyncio.sleep(15)
    assert list(requests(stage)) == ["stop"]
    finish(stage, name)
    await asyncio.sleep(10)
    assert stage.phases() == {"sub": "Succeeded"}


async def test_by_force_it_is_deleted(stage: Stage) -> None:
    name = await begun(stage)
    end = EndAttempt(node="sub", number=1, object_name=name, kind=WorkKind.WORKFLOW, reason="TimedOut", force=True)
    stage.operator.applier.dispatch(stage.run(), end)
    await asyncio.sleep(5)
    assert name not in stage.api.of(WORKFLOWS)
    assert requests(stage) == {}


# -- run again by a user's retry of the parent


async def retried(stage: Stage) -> str:
    """A run whose child has failed, and which its user retries. Returns the child's name."""
    name = await begun(stage)
    finish(stage, name, "Broken")
    await asyncio.sleep(10)
    assert stage.phases() == {"sub": "Failed"}
    ask(stage, "again", action="Retry")
    await asyncio.sleep(5)
    return name


@pytest.mark.row("fine:sub-workflow")
async def test_the_same_child_is_run_again_from_its_failure(stage: Stage) -> None:
    name = await retried(stage)
    assert sorted(stage.api.of(WORKFLOWS)) == sorted(["daily", name])
    assert requests(stage)[f"{name}-retry-1"]["action"] == "Retry"
    assert stage.phases() == {"sub": "Running"}
    assert stage.phases(name) == {"w": "Starting"}
    assert len(widgets(stage)) == 2


async def test_its_next_end_is_that_of_the_new_attempt(stage: Stage) -> None:
    name = await retried(stage)
    says(stage, attempt_name(name, stage.uid(name), "w", 2), state="Done")
    await asyncio.sleep(10)
    assert stage.status()["phase"] == "Succeeded"
    assert attempt(stage, 1)["reason"] == "SubworkflowFailed"
    assert "reason" not in attempt(stage, 2)


async def test_it_is_run_again_as_often_as_its_parent_is(stage: Stage) -> None:
    name = await retried(stage)
    says(stage, attempt_name(name, stage.uid(name), "w", 2), state="Broken")
    await asyncio.sleep(10)
    ask(stage, "once-more", action="Retry")
    await asyncio.sleep(5)
    says(stage, attempt_name(name, stage.uid(name), "w", 3), state="Done")
    await asyncio.sleep(10)
    assert stage.status()["phase"] == "Succeeded"
    assert sorted(stage.api.of(WORKFLOWS)) == sorted(["daily", name])
    assert len(stage.status()["tasks"][0]["attempts"]) == 3


async def test_a_child_that_is_to_run_again_says_nothing_of_the_attempt_before(stage: Stage) -> None:
    lost = stage.api.fail(ServerError(500, "InternalError", "x"), "create", WORKFLOWACTIONS)
    name = await retried(stage)
    await asyncio.sleep(10)
    note = json.loads(stage.raw(name)["metadata"]["annotations"][labels.CARRIES])
    assert (note["attempt"], note["epoch"]) == (2, 2)
    assert stage.phases() == {"sub": "Starting"}
    lost.lift()
    await asyncio.sleep(30)
    assert stage.phases() == {"sub": "Running"}


async def test_a_request_to_run_again_survives_a_crash_before_it(stage: Stage) -> None:
    lost = stage.api.fail(ServerError(500, "InternalError", "x"), "create", WORKFLOWACTIONS)
    name = await retried(stage)
    assert list(requests(stage)) == ["again"]
    await stage.crash()
    lost.lift()
    await stage.restart()
    await asyncio.sleep(5)
    assert stage.phases(name) == {"w": "Starting"}
    assert stage.phases() == {"sub": "Running"}
    assert len(widgets(stage)) == 2


@pytest.mark.parametrize("asked", [{"action": "Stop", "mode": "Graceful"}, {"action": "Approve", "tasks": ["w"]}])
async def test_a_name_that_somebody_else_has_taken_keeps_it_from_nothing(stage: Stage, asked: dict[str, Any]) -> None:
    name = await begun(stage)
    for mine in (f"{name}-retry-1", f"{name}-cancel-2"):
        spec = {"workflowName": name, "workflowUID": stage.uid(name), "requestedBy": {"username": "mallory"}, **asked}
        metadata = {"namespace": NAMESPACE, "name": mine}
        stage.api.put(WORKFLOWACTIONS, {"kind": "WorkflowAction", "metadata": metadata, "spec": spec})
    finish(stage, name, "Broken")
    await asyncio.sleep(10)
    ask(stage, "again", action="Retry")
    await asyncio.sleep(5)
    assert (stage.phases(name), stage.phases()) == ({"w": "Starting"}, {"sub": "Running"})
    ask(stage, "enough", action="Stop", mode="Cancel", created="2026-11-22T09:00:00Z")
    await asyncio.sleep(30)
    assert (stage.status(name)["phase"], stage.status()["phase"]) == ("Cancelled", "Cancelled")


async def test_a_child_that_is_gone_is_replaced_when_its_parent_is_retried(stage: Stage) -> None:
    name = await begun(stage)
    finish(stage, name, "Broken")
    await asyncio.sleep(10)
    stage.api.drop(WORKFLOWS, name)
    ask(stage, "again", action="Retry")
    await asyncio.sleep(5)
    assert sorted(stage.api.of(WORKFLOWS)) == sorted(["daily", stage.pod("sub", 2)])


async def test_a_stop_that_comes_before_it_runs_again_ends_it_all_the_same(stage: Stage) -> None:
    lost = stage.api.fail(ServerError(500, "InternalError", "x"), "create", WORKFLOWACTIONS)
    name = await retried(stage)
    ask(stage, "stop", action="Stop", mode="Cancel")
    await asyncio.sleep(1)
    lost.lift()
    await asyncio.sleep(90)
    assert stage.phases(name) == {"w": "Cancelled"}
    assert stage.phases() == {"sub": "Cancelled"}


async def test_nothing_is_created_for_widgets_of_a_child_twice(stage: Stage) -> None:
    await begun(stage)
    await stage.restart()
    await asyncio.sleep(5)
    assert stage.api.count("create", WIDGETS) == 1
    assert {each.actor for each in stage.api.asked if each.plural == WIDGETS.plural} == {f"{NAMESPACE}/default"}
