"""What another epoch of a run leaves as it is, in the words of the contract; the rest runs again.

Each function returns what is `kept`, and the past of the rest: an item that is Waiting there runs again, whatever its
list; one that has ended stays as it is where the list is still the same. A task that is Running there goes on with its
list, and is not asked once more whether it wants to run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeAlias

from tests.property.reference import Story, Told
from tests.property.script import Task

from fairlead.engine.model import Phase

Past: TypeAlias = tuple[Story, Story]

_WELL = (Phase.SUCCEEDED, Phase.SKIPPED)


def retry(tasks: Sequence[Task], story: Story, past: Story) -> Past:
    """What went wrong runs again, and what was skipped after that; of a list, the items that went wrong."""
    bad = {task.name for task in tasks if not task.final and story[task.name].phase not in _WELL}
    skipped = {name for name in _after(tasks, bad) if story[name].phase is Phase.SKIPPED}
    return _divide(tasks, story, past, skipped, bad, lambda name: past[name].phase in _WELL)


def retry_one(tasks: Sequence[Task], story: Story, past: Story, name: str) -> Past:
    """One task that went wrong runs again, and what did not succeed after it."""
    return _divide(tasks, story, past, _consequences(tasks, story, name), {name}, lambda n: past[n].phase in _WELL)


def clear(tasks: Sequence[Task], story: Story, past: Story, name: str) -> Past:
    """A task, or one item of it, runs again, and everything after it."""
    task, bracket, _ = name.partition("[")
    if not bracket:
        return _divide(tasks, story, past, {task, *_after(tasks, {task})}, (), lambda _: False)
    return _divide(tasks, story, past, _after(tasks, {task}), {task}, lambda item: item != name)


def mark(tasks: Sequence[Task], story: Story, past: Story, name: str, told: Told) -> Past:
    """A task, or one item of it, has ended as somebody says; what did not succeed after it runs again."""
    task, bracket, _ = name.partition("[")
    again = _consequences(tasks, story, task)
    if not bracket:
        kept, before = _divide(tasks, story, past, again, (), lambda _: True)
        return {**kept, name: told}, before
    return _divide(tasks, story, {**past, name: told}, again, {task}, lambda _: True)


def _consequences(tasks: Sequence[Task], story: Story, name: str) -> set[str]:
    return {each for each in _after(tasks, {name}) if story[each].phase is not Phase.SUCCEEDED}


def _after(tasks: Sequence[Task], names: Collection[str]) -> set[str]:
    found: set[str] = set()
    for _ in tasks:
        found |= {task.name for task in tasks for parent in task.needs if parent in found or parent in names}
    return found


def _divide(
    tasks: Sequence[Task],
    story: Story,
    past: Story,
    whole: Collection[str],
    opened: Collection[str],
    keeps: Callable[[str], bool],
) -> Past:
    """Divide what is known: tasks that run again as a `whole`, and those that are `opened` for some of their items."""
    gone = {*whole, *opened, *(task.name for task in tasks if task.final)}
    kept = {name: told for name, told in story.items() if name.partition("[")[0] not in gone}
    before = {
        name: told if name.partition("[")[0] in opened and keeps(name) else replace(told, phase=Phase.WAITING)
        for name, told in past.items()
    }
    for task in tasks:
        if task.name in opened and past[task.name].listed and all(parent in kept for parent in task.needs):
            before[task.name] = replace(before[task.name], phase=Phase.RUNNING)
    return kept, before
