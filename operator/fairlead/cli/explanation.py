"""Why tasks of a run do not run: from what each says of itself to the root causes. Pure.

A task that waits for others is explained by theirs, and so on; a task that stands still for a reason of its own is a
root cause, and so is one that simply runs. What has failed is explained like what waits: UpstreamFailed leads to the
failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from fairlead.cli.view import RunView, TaskView
from fairlead.engine.model import TERMINAL, Phase

__all__ = ["ROOTS", "Explanation", "Line", "Node"]

#: Ends that are no matter of concern.
_WELL = frozenset({Phase.SUCCEEDED, Phase.SKIPPED})
_BAD = TERMINAL - _WELL
_FOLDED = 4
#: A chain that is longer is cut, and goes on with the root causes; of one that is wider, some are left out.
_LONGEST = 100
_WIDEST = 10
#: So many root causes of one task are looked for.
ROOTS = 50


@dataclass(frozen=True, slots=True)
class Node:
    """One task in a chain: `causes` are what it waits for, or has failed because of.

    `told` has been explained before, `skipped` comes after many that are left out; `more` is how many causes are.
    """

    task: TaskView
    causes: tuple[Node, ...] = ()
    more: int = 0
    told: bool = False
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One task, or items of one that stand alike (`count`), with the direct causes and the root ones by name."""

    task: TaskView
    count: int = 1
    causes: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


class Explanation:
    """Explains the tasks of one run. `final` are the names of those of `finally`."""

    def __init__(self, view: RunView, final: frozenset[str] = frozenset()) -> None:
        self._tasks = {task.name: task for task in view.tasks}
        self._final = final

    @cached_property
    def _items(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._tasks:
            parent, bracket, _ = name.partition("[")
            if bracket:
                found.setdefault(parent, []).append(name)
        return found

    def lines(self) -> list[Line]:
        """Return a line for each task that does not run and is not well over, roots before what depends on them."""
        found = []
        for task in self._tasks.values():
            if _concerns(task):
                causes = self._causes[task.name]
                found.append(Line(task, 1, causes, self._roots[task.name] if causes else ()))
        return sorted(_folded(found), key=lambda line: bool(line.causes))

    def chain(self, name: str) -> Node:
        """Return why one task stands where it does, down to the root causes. Raises KeyError."""
        return self._node(name, set(), 0)

    def _node(self, name: str, told: set[str], depth: int) -> Node:
        task = self._tasks[name]
        if name in told:
            return Node(task, told=True)
        told.add(name)
        causes = self._causes[name]
        more = max(0, len(causes) - _WIDEST)
        if depth == _LONGEST and causes:
            roots = self._roots[name]
            return Node(task, tuple(Node(self._tasks[root], skipped=True) for root in roots[:_WIDEST]))
        return Node(task, tuple(self._node(cause, told, depth + 1) for cause in causes[:_WIDEST]), more)

    @cached_property
    def _causes(self) -> Mapping[str, tuple[str, ...]]:
        return {name: self.causes(task) for name, task in self._tasks.items()}

    @cached_property
    def _roots(self) -> Mapping[str, tuple[str, ...]]:
        """The root causes of each task, found from the roots upwards: a chain may be longer than Python's stack."""
        held_up: dict[str, list[str]] = {name: [] for name in self._tasks}
        missing = {name: len(causes) for name, causes in self._causes.items()}
        for name, causes in self._causes.items():
            for cause in causes:
                held_up[cause].append(name)
        found: dict[str, tuple[str, ...]] = dict.fromkeys(self._tasks, ())
        ready = [name for name, count in missing.items() if not count]
        while ready:
            name = ready.pop()
            found[name] = _union(found[cause] for cause in self._causes[name]) or (name,)
            for each in held_up[name]:
                missing[each] -= 1
                if not missing[each]:
                    ready.append(each)
        return found

    def causes(self, task: TaskView) -> tuple[str, ...]:
        """Return what a task waits for, or did not run because of."""
        match task.phase:
            case Phase.WAITING if "[" not in task.name:
                return tuple(self._waited_for(task))
            case Phase.UPSTREAM_FAILED | Phase.SKIPPED:
                ended = TERMINAL - {Phase.SUCCEEDED}
                return tuple(name for name in self._known(task) if self._tasks[name].phase in ended)
            case Phase.RUNNING | Phase.FAILED:
                return tuple(name for name in self._items.get(task.name, ()) if _stands(self._tasks[name], task.phase))
            case _:
                return ()

    def _waited_for(self, task: TaskView) -> Iterator[str]:
        waits = [name for name in self._known(task) if self._tasks[name].phase not in TERMINAL]
        if waits or task.name not in self._final:
            yield from waits
            return
        for name, other in self._tasks.items():
            if name not in self._final and other.phase not in TERMINAL and "[" not in name:
                yield name

    def _known(self, task: TaskView) -> Iterator[str]:
        return (name for name in task.needs if name in self._tasks)


def _union(found: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return what is in any of these, at most `ROOTS`: all of it would take the square of what there is."""
    names: dict[str, None] = {}
    for each in found:
        names.update(dict.fromkeys(each))
        if len(names) >= ROOTS:
            break
    return tuple(names)[:ROOTS]


def _concerns(task: TaskView) -> bool:
    return task.phase in _BAD or (task.phase not in TERMINAL and (task.phase is not Phase.RUNNING or bool(task.reason)))


def _stands(item: TaskView, phase: Phase) -> bool:
    """Tell whether an item explains where its task stands."""
    return item.phase in _BAD if phase is Phase.FAILED else _concerns(item) and item.phase not in TERMINAL


def _folded(lines: list[Line]) -> Iterator[Line]:
    """Put items of one task that say the same together where they are many."""
    alike: dict[tuple[str, Phase, str, str], list[Line]] = {}
    for line in lines:
        task = line.task
        parent, bracket, _ = task.name.partition("[")
        name = parent + bracket if bracket else task.name
        alike.setdefault((name, task.phase, task.reason, task.message), []).append(line)
    for group in alike.values():
        if len(group) >= _FOLDED:
            first = group[0]
            yield Line(first.task, len(group), first.causes, first.roots)
        else:
            yield from group
