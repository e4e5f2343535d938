"""The generator of the embedded types: what it keeps of an OpenAPI document, and what not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from fairlead.api.kubernetes_gen import generate

ROOTS = [
    "io.k8s.api.core.v1.Container",
    "io.k8s.api.core.v1.EnvVar",
    "io.k8s.api.core.v1.PodSpec",
    "io.k8s.api.core.v1.ResourceRequirements",
    "io.k8s.api.core.v1.VolumeMount",
    "io.k8s.api.batch.v1.JobSpec",
]
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{name}"}


DOCUMENT: dict[str, Any] = {
    "definitions": {
        **{name: {"type": "object"} for name in ROOTS},
        ROOTS[0]: {
            "description": "long",
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "long", "default": ""},
                "env": {
                    "type": "array",
                    "items": reference(ROOTS[1]),
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-patch-merge-key": "name",
                },
            },
        },
        ROOTS[3]: {"type": "object", "properties": {"limits": {"additionalProperties": reference(QUANTITY)}}},
        ROOTS[2]: {"type": "object", "properties": {"ephemeralContainers": {"type": "array"}, "hostname": {}}},
        "io.k8s.api.core.v1.Unused": {"type": "object"},
        QUANTITY: {"type": "string"},
    }
}


def test_keeps_types_and_drops_the_rest() -> None:
    found = generate(DOCUMENT, "v1")["definitions"]
    assert found["Container"] == {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "env": {"type": "array", "items": {"$ref": "EnvVar"}}},
    }
    assert found["Quantity"]["x-kubernetes-int-or-string"] is True
    assert list(found["PodSpec"]["properties"]) == ["hostname"]
    assert "Unused" not in found


def test_short_names_must_be_unique() -> None:
    document = deepcopy(DOCUMENT)
    document["definitions"]["other.EnvVar"] = {"type": "object"}
    document["definitions"][ROOTS[4]]["properties"] = {"x": reference("other.EnvVar")}
    with pytest.raises(ValueError, match="the same short name"):
        generate(document, "v1")
