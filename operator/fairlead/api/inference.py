"""The types of what tasks hand on: declared by most; of a `set`, those of its expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fairlead.api.parsing import Outline
from fairlead.api.rendering import TreeCompiler
from fairlead.engine.expressions import Declarations
from fairlead.engine.templates import CompiledTree

__all__ = ["infer_types"]


def infer_types(tasks: Sequence[Outline], trees: TreeCompiler) -> Declarations:
    """Return the declarations of `trees` with the types that `set` tasks give their values.

    One `set` may read another, so each is looked at after those that it reads; those on a cycle keep unknown types.
    """
    declarations = trees.declarations
    sets = {task.name: dict(_values(task)) for task in tasks if "set" in task.raw and not task.has_items}
    if not sets:
        return declarations
    known = dict(declarations.tasks)
    for name in _in_order(sets, trees):
        compiled = _compiled(sets[name], replace(trees, declarations=replace(declarations, tasks=known)))
        known[name] = {key: tree.type for key, tree in compiled.items()}
    return replace(declarations, tasks=known)


def _values(task: Outline) -> Iterator[tuple[str, Any]]:
    given = task.raw["set"]
    values = given.get("values") if isinstance(given, Mapping) else None
    for item in values if isinstance(values, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            yield item["name"], item.get("value")


def _in_order(sets: Mapping[str, Mapping[str, Any]], trees: TreeCompiler) -> list[str]:
    """Return the names, each after those that it reads; those on or after a cycle are left out."""
    waits: dict[str, set[str]] = {}
    readers: dict[str, list[str]] = {name: [] for name in sets}
    for name, values in sets.items():
        waits[name] = {other for other in _read(values, trees) if other in sets}
        for other in waits[name]:
            readers[other].append(name)
    ready = [name for name, others in waits.items() if not others]
    for name in ready:  # grows while it is walked
        for reader in readers[name]:
            waits[reader].discard(name)
            if not waits[reader]:
                ready.append(reader)
    return ready


def _read(values: Mapping[str, Any], trees: TreeCompiler) -> Iterator[str]:
    for tree in _compiled(values, trees).values():
        for found in tree.references:
            root, *rest = found.reference.path
            if root == "tasks" and rest:
                yield rest[0]


def _compiled(values: Mapping[str, Any], trees: TreeCompiler) -> dict[str, CompiledTree]:
    # What is wrong is told when the tasks themselves are compiled.
    quiet = replace(trees, report=lambda _path, _message: None)
    return {name: quiet.value(value, "") for name, value in values.items()}
