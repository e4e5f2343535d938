"""The manifests of what a run creates."""

import copy
from typing import Any

import pytest

from fairlead.api import labels
from fairlead.api.places import OUTPUTS_FILE
from fairlead.api.work import RenderedWork
from fairlead.controllers.pods import Owner, job_manifest, pod_manifest
from fairlead.controllers.views import job_view, pod_view
from fairlead.engine.commands import StartAttempt
from fairlead.engine.model import WorkKind
from fairlead.engine.names import attempt_name, bucket

OWNER = Owner(api_version="fairlead.dev/v1alpha1", kind="Workflow", name="daily", namespace="ns", uid="u-1")
NAME = attempt_name("daily", "u-1", "extract", 2)


def start(kind: WorkKind = WorkKind.POD, node: str = "extract", **more: Any) -> StartAttempt:
    return StartAttempt(node=node, number=2, object_name=NAME, kind=kind, work=None, **more)


def work(**more: Any) -> RenderedWork:
    empty = {"kind": "Pod", "container": {"image": "i"}, "script": None, "files": [], "pod": {}, "jobSpec": None}
    return {**empty, **more}  # type: ignore[typeddict-item]


def pod(owner: Owner = OWNER, **more: Any) -> dict[str, Any]:
    return pod_manifest(owner, start(), work(**more))


def built(kind: WorkKind, command: StartAttempt, container: dict[str, Any] | None = None) -> dict[str, Any]:
    """The manifest of either kind, with this main container."""
    container = {"image": "i", **(container or {})}
    if kind is WorkKind.POD:
        return pod_manifest(OWNER, command, work(container=container))
    template = {"spec": {"containers": [{"name": "main", **container}], "restartPolicy": "Never"}}
    return job_manifest(OWNER, command, work(kind="Job", container={}, jobSpec={"template": template}))


def job(**spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main", "image": "i"}], "restartPolicy": "Never"}}
    rendered = work(kind="Job", container={}, jobSpec={"template": template, **spec})
    return job_manifest(OWNER, start(WorkKind.JOB), copy.deepcopy(rendered))


def main(manifest: dict[str, Any]) -> dict[str, Any]:
    spec = manifest["spec"] if manifest["kind"] == "Pod" else manifest["spec"]["template"]["spec"]
    return next(container for container in spec["containers"] if container["name"] == "main")


def variables(manifest: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in main(manifest)["env"]}


# Metadata, the same for both kinds.


@pytest.mark.parametrize("manifest", [pod(), job()], ids=["pod", "job"])
def test_it_is_ours_and_nobody_elses(manifest: dict[str, Any]) -> None:
    metadata = manifest["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (NAME, "ns")
    assert metadata["finalizers"] == [labels.FINALIZER]
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Workflow", "daily", "u-1")
    assert owner["controller"]
    assert owner["blockOwnerDeletion"]


@pytest.mark.parametrize("manifest", [pod(), job()], ids=["pod", "job"])
def test_it_is_found_by_its_labels(manifest: dict[str, Any]) -> None:
    assert manifest["metadata"]["labels"] == {
        labels.RUN: "daily",
        labels.TASK: "extract",
        labels.ATTEMPT: "2",
        labels.RUN_UID: "u-1",
        labels.BUCKET: str(bucket("u-1")),
        labels.MANAGED_BY: "fairlead",
    }


def test_long_names_are_whole_in_annotations() -> None:
    owner = Owner(api_version="v", kind="Workflow", name="d" * 200, namespace="ns", uid="u-1")
    metadata = pod_manifest(owner, start(node="m[3]"), work())["metadata"]
    assert metadata["annotations"] == {labels.NODE: "m[3]", labels.RUN_NAME: "d" * 200}
    assert all(len(value) <= 63 for value in metadata["labels"].values())


@pytest.mark.parametrize("node", ["extract", "m[3]"])
@pytest.mark.parametrize("annotated", [True, False], ids=["", "without its annotations"])
@pytest.mark.parametrize("kind", [WorkKind.POD, WorkKind.JOB])
def test_what_is_created_is_recognised(kind: WorkKind, annotated: bool, node: str) -> None:
    manifest = built(kind, start(kind, node))
    manifest["metadata"] |= {"uid": "x", "creationTimestamp": "2026-11-22T08:00:00Z"}
    if not annotated:
        del manifest["metadata"]["annotations"]
    view = pod_view(manifest) if manifest["kind"] == "Pod" else job_view(manifest)
    assert (view.node, view.number, view.owner_uid, view.held) == (node, 2, "u-1", True)


# Items and rounds, the same for both kinds.


@pytest.mark.parametrize("kind", [WorkKind.POD, WorkKind.JOB])
def test_an_item_knows_its_task_and_its_place(kind: WorkKind) -> None:
    manifest = built(kind, start(kind, "m[3]", index=3))
    assert variables(manifest).items() >= {"FAIRLEAD_TASK": "m", "FAIRLEAD_ITEM_INDEX": "3"}.items()
    assert "FAIRLEAD_ITEM_INDEX" not in variables(built(kind, start(kind)))


@pytest.mark.parametrize("kind", [WorkKind.POD, WorkKind.JOB])
def test_the_items_of_a_task_are_found_by_its_label(kind: WorkKind) -> None:
    own = built(kind, start(kind, "m[3]", index=3))["metadata"]["labels"]
    assert (own[labels.TASK], own[labels.ITEM]) == ("m", "3")
    assert labels.ITEM not in built(kind, start(kind))["metadata"]["labels"]


@pytest.mark.parametrize("kind", [WorkKind.POD, WorkKind.JOB])
def test_the_rounds_of_a_repeated_task_are_told_apart(kind: WorkKind) -> None:
    assert built(kind, start(kind, iteration=2))["metadata"]["annotations"][labels.ITERATION] == "2"
    assert labels.ITERATION not in built(kind, start(kind))["metadata"]["annotations"]


@pytest.mark.parametrize("kind", [WorkKind.POD, WorkKind.JOB])
@pytest.mark.parametrize(
    ("own", "rule", "expected"),
    [
        pytest.param(
            {"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"memory": "1Gi"}, "claims": [{"name": "gpu"}]},
            {"limits": {"memory": "4Gi"}},
            {"limits": {"memory": "4Gi", "cpu": "1"}, "requests": {"memory": "1Gi"}, "claims": [{"name": "gpu"}]},
            id="amount by amount",
        ),
        pytest.param({}, {"requests": {"cpu": "2"}}, {"requests": {"cpu": "2"}}, id="none before"),
        pytest.param({"limits": {"cpu": "1"}}, None, {"limits": {"cpu": "1"}}, id="no rule"),
    ],
)
def test_a_retry_rule_changes_the_resources_of_the_main_container(
    kind: WorkKind, own: dict[str, Any], rule: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    manifest = built(kind, start(kind, resources=rule), {"resources": own} if own else {})
    assert main(manifest)["resources"] == expected


# Pods.


def test_the_main_container() -> None:
    container = main(pod(container={"image": "i", "command": ["c"], "resources": {"limits": {"cpu": "1"}}}))
    assert container["image"] == "i"
    assert container["command"] == ["c"]
    assert container["resources"] == {"limits": {"cpu": "1"}}
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_pod_is_never_restarted_in_place() -> None:
    assert pod(pod={"restartPolicy": "Always"})["spec"]["restartPolicy"] == "Never"


def test_a_pod_gets_no_token_and_no_service_variables_unless_asked_for() -> None:
    spec = pod()["spec"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    spec = pod(pod={"automountServiceAccountToken": True, "enableServiceLinks": True})["spec"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (True, True)


def test_other_fields_of_the_pod_pass_through() -> None:
    fields = {"nodeSelector": {"a": "b"}, "initContainers": [{"name": "s", "restartPolicy": "Always"}]}
    assert pod(pod=fields)["spec"].items() >= fields.items()


def test_the_environment_tells_who_it_is_and_the_users_variables_may_refer_to_it() -> None:
    mine = [{"name": "MINE", "value": "$(FAIRLEAD_TASK)"}]
    manifest = pod(container={"image": "i", "env": mine})
    assert variables(manifest) == {
        "FAIRLEAD_OUTPUTS": OUTPUTS_FILE,
        "FAIRLEAD_WORKFLOW": "daily",
        "FAIRLEAD_TASK": "extract",
        "FAIRLEAD_ATTEMPT": "2",
        "MINE": "$(FAIRLEAD_TASK)",
    }
    assert main(manifest)["env"][-1] == mine[0]


@pytest.mark.parametrize("kind", ["Pod", "Job"])
def test_outputs_go_where_the_kubelet_reads_them(kind: str) -> None:
    path = {"terminationMessagePath": "/tmp/said"}
    if kind == "Pod":
        manifest = pod(container={"image": "i", **path})
    else:
        containers = [{"name": "main", "image": "i", **path}]
        manifest = job(template={"spec": {"containers": containers, "restartPolicy": "Never"}})
    assert variables(manifest)["FAIRLEAD_OUTPUTS"] == "/tmp/said"


# Jobs.


def test_a_job_keeps_its_spec() -> None:
    assert job(backoffLimit=3, completions=2)["spec"].items() >= {"backoffLimit": 3, "completions": 2}.items()


def test_the_pods_of_a_job_are_the_job_controllers() -> None:
    template = {
        "metadata": {"labels": {"mine": "yes"}, "annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "main", "image": "i"}], "restartPolicy": "Never"},
    }
    metadata = job(template=template)["spec"]["template"]["metadata"]
    assert metadata["labels"] == {"mine": "yes", labels.RUN: "daily", labels.TASK: "extract", labels.ATTEMPT: "2"}
    assert metadata["annotations"] == {"a": "b"}
    assert labels.RUN_UID not in metadata["labels"]  # what the operator watches by
    assert "finalizers" not in metadata


def test_only_the_main_container_of_a_job_gets_the_environment() -> None:
    containers = [{"name": "side", "image": "s"}, {"name": "main", "image": "i", "env": [{"name": "A", "value": "1"}]}]
    manifest = job(template={"spec": {"containers": containers, "restartPolicy": "Never"}})
    side, _ = manifest["spec"]["template"]["spec"]["containers"]
    assert side == {"name": "side", "image": "s"}
    assert variables(manifest)["A"] == "1"
    assert main(manifest)["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_choices_of_the_users_template_stay() -> None:
    containers = [{"name": "main", "image": "i", "terminationMessagePolicy": "File"}]
    spec = {"containers": containers, "restartPolicy": "OnFailure", "automountServiceAccountToken": True}
    manifest = job(template={"spec": spec})
    assert main(manifest)["terminationMessagePolicy"] == "File"
    assert manifest["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert manifest["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert manifest["spec"]["template"]["spec"]["enableServiceLinks"] is False
