"""The script of a run: its tasks, what they compute, and how each of their attempts would end.

Data only, in the contract's own words, which reads well when it is printed. `reference.py` says what such a run comes
to, `scenarios.py` thinks some up, `differential.py` plays them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from fairlead.engine.model import Phase, TriggerRule, WorkKind

#: What a task sees, as in the engine's contract; and what is computed from it, or raises `Unable`.
Scope: TypeAlias = Mapping[str, Any]
Formula: TypeAlias = Callable[[Scope], Any]


class Unable(Exception):
    """An expression that has no value."""


class Way(Enum):
    """How an attempt ends. The value is the reason that the contract gives it, where there is one."""

    DONE = "Completed"
    EXIT = "ExitCode"
    EVICTED = "Evicted"
    REFUSED = "ObjectRefused"
    STUCK = "ImagePull"
    TOO_LONG = "TimedOut"
    NEVER_STARTS = "StartTimeout"
    OUTLASTS = "DeadlineExceeded"
    STARVES = "QueueTimeout"
    REJECTED = "Rejected"
    LAPSES = "ApprovalTimeout"
    SILENT = "HeartbeatTimeout"


class Wait(Enum):
    """What a task of kind Wait waits for."""

    SECONDS = "seconds"
    UNTIL = "until"
    CONDITION = "condition"
    CALLBACK = "callback"


@dataclass(frozen=True)
class End:
    """The end of one attempt. `writes` replaces what the task would put out: its value as `x`."""

    way: Way = Way.DONE
    exit_code: int | None = 1
    reason: str = ""
    writes: Mapping[str, Any] | None = None


#: The plain ends of a pod, for scripts that do not care for more.
DONE, FAILS, EVICTED, REFUSED = End(), End(Way.EXIT), End(Way.EVICTED), End(Way.REFUSED)


@dataclass(frozen=True)
class Rule:
    """A retry rule. `when` sees `attempt`."""

    exit_codes: Collection[int] = ()
    reasons: Collection[str] = ()
    when: Formula | None = None
    limit: int | None = None
    resources: Any = None


@dataclass(frozen=True)
class Each:
    """A `forEach`. Neither `count` nor `percent`: nothing is tolerated."""

    items: Formula
    when: Formula | None = None
    max_parallel: int | None = None
    count: int | None = None
    percent: float | None = None
    batch_size: int | None = None
    limit: int = 10_000


@dataclass(frozen=True)
class Repeat:
    """A `repeat`."""

    until: Formula
    most: int
    delay: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, and how its attempts would end: the last end of `ends` is repeated for ever.

    `value` is what its work comes to, and what a success puts out as `x`; `declared` are the outputs that are integers
    and their defaults (None: it has none). `item_ends` are those of the items, in turn.
    """

    name: str
    needs: Sequence[str] = ()
    kind: WorkKind = WorkKind.POD
    trigger: TriggerRule = TriggerRule.ALL_SUCCEEDED
    when: Formula | None = None
    value: Formula | None = None
    declared: Mapping[str, int | None] = field(default_factory=dict)
    each: Each | None = None
    repeat: Repeat | None = None
    limit: int = 0
    infrastructure_limit: int = 5
    on_timeout: bool = False
    rules: Sequence[Rule] = ()
    skip_codes: Collection[int] = ()
    proceeds: bool = False
    handles: bool = False
    final: bool = False
    required: bool = False
    lapse_approves: bool = False
    wait: Wait | None = None
    priority: int = 0
    ends: Sequence[End] = (End(),)
    item_ends: Sequence[Sequence[End]] = ()

    def end(self, index: int | None, number: int) -> End:
        """Return how an attempt ends: of the task, or of an item of it."""
        ends = self.ends if index is None or not self.item_ends else self.item_ends[index % len(self.item_ends)]
        return ends[min(number, len(ends)) - 1]


# What tasks compute from what they see. A parent's `x` is a number, or the list of those of its items.


@dataclass(frozen=True)
class Fixed:
    """Always the same."""

    value: Any

    def __call__(self, scope: Scope) -> Any:
        return self.value


@dataclass(frozen=True)
class Broken:
    """Nothing: it cannot be computed."""

    def __call__(self, scope: Scope) -> Any:
        raise Unable


@dataclass(frozen=True)
class Sum:
    """A number that everything in sight has changed: the `x` of some tasks, and one's place in a list and a loop."""

    base: int = 0
    of: Sequence[str] = ()

    def __call__(self, scope: Scope) -> int:
        total = self.base + sum(_number(scope["tasks"][name]["outputs"].get("x")) for name in self.of)
        total += 10 * _number(scope.get("item")) + scope.get("index", 0) + 100 * scope.get("iteration", 0)
        return total + _number(scope.get("previous", {}).get("x"))


@dataclass(frozen=True)
class Odd:
    """Whether a number is odd."""

    of: Sum

    def __call__(self, scope: Scope) -> bool:
        return self.of(scope) % 2 == 1


@dataclass(frozen=True)
class Ended:
    """Whether a task has ended in a phase."""

    name: str
    phase: Phase

    def __call__(self, scope: Scope) -> bool:
        return bool(scope["tasks"][self.name]["phase"] == self.phase.value)


@dataclass(frozen=True)
class Upto:
    """The list `1, 2, …`, of a length from 0 to `most` that depends on what is in sight."""

    of: Sum
    most: int

    def __call__(self, scope: Scope) -> list[int]:
        return list(range(1, 1 + self.of(scope) % (self.most + 1)))


@dataclass(frozen=True)
class Round:
    """Whether it is a certain round, or a later one, of a loop."""

    number: int

    def __call__(self, scope: Scope) -> bool:
        return bool(scope["iteration"] >= self.number)


@dataclass(frozen=True)
class Reached:
    """Whether the `x` that a round of a loop has put out is large enough."""

    least: int

    def __call__(self, scope: Scope) -> bool:
        return bool(_number(scope["outputs"].get("x")) >= self.least)


@dataclass(frozen=True)
class ExitedWith:
    """Whether the failed attempt that a retry rule asks about ended with an exit code."""

    code: int

    def __call__(self, scope: Scope) -> bool:
        return bool(scope["attempt"]["exitCode"] == self.code)


@dataclass(frozen=True)
class Tally:
    """In one number what `finally` is told: how many tasks there were, how many failed, whether they were stopped."""

    def __call__(self, scope: Scope) -> int:
        summary = scope["run"]["summary"]
        failed, cancelled = (summary["counts"].get(phase, 0) for phase in ("Failed", "Cancelled"))
        stopped = bool(cancelled and summary["stopped"])  # a stop that comes later than that may be seen or not
        return int(1000 * stopped + 100 * failed + summary["total"])


@dataclass(frozen=True)
class Blind:
    """A formula that does not see some of what is in scope."""

    of: Formula
    hidden: Collection[str]

    def __call__(self, scope: Scope) -> Any:
        return self.of({name: value for name, value in scope.items() if name not in self.hidden})


def read_by(formula: Any) -> set[str]:
    """Return the names of the tasks that a formula reads."""
    match formula:
        case Sum():
            return set(formula.of)
        case Odd() | Upto() | Blind():
            return read_by(formula.of)
        case Ended():
            return {formula.name}
        case _:
            return set()


def _number(value: Any) -> int:
    if isinstance(value, list):
        return sum(_number(each) for each in value)
    return value if isinstance(value, int) else 0
