"""Strategic merge patches, as the built-in kinds take them: lists that are merged by a key, and directives.

Which list has which key is not asked of schemas: the names of the fields tell, in the kinds that are used here.
`$setElementOrder` is accepted and not obeyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .exchange import Object
from .refusals import bad_request

__all__ = ["KEYS", "strategically_merged"]

#: Lists of objects, and the key that an item is known by.
KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "secrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
#: Lists of strings that are merged; every other list is replaced.
_SETS = frozenset({"finalizers"})

_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"
_REMOVED: Any = object()


def strategically_merged(target: Object, patch: Any) -> Object:
    """Return `target` with the patch put on it."""
    if not isinstance(patch, dict):
        raise bad_request("the body is no strategic merge patch: it is not an object")
    merged = _mapping(target, patch, in_metadata=False)
    return {} if merged is _REMOVED else merged


def _mapping(target: Any, patch: Object, *, in_metadata: bool) -> Any:
    directive = patch.get("$patch")
    if directive == "delete":
        return _REMOVED
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result: Object = dict(target) if isinstance(target, dict) else {}
    if _RETAIN in patch:
        result = {key: value for key, value in result.items() if key in patch[_RETAIN]}
    for key, value in patch.items():
        if key.startswith(_DELETE):
            _remove(result, key.removeprefix(_DELETE), value)
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        else:
            new = _value(key, result.get(key), value, in_metadata=in_metadata)
            if new is _REMOVED:
                result.pop(key, None)
            else:
                result[key] = new
    return result


def _value(key: str, old: Any, patch: Any, *, in_metadata: bool) -> Any:
    if isinstance(patch, dict):
        return _mapping(old, patch, in_metadata=key == "metadata")
    if isinstance(patch, list):
        if key in _SETS and in_metadata:
            return _in_order(old or [], patch, _union(old or [], patch), str)
        if key in KEYS:
            if old is None:  # taken as it is, even where an item is there twice
                return [each for each in patch if each.get("$patch") != "delete"]
            return _items(old, patch, KEYS[key])
    return patch


def _remove(result: Object, key: str, values: Any) -> None:
    if key in result:
        gone = set(values)
        result[key] = [each for each in result[key] if each not in gone]


def _union(old: Sequence[str], new: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*old, *new]))


def _items(old: list[Any], patch: list[Any], key: str) -> list[Any]:
    if any(each.get("$patch") == "replace" for each in patch):
        return [each for each in patch if each.get("$patch") != "replace"]
    gone = {each.get(key) for each in patch if each.get("$patch") == "delete"}
    patches = [each for each in patch if "$patch" not in each]
    merged = [each for each in old if each.get(key) not in gone]
    for each in patches:
        if key not in each:
            raise bad_request(f"map: {each} does not contain declared merge key: {key}")
        index = next((i for i, item in enumerate(merged) if item.get(key) == each[key]), None)
        if index is None:
            merged.append(_mapping({}, each, in_metadata=False))
        else:
            merged[index] = _mapping(merged[index], each, in_metadata=False)
    return _in_order(old, patches, merged, lambda item: item.get(key))


def _in_order(old: Sequence[Any], patch: Sequence[Any], merged: Sequence[Any], name: Any) -> list[Any]:
    """Put a merged list in the real one's order: what is new comes before what only the server has."""
    named = [name(each) for each in patch]
    before = [name(each) for each in old]
    patched = sorted((each for each in merged if name(each) in named), key=lambda each: named.index(name(each)))
    others = [each for each in merged if name(each) not in named]
    result: list[Any] = []
    while others and patched:
        left, right = name(others[0]), name(patched[0])
        first = left in before and right in before and before.index(left) < before.index(right)
        result.append((others if first else patched).pop(0))
    return [*result, *others, *patched]
