"""What is known of Workflows: reports come by several ways, and the newest counts."""

from typing import Any

import pytest

from fairlead.api import labels
from fairlead.controllers.store import Workflow, WorkflowStore
from fairlead.engine.names import bucket, bucket_of_key


def raw(version: int, uid: str = "u1", **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": "daily", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata | more, "spec": {"tasks": []}}


def test_reads_a_workflow() -> None:
    workflow = Workflow.of(raw(7, generation=3) | {"status": {"phase": "Running"}})
    assert (workflow.namespace, workflow.name, workflow.uid) == ("ns", "daily", "u1")
    assert (workflow.version, workflow.generation, workflow.deleting) == (7, 3, False)
    assert (workflow.definition, workflow.status) == ({"tasks": []}, {"phase": "Running"})


def test_tasks_are_kept_aside() -> None:
    spec = {"suspend": True, "tasks": [{"name": "a"}], "finally": [{"name": "b"}]}
    workflow = Workflow.of(raw(7) | {"spec": spec})
    assert workflow.spec == workflow.raw["spec"] == {"suspend": True}
    assert workflow.definition == spec
    assert workflow.definition_bytes == len('{"suspend":true}') + len(
        '{"tasks":[{"name":"a"}],"finally":[{"name":"b"}]}'
    )


def test_after_a_write_of_its_status_it_is_as_the_answer_says() -> None:
    before = Workflow.of(raw(7, generation=3) | {"spec": {"tasks": [{"name": "a"}]}})
    after = before.written(raw(9, generation=3, deletionTimestamp="x")["metadata"], {"phase": "Running"})
    assert (after.version, after.deleting, after.status, after.definition) == (
        9,
        True,
        {"phase": "Running"},
        {"tasks": [{"name": "a"}]},
    )


def test_what_only_its_writers_read_is_not_kept() -> None:
    written = {"managedFields": [{"manager": "kubectl"}]}
    written |= {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}}
    told = raw(7, **written)
    for workflow in (Workflow.of(told), Workflow.of(raw(6)).written(told["metadata"], {})):
        assert workflow.raw["metadata"] == {**raw(7)["metadata"], "annotations": {"mine": "1"}}
    assert told == raw(7, **written), "it is somebody else's"


def test_a_workflow_without_a_status_or_a_spec() -> None:
    workflow = Workflow.of({**raw(7), "spec": None})
    assert (workflow.spec, workflow.status, workflow.generation) == ({}, {}, 1)


def test_a_workflow_that_is_being_deleted() -> None:
    assert Workflow.of(raw(7, deletionTimestamp="2026-11-22T08:00:00Z")).deleting


@pytest.mark.parametrize(
    ("status", "goes_on"),
    [
        ({}, False),
        ({"startTime": "2026-11-22T08:00:00Z"}, True),
        ({"startTime": "2026-11-22T08:00:00Z", "conditions": [{"type": "Finished", "status": "False"}]}, True),
        ({"startTime": "2026-11-22T08:00:00Z", "conditions": [{"type": "Finished", "status": "True"}]}, False),
    ],
)
def test_one_is_under_way_that_has_begun_and_is_not_over(status: dict[str, Any], goes_on: bool) -> None:
    assert Workflow.of(raw(7) | {"status": status}).is_under_way is goes_on


def test_its_children_name_it_as_their_owner() -> None:
    owner = Workflow.of(raw(7)).owner
    assert (owner.api_version, owner.kind) == ("fairlead.dev/v1alpha1", "Workflow")
    assert (owner.name, owner.namespace, owner.uid) == ("daily", "ns", "u1")


def test_the_newest_report_counts_in_whatever_order_they_come() -> None:
    store = WorkflowStore()
    assert store.put(raw(9)).version == 9
    assert store.put(raw(10)).version == 10  # as numbers: as texts, 9 would be newer
    assert store.put(raw(8)).version == 10
    found = store.get("u1")
    assert found is not None
    assert found.version == 10


def test_the_same_version_again_keeps_what_is_known() -> None:
    store = WorkflowStore()
    known = store.put(raw(9))
    assert store.put(raw(9)) is known


def test_a_namesake_is_another_workflow() -> None:
    store = WorkflowStore()
    store.put(raw(9))
    store.put(raw(5, uid="u2"))
    assert [workflow.version for workflow in store] == [9, 5]
    assert len(store) == 2


def test_what_is_gone_is_forgotten() -> None:
    store = WorkflowStore()
    store.put(raw(9))
    store.remove("u1")
    store.remove("u1")
    assert (store.get("u1"), len(store)) == (None, 0)


def owned(version: int, uid: str, by: str) -> dict[str, Any]:
    owner = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "name": "daily", "uid": by, "controller": True}
    return raw(version, uid, ownerReferences=[owner])


def children(store: WorkflowStore, uid: str) -> list[tuple[str, int]]:
    return [(child.uid, child.version) for child in store.children(uid)]


def test_the_children_of_a_run_are_those_that_name_it_as_their_owner_now() -> None:
    store = WorkflowStore()
    store.put(owned(2, "u3", "u1"))  # heard of before its parent is
    store.put(raw(1))
    store.put(owned(3, "u2", "u1"))
    store.put(owned(4, "u4", "u2"))
    assert children(store, "u1") == [("u2", 3), ("u3", 2)]
    assert children(store, "u2") == [("u4", 4)]
    store.put(owned(5, "u2", "u1"))
    assert children(store, "u1") == [("u2", 5), ("u3", 2)]
    store.put(owned(6, "u2", "u3"))
    store.put(owned(5, "u2", "u1"))  # a late report
    assert (children(store, "u1"), children(store, "u3")) == ([("u3", 2)], [("u2", 6)])
    store.put(raw(7, "u3"))
    assert children(store, "u1") == []


def test_a_child_that_is_gone_is_none() -> None:
    store = WorkflowStore()
    store.put(owned(1, "u2", "u1"))
    store.put(owned(2, "u3", "u1"))
    store.remove("u1")
    assert children(store, "u1") == [("u2", 1), ("u3", 2)]
    store.remove("u2")
    store.put(owned(3, "u2", "u1"))  # a late report
    assert children(store, "u1") == [("u3", 2)]
    store.leave("u3")
    assert [child.deleting for child in store.children("u1")] == [True]
    store.remove("u3")
    assert children(store, "u1") == []


@pytest.mark.parametrize(
    "more", [{"controller": False}, {"apiVersion": "acme.example/v1"}, {"kind": "WorkflowTemplate"}], ids=str
)
def test_who_is_owned_otherwise_is_no_child(more: dict[str, Any]) -> None:
    store = WorkflowStore()
    (owner,) = owned(1, "u2", "u1")["metadata"]["ownerReferences"]
    store.put(raw(1, "u2", ownerReferences=[owner | more]))
    assert store.children("u1") == []


def test_it_may_change_while_it_is_iterated_over() -> None:
    store = WorkflowStore()
    store.put(raw(1))
    store.put(raw(2, uid="u2"))
    for workflow in store:
        store.remove(workflow.uid)
    assert len(store) == 0


def test_what_is_gone_does_not_come_back_by_a_late_report() -> None:
    store = WorkflowStore()
    store.put(raw(9))
    store.remove("u1")
    store.put(raw(8))
    store.put(raw(9))
    store.put(raw(10))  # read before the deletion, heard after it: no UID is ever used again
    assert (store.get("u1"), len(store)) == (None, 0)


def test_a_namesake_of_what_is_gone_is_known() -> None:
    store = WorkflowStore()
    store.put(raw(9))
    store.remove("u1")
    store.put(raw(10, uid="u2"))
    assert [workflow.uid for workflow in store] == ["u2"]


def test_a_run_is_in_the_bucket_of_its_uid_or_of_the_key_on_record() -> None:
    store = WorkflowStore()
    store.put(raw(1))
    assert store.bucket_of("u1") == bucket("u1")
    known = store.put({**raw(2), "status": {"concurrencyKey": "k"}})
    assert store.bucket_of("u1") == known.owner.bucket == bucket_of_key("ns", "k") != bucket("u1")
    store.remove("u1")
    assert store.bucket_of("u1") == bucket_of_key("ns", "k")  # there may be pods


def test_the_bucket_of_an_unknown_run_is_on_what_it_has_left() -> None:
    store = WorkflowStore()
    store.note_labels({"labels": {labels.RUN_UID: "u1", labels.BUCKET: "7"}})
    for broken in ({}, {"labels": None}, {"labels": {labels.RUN_UID: "u2", labels.BUCKET: "x"}}):
        store.note_labels(broken)
    assert [store.bucket_of(uid) for uid in ("u1", "u2", "")] == [7, bucket("u2"), bucket("")]
    store.put(raw(1))
    assert store.bucket_of("u1") == bucket("u1")  # the run itself knows better
