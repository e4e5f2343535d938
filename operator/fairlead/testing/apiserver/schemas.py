"""Our own kinds' schemas: what is pruned, and what is refused for its type, its size or its absence.

Only what has changed is looked at: a part that an object shares with its former state is as good as it was, and what
was wrong with it before is not held against a write that leaves it alone (the real one calls that ratcheting). The
rules in CEL are not evaluated, nor is the format of dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from fairlead.kube.resources import Resource

from .exchange import Object
from .refusals import Cause

__all__ = ["Schema", "defaulted", "pruned", "schema_of", "violations"]

Schema = Mapping[str, Any]

_MISSING: Any = object()

_HEAD = frozenset({"apiVersion", "kind", "metadata"})
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


@cache
def _schemas() -> dict[str, Schema]:
    from fairlead.api.crd import crds  # the models take a while to load, and not everybody wants schemas

    return {crd["metadata"]["name"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds()}


def schema_of(resource: Resource) -> Schema | None:
    """Return the schema of one of our kinds; None of any other."""
    return _schemas().get(resource.qualified) if resource.group == "fairlead.dev" else None


def defaulted(schema: Schema, obj: Object) -> Object:
    """Return an object with what its schema says of fields that it lacks; ours say so of the outermost only."""
    missing = {
        key: deepcopy(inner["default"])
        for key, inner in schema["properties"].items()
        if "default" in inner and key not in obj
    }
    return {**obj, **missing} if missing else obj


def pruned(schema: Schema, obj: Object, old: Object) -> Object:
    """Return an object without the fields that its schema does not know."""
    kept = {key: value for key, value in obj.items() if key in _HEAD}
    rest = {key: value for key, value in obj.items() if key not in _HEAD}
    known = _pruned(schema, rest, {key: value for key, value in old.items() if key not in _HEAD})
    return obj if known is rest else {**kept, **known}


def _pruned(schema: Schema, value: Any, old: Any) -> Any:
    """The value itself where there is nothing to prune: what is shared stays shared."""
    if value is old or (schema.get(_PRESERVE) and "properties" not in schema):
        return value
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        result: Object = {}
        same = True
        for key, each in value.items():
            inner = properties.get(key, others)
            if inner is None or inner is False:
                if schema.get(_PRESERVE):
                    result[key] = each
                else:
                    same = False
                continue
            kept = each if inner is True else _pruned(inner, each, before.get(key))
            same = same and kept is each
            result[key] = kept
        return value if same else result
    if isinstance(value, list) and "items" in schema:
        earlier = old if isinstance(old, list) else []
        items = [_pruned(schema["items"], each, _item(earlier, index)) for index, each in enumerate(value)]
        return value if all(one is two for one, two in zip(items, value, strict=True)) else items
    return value


def _item(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else _MISSING


def violations(schema: Schema, obj: Object, old: Object) -> Iterator[Cause]:
    """Yield what is wrong with an object, unless it was so before."""
    for key in schema.get("required", ()):
        if key not in obj:
            yield Cause.required(key)
    for key, inner in schema["properties"].items():
        if key in obj and key not in _HEAD:
            yield from _violations(inner, obj[key], old.get(key, _MISSING), key)


def _violations(schema: Schema, value: Any, old: Any, path: str) -> Iterator[Cause]:
    if value is old:
        return
    expected = schema.get("type")
    if not _is_of(schema, value):
        if value != old or type(value) is not type(old):  # true is equal to 1
            found = _NAMES.get(type(value), "null")
            why = f'{path} in body must be of type {expected or "string or integer"}: "{found}"'
            yield Cause("FieldValueTypeInvalid", f'Invalid value: "{found}": {why}', path)
            yield from _of_enum(schema, value, path)
        return
    own = list(_of_value(schema, value, path))
    if own and value != old:
        yield from own
    if isinstance(value, dict):
        if value != old:
            yield from (Cause.required(f"{path}.{key}") for key in schema.get("required", ()) if key not in value)
        yield from _in_mapping(schema, value, old if isinstance(old, dict) else {}, path)
    elif isinstance(value, list) and "items" in schema:
        earlier = old if isinstance(old, list) else []
        for index, each in enumerate(value):
            yield from _violations(schema["items"], each, _item(earlier, index), f"{path}[{index}]")


def _is_of(schema: Schema, value: Any) -> bool:
    if value is None:
        return bool(schema.get("nullable")) or ("type" not in schema and _PRESERVE in schema)
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    expected = schema.get("type")
    if expected is None:
        return True
    if isinstance(value, bool):
        return bool(expected == "boolean")
    if expected == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[expected])


def _in_mapping(schema: Schema, value: Object, old: Object, path: str) -> Iterator[Cause]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for key, each in value.items():
        inner = properties.get(key, others)
        if isinstance(inner, Mapping):
            yield from _violations(inner, each, old.get(key, _MISSING), f"{path}.{key}")


def _of_enum(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(f'"{each}"' for each in schema["enum"])
        why = f'Unsupported value: "{value}": supported values: {supported}'
        yield Cause("FieldValueNotSupported", why, path)


def _of_value(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    """What is wrong with a value of the right type, by itself."""
    yield from _of_enum(schema, value, path)
    match value:
        case str():
            if len(value) > schema.get("maxLength", len(value)):
                yield Cause("FieldValueTooLong", f"Too long: may not be more than {schema['maxLength']} bytes", path)
            if len(value) < schema.get("minLength", 0):
                why = f"{path} in body should be at least {schema['minLength']} chars long"
                yield Cause.value(path, value, why)
            if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
                yield Cause.value(path, value, f"{path} in body should match '{schema['pattern']}'")
        case list():
            yield from _of_size(schema, len(value), path, "Items", "items")
        case dict():
            yield from _of_size(schema, len(value), path, "Properties", "properties")
        case int() | float() if not isinstance(value, bool):
            if value > schema.get("maximum", value):
                why = f"{path} in body should be less than or equal to {schema['maximum']}"
                yield Cause.value(path, value, why)
            if value < schema.get("minimum", value):
                why = f"{path} in body should be greater than or equal to {schema['minimum']}"
                yield Cause.value(path, value, why)


def _of_size(schema: Schema, size: int, path: str, key: str, what: str) -> Iterator[Cause]:
    most, least = schema.get(f"max{key}", size), schema.get(f"min{key}", 0)
    if size > most:
        yield Cause("FieldValueTooMany", f"Too many: {size}: must have at most {most} items", path)
    if size < least:
        yield Cause.value(path, size, f"{path} in body should have at least {least} {what}")


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
