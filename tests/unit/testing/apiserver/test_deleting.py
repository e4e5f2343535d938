"""DELETE: grace, finalizers, propagation and preconditions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.testing.apiserver.client import MERGE, NS, Client, configmap, pod, told, workflow

from fairlead.kube.errors import error_from_status
from fairlead.kube.resources import CONFIGMAPS, JOBS, PODS, WORKFLOWS, Resource

HELD = ["example.com/held"]


def test_without_finalizers_an_object_is_gone_at_once_and_told_of_in_a_status(api: Client) -> None:
    made = api.create(CONFIGMAPS, configmap())
    answer = api.delete(CONFIGMAPS, "c")
    assert answer["kind"] == "Status"
    assert answer["details"] == {"name": "c", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert api.gone(CONFIGMAPS, "c")


def test_a_finalizer_holds_an_object_until_it_is_taken_away(api: Client) -> None:
    api.create(WORKFLOWS, workflow(finalizers=HELD))
    marked = api.delete(WORKFLOWS, "w")
    assert marked["metadata"]["deletionTimestamp"] == "2026-11-22T08:00:00Z"
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert marked["metadata"]["generation"] == 2
    assert api.delete(WORKFLOWS, "w")["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
    watch = api.watch(WORKFLOWS)
    last = api.patch(WORKFLOWS, "w", {"metadata": {"finalizers": None}})
    assert "finalizers" not in last["metadata"]
    assert last["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
    assert told(watch) == [("DELETED", "w", str(api.server.version))]


def test_no_finalizer_can_be_added_to_what_is_being_deleted(api: Client) -> None:
    api.create(PODS, pod(finalizers=HELD))
    api.delete(PODS, "p")
    answer = api.ask("PATCH", api.path(PODS, "p"), {"metadata": {"finalizers": [*HELD, "example.com/new"]}}, MERGE)
    assert [each["field"] for each in answer.body["details"]["causes"]] == ["metadata.finalizers"]


def test_an_unscheduled_pod_is_gone_at_once(api: Client) -> None:
    api.create(PODS, pod())
    watch = api.watch(PODS)
    api.delete(PODS, "p")
    assert [each[0] for each in told(watch)] == ["MODIFIED", "DELETED"]
    assert api.gone(PODS, "p")


def test_a_pod_on_a_node_is_given_time_which_can_only_become_shorter(api: Client) -> None:
    api.create(PODS, pod())
    api.bind("p")
    first = api.delete(PODS, "p")["metadata"]
    assert (first["deletionTimestamp"], first["deletionGracePeriodSeconds"]) == ("2026-11-22T08:00:30Z", 30)
    assert first["generation"] == 2
    api.wait(3)
    assert api.delete(PODS, "p", gracePeriodSeconds=60)["metadata"] == first
    shorter = api.delete(PODS, "p", gracePeriodSeconds=5)["metadata"]
    assert (shorter["deletionTimestamp"], shorter["deletionGracePeriodSeconds"]) == ("2026-11-22T08:00:05Z", 5)
    api.delete(PODS, "p", gracePeriodSeconds=0)
    assert api.gone(PODS, "p")


def test_a_held_pod_outlives_its_kubelets_last_word(api: Client) -> None:
    api.create(PODS, pod(finalizers=HELD))
    api.bind("p")
    api.delete(PODS, "p")
    assert api.delete(PODS, "p", gracePeriodSeconds=0)["metadata"]["deletionGracePeriodSeconds"] == 0
    api.patch(PODS, "p", {"metadata": {"finalizers": None}})
    assert api.gone(PODS, "p")


def test_a_released_pod_waits_for_its_kubelet(api: Client) -> None:
    api.create(PODS, pod(finalizers=HELD))
    api.bind("p")
    api.delete(PODS, "p")
    api.patch(PODS, "p", {"metadata": {"finalizers": None}})
    assert not api.gone(PODS, "p")


@pytest.mark.parametrize("preconditions", [{"uid": "x"}, {"resourceVersion": "1"}])
def test_a_precondition_that_does_not_hold(api: Client, preconditions: dict[str, str]) -> None:
    api.create(PODS, pod())
    answer = api.ask("DELETE", api.path(PODS, "p"), {"preconditions": preconditions})
    assert (answer.code, answer.body["details"]["kind"]) == (409, "Pod")
    assert error_from_status(answer.body).is_wrong_uid == ("uid" in preconditions)


@pytest.mark.parametrize(
    ("resource", "options", "finalizers"),
    [
        (WORKFLOWS, {"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        (WORKFLOWS, {"propagationPolicy": "Orphan"}, ["orphan"]),
        (JOBS, {}, ["orphan"]),
    ],
)
def test_a_propagation_leaves_a_finalizer_for_the_collector(
    api: Client, resource: Resource, options: dict[str, Any], finalizers: list[str]
) -> None:
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    api.create(resource, {**head, "metadata": {"name": "x"}, "spec": {}})
    assert api.delete(resource, "x", **options)["metadata"]["finalizers"] == finalizers


def test_a_dry_run_is_asked_for_in_the_body(api: Client) -> None:
    api.create(CONFIGMAPS, configmap())
    api.ask("DELETE", api.path(CONFIGMAPS, "c"), {"dryRun": ["All"]})
    assert not api.gone(CONFIGMAPS, "c")
    api.ask("DELETE", api.path(CONFIGMAPS, "c"), {}, dryRun="All")
    assert api.gone(CONFIGMAPS, "c")


def test_a_collection_is_deleted_by_its_selector(api: Client) -> None:
    for name, app in (("a", "x"), ("b", "y")):
        api.create(CONFIGMAPS, configmap(name, labels={"app": app}))
    api.ask("DELETE", f"/api/v1/namespaces/{NS}/configmaps", {}, labelSelector="app=x")
    assert api.names(CONFIGMAPS) == ["b"]
