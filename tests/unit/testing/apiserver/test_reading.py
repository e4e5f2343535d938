"""GET and LIST: forms, selectors and pages."""

from __future__ import annotations

import pytest
from tests.unit.testing.apiserver.client import METADATA, Client, configmap, pod, workflow

from fairlead.kube.resources import CONFIGMAPS, PODS, WORKFLOWS


def test_what_is_not_there(api: Client) -> None:
    answer = api.ask("GET", api.path(PODS, "p"))
    assert (answer.code, answer.body["message"]) == (404, 'pods "p" not found')
    assert answer.body["details"] == {"name": "p", "kind": "pods"}


def test_metadata_alone(api: Client) -> None:
    made = api.create(PODS, pod())
    head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    assert api.ask("GET", api.path(PODS, "p"), accept=METADATA).body == {**head, "metadata": made["metadata"]}
    listed = api.ask("GET", api.path(PODS), accept=METADATA.replace("Metadata;", "MetadataList;")).body
    assert listed["kind"] == "PartialObjectMetadataList"
    assert listed["items"] == [{**head, "metadata": made["metadata"]}]


def test_items_of_built_in_kinds_do_not_say_what_they_are(api: Client) -> None:
    api.create(PODS, pod())
    api.create(WORKFLOWS, workflow())
    assert "kind" not in api.list(PODS)["items"][0]
    assert api.list(WORKFLOWS)["items"][0]["kind"] == "Workflow"


def test_a_list_is_in_the_order_of_names(api: Client) -> None:
    for name in ("b", "a-b", "a"):
        api.create(CONFIGMAPS, configmap(name))
    assert api.names(CONFIGMAPS) == ["a", "a-b", "b"]


def test_a_list_by_labels_and_fields(api: Client) -> None:
    for name in ("a", "b", "c"):
        api.create(PODS, pod(name, labels={"app": "x" if name != "c" else "y"}))
    api.status(PODS, "b", phase="Running")
    assert api.names(PODS, labelSelector="app=x") == ["a", "b"]
    assert api.names(PODS, labelSelector="app=x", fieldSelector="status.phase=Running") == ["b"]
    assert api.names(PODS, fieldSelector="metadata.name=c") == ["c"]


def test_pages_show_what_there_was_at_the_first(api: Client) -> None:
    for name in "abcde":
        api.create(CONFIGMAPS, configmap(name))
    first = api.list(CONFIGMAPS, limit="2")
    assert first["metadata"]["remainingItemCount"] == 3
    api.delete(CONFIGMAPS, "c")
    api.create(CONFIGMAPS, configmap("bb"))
    api.patch(CONFIGMAPS, "d", {"data": {"k": "new"}})
    second = api.list(CONFIGMAPS, limit="9", **{"continue": first["metadata"]["continue"]})
    assert [each["metadata"]["name"] for each in second["items"]] == ["c", "d", "e"]
    assert second["items"][1]["data"] == {"k": "v"}
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}


def test_a_page_that_has_expired_can_be_gone_on_from_with_what_there_is_now(api: Client) -> None:
    for name in "abc":
        api.create(CONFIGMAPS, configmap(name))
    token = api.list(CONFIGMAPS, limit="1")["metadata"]["continue"]
    api.delete(CONFIGMAPS, "b")
    api.server.compact(0)
    answer = api.ask("GET", api.path(CONFIGMAPS), limit="1", **{"continue": token})
    assert (answer.code, answer.body["reason"]) == (410, "Expired")
    assert api.names(CONFIGMAPS, **{"continue": answer.body["metadata"]["continue"]}) == ["c"]


@pytest.mark.parametrize(
    ("query", "code"),
    [({"continue": "abc"}, 400), ({"resourceVersion": "99999"}, 504), ({"resourceVersion": "x"}, 400)],
)
def test_a_list_that_cannot_be_had(api: Client, query: dict[str, str], code: int) -> None:
    assert api.ask("GET", api.path(PODS), **query).code == code


def test_version_zero_is_whatever_is_at_hand(api: Client) -> None:
    api.create(PODS, pod())
    assert api.names(PODS, resourceVersion="0") == ["p"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/apis/nope.dev/v1/things", "404 page not found\n"),
        ("/apis/batch/v1/things", "the server could not find the requested resource"),
    ],
)
def test_what_is_not_served(api: Client, path: str, said: str) -> None:
    answer = api.ask("GET", path)
    assert answer.code == 404
    assert said in answer.encoded().decode()
