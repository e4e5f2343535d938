"""What Argo CD is taught about our kinds: the folder in the layout of its own repository, and a patch of argocd-cm.

The scripts are written by hand, in `gitops/argocd`. Generated are those that ask something of a run, since each has to
stand alone (in Argo CD nothing can be shared between scripts), the objects that the tests look at, and the ConfigMap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fairlead.api.objects import ApiObject

from . import recordings

__all__ = ["FOLDERS", "generated"]

_HERE = "gitops/argocd"
_KINDS = f"{_HERE}/resource_customizations/{ApiObject.GROUP}"
_CONFIG_MAP = f"{_HERE}/argocd-cm.yaml"

#: What changing actions make of recorded Workflows, for the tests: file, Workflow, and its `spec.suspend` then.
_CHANGED = (("running-suspended", "running", True), ("suspended-resumed", "suspended", False))

#: Where nothing is but what is generated.
FOLDERS = tuple(f"{_KINDS}/{kind}/testdata" for kind in recordings.RECORDED)

_EDITED = "-- Generated from gitops/argocd/parts by `make gen`; do not edit.\n"

_CLEAR = """\
local task = given("task")
if task == nil then
  error("name the task in the parameter task", 0)
end
return request("Clear", { tasks = { task } })"""

_APPROVE = """\
local fields = { tasks = { waiting() } }
if given("option") ~= nil then
  fields.values = { option = given("option") }
end
return request("Approve", fields)"""

#: Actions that ask something of a run, by name: which parts they are made of, and what they end with.
_REQUESTS: dict[str, tuple[tuple[str, ...], str]] = {
    "stop": (("request",), 'return request("Stop", { mode = "Graceful" })'),
    "cancel": (("request",), 'return request("Stop", { mode = "Cancel" })'),
    "terminate": (("request",), 'return request("Stop", { mode = "Terminate" })'),
    "retry": (("request",), 'return request("Retry", {})'),
    "clear": (("request", "task"), _CLEAR),
    "approve": (("request", "task"), _APPROVE),
    "reject": (("request", "task"), 'return request("Reject", { tasks = { waiting() } })'),
}

_HEADER = """\
# Health checks and actions of our kinds, for the ConfigMap argocd-cm of Argo CD: see docs/gitops.md.
#
#     kubectl patch configmap argocd-cm --namespace argocd --patch-file gitops/argocd/argocd-cm.yaml
#
# Generated from gitops/argocd/resource_customizations by `make gen`; do not edit.
"""


def generated(root: Path) -> dict[str, str]:
    """Return the text of each generated file, by its path below `root`, the repository."""
    files = {
        f"{_KINDS}/{kind}/testdata/{name}": text
        for kind, texts in recordings.recordings().items()
        for name, text in texts.items()
    }
    for name, source, suspend in _CHANGED:
        changed = yaml.safe_load(files[f"{_KINDS}/Workflow/testdata/{source}.yaml"])
        changed["spec"]["suspend"] = suspend
        files[f"{_KINDS}/Workflow/actions/testdata/{name}.yaml"] = recordings.to_yaml(changed)
    for name, (parts, end) in _REQUESTS.items():
        texts = [(root / _HERE / "parts" / f"{part}.lua").read_text(encoding="utf-8") for part in parts]
        files[f"{_KINDS}/Workflow/actions/{name}/action.lua"] = _EDITED + "\n".join([*texts, end + "\n"])
    files[_CONFIG_MAP] = _config_map(root, files)
    return files


def _config_map(root: Path, files: dict[str, str]) -> str:
    """Return the patch; the generated scripts come out of `files`, the others are read."""

    def text(path: Path) -> str:
        name = path.relative_to(root).as_posix()
        return files[name] if name in files else path.read_text(encoding="utf-8")

    data: dict[str, str] = {}
    for kind in recordings.RECORDED:
        folder = root / _KINDS / kind
        data[f"resource.customizations.health.{ApiObject.GROUP}_{kind}"] = text(folder / "health.lua")
        discovery = folder / "actions" / "discovery.lua"
        if not discovery.exists():
            continue
        names = sorted({each.parent.name for each in discovery.parent.glob("*/action.lua")} | _generated_for(kind))
        actions = {
            "discovery.lua": text(discovery),
            "definitions": [
                {"name": name, "action.lua": text(discovery.parent / name / "action.lua")} for name in names
            ],
        }
        data[f"resource.customizations.actions.{ApiObject.GROUP}_{kind}"] = _block_yaml(actions)
    return _HEADER + _block_yaml({"data": data})


def _generated_for(kind: str) -> set[str]:
    return set(_REQUESTS) if kind == "Workflow" else set()


class _Dumper(yaml.SafeDumper):
    """YAML with scripts as blocks, as people write them."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _block_yaml(data: dict[str, Any]) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=120, default_flow_style=False)
