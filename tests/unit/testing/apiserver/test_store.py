"""The journal: every change, by whom, and what it was before."""

from __future__ import annotations

from tests.unit.testing.apiserver.client import Client, configmap

from fairlead.kube.resources import CONFIGMAPS, WORKFLOWS, ObjectKey
from fairlead.testing.apiserver import Request


def test_a_change_says_all_about_itself(api: Client) -> None:
    api.create(CONFIGMAPS, configmap())
    before = api.get(CONFIGMAPS, "c")
    after = api.patch(CONFIGMAPS, "c", {"data": {"k": "w"}}, fieldManager="tester")
    change = api.server.journal[-1]
    assert (change.verb, change.resource, change.subresource) == ("update", "configmaps", "")
    assert (change.key, change.uid) == (ObjectKey("ns", "c"), before["metadata"]["uid"])
    assert (change.before, change.after) == (before, after)
    assert (change.actor, change.manager) == ("test", "tester")
    assert (change.version, change.moment) == (api.server.version, api.time)


def test_an_impersonated_user_is_the_actor(api: Client) -> None:
    headers = {"Impersonate-User": "system:serviceaccount:ns:sa", "User-Agent": "fairlead/1"}
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}'
    api.server.handle(Request(method="POST", path=api.path(CONFIGMAPS), headers=headers, body=body))
    assert api.server.journal[-1].actor == "system:serviceaccount:ns:sa"


def test_the_subresource_is_noted_and_a_deletion_has_nothing_after_it(api: Client) -> None:
    head = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}}
    api.create(WORKFLOWS, {**head, "spec": {}})
    api.status(WORKFLOWS, "w", phase="Running")
    assert api.server.journal[-1].subresource == "status"
    api.delete(WORKFLOWS, "w")
    assert (api.server.journal[-1].verb, api.server.journal[-1].after) == ("delete", {})


def test_the_journal_survives_compaction(api: Client) -> None:
    api.create(CONFIGMAPS, configmap())
    length = len(api.server.journal)
    api.server.compact(0)
    assert len(api.server.journal) == length
