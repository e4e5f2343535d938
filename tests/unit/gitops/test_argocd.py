"""What Argo CD says of our kinds, and does for their actions: the scripts on recorded objects of every state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.gitops.lua import KINDS, ROOT, LuaFailed, load, run
from tools import argocd, recordings

from fairlead.api.action import check_action
from fairlead.api.compile import compile_workflow
from fairlead.api.workflow import WorkflowSpec
from fairlead.expr.cel import CelEvaluator

HEALTH = [
    pytest.param(kind, case, id=f"{kind}-{Path(case['inputPath']).stem}")
    for kind in recordings.RECORDED
    for case in load(KINDS / kind / "health_test.yaml")["tests"]
]
ACTIONS = [
    pytest.param(path.parent, case, id=f"{path.parent.parent.name}-{case['action']}-{Path(case['inputPath']).stem}")
    for path in sorted(KINDS.glob("*/actions/action_test.yaml"))
    for case in load(path)["actionTests"]
]

#: What may be asked of a run in each of its states.
_BEFORE_ITS_END = {"suspend", "stop", "cancel", "terminate"}
_SUSPENDED = {"resume", "stop", "cancel", "terminate"}
_WAITING = {*_BEFORE_ITS_END, "approve", "reject"}
ENABLED = {
    "created": _BEFORE_ITS_END,
    "waits-for-template": _BEFORE_ITS_END,
    "waits-for-key": _BEFORE_ITS_END,
    "stopped-in-line": set(),
    "refused-by-key": set(),
    "replaced-by-key": set(),
    "invalid": set(),
    "running": _BEFORE_ITS_END,
    "running-in-shards": _WAITING,
    "backing-off": _BEFORE_ITS_END,
    "waits-for-approval": _WAITING,
    "waits-for-two-approvals": _WAITING,
    "suspended": _SUSPENDED,
    "created-suspended": _SUSPENDED,
    "changed": _BEFORE_ITS_END,
    "stopping": _BEFORE_ITS_END,
    "retried": _BEFORE_ITS_END,
    "operator-blocked": _BEFORE_ITS_END,
    "shard-missing": _WAITING,
    "deleted": set(),
    "succeeded": {"clear"},
    "succeeded-with-failure": {"clear"},
    "succeeded-then-changed": {"clear"},
    "failed": {"clear", "retry"},
    "deadline-exceeded": {"clear", "retry"},
    "cancelled": {"clear", "retry"},
}


def recorded(kind: str) -> dict[str, Any]:
    return {path.stem: load(path) for path in sorted((KINDS / kind / "testdata").glob("*.yaml"))}


def conditions(obj: Any) -> dict[str, Any]:
    return {each["type"]: each["status"] for each in obj.get("status", {}).get("conditions", ())}


@pytest.mark.parametrize("kind", recordings.RECORDED)
def test_every_state_has_its_line_in_the_table(kind: str) -> None:
    lines = [Path(each["inputPath"]).stem for each in load(KINDS / kind / "health_test.yaml")["tests"]]
    assert sorted(lines) == sorted(recorded(kind))


@pytest.mark.parametrize(("kind", "case"), HEALTH)
def test_health(kind: str, case: dict[str, Any]) -> None:
    found = run(KINDS / kind / "health.lua", load(KINDS / kind / case["inputPath"]))
    assert {key: value for key, value in found.items() if value} == case["healthStatus"]


@pytest.mark.parametrize("kind", recordings.RECORDED)
def test_what_was_just_created_is_not_healthy_yet(kind: str) -> None:
    # A hook would have succeeded, and a later sync wave begun; also without the default of the status, as from a
    # server whose CRDs are older.
    for name, obj in recorded(kind).items():
        if not name.endswith("created"):
            continue
        assert run(KINDS / kind / "health.lua", obj)["status"] == "Progressing"
        bare = {key: value for key, value in obj.items() if key != "status"}
        assert run(KINDS / kind / "health.lua", bare)["status"] == "Progressing"


@pytest.mark.parametrize("kind", recordings.RECORDED)
def test_health_says_what_kstatus_says(kind: str) -> None:
    for name, obj in recorded(kind).items():
        health = run(KINDS / kind / "health.lua", obj)["status"]
        is_ = conditions(obj)
        stalled = is_.get("Stalled") == "True" and is_.get("Reconciling") != "True"
        status = obj.get("status")  # a record has none
        seen = status is None or status["observedGeneration"] == obj["metadata"]["generation"]
        if "deletionTimestamp" in obj["metadata"] or not seen or is_.get("Reconciling") == "True":
            assert health in ("Progressing", "Suspended"), name
        else:
            assert health == ("Degraded" if stalled else "Healthy"), name


def test_no_kind_is_left_out() -> None:
    kinds = {load(path)["spec"]["names"]["kind"] for path in (ROOT / "crds").glob("*.yaml")}
    assert recordings.RECORDED.keys() == kinds


@pytest.mark.parametrize("state", ENABLED)
def test_what_may_be_asked_of_a_run(state: str) -> None:
    found = run(KINDS / "Workflow" / "actions" / "discovery.lua", recorded("Workflow")[state])
    assert {name for name, action in found.items() if not action["disabled"]} == ENABLED[state]


def test_every_state_of_a_run_is_asked_about() -> None:
    assert ENABLED.keys() == recorded("Workflow").keys()


@pytest.mark.parametrize(
    ("state", "enabled"),
    [
        ("template-created", True),
        ("template-valid", True),
        ("template-invalid", False),
        ("template-mended", False),
        ("template-with-list", False),
    ],
)
def test_when_a_template_may_be_submitted(state: str, enabled: bool) -> None:
    found = run(KINDS / "WorkflowTemplate" / "actions" / "discovery.lua", recorded("WorkflowTemplate")[state])
    assert found["submit"]["disabled"] is not enabled


def test_a_template_asks_for_the_parameters_that_can_be_typed() -> None:
    found = run(
        KINDS / "WorkflowTemplate" / "actions" / "discovery.lua", recorded("WorkflowTemplate")["template-valid"]
    )
    assert [each["name"] for each in found["submit"]["params"]] == ["day", "rows", "share", "full"]


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_every_action_is_offered_defined_and_tried(kind: str) -> None:
    folder = KINDS / kind / "actions"
    [some, *_] = recorded(kind).values()
    offered = set(run(folder / "discovery.lua", some))
    assert offered == {path.parent.name for path in folder.glob("*/action.lua")}
    assert offered == {case["action"] for case in load(folder / "action_test.yaml")["actionTests"]}


def act(folder: Path, case: dict[str, Any]) -> Any:
    obj = load(folder / case["inputPath"])
    return run(folder / case["action"] / "action.lua", obj, case.get("parameters"))


def expected(folder: Path, case: dict[str, Any]) -> Any:
    return load(folder / case["expectedOutputPath"])


@pytest.mark.parametrize(("folder", "case"), [each for each in ACTIONS if "expectedOutputPath" in each.values[1]])
def test_what_an_action_does(folder: Path, case: dict[str, Any]) -> None:
    found, wanted = act(folder, case), expected(folder, case)
    if isinstance(wanted, list):
        wanted = [{"operation": each["k8sOperation"], "resource": each["unstructuredObj"]} for each in wanted]
    assert found == wanted


@pytest.mark.parametrize(("folder", "case"), [each for each in ACTIONS if "expectedErrorMessage" in each.values[1]])
def test_what_an_action_lacks_is_said(folder: Path, case: dict[str, Any]) -> None:
    with pytest.raises(LuaFailed) as caught:
        act(folder, case)
    assert str(caught.value) == case["expectedErrorMessage"]


def created() -> Iterator[Any]:
    for path in sorted(KINDS.glob("*/actions/testdata/*.yaml")):
        document = load(path)
        if isinstance(document, list):
            yield from (each["unstructuredObj"] for each in document)


def test_the_requests_are_ones_that_the_operator_understands() -> None:
    problems = [check_action(each["spec"]) for each in created() if each["kind"] == "WorkflowAction"]
    assert problems
    assert not any(problems)


def test_the_runs_are_ones_that_the_operator_understands() -> None:
    specs = [each["spec"] for each in created() if each["kind"] == "Workflow"]
    assert specs
    template = recorded("WorkflowTemplate")["template-valid"]["spec"]
    for spec in specs:
        WorkflowSpec.model_validate(spec)
    [whole] = [spec for spec in specs if len(spec.get("arguments", ())) == 4]
    compile_workflow(whole, evaluator=CelEvaluator(), name="w", namespace="n", definition=template)


def test_the_config_map_has_every_script_as_it_is() -> None:
    data = yaml.safe_load((ROOT / "gitops" / "argocd" / "argocd-cm.yaml").read_text())["data"]
    scripts = {path: path.read_text() for path in KINDS.rglob("*.lua")}
    for kind in recordings.RECORDED:
        assert data.pop(f"resource.customizations.health.fairlead.dev_{kind}") == scripts.pop(
            KINDS / kind / "health.lua"
        )
        folder = KINDS / kind / "actions"
        if folder.exists():
            actions = yaml.safe_load(data.pop(f"resource.customizations.actions.fairlead.dev_{kind}"))
            assert actions["discovery.lua"] == scripts.pop(folder / "discovery.lua")
            for each in actions["definitions"]:
                assert each["action.lua"] == scripts.pop(folder / each["name"] / "action.lua")
    assert (data, scripts) == ({}, {})


def test_a_script_that_is_edited_drifts(tmp_path: Path) -> None:
    for path in (ROOT / "gitops").rglob("*.lua"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    name = "gitops/argocd/argocd-cm.yaml"
    before = argocd.generated(tmp_path)[name]
    assert before == (ROOT / name).read_text()
    health = tmp_path / "gitops/argocd/resource_customizations/fairlead.dev/Workflow/health.lua"
    health.write_text(health.read_text().replace("Pending deletion", "Leaving"))
    assert argocd.generated(tmp_path)[name] != before
