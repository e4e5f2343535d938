"""What a run comes to, computed in the most naive way: no counters, no events, no order, no time.

Independent of the engine on purpose (it shares only the names of phases, rules and classes), and written from the
words of the contract: it looks at all nodes again and again until nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fairlead.engine.model import FailureClass, Phase, TriggerRule
from fairlead.engine.state import Result


@dataclass(frozen=True)
class Task:
    """One task, and how each of its attempts would end: the last entry is repeated for ever."""

    name: str
    needs: Sequence[str]
    trigger: TriggerRule
    when: bool | None
    limit: int
    infrastructure_limit: int
    ends: Sequence[FailureClass | Result]


def interpret(tasks: Sequence[Task]) -> Mapping[str, Phase]:
    """Return the phase in which each task ends."""
    ended: dict[str, Phase] = {}
    while len(ended) < len(tasks):
        before = len(ended)
        for task in tasks:
            if task.name not in ended and all(parent in ended for parent in task.needs):
                ended[task.name] = _end(task, [ended[parent] for parent in task.needs])
        assert len(ended) > before, "a cycle"
    return ended


def succeeds(ended: Mapping[str, Phase]) -> bool:
    """Whether a run with these ends succeeds: no task failed."""
    return Phase.FAILED not in ended.values()


def _end(task: Task, parents: Sequence[Phase]) -> Phase:
    instead = _RULES[task.trigger](parents) if parents else None
    if instead is not None:
        return instead
    if task.when is False:
        return Phase.SKIPPED
    return _attempts(task)


def _attempts(task: Task) -> Phase:
    user = infrastructure = 0
    for number in range(10_000):
        match task.ends[min(number, len(task.ends) - 1)]:
            case Result.SUCCEEDED:
                return Phase.SUCCEEDED
            case FailureClass.INFRASTRUCTURE:
                infrastructure += 1
                if infrastructure > task.infrastructure_limit:
                    return Phase.FAILED
            case FailureClass.USER:
                user += 1
                if user > task.limit:
                    return Phase.FAILED
            case _:
                return Phase.FAILED
    raise AssertionError("no end")


def _failed(parents: Sequence[Phase]) -> bool:
    return Phase.FAILED in parents or Phase.UPSTREAM_FAILED in parents


def _all(parents: Sequence[Phase], *phases: Phase) -> bool:
    return all(parent in phases for parent in parents)


def _none_succeeded(parents: Sequence[Phase]) -> Phase:
    return Phase.SKIPPED if _all(parents, Phase.SKIPPED) else Phase.UPSTREAM_FAILED


#: What becomes of a task that does not run, given the ends of all its parents; None: it runs.
_RULES: Mapping[TriggerRule, Callable[[Sequence[Phase]], Phase | None]] = {
    TriggerRule.ALL_SUCCEEDED: lambda p: (
        Phase.UPSTREAM_FAILED if _failed(p) else Phase.SKIPPED if Phase.SKIPPED in p else None
    ),
    TriggerRule.ALL_FAILED: lambda p: None if _all(p, Phase.FAILED, Phase.UPSTREAM_FAILED) else Phase.SKIPPED,
    TriggerRule.ALL_DONE: lambda p: None,
    TriggerRule.ALL_DONE_MIN_ONE_SUCCESS: lambda p: None if Phase.SUCCEEDED in p else _none_succeeded(p),
    TriggerRule.ALL_SKIPPED: lambda p: None if _all(p, Phase.SKIPPED) else Phase.SKIPPED,
    TriggerRule.ONE_FAILED: lambda p: None if _failed(p) else Phase.SKIPPED,
    TriggerRule.ONE_SUCCESS: lambda p: None if Phase.SUCCEEDED in p else _none_succeeded(p),
    TriggerRule.ONE_DONE: lambda p: None if Phase.SUCCEEDED in p or Phase.FAILED in p else Phase.SKIPPED,
    TriggerRule.NONE_FAILED: lambda p: Phase.UPSTREAM_FAILED if _failed(p) else None,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: lambda p: (
        Phase.UPSTREAM_FAILED if _failed(p) else None if Phase.SUCCEEDED in p else Phase.SKIPPED
    ),
    TriggerRule.NONE_SKIPPED: lambda p: Phase.SKIPPED if Phase.SKIPPED in p else None,
    TriggerRule.ALWAYS: lambda p: None,
}
