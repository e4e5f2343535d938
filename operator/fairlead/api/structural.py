"""From the JSON schema that pydantic writes to the structural schema that a CRD needs.

A structural schema (see "Extend the Kubernetes API with CustomResourceDefinitions") has a type at every place,
shares nothing by `$ref`, and knows no `null`, no `const` and no closed objects: the API server prunes or
refuses unknown fields by itself. No defaults of the models are written: below a list they look like drift to GitOps
tools, and everywhere else the compile step applies them just as well.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from fairlead.api.kubernetes import KUBERNETES_MARK, structural

__all__ = ["KubernetesSchema", "Schema", "to_structural"]

Schema: TypeAlias = dict[str, Any]


class KubernetesSchema(dict[str, Any]):
    """A schema that came from Kubernetes, so that it can be written compactly and told from our own."""


_KEPT = frozenset(
    {
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "required",
        "type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }
)
_DROPPED = frozenset({"$defs", "additionalProperties", "default", "title"})
_INT32 = 2**31


def to_structural(schema: Schema, definitions: Schema) -> Schema:
    """Return the structural form of `schema`, whose `$ref` point into `definitions`.

    Raises ValueError for a keyword that has no structural form, so that none is lost in silence.
    """
    schema = _resolve(schema, definitions)
    if KUBERNETES_MARK in schema:
        kind, *without = schema.pop(KUBERNETES_MARK)
        return KubernetesSchema(_described(schema) | structural(kind, without=tuple(without)))
    converted: Schema = {}
    for key, value in schema.items():
        if key in _KEPT:
            converted[key] = value
        elif key == "const":
            converted["enum"] = [value]
        elif key == "properties":
            converted["properties"] = {name: to_structural(field, definitions) for name, field in value.items()}
        elif key == "items":
            converted["items"] = to_structural(value, definitions)
        elif key not in _DROPPED:
            raise ValueError(f"keyword {key!r} has no structural form")
    if isinstance(schema.get("additionalProperties"), dict):
        converted["additionalProperties"] = to_structural(schema["additionalProperties"], definitions)
    if converted.get("type") == "array":
        converted.setdefault("x-kubernetes-list-type", "atomic")
    if converted.get("type") == "integer" and "maximum" in converted:
        converted["format"] = "int32" if converted["maximum"] < _INT32 else "int64"
    return converted


def _resolve(schema: Schema, definitions: Schema) -> Schema:
    """Write out `$ref` and "X or null"; a description at the place itself wins over that of the type."""
    resolved = dict(schema)
    if "anyOf" in resolved:
        options = [option for option in resolved.pop("anyOf") if option.get("type") != "null"]
        if len(options) != 1:
            raise ValueError(f"a union of types has no structural form: {schema}")
        resolved = options[0] | resolved
    if "$ref" in resolved:
        definition = definitions[resolved.pop("$ref").rpartition("/")[2]]
        resolved = _resolve(definition | resolved, definitions)
    return resolved


def _described(schema: Schema) -> Schema:
    return {key: schema[key] for key in ("description",) if key in schema}
