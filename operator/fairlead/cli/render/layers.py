"""The order in which a run's tasks are drawn: layer by layer, each below all that it needs."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.cli.view import TaskView

__all__ = ["few", "layers", "origin"]

_NAMES_SHOWN = 3


def layers(tasks: Sequence[TaskView]) -> list[list[TaskView]]:
    """Return the tasks by distance from the roots, in their given order within a layer.

    Parents that are not among the tasks are ignored, and a cycle (of a definition that was refused) is put into
    one last layer.
    """
    by_name = {task.name: task for task in tasks}
    children: dict[str, list[str]] = {name: [] for name in by_name}
    missing: dict[str, int] = {}
    for task in tasks:
        parents = {name for name in task.needs if name in by_name}
        missing[task.name] = len(parents)
        for parent in parents:
            children[parent].append(task.name)
    result = []
    ready = [name for name, count in missing.items() if not count]
    placed: set[str] = set()
    while ready:
        placed.update(ready)
        result.append(ready)
        following = []
        for name in ready:
            for child in children[name]:
                missing[child] -= 1
                if not missing[child]:
                    following.append(child)
        ready = following
    if len(placed) < len(by_name):
        result.append([name for name in by_name if name not in placed])
    rank = {name: position for position, name in enumerate(by_name)}
    return [[by_name[name] for name in sorted(layer, key=rank.__getitem__)] for layer in result]


def origin(task: TaskView, above: Sequence[TaskView]) -> str:
    """Say what a task comes after, unless it is just what the layer above it suggests: all of that."""
    if not task.needs or set(task.needs) == {each.name for each in above}:
        return ""
    return few(task.needs)


def few(names: Sequence[str]) -> str:
    """Return the names, or of many the first and the last."""
    if len(names) <= _NAMES_SHOWN:
        return ", ".join(names)
    return f"{names[0]} … {names[-1]} ({len(names)})"
