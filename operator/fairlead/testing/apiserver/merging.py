"""Merge patches (RFC 7396) and JSON patches (RFC 6902). What one does not touch is shared with what it is put on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .exchange import Object
from .refusals import bad_request, too_large, unprocessable

__all__ = ["merged", "operated"]

_OPERATIONS_LIMIT = 10_000


def merged(target: Any, patch: Any) -> Any:
    """Return `target` with a merge patch put on it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key), value)
        else:
            result[key] = value
    return result


def operated(target: Object, operations: Any) -> Object:
    """Return `target` after the operations of a JSON patch. Raises `Refused`: one of them failed, or is none."""
    if not isinstance(operations, list):
        raise bad_request("the body is no JSON patch: it is not a list of operations")
    if len(operations) > _OPERATIONS_LIMIT:
        raise too_large(f"The allowed maximum operations in a JSON patch is {_OPERATIONS_LIMIT}, got {len(operations)}")
    document = _Document(target)
    for each in operations:
        document.apply(each)
    return document.root


class _Document:
    """An object under change: each container is copied when it is first written to, and not again."""

    def __init__(self, root: Object) -> None:
        self.root = root
        self._own: dict[int, Any] = {}  # by id: the copies made here, kept alive so that no id is used again

    def apply(self, operation: Any) -> None:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request("the body is no JSON patch: an operation has no path")
        path = _pointer(operation["path"])
        match operation.get("op"):
            case "add":
                self._add(path, operation.get("value"))
            case "remove":
                self._remove(path)
            case "replace":
                self._replace(path, operation.get("value"))
            case "test":
                if not _same(_read(self.root, path, missing=None), operation.get("value")):
                    raise unprocessable()
            case "copy":
                self._add(path, _read(self.root, _pointer(operation["from"])))
            case "move":
                source = _pointer(operation["from"])
                value = _read(self.root, source)
                self._remove(source)
                self._add(path, value)
            case _:
                raise unprocessable()

    def _writable(self, value: Any) -> Any:
        if id(value) in self._own:
            return value
        copy = value.copy()
        self._own[id(copy)] = copy
        return copy

    def _container(self, path: Sequence[str]) -> Any:
        """The container of the last step, which may be written to; so may everything above it."""
        if not path:
            raise unprocessable()
        self.root = container = self._writable(self.root)
        for step in path[:-1]:
            inner = _read(container, (step,))
            if not isinstance(inner, dict | list):
                raise unprocessable()
            inner = self._writable(inner)
            container[_index(container, step) if isinstance(container, list) else step] = inner
            container = inner
        return container

    def _add(self, path: Sequence[str], value: Any) -> None:
        if not path:
            self.root = value
            return
        container = self._container(path)
        if isinstance(container, list):
            at = len(container) if path[-1] == "-" else _index(container, path[-1], grow=1)
            container.insert(at, value)
        else:
            container[path[-1]] = value

    def _remove(self, path: Sequence[str]) -> None:
        container = self._container(path)
        _read(container, path[-1:])
        del container[_index(container, path[-1]) if isinstance(container, list) else path[-1]]

    def _replace(self, path: Sequence[str], value: Any) -> None:
        if not path:
            self.root = value
            return
        container = self._container(path)
        # Of an object, also what is not there, like the real one's library.
        container[_index(container, path[-1]) if isinstance(container, list) else path[-1]] = value


_NEEDED: Any = object()


def _pointer(path: str) -> tuple[str, ...]:
    if not path:
        return ()
    steps = path.split("/")[1:]
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps) if "~" in path else tuple(steps)


def _read(value: Any, path: Sequence[str], missing: Any = _NEEDED) -> Any:
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.lstrip("-").isdecimal():
            value = value[_index(value, step)]
        elif missing is _NEEDED or not isinstance(value, dict):
            raise unprocessable()
        else:
            return missing
    return value


def _index(container: Sequence[Any], step: str, grow: int = 0) -> int:
    if not step.lstrip("-").isdecimal():
        raise unprocessable()
    index = int(step)
    if not -len(container) <= index < len(container) + grow:
        raise unprocessable()
    return index


def _same(left: Any, right: Any) -> bool:
    """Equality of JSON: `true` is not 1."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)
