"""The example for Flux installs in the order that it says: CRDs, operator, pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = list(yaml.safe_load_all((ROOT / "examples" / "gitops" / "flux" / "fairlead.yaml").read_text()))


def kustomizations() -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in DOCUMENTS if each["kind"] == "Kustomization"}


def before(name: str) -> list[str]:
    """What has to be there first, which for a Kustomization are others, and no HelmRelease."""
    names = [each["name"] for each in kustomizations()[name].get("dependsOn", ())]
    return [found for each in names for found in (*before(each), each)]


def kinds(folder: str) -> set[str]:
    return {each["kind"] for path in (ROOT / folder).glob("*.yaml") for each in yaml.safe_load_all(path.read_text())}


def test_the_pipeline_comes_after_the_operator_and_the_operator_after_the_crds() -> None:
    order = [kustomizations()[name] for name in (*before("sales"), "sales")]
    crds, operator, pipeline = [kinds(each["path"]) for each in order]
    assert crds == {"CustomResourceDefinition"}
    assert operator == {"HelmRelease"}
    assert "WorkflowTemplate" in pipeline
    assert all(each["wait"] is True for each in order)
