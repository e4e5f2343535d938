"""Server-side apply, as far as it is in use: who has applied which field, and what a later apply takes back.

Fields are known by paths; an item of a list that is merged by a key is a step of its own. Those who create, replace and
patch are one manager here, who has what nobody else has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .exchange import Object
from .refusals import Refused, refusal
from .served import Served
from .strategic import KEYS

__all__ = ["Owners", "Ownership"]

#: A step is a field, or the key and value by which an item of a list is known.
_Step = str | tuple[str, Any]
_Path = tuple[_Step, ...]
_Manager = tuple[str, str]  # its name, and the subresource

#: What addresses the object, or is a condition of the request: no field that could be owned.
_ADDRESS = frozenset({"name", "namespace", "uid", "resourceVersion", "generateName"})
_CUSTOM_KEYS = {"conditions": "type", "ownerReferences": "uid"}
_SETS = frozenset({"finalizers"})
_MISSING: Any = object()
_WRITERS: _Manager = ("another", "")
#: Whose is which field.
Owners = dict[_Manager, frozenset[_Path]]


class Ownership:
    """Who has applied what, by the UID of the object."""

    def __init__(self) -> None:
        self._applied: dict[str, Owners] = {}

    def apply(
        self, served: Served, old: Object, config: Object, manager: _Manager, *, force: bool
    ) -> tuple[Object, Owners]:
        """Return an object with a configuration applied, and whose is what then. Nothing is recorded yet.

        Raises `Refused`: a field has another value and another owner, and is not to be taken over by force.
        """
        keys = _CUSTOM_KEYS if served.custom else KEYS
        applied = self._applied.get(old["metadata"]["uid"], {}) if old else {}
        mine = frozenset(path for path, _ in _leaves(_fields(config), (), keys))
        others = {name: paths for name, paths in applied.items() if name != manager}
        owned = frozenset().union(*applied.values())
        present = {path for path in mine - owned if _at(old, path) is not _MISSING}
        others[_WRITERS] = others.get(_WRITERS, frozenset()).union(present)
        new = _merged(old, config, keys)
        taken = {
            (name, path) for name, paths in others.items() for path in paths & mine if _at(old, path) != _at(new, path)
        }
        if taken and not force:
            raise _conflict(taken)
        others = {name: paths - {path for who, path in taken if who == name} for name, paths in others.items()}
        kept = mine.union(*others.values())
        for path in sorted(applied.get(manager, frozenset()) - kept, key=len):  # an item before what is in it
            new = _without(new, path)
        return new, {name: paths for name, paths in (others | {manager: mine}).items() if paths}

    def changes(self, old: Object, owners: Owners) -> bool:
        """Whether this would make a difference to who has applied what."""
        return self._applied.get(old["metadata"]["uid"], {}) != owners

    def record(self, obj: Object, owners: Owners) -> None:
        """Note whose is what of an object that was stored."""
        self._applied[obj["metadata"]["uid"]] = owners

    def written(self, old: Object, new: Object) -> None:
        """Note that an object was changed otherwise: what was changed is nobody's of those who applied."""
        uid = old["metadata"]["uid"]
        applied = self._applied.get(uid)
        if applied is not None:
            self._applied[uid] = {
                name: frozenset(path for path in paths if _at(old, path) == _at(new, path))
                for name, paths in applied.items()
            }

    def forget(self, uid: str) -> None:
        """Note that an object is gone."""
        self._applied.pop(uid, None)


def _fields(config: Object) -> Object:
    """The part of a configuration that can be owned."""
    fields = {key: value for key, value in config.items() if key not in ("apiVersion", "kind", "metadata")}
    meta = {key: value for key, value in (config.get("metadata") or {}).items() if key not in _ADDRESS}
    return {**fields, "metadata": meta} if meta else fields


def _leaves(value: Any, path: _Path, keys: Mapping[str, str]) -> Iterator[tuple[_Path, Any]]:
    """Yield every field with its path; an item of a list is one, besides what is in it."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, (*path, name), keys)
    elif isinstance(value, list) and path and path[-1] in keys:
        key = keys[str(path[-1])]
        for item in value:
            step = (*path, (key, item[key]))
            yield step, _MISSING
            yield from _leaves(item, step, keys)
    elif isinstance(value, list) and path and path[-1] in _SETS:
        for item in value:
            yield (*path, ("", item)), item
    else:
        yield path, value


def _merged(old: Any, config: Any, keys: Mapping[str, str], name: str = "") -> Any:
    if isinstance(config, dict):
        result = dict(old) if isinstance(old, dict) else {}
        for key, value in config.items():
            result[key] = _merged(result.get(key), value, keys, key)
        return result
    if isinstance(config, list) and isinstance(old, list):
        if name in _SETS:
            return _interleaved(old, config, lambda each: each, keys)
        if name in keys:
            return _interleaved(old, config, lambda each: each.get(keys[name]), keys)
    return config


def _interleaved(old: list[Any], config: list[Any], name: Callable[[Any], Any], keys: Mapping[str, str]) -> list[Any]:
    """Merge two lists in the real one's order: the configuration's, and each of the others as soon as it may."""
    present = {name(each): each for each in old}
    applied = {name(each) for each in config}
    result: list[Any] = []
    left, right = list(old), list(config)
    while left or right:
        if left and name(left[0]) not in applied:
            result.append(left.pop(0))
        elif left and any(name(each) == name(left[0]) for each in result):
            left.pop(0)
        else:
            item = right.pop(0)
            result.append(_merged(present.get(name(item)), item, keys))
    return result


def _find(container: list[Any], step: tuple[str, Any]) -> int:
    key, wanted = step
    return next((i for i, each in enumerate(container) if (each.get(key) if key else each) == wanted), -1)


def _at(value: Any, path: _Path) -> Any:
    for step in path:
        if isinstance(step, tuple):
            index = _find(value, step) if isinstance(value, list) else -1
            value = value[index] if index >= 0 else _MISSING
        else:
            value = value.get(step, _MISSING) if isinstance(value, dict) else _MISSING
        if value is _MISSING:
            break
    # An item of a list is there, or is not; what is in it has paths of its own.
    return True if path and isinstance(path[-1], tuple) and value is not _MISSING else value


def _without(value: Any, path: _Path) -> Any:
    """Return a value without what is at a path, and without what is empty because of that."""
    step, rest = path[0], path[1:]
    if isinstance(step, tuple):
        index = _find(value, step) if isinstance(value, list) else -1
        if index < 0:
            return value
        inner = [_without(value[index], rest)] if rest else []
        return [*value[:index], *inner, *value[index + 1 :]]
    if not isinstance(value, dict) or step not in value:
        return value
    inner_value = _without(value[step], rest) if rest else None
    if inner_value in (None, {}, []):
        return {key: each for key, each in value.items() if key != step}
    return {**value, step: inner_value}


def _conflict(taken: set[tuple[_Manager, _Path]]) -> Refused:
    def shown(path: _Path) -> str:
        return "".join(f"[{step[0]}={step[1]!r}]" if isinstance(step, tuple) else f".{step}" for step in path)

    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": shown(path)}
        for (manager, _), path in sorted(taken, key=str)
    ]
    plural = "s" if len(causes) > 1 else ""
    said = ": ".join(str(causes[0][key]) for key in ("message", "field"))
    message = f"Apply failed with {len(causes)} conflict{plural}: {said}"
    return Refused(refusal(409, "Conflict", message, {"causes": causes}))
