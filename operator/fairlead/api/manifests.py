"""Manifests of objects that a `resource` task creates: what must not be in one, and its expressions compiled.

What an object is called, where it is and whom it belongs to is ours to say: that is how it is found again after a
crash, and how it goes with the run. Everything else is the user's, and may have expressions, which keep the type of
their values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.api.pod_rules import Report
from fairlead.api.problems import did_you_mean
from fairlead.api.rendering import Part, TreeCompiler, copied
from fairlead.engine.templates import CompiledTree

__all__ = ["check_manifest", "compile_manifest"]

_Json = Mapping[str, Any]
_Place = tuple[str | int, ...]

_API_VERSION = re.compile(r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?v[0-9][a-z0-9]*")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*")
_OURS = "fairlead.dev/"

_NAMED_BY_US = "the name is made from the run, the task and the attempt, so that nothing is created twice"
_NOT_THE_USERS = {
    "name": _NAMED_BY_US,
    "generateName": _NAMED_BY_US,
    "ownerReferences": "the object belongs to the run",
    "finalizers": "the object goes with the run",
}
_METADATA = ("annotations", "labels", "namespace")

#: What the kubelet expands `$(VAR)` in, in the containers of any pod template.
_CONTAINERS = ("containers", "initContainers")
_EXPANDED = ("command", "args", "env")


def check_manifest(manifest: _Json, path: str, report: Report) -> None:
    """Report what must not be in a manifest, whatever its kind."""
    for field, pattern, example in (("apiVersion", _API_VERSION, "batch/v1"), ("kind", _KIND, "Job")):
        value = manifest.get(field)
        if value is None:
            report(f"{path}.{field}", "is required")
        elif not isinstance(value, str) or not pattern.fullmatch(value):
            hint = ", and written out: an expression cannot choose it" if "${" in str(value) else ""
            report(f"{path}.{field}", f"must be of the form {example}{hint}, unlike {value!r}")
    if "status" in manifest:
        report(f"{path}.status", "must not be set: it is written by the kind's own controller")
    metadata = manifest.get("metadata")
    if metadata is not None:
        _check_metadata(metadata, f"{path}.metadata", report)


def _check_metadata(metadata: Any, path: str, report: Report) -> None:
    if not isinstance(metadata, Mapping):
        report(path, "must be an object")
        return
    for name, value in metadata.items():
        at = f"{path}.{name}"
        if name in _NOT_THE_USERS:
            report(at, f"must not be set: {_NOT_THE_USERS[name]}")
        elif name not in _METADATA:
            report(at, f"must not be set; there may be {', '.join(_METADATA)}{did_you_mean(str(name), _METADATA)}")
        elif name == "namespace":
            if not isinstance(value, str):
                report(at, "must be a string: the namespace of the run, or nothing")
        elif not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
            report(at, "must be an object of strings (put numbers in quotes)")
        else:
            for key in value:
                if key.startswith(_OURS):
                    report(f"{at}[{key}]", f"must not begin with {_OURS}: these are set by Fairlead")


def compile_manifest(trees: TreeCompiler, manifest: _Json, path: str) -> Part:
    """Compile the expressions of a manifest. Labels and annotations stay texts, all else keeps its type."""
    rest = copied(dict(manifest))
    parts: list[tuple[_Place, CompiledTree]] = []
    if isinstance(rest.get("metadata"), dict):
        parts.append((("metadata",), trees.tree(rest["metadata"], f"{path}.metadata")))
        rest["metadata"] = {}
    for place, container in _containers(rest, ()):
        expanded = {key: container.pop(key) for key in _EXPANDED if key in container}
        if expanded:
            parts.append((place, trees.tree(expanded, _spelt(path, place), escape=True)))
    return Part(trees.value(rest, path), tuple(parts))


def _containers(value: Any, place: _Place) -> Iterator[tuple[_Place, dict[str, Any]]]:
    """Yield the containers of all pod templates in a tree, with their places."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in _CONTAINERS and isinstance(item, list):
                for index, container in enumerate(item):
                    if isinstance(container, dict):
                        yield (*place, key, index), container
            else:
                yield from _containers(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _containers(item, (*place, index))


def _spelt(path: str, place: _Place) -> str:
    return path + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
