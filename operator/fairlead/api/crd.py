"""Writes the CustomResourceDefinitions of our kinds, from the models.

    python -m fairlead.api.crd                  print them
    python -m fairlead.api.crd --write crds/    write one file for each kind
    python -m fairlead.api.crd --check crds/    fail when the files are not what would be written

The parts that come from Kubernetes are written compactly. A CRD that is more than 256 KiB as JSON could not be applied
by `kubectl apply`, which keeps a copy of it in an annotation.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from fairlead.api.action import WorkflowAction
from fairlead.api.objects import ApiObject
from fairlead.api.shard import TaskStatusShard
from fairlead.api.structural import KubernetesSchema, Schema, to_structural
from fairlead.api.template import WorkflowTemplate
from fairlead.api.workflow import Workflow

__all__ = ["crds", "file_name", "to_yaml"]

Column: TypeAlias = dict[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One of our kinds: its model, and how the API server and kubectl present it.

    `has_status` makes the status a subresource of its own; an `internal` kind is not listed by `kubectl get fairlead`.
    """

    model: type[ApiObject]
    short_names: tuple[str, ...] = ()
    has_status: bool = True
    selectable: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    internal: bool = False


def _column(name: str, path: str, kind: str = "string", **more: int) -> Column:
    return {"name": name, "type": kind, "jsonPath": path, **more}


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_AGE = _column("Age", ".metadata.creationTimestamp", "date")

_KINDS = (
    _Kind(
        model=Workflow,
        short_names=("flw",),
        selectable=(".status.phase",),
        columns=(
            _column("Phase", ".status.phase"),
            _column("Progress", ".status.progress"),
            _column("Started", ".status.startTime", "date"),
            _column("Message", ".status.message", priority=1),
            _AGE,
        ),
    ),
    _Kind(
        model=WorkflowTemplate,
        short_names=("flwt",),
        columns=(
            _column("Valid", _condition("Valid", "status")),
            _column("Message", _condition("Valid", "message"), priority=1),
            _AGE,
        ),
    ),
    _Kind(
        model=WorkflowAction,
        short_names=("flact",),
        selectable=(".spec.workflowName",),
        columns=(
            _column("Workflow", ".spec.workflowName"),
            _column("Action", ".spec.action"),
            _column("By", ".spec.requestedBy.username"),
            _column("Accepted", _condition("Accepted", "status")),
            _column("Message", _condition("Accepted", "message"), priority=1),
            _AGE,
        ),
    ),
    _Kind(
        model=TaskStatusShard,
        has_status=False,
        internal=True,
        columns=(
            _column("Workflow", ".workflowUID"),
            _column("Index", ".index", "integer"),
            _column("Revision", ".revision", "integer"),
            _AGE,
        ),
    ),
)

#: The status of what the operator has not seen yet. Generations begin with 1, so whoever compares (kstatus: Flux,
#: Helm 4) waits; without it, an object would count as done from its creation until the operator's first write.
_UNOBSERVED = {"observedGeneration": 0}

_HEADER = "# Generated from operator/fairlead/api by `make gen`. Do not edit.\n"


def crds() -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions of all kinds, as plain JSON."""
    return [_crd(kind) for kind in _KINDS]


def _crd(kind: _Kind) -> dict[str, Any]:
    model = kind.model
    names: dict[str, Any] = {
        "kind": model.KIND,
        "listKind": f"{model.KIND}List",
        "plural": model.PLURAL,
        "singular": model.KIND.lower(),
    }
    if kind.short_names:
        names["shortNames"] = [*kind.short_names]
    if not kind.internal:
        names["categories"] = ["fairlead"]
    version: dict[str, Any] = {"name": model.VERSION, "served": True, "storage": True}
    if kind.has_status:
        version["subresources"] = {"status": {}}
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    version["additionalPrinterColumns"] = [*kind.columns]
    version["schema"] = {"openAPIV3Schema": _root_schema(model)}
    if kind.has_status:
        version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] = {**_UNOBSERVED}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{model.PLURAL}.{model.GROUP}"},
        "spec": {"group": model.GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _root_schema(model: type[ApiObject]) -> Schema:
    generated = model.model_json_schema(by_alias=True)
    root = to_structural(generated, generated["$defs"])
    root["properties"] |= {
        "apiVersion": {
            "type": "string",
            "description": f"The version of the schema: {model.GROUP}/{model.VERSION}.",
        },
        "kind": {"type": "string", "description": f"The kind of the object: {model.KIND}."},
        "metadata": {"type": "object"},
    }
    return root


def file_name(crd: dict[str, Any]) -> str:
    """Return the name of the file that a CRD is kept in, such as `workflows.yaml`."""
    return f"{crd['spec']['names']['plural']}.yaml"


class _Dumper(yaml.SafeDumper):
    """Plain YAML without aliases, with the parts from Kubernetes in the compact flow style."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_kubernetes(dumper: _Dumper, data: KubernetesSchema) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", dict(data), flow_style=True)


_Dumper.add_representer(KubernetesSchema, _represent_kubernetes)


def to_yaml(crd: dict[str, Any]) -> str:
    """Return a CRD as the text of its file."""
    text = yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=120, default_flow_style=False)
    return _HEADER + text


def main() -> int:
    """Print, write or check the files. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write one file for each kind")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="fail when the files differ")
    arguments = parser.parse_args()
    texts = {file_name(crd): to_yaml(crd) for crd in crds()}
    if arguments.check:
        return _check(arguments.check, texts)
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (arguments.write / name).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write("---\n".join(texts.values()))
    return 0


def _check(folder: Path, texts: dict[str, str]) -> int:
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    wrong = sorted(name for name in texts.keys() | present.keys() if texts.get(name) != present.get(name))
    for name in wrong:
        sys.stderr.write(f"{folder / name} is not what the models say: run `make gen` and commit the result\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
