"""Create, replace and patch: what is set by the server, what is a change, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.testing.apiserver.client import JSON, MERGE, NS, STRATEGIC, Client, configmap, pod, workflow

from fairlead.kube.errors import error_from_status
from fairlead.kube.resources import CONFIGMAPS, JOBS, PODS, TASKSTATUSSHARDS, WORKFLOWS, Resource
from fairlead.testing.apiserver import Answer
from fairlead.testing.apiserver.refusals import refusal

SHARD = {"workflowUID": "u", "index": 0, "revision": 1, "tasks": []}


def test_a_new_object_has_what_the_server_sets_and_no_status_but_the_default(api: Client) -> None:
    made = api.create(WORKFLOWS, {**workflow(uid="mine", generation=7), "status": {"phase": "Succeeded"}})
    meta = made["metadata"]
    assert meta["uid"] not in ("", "mine")
    assert (meta["generation"], meta["namespace"]) == (1, NS)
    assert meta["creationTimestamp"] == "2026-11-22T08:00:00Z"
    assert meta["resourceVersion"] == str(api.server.version)
    assert made["status"] == {"observedGeneration": 0}


def test_a_name_that_is_taken(api: Client) -> None:
    api.create(WORKFLOWS, workflow())
    answer = api.ask("POST", api.path(WORKFLOWS), workflow())
    assert answer.code == 409
    assert answer.body["reason"] == "AlreadyExists"
    assert answer.body["message"] == 'workflows.fairlead.dev "w" already exists'
    assert answer.body["details"] == {"name": "w", "group": "fairlead.dev", "kind": "workflows"}


def test_a_dry_run_stores_nothing(api: Client) -> None:
    version = api.server.version
    made = api.create(PODS, pod(), dryRun="All")
    assert made["metadata"]["uid"]
    assert api.gone(PODS, "p")
    assert api.server.version == version


def test_generated_names_differ(api: Client) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}}
    names = {api.create(CONFIGMAPS, body)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("g-") and len(name) == 7 for name in names)


@pytest.mark.parametrize(
    ("metadata", "code", "field"),
    [
        ({"name": "Not_A_Name"}, 422, "metadata.name"),
        ({"name": None}, 422, "metadata.name"),
        ({"labels": {"a": "no label!"}}, 422, "metadata.labels"),
        ({"finalizers": ["unqualified"]}, 422, "metadata.finalizers[0]"),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]},
            422,
            "metadata.ownerReferences[0].uid",
        ),
        ({"namespace": "another"}, 400, ""),
        ({"resourceVersion": "5"}, 500, ""),
    ],
)
def test_what_cannot_be_created(api: Client, metadata: dict[str, Any], code: int, field: str) -> None:
    answer = api.ask(
        "POST", api.path(CONFIGMAPS), configmap(**{"name": "c", **metadata} if "name" in metadata else metadata)
    )
    assert answer.code == code
    causes = (answer.body.get("details") or {}).get("causes", [])
    assert [each["field"] for each in causes] == ([field] if field else [])


def test_a_write_that_changes_nothing_makes_no_version_and_no_event(api: Client) -> None:
    made = api.create(PODS, pod(labels={"a": "b"}))
    watch = api.watch(PODS)
    again = api.patch(PODS, "p", {"metadata": {"labels": {"a": "b", "c": None}}})
    assert again == made
    assert watch.take() == []


@pytest.mark.parametrize(
    ("resource", "body", "change", "generation"),
    [
        (WORKFLOWS, workflow(), {"spec": {"suspend": True}}, 2),
        (WORKFLOWS, workflow(), {"metadata": {"labels": {"a": "b"}}}, 1),
        (WORKFLOWS, workflow(), {"status": {"phase": "Running"}}, 1),
        (PODS, pod(), {"spec": {"activeDeadlineSeconds": 5}}, 2),
        (CONFIGMAPS, configmap(), {"data": {"k": "w"}}, None),
        (
            TASKSTATUSSHARDS,
            {"apiVersion": "fairlead.dev/v1alpha1", "kind": "TaskStatusShard", "metadata": {"name": "s"}, **SHARD},
            {"revision": 2},
            2,
        ),
    ],
)
def test_the_generation_counts_changes_of_the_spec(
    api: Client, resource: Resource, body: dict[str, Any], change: dict[str, Any], generation: int | None
) -> None:
    name = api.create(resource, body)["metadata"]["name"]
    assert api.patch(resource, name, change)["metadata"].get("generation") == generation


def test_the_status_is_written_through_its_subresource_only(api: Client) -> None:
    api.create(WORKFLOWS, workflow())
    assert api.patch(WORKFLOWS, "w", {"status": {"phase": "Running"}})["status"] == {"observedGeneration": 0}
    both = {"metadata": {"labels": {"a": "b"}}, "spec": {"suspend": True}, "status": {"phase": "Running"}}
    after = api.patch(WORKFLOWS, "w", both, part="status")
    assert (after["status"], after["spec"]) == ({"observedGeneration": 0, "phase": "Running"}, {"suspend": False})
    assert "labels" not in after["metadata"]


def test_a_status_that_is_taken_away_is_the_default_again(api: Client) -> None:
    api.create(WORKFLOWS, workflow())
    api.patch(WORKFLOWS, "w", {"status": {"phase": "Running"}}, part="status")
    assert api.patch(WORKFLOWS, "w", {"status": None}, part="status")["status"] == {"observedGeneration": 0}


def test_a_write_of_a_pods_status_reaches_its_labels_but_not_its_owners(api: Client) -> None:
    api.create(PODS, pod())
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u"}
    after = api.patch(PODS, "p", {"metadata": {"labels": {"a": "b"}, "ownerReferences": [owner]}}, part="status")
    assert after["metadata"]["labels"] == {"a": "b"}
    assert "ownerReferences" not in after["metadata"]


@pytest.mark.parametrize("resource", [PODS, WORKFLOWS])
@pytest.mark.parametrize("part", [None, "status"])
def test_a_version_in_a_patch_is_a_precondition(api: Client, resource: Resource, part: str | None) -> None:
    made = api.create(resource, pod() if resource is PODS else workflow())
    name, version = made["metadata"]["name"], made["metadata"]["resourceVersion"]
    api.patch(resource, name, {"metadata": {"resourceVersion": version}, "status": {"phase": "Running"}}, part="status")
    stale = {"metadata": {"resourceVersion": version}, "status": {"phase": "Failed"}}
    answer = api.ask("PATCH", api.path(resource, name, part), stale, MERGE)
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")


@pytest.mark.parametrize("kind", [MERGE, STRATEGIC])
def test_another_uid_in_a_patch_is_refused_and_the_operator_reads_it_as_a_conflict(api: Client, kind: str) -> None:
    api.create(PODS, pod())
    answer = api.ask("PATCH", api.path(PODS, "p"), {"metadata": {"uid": "x"}}, kind)
    assert answer.code == 422
    assert error_from_status(answer.body).is_wrong_uid


def test_the_status_of_a_custom_resource_is_written_whatever_uid_is_named(api: Client) -> None:
    api.create(WORKFLOWS, workflow())
    change = [
        {"op": "replace", "path": "/metadata/uid", "value": "x"},
        {"op": "add", "path": "/status", "value": {"phase": "Running"}},
    ]
    assert api.patch(WORKFLOWS, "w", change, JSON, "status")["status"] == {"phase": "Running"}


def test_a_put_of_a_custom_resource_names_its_version_and_another_kind_overwrites(api: Client) -> None:
    api.create(WORKFLOWS, workflow())
    api.create(CONFIGMAPS, configmap())
    answer = api.ask("PUT", api.path(WORKFLOWS, "w"), workflow())
    assert (answer.code, answer.body["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")
    assert api.replace(CONFIGMAPS, "c", {**configmap(), "data": {"n": "1"}})["data"] == {"n": "1"}


def test_a_custom_resource_takes_no_strategic_merge_patch(api: Client) -> None:
    api.create(WORKFLOWS, workflow())
    assert api.ask("PATCH", api.path(WORKFLOWS, "w"), {"spec": {}}, STRATEGIC).code == 415


def test_most_of_a_pods_spec_cannot_change(api: Client) -> None:
    api.create(PODS, pod())
    answer = api.ask("PATCH", api.path(PODS, "p"), {"spec": {"nodeName": "n"}}, MERGE)
    assert [each["field"] for each in answer.body["details"]["causes"]] == ["spec"]
    image = {"spec": {"containers": [{"name": "side", "image": "s:2"}]}}
    assert api.patch(PODS, "p", image, STRATEGIC)["spec"]["containers"][1]["image"] == "s:2"


def test_a_job_selects_its_pods_by_its_uid(api: Client) -> None:
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}]}}},
    }
    made = api.create(JOBS, body)
    uid = {"batch.kubernetes.io/controller-uid": made["metadata"]["uid"]}
    assert made["spec"]["selector"] == {"matchLabels": uid}
    assert made["spec"]["template"]["metadata"]["labels"].items() >= uid.items()
    changed = {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}
    answer = api.ask("PATCH", api.path(JOBS, "j"), changed, MERGE)
    assert [each["field"] for each in answer.body["details"]["causes"]] == ["spec.template"]


def test_a_request_of_more_than_three_megabytes(api: Client) -> None:
    body = {**configmap(), "data": {"k": "x" * 3_200_000}}
    answer = api.ask("POST", api.path(CONFIGMAPS), body)
    assert (answer.code, answer.body["reason"]) == (413, "RequestEntityTooLarge")


def test_what_is_about_to_be_stored_can_be_refused(api: Client) -> None:
    def quota(_request: object, obj: Any) -> Answer | None:
        return refusal(403, "Forbidden", "exceeded quota: q") if obj["kind"] == "Pod" else None

    api.server.admit = quota
    assert api.ask("POST", api.path(PODS), pod()).code == 403
    assert api.create(CONFIGMAPS, configmap())


def test_a_request_can_be_refused_before_anything_else(api: Client) -> None:
    api.server.authorize = lambda _: refusal(403, "Forbidden", "no")
    assert api.ask("GET", api.path(PODS)).code == 403
