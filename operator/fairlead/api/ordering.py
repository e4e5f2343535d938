"""Who comes before whom: `needs` with its groups, the edges that references imply, and what they may rely on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from fairlead.api.parsing import Outline
from fairlead.api.pod_rules import Report
from fairlead.api.problems import did_you_mean
from fairlead.engine.graph import find_cycle
from fairlead.engine.model import TriggerRule

__all__ = ["MAX_EDGES", "Ordering", "resolve_needs"]

#: How often tasks may need one another, groups written out: 5,000 that need a group of 5,000 would fill the memory.
MAX_EDGES = 1_000_000
_TOO_MANY_EDGES = (
    f"with this one, tasks need one another more than {MAX_EDGES:,} times, groups written out: put one task "
    "between two large groups, that needs the first of them and is needed by the second"
)


def resolve_needs(tasks: Sequence[Outline], report: Report) -> dict[str, tuple[str, ...]]:
    """Return the parents of each task, groups written out, in the order in which they are named.

    Tasks and those of `finally` name only each other. Everything wrong is reported.
    """
    resolved: dict[str, tuple[str, ...]] = {}
    for final in (False, True):
        within = [task for task in tasks if task.final is final]
        beyond = {task.name for task in tasks if task.final is not final}
        for name, parents in _resolve(within, beyond, report).items():
            resolved.setdefault(name, parents)  # a name that is there twice was reported
    return resolved


def _resolve(tasks: Sequence[Outline], beyond: Collection[str], report: Report) -> dict[str, tuple[str, ...]]:
    needs: dict[str, tuple[str, ...]] = {task.name: () for task in tasks}
    groups: dict[str, list[str]] = {}
    for task in tasks:
        if task.group is not None:
            groups.setdefault(task.group, []).append(task.name)
            if task.group in needs or task.group in beyond:
                report(f"{task.path}.group", f"must not be {task.group!r}, which is the name of a task")
    known, edges = needs.keys() | groups.keys(), 0
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # the tasks of a layer all need the layer before it
    for task in tasks:
        parents: dict[str, None] = {}
        for position, name in enumerate(task.needs):
            if name in needs and name != task.name:
                parents[name] = None
            elif name in groups and task.name not in groups[name]:
                parents.update(dict.fromkeys(groups[name]))
            elif problem := _wrong_need(task, name, known, groups, beyond):
                report(f"{task.path}.needs[{position}]", problem)
        edges += len(parents)
        if edges > MAX_EDGES:
            report(f"{task.path}.needs", _TOO_MANY_EDGES)
            break
        written_out = tuple(parents)
        needs[task.name] = shared.setdefault(written_out, written_out)
    return needs


def _wrong_need(
    task: Outline,
    name: str,
    known: AbstractSet[str],
    groups: Mapping[str, Sequence[str]],
    beyond: Collection[str],
) -> str:
    if not name:
        return ""
    if name == task.name:
        return f"task {name!r} cannot need itself"
    if name in groups:
        return f"task {task.name!r} cannot need the group {name!r}, of which it is a member"
    if name in beyond:
        if task.final:
            return f"{name!r} must not be named: all tasks before `finally` have ended by then"
        return f"{name!r} must not be named: it is one of `finally`, and so comes after all other tasks"
    what = "task or group" if groups else "task"
    return f"no {what} named {name!r}{did_you_mean(name, known)}"


@dataclass(slots=True)
class Ordering:
    """The order that `needs` alone gives, and the edges that are implied on top of it.

    `triggers` has the rule of each task. `skippable` are those that may be Skipped by themselves, `continued` those
    whose failure counts as a success for what comes after, `handlers` those that make up for failures before them.
    """

    needs: Mapping[str, tuple[str, ...]]
    triggers: Mapping[str, TriggerRule]
    skippable: frozenset[str] = frozenset()
    continued: frozenset[str] = frozenset()
    handlers: frozenset[str] = frozenset()
    implied: dict[str, dict[str, None]] = field(default_factory=dict)
    _ancestors: dict[str, int] | None = field(default=None, init=False)
    _relied: dict[str, int] | None = field(default=None, init=False)
    _bits: dict[str, int] = field(default_factory=dict, init=False)

    def follows(self, task: str, other: str) -> bool:
        """Tell whether `needs` puts `task` after `other`, directly or not."""
        if other in self.needs[task]:
            return True
        if self._ancestors is None:
            self._ancestors = self._closure(self.needs.__getitem__)
        return _has(self._ancestors.get(task, 0), self._bits[other])

    def imply(self, task: str, other: str) -> None:
        """Add an edge for a reference that `needs` does not order."""
        self.implied.setdefault(task, {})[other] = None

    def parents(self, task: str) -> tuple[str, ...]:
        """Return the parents of a task, those by reference included."""
        implied = self.implied.get(task)
        return (*self.needs[task], *implied) if implied else self.needs[task]

    def cycle(self) -> tuple[str, ...]:
        """Return a cycle of tasks, or `()`."""
        return find_cycle({name: self.parents(name) for name in self.needs})

    def surely_succeeded(self, task: str, other: str) -> bool:
        """Tell whether `other` has Succeeded whenever `task` runs, as far as trigger rules tell.

        A task under `AllSucceeded` may rely on each parent, and on whatever that one could rely on; of a `continued`
        one it is only sure that it has run. To be asked once all edges are there.
        """
        if self.triggers.get(task) is TriggerRule.ALL_SUCCEEDED and other in self.parents(task):
            return True
        if self._relied is None:
            self._relied = self._closure(self.parents, self.triggers)
        return _has(self._relied.get(task, 0), self._bits[other])

    def sure_in_success(self) -> frozenset[str]:
        """Return the tasks that have Succeeded in every run that succeeds (of a `continued` one: that it has run).

        Nothing on their way may skip them, and no failure of theirs may be handled.
        """
        sure: set[str] = set()
        forgiven = self._before(self.handlers) - self.continued
        for name in self._topological(self.parents):
            rule = self.triggers.get(name)
            if (
                rule is TriggerRule.ALL_SUCCEEDED
                and name not in self.skippable
                and name not in forgiven
                and all(parent in sure for parent in self.parents(name))
            ):
                sure.add(name)
        return frozenset(sure)

    def _before(self, names: Collection[str]) -> set[str]:
        """Return everything that comes before one of `names`."""
        found: set[str] = set()
        stack = [parent for name in names for parent in self.parents(name)]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(self.parents(name))
        return found

    def _topological(self, parents_of: Callable[[str], Sequence[str]]) -> Iterable[str]:
        """Return the tasks, parents first; those on or after a cycle are left out.

        Iterative, and without a list of children, which is as long as there are edges.
        """
        order: dict[str, None] = {}
        left_out: set[str] = set()
        for root in self.needs:
            path = {root: iter(parents_of(root))}
            while path:
                name, parents = next(reversed(path.items()))
                if name in order or name in left_out:
                    del path[name]
                elif (parent := next((each for each in parents if each not in order), None)) is None:
                    order[name] = None
                elif parent in path or parent in left_out:
                    left_out.update(path)  # each of them needs the one after it
                else:
                    path[parent] = iter(parents_of(parent))
        return order

    def _closure(
        self, parents_of: Callable[[str], Sequence[str]], rules: Mapping[str, TriggerRule] | None = None
    ) -> dict[str, int]:
        """Return the ancestors of each task as a bit set: 10,000 tasks take 12 MB, and only while compiling.

        With `rules`, only those that a task may rely on to have Succeeded.
        """
        self._bits = self._bits or {name: bit for bit, name in enumerate(self.needs)}
        ancestors: dict[str, int] = {}
        for name in self._topological(parents_of):
            found = 0
            if rules is None or rules.get(name) is TriggerRule.ALL_SUCCEEDED:
                for parent in parents_of(name):
                    found |= ancestors[parent] | 1 << self._bits[parent]
            ancestors[name] = found
        return ancestors


def _has(bits: int, position: int) -> bool:
    return bool(bits >> position & 1)
