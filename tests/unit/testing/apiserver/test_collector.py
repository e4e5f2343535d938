"""The cluster's own clean-up."""

from __future__ import annotations

import pytest
from tests.unit.testing.apiserver.client import NS, Client, configmap, owner_of, pod, workflow

from fairlead.kube.resources import CONFIGMAPS, NAMESPACES, PODS, WORKFLOWS


def family(api: Client, *, block: bool = True) -> None:
    """A Workflow with a pod and a ConfigMap; the pod has a ConfigMap of its own."""
    run = api.create(WORKFLOWS, workflow())
    mine = [owner_of(run, controller=True, blockOwnerDeletion=block)]
    worker = api.create(PODS, pod(ownerReferences=mine))
    api.create(CONFIGMAPS, configmap("c", ownerReferences=mine))
    api.create(CONFIGMAPS, configmap("d", ownerReferences=[owner_of(worker)]))


def test_nothing_to_do(api: Client) -> None:
    family(api)
    assert not api.server.collect()


def test_background_deletion_takes_the_owner_first(api: Client) -> None:
    family(api)
    api.delete(WORKFLOWS, "w", propagationPolicy="Background")
    assert api.gone(WORKFLOWS, "w")
    assert not api.gone(PODS, "p")
    api.settle()
    assert api.gone(PODS, "p")
    assert api.names(CONFIGMAPS) == []


def test_foreground_deletion_takes_the_owner_last(api: Client) -> None:
    family(api)
    api.bind("p")
    api.delete(WORKFLOWS, "w", propagationPolicy="Foreground")
    api.settle()
    assert api.names(CONFIGMAPS) == []
    assert "deletionTimestamp" in api.get(PODS, "p")["metadata"]
    assert api.get(WORKFLOWS, "w")["metadata"]["finalizers"] == ["foregroundDeletion"]
    api.delete(PODS, "p", gracePeriodSeconds=0)
    api.settle()
    assert api.gone(WORKFLOWS, "w")


def test_a_dependent_that_does_not_block_is_not_waited_for(api: Client) -> None:
    family(api, block=False)
    api.bind("p")
    api.delete(WORKFLOWS, "w", propagationPolicy="Foreground")
    api.settle()
    assert api.gone(WORKFLOWS, "w")
    assert not api.gone(PODS, "p")


def test_orphans_lose_their_owner_and_live(api: Client) -> None:
    family(api)
    api.delete(WORKFLOWS, "w", propagationPolicy="Orphan")
    api.settle()
    assert api.gone(WORKFLOWS, "w")
    assert "ownerReferences" not in api.get(PODS, "p")["metadata"]
    assert api.names(CONFIGMAPS) == ["c", "d"]


def test_who_still_has_an_owner_lives_on_without_the_other(api: Client) -> None:
    owners = [api.create(WORKFLOWS, workflow(name)) for name in ("v", "w")]
    api.create(CONFIGMAPS, configmap(ownerReferences=[owner_of(each) for each in owners]))
    api.delete(WORKFLOWS, "v")
    api.settle()
    assert [each["name"] for each in api.get(CONFIGMAPS, "c")["metadata"]["ownerReferences"]] == ["w"]


def test_dependents_are_looked_at_before_one_of_them_is_deleted(api: Client) -> None:
    """As the real one does: `shared` still has an owner when its other one begins to go."""
    run = api.create(WORKFLOWS, workflow())
    mine = owner_of(run, blockOwnerDeletion=True)
    other = api.create(CONFIGMAPS, configmap("other", ownerReferences=[mine]))
    api.create(CONFIGMAPS, configmap("shared", ownerReferences=[mine, owner_of(other)]))
    api.delete(WORKFLOWS, "w", propagationPolicy="Foreground")
    api.settle()
    told = [(each.verb, each.key.name) for each in api.server.journal if each.resource == "configmaps"]
    assert told[2:] == [("update", "shared"), ("update", "other"), ("delete", "shared"), ("delete", "other")]
    assert api.gone(WORKFLOWS, "w")


def test_another_object_of_that_name_is_no_owner(api: Client) -> None:
    old = api.create(WORKFLOWS, workflow())
    api.delete(WORKFLOWS, "w")
    api.create(WORKFLOWS, workflow())
    api.create(CONFIGMAPS, configmap(ownerReferences=[owner_of(old)]))
    api.settle()
    assert api.gone(CONFIGMAPS, "c")


def test_an_owner_of_a_kind_that_is_not_served_is_left_alone(api: Client) -> None:
    owner = {"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "u"}
    api.create(CONFIGMAPS, configmap(ownerReferences=[owner]))
    assert not api.server.collect()


def test_a_terminating_namespace_takes_nothing_new_and_goes_when_it_is_empty(api: Client) -> None:
    family(api)
    api.create(CONFIGMAPS, configmap("held", finalizers=["example.com/held"]))
    marked = api.delete(NAMESPACES, NS)
    assert marked["status"] == {"phase": "Terminating"}
    answer = api.ask("POST", api.path(CONFIGMAPS), configmap("new"))
    assert answer.code == 403
    assert [each["reason"] for each in answer.body["details"]["causes"]] == ["NamespaceTerminating"]
    api.settle()
    assert api.names(CONFIGMAPS) == ["held"]
    api.patch(CONFIGMAPS, "held", {"metadata": {"finalizers": None}})
    api.settle()
    assert api.gone(NAMESPACES, NS)


def test_pods_hold_up_the_rest_of_their_namespace(api: Client) -> None:
    family(api)
    api.bind("p")
    api.delete(NAMESPACES, NS)
    api.settle()
    assert api.names(CONFIGMAPS) == ["c", "d"]
    api.delete(PODS, "p", gracePeriodSeconds=0)
    api.settle()
    assert api.gone(NAMESPACES, NS)


@pytest.mark.parametrize("seen", ["before", "after"])
def test_every_step_is_a_change_in_the_journal(api: Client, seen: str) -> None:
    family(api)
    api.delete(WORKFLOWS, "w")
    length = len(api.server.journal)
    while api.server.collect():
        assert len(api.server.journal) > length
        length = len(api.server.journal)
