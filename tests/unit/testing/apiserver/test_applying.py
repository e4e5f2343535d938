"""Server-side apply."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.testing.apiserver.client import APPLY, MERGE, Client

from fairlead.kube.resources import CONFIGMAPS, WORKFLOWACTIONS

SPEC = {"workflowName": "w", "workflowUID": "u", "action": "Retry"}
HEAD = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "WorkflowAction"}


def action(**fields: Any) -> dict[str, Any]:
    return {**HEAD, "metadata": {"name": "a"}, **fields}


def condition(kind: str, status: str = "True") -> dict[str, Any]:
    more = {"reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"status": {"conditions": [{"type": kind, "status": status, **more}]}}


def test_conditions_of_others_stay_and_the_same_again_is_no_change(api: Client) -> None:
    api.create(WORKFLOWACTIONS, action(spec=SPEC))
    api.patch(WORKFLOWACTIONS, "a", condition("Seen"), MERGE, "status")
    first = api.patch(WORKFLOWACTIONS, "a", action(**condition("Accepted")), APPLY, "status", force="true")
    assert [each["type"] for each in first["status"]["conditions"]] == ["Seen", "Accepted"]
    again = api.patch(WORKFLOWACTIONS, "a", action(**condition("Accepted")), APPLY, "status", force="true")
    assert again == first


def test_who_applies_for_the_first_time_makes_a_version(api: Client) -> None:
    body = action(spec=SPEC)
    made = api.create(WORKFLOWACTIONS, body)
    applied = api.patch(WORKFLOWACTIONS, "a", body, APPLY, fieldManager="one")
    assert applied["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


def test_what_is_not_applied_again_is_taken_back_unless_it_is_anothers_too(api: Client) -> None:
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    api.patch(CONFIGMAPS, "c", {**head, "data": {"x": "1", "y": "1", "z": "1"}}, APPLY, fieldManager="one")
    api.patch(CONFIGMAPS, "c", {**head, "data": {"y": "1"}}, APPLY, fieldManager="two")
    api.patch(CONFIGMAPS, "c", {"data": {"z": "2"}}, MERGE)
    after = api.patch(CONFIGMAPS, "c", head, APPLY, fieldManager="one")
    assert after["data"] == {"y": "1", "z": "2"}


def test_a_field_of_another_is_taken_over_by_force_only(api: Client) -> None:
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    api.patch(CONFIGMAPS, "c", {**head, "data": {"x": "1"}}, APPLY, fieldManager="one")
    mine = {**head, "data": {"x": "2"}}
    answer = api.ask("PATCH", api.path(CONFIGMAPS, "c"), mine, APPLY, fieldManager="two")
    assert (answer.code, answer.body["details"]["causes"][0]["field"]) == (409, ".data.x")
    assert api.patch(CONFIGMAPS, "c", mine, APPLY, fieldManager="two", force="true")["data"] == {"x": "2"}
    assert api.patch(CONFIGMAPS, "c", head, APPLY, fieldManager="one")["data"] == {"x": "2"}


def test_what_was_there_before_is_not_taken_back(api: Client) -> None:
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    api.create(CONFIGMAPS, {**head, "data": {"x": "1"}})
    api.patch(CONFIGMAPS, "c", {**head, "data": {"x": "1", "y": "1"}}, APPLY, fieldManager="one")
    assert api.patch(CONFIGMAPS, "c", head, APPLY, fieldManager="one")["data"] == {"x": "1"}


@pytest.mark.parametrize("metadata", [{"uid": "x"}, {"resourceVersion": "1"}])
def test_preconditions(api: Client, metadata: dict[str, str]) -> None:
    api.create(WORKFLOWACTIONS, action(spec=SPEC))
    body = {**HEAD, "metadata": {"name": "a", **metadata}}
    answer = api.ask("PATCH", api.path(WORKFLOWACTIONS, "a"), body, APPLY, force="true")
    assert answer.code == (422 if "uid" in metadata else 409)


def test_nothing_is_created_in_place_of_an_object_that_is_gone(api: Client) -> None:
    body = {**HEAD, "metadata": {"name": "a", "uid": "x"}}
    assert api.ask("PATCH", api.path(WORKFLOWACTIONS, "a"), body, APPLY, force="true").code == 409
    assert api.gone(WORKFLOWACTIONS, "a")
