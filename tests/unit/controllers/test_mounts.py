"""What a task finds in its file system, and the objects that it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.work import RenderedFile, RenderedWork
from fairlead.api.workspace import Workspace
from fairlead.controllers.mounts import claim_manifest, config_maps
from fairlead.controllers.owner import Owner
from fairlead.controllers.pods import job_manifest, pod_manifest
from fairlead.engine.commands import StartAttempt
from fairlead.engine.model import WorkKind

OWNER = Owner(api_version="fairlead.dev/v1alpha1", kind="Workflow", name="daily", namespace="ns", uid="u-1")
OTHER = Owner(api_version="fairlead.dev/v1alpha1", kind="Workflow", name="daily", namespace="ns", uid="u-2")
SCRIPT: Any = {"source": "print(1)\n", "interpreter": ["python3", "-u"]}
FILES = [RenderedFile(path="conf/a.json", text="{}"), RenderedFile(path="/etc/b.ini", text="[b]")]
BOTH = pytest.mark.parametrize("kind", [WorkKind.POD, WorkKind.JOB])


def start(node: str = "a", number: int = 1, kind: WorkKind = WorkKind.POD) -> StartAttempt:
    return StartAttempt(node=node, number=number, object_name="o", kind=kind, work=None)


def work(**more: Any) -> RenderedWork:
    empty = {"kind": "Pod", "container": {"image": "i"}, "script": None, "files": [], "pod": {}, "jobSpec": None}
    return {**empty, **more}  # type: ignore[typeddict-item]


def spec_of(kind: WorkKind, workspace: Workspace | None = None, **more: Any) -> dict[str, Any]:
    """The spec of the pod of either kind."""
    if kind is WorkKind.POD:
        spec: dict[str, Any] = pod_manifest(OWNER, start(), work(**more), workspace)["spec"]
        return spec
    containers = [{"name": "side", "image": "s"}, {"name": "main", "image": "i"}]
    job = {"template": {"spec": {"containers": containers, "restartPolicy": "Never"}}}
    rendered = work(kind="Job", container={}, jobSpec=job, **more)
    template: dict[str, Any] = job_manifest(OWNER, start(kind=kind), rendered, workspace)["spec"]["template"]["spec"]
    return template


def main(spec: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in spec["containers"] if each["name"] == "main")


def variables(spec: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in main(spec)["env"]}


def names(owner: Owner = OWNER, node: str = "a", number: int = 1, **more: Any) -> list[str]:
    return [each["metadata"]["name"] for each in config_maps(owner, start(node, number), work(**more))]


# Scripts.


def test_a_script_is_mounted_and_run_by_its_interpreter() -> None:
    own = {"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    spec = spec_of(WorkKind.POD, script=SCRIPT, container=own)
    container, (volume,) = main(spec), spec["volumes"]
    assert container["command"] == ["python3", "-u", "/fairlead/script"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/v", "/fairlead"]
    assert container["volumeMounts"][1]["readOnly"]
    assert [volume["configMap"]["name"]] == names(script=SCRIPT)


def test_the_users_volumes_stay() -> None:
    spec = spec_of(WorkKind.POD, script=SCRIPT, pod={"volumes": [{"name": "mine", "emptyDir": {}}]})
    assert [volume["name"] for volume in spec["volumes"]] == ["mine", "fairlead-script"]


# Files.


@BOTH
def test_each_file_is_where_it_should_be(kind: WorkKind) -> None:
    spec = spec_of(kind, files=FILES)
    [volume], mounts = spec["volumes"], main(spec)["volumeMounts"]
    assert {(mount["mountPath"], mount["subPath"]) for mount in mounts} == {
        ("/fairlead-files/conf/a.json", "file-0"),
        ("/etc/b.ini", "file-1"),
    }
    assert all(mount["readOnly"] and mount["name"] == volume["name"] for mount in mounts)
    assert [volume["configMap"]["name"]] == names(files=FILES)
    [config_map] = config_maps(OWNER, start(), work(files=FILES))
    assert config_map["data"] == {"file-0": "{}", "file-1": "[b]"}


@BOTH
def test_the_directory_of_files_is_named_where_there_are_such(kind: WorkKind) -> None:
    assert variables(spec_of(kind, files=FILES))["FAIRLEAD_FILES"] == "/fairlead-files"
    assert "FAIRLEAD_FILES" not in variables(spec_of(kind, files=FILES[1:]))
    assert "FAIRLEAD_FILES" not in variables(spec_of(kind))


def test_a_script_may_have_files() -> None:
    spec = spec_of(WorkKind.POD, script=SCRIPT, files=FILES)
    assert [volume["name"] for volume in spec["volumes"]] == ["fairlead-script", "fairlead-files"]
    assert len(names(script=SCRIPT, files=FILES)) == 2


# The ConfigMaps of both.


@pytest.mark.parametrize("more", [{"script": SCRIPT}, {"files": FILES}], ids=["script", "files"])
def test_they_are_kept_unchanged_for_ever_and_go_with_the_run(more: dict[str, Any]) -> None:
    [manifest] = config_maps(OWNER, start(), work(**more))
    assert manifest["immutable"]
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert "finalizers" not in manifest["metadata"]


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        pytest.param({"script": SCRIPT}, {"script": {**SCRIPT, "source": "x"}}, id="script"),
        pytest.param({"files": FILES}, {"files": [FILES[0] | {"text": "[]"}, FILES[1]]}, id="files"),
        pytest.param({"files": FILES}, {"files": FILES[::-1]}, id="files in another order"),
    ],
)
def test_there_is_one_for_a_task_and_a_content(more: dict[str, Any], changed: dict[str, Any]) -> None:
    assert names(number=1, **more) == names(number=2, **more)
    assert names(node="m[0]", **more) == names(node="m[1]", **more) == names(node="m", **more)
    different = [names(**more), names(OTHER, **more), names(node="b", **more), names(**changed)]
    assert len({name for [name] in different}) == 4


def test_where_a_file_is_does_not_change_its_content() -> None:
    moved = [FILES[0] | {"path": "elsewhere"}, FILES[1]]
    assert names(files=moved) == names(files=FILES)


# The workspace.

WORKSPACE = Workspace(size="10Gi")


@BOTH
def test_the_workspace_is_mounted_in_the_main_container(kind: WorkKind) -> None:
    spec = spec_of(kind, WORKSPACE)
    assert main(spec)["volumeMounts"] == [{"name": "fairlead-workspace", "mountPath": "/workspace"}]
    claim = claim_manifest(OWNER, WORKSPACE)["metadata"]["name"]
    assert spec["volumes"] == [{"name": "fairlead-workspace", "persistentVolumeClaim": {"claimName": claim}}]
    assert variables(spec)["FAIRLEAD_WORKSPACE"] == "/workspace"
    assert all("volumeMounts" not in each for each in spec["containers"] if each["name"] != "main")


@BOTH
def test_without_a_workspace_there_is_none(kind: WorkKind) -> None:
    spec = spec_of(kind)
    assert "volumes" not in spec
    assert "FAIRLEAD_WORKSPACE" not in variables(spec)


def test_it_may_be_elsewhere() -> None:
    spec = spec_of(WorkKind.POD, Workspace.model_validate({"size": "1Gi", "mountPath": "/data/"}))
    assert main(spec)["volumeMounts"][0]["mountPath"] == variables(spec)["FAIRLEAD_WORKSPACE"] == "/data"


def test_its_claim_is_the_runs_own() -> None:
    manifest = claim_manifest(OWNER, WORKSPACE)
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert manifest["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    assert manifest["metadata"]["name"] != claim_manifest(OTHER, WORKSPACE)["metadata"]["name"]


def test_its_claim_is_what_the_user_asked_for() -> None:
    given = {"size": "1Gi", "accessModes": ["ReadWriteMany"], "storageClassName": ""}
    workspace = Workspace.model_validate(given)
    assert claim_manifest(OWNER, workspace)["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "",
    }
