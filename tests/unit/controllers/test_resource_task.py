"""Tasks that create any object and follow it: once, with the rights of the run's account, and to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.controllers import widgets as kit
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime
from tests.unit.controllers.widgets import WIDGETS, says, widget, widgets

from fairlead.api import labels
from fairlead.controllers.resource_objects import name_of
from fairlead.kube.errors import ApiError, Forbidden, Invalid, NotFound, ServerError, Unreachable
from fairlead.kube.resources import EVENTS, NAMESPACES, PODS, SECRETS, WORKFLOWS, Resource

pytestmark = looptime

SPARK = Resource("sparkoperator.k8s.io", "v1beta2", "sparkapplications", "SparkApplication", strategic=False)
RAYJOB = Resource("ray.io", "v1", "rayjobs", "RayJob", strategic=False)
PATH = [{"name": "path", "from": "${object.status.path}"}]
ACCOUNT = f"{NAMESPACE}/default"


def no_right(verb: str) -> Forbidden:
    user = f"system:serviceaccount:{NAMESPACE}:default"
    return Forbidden(
        403,
        "Forbidden",
        f'widgets is forbidden: User "{user}" cannot {verb} resource "widgets" in API group "acme.example"',
    )


@pytest.fixture(autouse=True)
async def served(stage: Stage) -> None:
    kit.install(stage)


async def begun(stage: Stage) -> str:
    """A run with one Widget. Returns the Widget's name."""
    await stage.begin()
    stage.apply({"tasks": [widget()]})
    await asyncio.sleep(2)
    return stage.pod("a")


def task(stage: Stage, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = stage.status()["tasks"][index]
    return found


def attempt(stage: Stage, number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = task(stage)["attempts"][number - 1]
    return found


# -- what is created


async def test_the_object_is_the_manifest_under_the_name_of_the_attempt(stage: Stage) -> None:
    run = await begun(stage)
    [(name, made)] = widgets(stage).items()
    assert name == run
    assert made["spec"] == {"size": 3}
    assert made["metadata"]["labels"][labels.TASK] == "a"
    assert made["metadata"]["annotations"][labels.NODE] == "a"
    [owner] = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Workflow", stage.uid(), True)


async def test_the_users_labels_and_annotations_stay(stage: Stage) -> None:
    metadata = {"labels": {"team": "x"}, "annotations": {"note": "y"}}
    manifest = {"apiVersion": "acme.example/v1", "kind": "Widget", "metadata": metadata}
    await stage.begin()
    stage.apply({"tasks": [widget(manifest=manifest)]})
    await asyncio.sleep(1)
    made = widgets(stage)[stage.pod("a")]["metadata"]
    assert made["labels"]["team"] == "x"
    assert made["annotations"]["note"] == "y"


async def test_nothing_of_ours_keeps_it_from_being_deleted(stage: Stage) -> None:
    run = await begun(stage)
    assert "finalizers" not in widgets(stage)[run]["metadata"]


@pytest.mark.parametrize(
    ("spec", "account"),
    [
        ({}, "default"),
        ({"taskDefaults": {"pod": {"serviceAccountName": "etl"}}}, "etl"),
        (
            {
                "taskDefaults": {"pod": {"serviceAccountName": "etl-${params.team}"}},
                "params": [{"name": "team", "default": "x"}],
            },
            "etl-x",
        ),
    ],
    ids=["the default", "that of the pods", "by a parameter"],
)
async def test_every_request_about_it_is_sent_in_the_name_of_the_runs_account(
    stage: Stage, spec: dict[str, Any], account: str
) -> None:
    await stage.begin()
    stage.apply({"tasks": [widget(timeoutSeconds=5)], **spec})
    await asyncio.sleep(1)
    says(stage, stage.pod("a"), state="Running")
    await asyncio.sleep(10)
    asked = [each for each in stage.api.asked if each.plural == WIDGETS.plural]
    assert {each.verb for each in asked} == {"create", "get", "patch", "delete"}
    assert {each.actor for each in asked} == {f"{NAMESPACE}/{account}"}


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("daily-load-0123456789-1", RAYJOB, "daily-load-0123456789-1"),
        ("a" * 39 + "-0123456789-1", RAYJOB, "a" * 34 + "-0123456789-1"),
        ("daily-" + "a" * 33 + "-0123456789-12", RAYJOB, "daily-" + "a" * 27 + "-0123456789-12"),
        ("2026-load-0123456789-1", RAYJOB, "x2026-load-0123456789-1"),
        ("2026-load-0123456789-1", WIDGETS, "2026-load-0123456789-1"),
        ("a" * 39 + "-0123456789-1", WIDGETS, "a" * 39 + "-0123456789-1"),
    ],
)
def test_an_object_is_called_as_its_kind_allows(name: str, kind: Resource, expected: str) -> None:
    assert name_of(name, kind) == expected


# -- its end


async def test_a_success_hands_on_what_the_outputs_say(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [widget(outputs=PATH)]})
    await asyncio.sleep(1)
    says(stage, stage.pod("a"), state="Done", path="s3://x")
    await asyncio.sleep(8)
    assert stage.status()["phase"] == "Succeeded"
    assert task(stage)["outputs"] == {"path": "s3://x"}


async def test_an_output_that_is_not_there_fails_the_task(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [widget(outputs=PATH)]})
    await asyncio.sleep(1)
    says(stage, stage.pod("a"), state="Done")
    await asyncio.sleep(8)
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("OutputInvalid", "User")


async def test_a_failure_is_the_users(stage: Stage) -> None:
    name = await begun(stage)
    says(stage, name, state="Broken")
    await asyncio.sleep(8)
    assert stage.status()["phase"] == "Failed"
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("ResourceFailed", "User")


async def test_a_kind_with_a_preset_says_why_it_failed(stage: Stage) -> None:
    stage.api.kinds.append(SPARK)
    await stage.begin()
    manifest = {"apiVersion": SPARK.api_version, "kind": SPARK.kind, "spec": {"restartPolicy": {"type": "Never"}}}
    spark = {"preset": "SparkApplication", "manifest": manifest, "successWhen": None, "failureWhen": None}
    stage.apply({"tasks": [widget(**spark)]})
    await asyncio.sleep(1)
    state = {"applicationState": {"state": "FAILED", "errorMessage": "driver out of memory"}}
    stage.api.edit(SPARK, stage.pod("a"), lambda raw: raw.update(status=state))
    await asyncio.sleep(8)
    assert attempt(stage)["reason"] == "ResourceFailed"
    assert "driver out of memory" in attempt(stage)["message"]


async def test_what_follows_starts_only_when_the_end_is_on_record(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [widget("a"), widget("b", needs=["a"])]})
    await asyncio.sleep(3)
    writing = stage.api.hold("patch", WORKFLOWS)
    says(stage, stage.pod("a"), state="Done")
    await asyncio.sleep(10)
    assert list(widgets(stage)) == [stage.pod("a")]
    writing.lift()
    await asyncio.sleep(2)
    assert sorted(widgets(stage)) == sorted([stage.pod("a"), stage.pod("b")])


async def test_a_status_about_an_older_generation_is_not_judged(stage: Stage) -> None:
    run = await begun(stage)
    stage.api.edit(WIDGETS, run, lambda raw: raw["metadata"].update(generation=2))
    says(stage, run, state="Done", observedGeneration=1)
    await asyncio.sleep(20)
    assert stage.phases() == {"a": "Running"}
    says(stage, run, observedGeneration=2)
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


# -- until then


async def test_it_runs_once_its_controller_says_anything(stage: Stage) -> None:
    run = await begun(stage)
    assert stage.phases() == {"a": "Starting"}
    await asyncio.sleep(60)
    assert task(stage)["reason"] == "NoStatus"
    says(stage, run, state="Queued")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Running"}
    assert "reason" not in task(stage)


async def test_an_expression_that_cannot_be_evaluated_yet_is_shown_and_fails_nothing(stage: Stage) -> None:
    run = await begun(stage)
    says(stage, run, other=1)
    await asyncio.sleep(600)
    assert stage.phases() == {"a": "Running"}
    assert task(stage)["reason"] == "ExpressionError"
    assert "state" in task(stage)["message"]
    says(stage, run, state="Done")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


@pytest.mark.parametrize(
    "more",
    [
        {"successWhen": "${object.data[object.data.p] == 'x'}"},
        {"successWhen": "${object.data.p}"},
        {"successWhen": "${true}", "outputs": [{"name": "x", "from": "${object.data[object.data.p]}"}]},
    ],
    ids=["condition", "no condition", "output"],
)
async def test_nothing_of_a_secret_is_told(
    stage: Stage, caplog: pytest.LogCaptureFixture, more: dict[str, Any]
) -> None:
    stage.api.kinds.append(SECRETS)
    await stage.begin()
    outputs = {"outputs": more["outputs"]} if "outputs" in more else {}
    resource = {key: value for key, value in more.items() if key != "outputs"}
    resource = {"manifest": {"apiVersion": "v1", "kind": "Secret"}, "successWhen": "${false}"} | resource
    held = stage.api.hold("get", SECRETS)
    stage.apply({"tasks": [{"name": "a", "resource": resource, **outputs}]})
    await asyncio.sleep(2)
    [made] = stage.api.of(SECRETS)
    stage.api.edit(SECRETS, made, lambda raw: raw.update(data={"p": "aHVudGVyMg=="}, status={"some": 1}))
    held.lift()
    await asyncio.sleep(10)
    assert task(stage)["reason"] in ("ExpressionError", "OutputInvalid")
    assert "aHVu" not in f"{stage.status()} {stage.api.of(EVENTS)} {caplog.text}"


async def test_an_object_is_looked_at_often_while_it_changes_and_seldom_while_it_does_not(stage: Stage) -> None:
    run = await begun(stage)
    await asyncio.sleep(60)
    before = stage.api.count("get", WIDGETS)
    await asyncio.sleep(60)
    assert stage.api.count("get", WIDGETS) - before == pytest.approx(12, abs=1)
    before = stage.api.count("get", WIDGETS)
    for step in range(10):
        says(stage, run, step=step)
        await asyncio.sleep(1)
    assert stage.api.count("get", WIDGETS) - before >= 7


async def test_rights_that_are_lost_are_shown_and_the_object_is_waited_for(stage: Stage) -> None:
    run = await begun(stage)
    missing = stage.api.fail(no_right("get"), "get", WIDGETS)
    await asyncio.sleep(20)
    assert task(stage)["reason"] == "Forbidden"
    assert "needs the verbs" in task(stage)["message"]
    missing.lift()
    says(stage, run, state="Done")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


async def test_an_outage_is_waited_out(stage: Stage) -> None:
    run = await begun(stage)
    away = stage.api.fail(Unreachable("no route", maybe_applied=False), "get", WIDGETS)
    await asyncio.sleep(300)
    away.lift()
    says(stage, run, state="Done")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


# -- what keeps it from being created


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (no_right("create"), "Forbidden", "service account 'default' of namespace 'ns' needs the verbs create, get"),
        (Invalid(422, "Invalid", "spec.size: too large"), "ObjectRefused", "too large"),
    ],
    ids=["rights", "invalid"],
)
async def test_a_refusal_that_stays_fails_the_task_at_once(
    stage: Stage, error: ApiError, reason: str, words: str
) -> None:
    stage.api.fail(error, "create", WIDGETS)
    await stage.begin()
    stage.apply({"tasks": [widget(retry={"infrastructureLimit": 5})]})
    await asyncio.sleep(5)
    assert stage.status()["phase"] == "Failed"
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == (reason, "Configuration")
    assert words in attempt(stage)["message"]
    assert stage.api.count("create", WIDGETS) == 1


async def test_a_kind_that_is_not_served_fails_the_task_at_once(stage: Stage) -> None:
    stage.api.kinds.remove(WIDGETS)
    await stage.begin()
    stage.apply({"tasks": [widget()]})
    await asyncio.sleep(5)
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("NoSuchKind", "Configuration")
    assert "CustomResourceDefinition" in attempt(stage)["message"]


async def test_a_kind_of_the_whole_cluster_fails_the_task_and_nothing_is_asked_of_the_api_server(stage: Stage) -> None:
    stage.api.kinds.append(NAMESPACES)
    await stage.begin()
    stage.apply({"tasks": [widget(manifest={"apiVersion": "v1", "kind": "Namespace"})]})
    await asyncio.sleep(5)
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("NotNamespaced", "Configuration")
    assert stage.api.count("create", NAMESPACES) == 0


async def test_an_account_that_cannot_be_fails_the_task_at_once(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [widget()], "taskDefaults": {"pod": {"serviceAccountName": "${run.name}"}}})
    await asyncio.sleep(5)
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("InvalidServiceAccount", "Configuration")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Forbidden(403, "Forbidden", "exceeded quota: q, requested: widgets=1"), "QuotaExceeded"),
        (
            Forbidden(
                403, "Forbidden", 'User "fairlead" cannot impersonate resource "serviceaccounts" in API group ""'
            ),
            "OperatorForbidden",
        ),
    ],
    ids=["quota", "impersonation"],
)
async def test_a_refusal_that_passes_is_waited_for(stage: Stage, error: ApiError, reason: str) -> None:
    refused = stage.api.fail(error, "create", WIDGETS)
    await stage.begin()
    stage.apply({"tasks": [widget()]})
    await asyncio.sleep(30)
    assert stage.phases() == {"a": "Queued"}
    assert task(stage)["reason"] == reason
    refused.lift()
    await asyncio.sleep(12)
    assert list(widgets(stage)) == [stage.pod("a")]


async def test_somebody_elses_object_under_our_name_is_left_alone(stage: Stage) -> None:
    await stage.begin()
    uid = stage.apply({"tasks": [widget()], "suspend": True})
    metadata = {"namespace": NAMESPACE, "name": stage.pod("a")}
    stage.api.put(WIDGETS, {"apiVersion": "acme.example/v1", "kind": "Widget", "metadata": metadata})
    stage.respec(suspend=False)
    await asyncio.sleep(5)
    assert uid == stage.uid()
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("NameConflict", "Configuration")
    assert list(widgets(stage)) == [stage.pod("a")]


# -- crashes


@pytest.mark.row("F3")
async def test_an_answer_that_is_lost_creates_no_second_object(stage: Stage) -> None:
    stage.api.fail(ServerError(500, "InternalError", "x"), "create", WIDGETS, times=1, applied=True)
    await stage.begin()
    stage.apply({"tasks": [widget()]})
    await asyncio.sleep(5)
    assert list(widgets(stage)) == [stage.pod("a")]
    says(stage, stage.pod("a"), state="Done")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


async def test_one_whose_answer_is_lost_is_found_although_its_run_is_suspended_meanwhile(stage: Stage) -> None:
    stage.api.fail(ServerError(500, "InternalError", "x"), "create", WIDGETS, times=1, applied=True)
    await stage.begin()
    stage.apply({"tasks": [widget()]})
    await asyncio.sleep(0.1)
    stage.respec(suspend=True)
    await asyncio.sleep(5)
    assert stage.api.count("create", WIDGETS) == 1
    assert stage.phases() == {"a": "Starting"}
    says(stage, stage.pod("a"), state="Done")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


async def unrecorded(stage: Stage) -> str:
    """An operator that ends between creating the object and recording that."""
    await stage.begin()
    stage.api.hold("patch", WORKFLOWS)
    stage.apply({"tasks": [widget()]})
    await asyncio.sleep(0.1)
    stage.api.refusals[-1].lift()
    await asyncio.sleep(0.05)
    recording = stage.api.hold("patch", WORKFLOWS)
    await asyncio.sleep(5)
    assert list(widgets(stage)) == [stage.pod("a")]
    assert "attempts" not in stage.status()["tasks"][0]
    await stage.crash()
    recording.lift()
    return stage.pod("a")


@pytest.mark.row("F3")
async def test_an_object_that_was_not_recorded_is_adopted(stage: Stage) -> None:
    name = await unrecorded(stage)
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Starting"}
    says(stage, name, state="Done")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}
    assert list(widgets(stage)) == [name]


async def test_one_whose_run_is_suspended_meanwhile_is_found_all_the_same(stage: Stage) -> None:
    name = await unrecorded(stage)
    stage.respec(suspend=True)
    await stage.restart()
    await asyncio.sleep(5)
    assert stage.phases() == {"a": "Starting"}
    says(stage, name, state="Done")
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


@pytest.mark.row("F3")
async def test_a_restarted_operator_goes_on_following(stage: Stage) -> None:
    run = await begun(stage)
    says(stage, run, state="Running")
    await asyncio.sleep(3)
    await stage.crash()
    says(stage, run, state="Done")
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Succeeded"}
    assert stage.api.count("create", WIDGETS) == 1


# -- deleted by somebody else


async def test_an_object_that_somebody_deletes_is_tried_again_as_an_infrastructure_failure(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [widget(retry={"infrastructureLimit": 1})]})
    await asyncio.sleep(2)
    stage.api.drop(WIDGETS, stage.pod("a"))
    await asyncio.sleep(20)
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("ResourceDeleted", "Infrastructure")
    assert list(widgets(stage)) == [stage.pod("a", 2)]


async def test_the_next_attempt_waits_until_it_is_gone(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"tasks": [widget(retry={"infrastructureLimit": 1})]})
    await asyncio.sleep(2)
    stage.api.edit(WIDGETS, stage.pod("a"), lambda raw: raw["metadata"].update(finalizers=["acme.example/slow"]))
    stage.api.drop(WIDGETS, stage.pod("a"))
    await asyncio.sleep(30)
    assert task(stage)["reason"] == "Terminating"
    assert list(widgets(stage)) == [stage.pod("a")]
    stage.api.edit(WIDGETS, stage.pod("a"), lambda raw: raw["metadata"].update(finalizers=[]))
    await asyncio.sleep(30)
    assert list(widgets(stage)) == [stage.pod("a", 2)]


async def test_one_that_had_succeeded_when_it_was_deleted_has_succeeded(stage: Stage) -> None:
    run = await begun(stage)
    stage.api.edit(WIDGETS, run, lambda raw: raw["metadata"].update(finalizers=["acme.example/slow"]))
    says(stage, run, state="Done")
    stage.api.drop(WIDGETS, run)
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}


async def test_a_namesake_of_somebody_else_does_not_count(stage: Stage) -> None:
    run = await begun(stage)
    stage.api.drop(WIDGETS, run)
    metadata = {"namespace": NAMESPACE, "name": run}
    stage.api.put(WIDGETS, {"kind": "Widget", "metadata": metadata, "status": {"state": "Done"}})
    await asyncio.sleep(8)
    assert attempt(stage)["reason"] == "ResourceDeleted"


async def test_a_kind_that_is_gone_takes_its_objects_with_it_but_is_not_believed_at_once(stage: Stage) -> None:
    await begun(stage)
    stage.api.fail(NotFound(404, "", "404 page not found"), "get", WIDGETS)
    stage.api.kinds.remove(WIDGETS)
    await asyncio.sleep(30)
    assert task(stage)["reason"] == "NoSuchKind"
    assert stage.phases() == {"a": "Starting"}
    await asyncio.sleep(45)
    assert attempt(stage)["reason"] == "ResourceDeleted"


# -- ended by us


async def timed_out(stage: Stage, **more: Any) -> str:
    await stage.begin()
    stage.apply({"tasks": [widget(timeoutSeconds=10, **more)]})
    await asyncio.sleep(1)
    says(stage, stage.pod("a"), state="Running")
    return stage.pod("a")


async def test_an_attempt_that_is_ended_is_deleted_and_keeps_the_reason(stage: Stage) -> None:
    await timed_out(stage)
    await asyncio.sleep(25)
    assert widgets(stage) == {}
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("TimedOut", "Timeout")


async def test_why_it_is_ended_is_on_the_object_before_it_is_deleted(stage: Stage) -> None:
    name = await timed_out(stage)
    stage.api.edit(WIDGETS, name, lambda raw: raw["metadata"].update(finalizers=["acme.example/slow"]))
    await asyncio.sleep(25)
    assert widgets(stage)[name]["metadata"]["annotations"][labels.ENDING] == "TimedOut"
    await stage.crash()
    says(stage, name, state="Broken")  # what its controller makes of the deletion
    await stage.restart()
    await asyncio.sleep(3)
    stage.api.edit(WIDGETS, name, lambda raw: raw["metadata"].update(finalizers=[]))
    await asyncio.sleep(8)
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("TimedOut", "Timeout")


async def test_an_account_that_may_not_patch_may_still_delete(stage: Stage) -> None:
    stage.api.fail(no_right("patch"), "patch", WIDGETS)
    await timed_out(stage)
    await asyncio.sleep(25)
    assert widgets(stage) == {}
    assert attempt(stage)["reason"] == "TimedOut"


async def test_a_run_is_stalled_for_as_long_as_its_account_may_not_delete(stage: Stage) -> None:
    missing = stage.api.fail(no_right("delete"), "delete", WIDGETS)
    await timed_out(stage)
    await asyncio.sleep(15)
    assert "cannot delete" in stage.condition("Stalled")["message"]
    missing.lift()
    await asyncio.sleep(90)
    assert widgets(stage) == {}
    assert attempt(stage)["reason"] == "TimedOut"


async def test_one_that_is_to_be_left_is_left_and_its_task_ends(stage: Stage) -> None:
    name = await timed_out(stage, onCancel="Leave")
    await asyncio.sleep(25)
    assert list(widgets(stage)) == [name]
    assert stage.api.count("delete", WIDGETS) == 0
    assert (attempt(stage)["reason"], attempt(stage)["class"]) == ("TimedOut", "Timeout")
    assert "left to itself" in attempt(stage)["message"]


async def test_nobody_looks_at_an_object_whose_run_is_gone(stage: Stage) -> None:
    await begun(stage)
    stage.api.drop(WORKFLOWS, "daily")
    await asyncio.sleep(10)
    before = stage.api.count("get", WIDGETS)
    await asyncio.sleep(60)
    assert stage.api.count("get", WIDGETS) == before


async def test_a_pod_made_by_a_manifest_is_judged_by_its_expressions_alone(stage: Stage) -> None:
    manifest = {"apiVersion": "v1", "kind": "Pod", "spec": {}}
    await stage.begin()
    stage.apply(
        {"tasks": [widget(manifest=manifest, successWhen="${object.status.phase == 'Running'}", failureWhen=None)]}
    )
    await asyncio.sleep(2)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(8)
    assert stage.phases() == {"a": "Succeeded"}
    assert PODS.plural in {each.plural for each in stage.api.asked if each.actor == ACCOUNT}
