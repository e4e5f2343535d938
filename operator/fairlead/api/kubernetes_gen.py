"""Generates `kubernetes_schema.json` from the OpenAPI document of a Kubernetes release.

Run when the Kubernetes version that we follow changes:

    python -m fairlead.api.kubernetes_gen --from swagger.json --version v1.34.3

The document is `api/openapi-spec/swagger.json` of the Go module `k8s.io/kubernetes`, or `/openapi/v2` of an API
server. What is kept is structural: types, required fields, formats. Descriptions would make the CRDs five
times as large (past what `kubectl apply` can store), defaults below lists look like drift to GitOps tools, and
list types mean nothing below our own atomic lists.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

__all__ = ["generate"]

Schema = dict[str, Any]

#: What the API refers to; everything these refer to comes along.
_ROOTS = (
    "io.k8s.api.core.v1.Container",
    "io.k8s.api.core.v1.EnvVar",
    "io.k8s.api.core.v1.PodSpec",
    "io.k8s.api.core.v1.ResourceRequirements",
    "io.k8s.api.core.v1.VolumeMount",
    "io.k8s.api.batch.v1.JobSpec",
)

#: The API server refuses these in any pod that is created, and they are large.
_LEFT_OUT = {"PodSpec": {"ephemeralContainers"}}

#: A number as Kubernetes writes quantities, or an expression that will yield one.
_QUANTITY = (
    r"^(([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)))?)"
    r"|.*\$\{.*)$"
)

#: Metadata of pod templates: without types the API server would drop labels and annotations of embedded objects.
_METADATA: Schema = {
    "type": "object",
    "properties": {
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "name": {"type": "string"},
    },
}

_REPLACED: dict[str, Schema] = {
    "IntOrString": {"x-kubernetes-int-or-string": True},
    "ObjectMeta": _METADATA,
    "Quantity": {"x-kubernetes-int-or-string": True, "pattern": _QUANTITY},
}

_KEPT = ("type", "format", "required")


def generate(swagger: Schema, version: str) -> Schema:
    """Return the definitions reachable from the roots, by short name, with `$ref` by short name.

    Raises KeyError when the document lacks one of the roots, ValueError when a short name is not unique.
    """
    found: dict[str, Schema] = {}
    names: dict[str, str] = {}
    pending = list(_ROOTS)
    while pending:
        full = pending.pop()
        short = _short(full)
        if short in found:
            if names[short] != full:
                raise ValueError(f"{full} and {names[short]} have the same short name")
            continue
        names[short] = full
        if short in _REPLACED:
            found[short] = _REPLACED[short]
            continue
        definition = swagger["definitions"][full]
        left_out = _LEFT_OUT.get(short, set())
        kept = {k: v for k, v in definition.get("properties", {}).items() if k not in left_out}
        found[short] = _reduce({**definition, "properties": kept} if kept else definition, pending)
    return {"version": version, "definitions": {name: found[name] for name in sorted(found)}}


def _short(full: str) -> str:
    return full.rpartition(".")[2]


def _reduce(schema: Schema, pending: list[str]) -> Schema:
    """Return the structural part of a schema; what it refers to is added to `pending`."""
    if "$ref" in schema:
        full = schema["$ref"].rpartition("/")[2]
        pending.append(full)
        return {"$ref": _short(full)}
    reduced: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if "properties" in schema:
        reduced["properties"] = {name: _reduce(value, pending) for name, value in sorted(schema["properties"].items())}
    for key in ("items", "additionalProperties"):
        if key in schema:
            reduced[key] = _reduce(schema[key], pending)
    return reduced


def main() -> None:
    """Write the data file next to this module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True, help="the OpenAPI v2 document")
    parser.add_argument("--version", required=True, help="the Kubernetes release it belongs to")
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name("kubernetes_schema.json"))
    arguments = parser.parse_args()
    generated = generate(json.loads(arguments.source.read_text()), arguments.version)
    arguments.to.write_text(json.dumps(generated, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
