"""Writes the CustomResourceDefinitions of our kinds, from the models.

    python -m fairlead.api.crd                  print them
    python -m fairlead.api.crd --write crds/    write one file for each kind
    python -m fairlead.api.crd --check crds/    fail when the files are not what would be written

The parts that come from Kubernetes are written compactly: a file of more than 256 KiB could not be applied by
`kubectl apply`, which keeps a copy in an annotation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from fairlead.api.structural import KubernetesSchema, Schema, to_structural
from fairlead.api.workflow import Workflow

__all__ = ["crds", "file_name", "to_yaml"]

_HEADER = "# Generated from operator/fairlead/api by `make gen`. Do not edit.\n"

_STANDARD: Schema = {
    "apiVersion": {"type": "string", "description": "The version of the schema: fairlead.dev/v1alpha1."},
    "kind": {"type": "string", "description": "The kind of the object: Workflow."},
    "metadata": {"type": "object"},
}

_COLUMNS = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Progress", "type": "string", "jsonPath": ".status.progress"},
    {"name": "Started", "type": "date", "jsonPath": ".status.startTime"},
    {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def crds() -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions of all kinds, as plain JSON."""
    return [_workflow()]


def _workflow() -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{Workflow.PLURAL}.{Workflow.GROUP}"},
        "spec": {
            "group": Workflow.GROUP,
            "names": {
                "kind": Workflow.KIND,
                "listKind": f"{Workflow.KIND}List",
                "plural": Workflow.PLURAL,
                "singular": Workflow.KIND.lower(),
                "shortNames": ["flw"],
                "categories": ["fairlead"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": Workflow.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": ".status.phase"}],
                    "additionalPrinterColumns": _COLUMNS,
                    "schema": {"openAPIV3Schema": _root_schema()},
                }
            ],
        },
    }


def _root_schema() -> Schema:
    generated = Workflow.model_json_schema(by_alias=True)
    root = to_structural(generated, generated["$defs"])
    root["properties"] |= _STANDARD
    root["required"] = ["spec"]
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
