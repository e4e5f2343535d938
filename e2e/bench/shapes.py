"""What is measured: graphs of tasks that do nothing. Pure; an engine's adapter makes of them what it understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["SHAPES", "SMALL_PLAYS", "Shape", "Task", "wide"]

#: How often the small shape is played before the large one that is compared with it: it is over in a second.
SMALL_PLAYS = 5


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `needs` names tasks or groups; `group` is the one that it belongs to, "" for none."""

    name: str
    needs: Sequence[str] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """One thing to measure: `copies` workflows of the same tasks, submitted at once.

    `items`: how many items the only task has instead. At most `at_once` of the items, or copies, are let go at a time.
    """

    name: str
    tasks: Sequence[Task]
    copies: int = 1
    items: int = 0
    at_once: int = 0
    #: The most that the makespan may be of the bare driver's; None where it is only told.
    limit: float | None = None
    #: How often it is played in a round: what is over in a blink, and is judged, is a matter of luck.
    plays: int = 1
    #: The shape of the same kind with a hundredth of the tasks: a task may cost little more CPU time here than there.
    small: str = ""

    @property
    def pods(self) -> int:
        """How many pods it takes."""
        return self.copies * (self.items or len(self.tasks))

    def parents(self) -> Mapping[str, Sequence[str]]:
        """Return the tasks that each task follows, with groups written out."""
        groups: dict[str, list[str]] = {}
        for task in self.tasks:
            if task.group:
                groups.setdefault(task.group, []).append(task.name)
        return {task.name: [name for each in task.needs for name in groups.get(each, [each])] for task in self.tasks}


def _chain(length: int) -> list[Task]:
    return [Task(f"t{number}", [f"t{number - 1}"] if number else []) for number in range(length)]


def wide(width: int) -> list[Task]:
    """Return one task, so many that follow it, and one that follows these."""
    middle = [Task(f"m{number}", ["first"], "middle") for number in range(width)]
    return [Task("first"), *middle, Task("last", ["middle"])]


def _layers(depth: int, width: int) -> list[Task]:
    return [
        Task(f"l{layer}-{number}", [f"l{layer - 1}"] if layer else [], f"l{layer}")
        for layer in range(depth)
        for number in range(width)
    ]


def _fan_in(width: int) -> list[Task]:
    before = [Task(f"m{number}") for number in range(width)]
    return [*before, Task("last", [task.name for task in before])]


def _shapes() -> list[Shape]:
    return [
        Shape("chain-20", _chain(20), limit=1.2, plays=5),
        Shape("wide-100", wide(100), plays=3),
        Shape("wide-1000", wide(1000), limit=1.3, plays=2),
        Shape("wide-5000", wide(5000)),
        Shape("wide-10000", wide(9998), small="wide-100"),
        Shape("layers-10x10", _layers(10, 10), plays=3),
        Shape("layers-10x100", _layers(10, 100)),
        Shape("layers-100x100", _layers(100, 100), small="layers-10x10"),
        Shape("chain-100", _chain(100)),
        Shape("chain-1000", _chain(1000)),
        Shape("chain-10000", _chain(10_000), small="chain-100"),
        Shape("fan-in-5000", _fan_in(5000)),
        Shape("many-200x5", _chain(5), copies=200),
        Shape("list-10000", [Task("m")], items=10_000, at_once=500),
        Shape("queued-10000", [Task("t")], copies=10_000, at_once=100),
    ]


#: By name, in the order in which they are measured.
SHAPES: Mapping[str, Shape] = {shape.name: shape for shape in _shapes()}
