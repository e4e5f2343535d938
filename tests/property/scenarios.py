"""Random scenarios: a script of a run, and what is done to it while it runs. From a seed, so that it can be had again.

Everything in a scenario has one right end, whatever the order in which things happen: what would depend on timing
(which of two hanging tasks a deadline hits first) is not thought up here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from random import Random
from typing import Any

from hypothesis import strategies as st
from tests.property.script import (
    DONE,
    Broken,
    Each,
    End,
    Ended,
    ExitedWith,
    Fixed,
    Formula,
    Odd,
    Reached,
    Repeat,
    Round,
    Rule,
    Sum,
    Tally,
    Task,
    Upto,
    Wait,
    Way,
)

from fairlead.engine.model import OBJECT_KINDS, SLOT_KINDS, Phase, StopMode, TriggerRule, WorkKind

#: Rules that may fire before all parents have ended: what such a task read of them would depend on timing.
EARLY = frozenset({TriggerRule.ALWAYS, TriggerRule.ONE_FAILED, TriggerRule.ONE_SUCCESS, TriggerRule.ONE_DONE})

#: Rules that consume failure: only with these may a task handle it.
CONSUMING = (TriggerRule.ONE_FAILED, TriggerRule.ALL_FAILED, TriggerRule.ALL_DONE, TriggerRule.ONE_DONE)

#: Ends that take as long as a clock allows.
ENDLESS = frozenset({Way.TOO_LONG, Way.NEVER_STARTS, Way.OUTLASTS, Way.LAPSES, Way.SILENT, Way.STUCK})


class Again(Enum):
    """What begins another epoch."""

    RETRY = "Retry of a run"
    RETRY_ONE = "Retry of a task"
    CLEAR = "Clear of a task"
    CLEAR_ITEM = "Clear of an item"
    MARK = "Mark of a task"
    MARK_ITEM = "Mark of an item"


@dataclass(frozen=True)
class Epoch:
    """A request on a finished run. `pick` chooses the task or item, where one is needed, of those that there are."""

    again: Again
    pick: int = 0
    phase: Phase = Phase.SUCCEEDED


@dataclass(frozen=True)
class Limits:
    """What `spec.overrides` says of a `forEach` from the beginning."""

    max_parallel: int | None = None
    count: int | None = None
    percent: float | None = None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A run, and what is done to it. Moments are numbers of steps of the player.

    `marks` are set by hand before anything has begun, unless the task has ended by then. `suspended` is from when to
    when, `result` is what the run itself puts out. `crashes`: how many of a hundred steps end in a crash of the
    controller. `large`: the status is kept in shards.
    """

    seed: int
    tasks: Sequence[Task]
    parallelism: int | None = None
    limits: Mapping[str, Limits] = field(default_factory=dict)
    marks: Mapping[str, Phase] = field(default_factory=dict)
    suspended: tuple[int, int] | None = None
    stop: StopMode | None = None
    stop_at: int = 0
    deadline: int | None = None
    final_deadline: int | None = None
    result: Formula | None = None
    epochs: Sequence[Epoch] = ()
    crashes: int = 0
    large: bool = False
    bothered: bool = False

    def __str__(self) -> str:
        lines = [f"seed {self.seed}", *(f"  {_shown(task)}" for task in self.tasks)]
        rest = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("seed", "tasks")}
        return "\n".join([*lines, *(f"  {name}: {_shown(value)}" for name, value in rest.items() if value)])


def _shown(value: Any) -> str:
    """Show a value as its constructor would be called, without what is as by default."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_shown(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(each)}" for key, each in value.items()) + "}"
    if not is_dataclass(value):
        return repr(value)
    told = []
    for each in fields(value):
        part = getattr(value, each.name)
        default = each.default_factory() if callable(each.default_factory) else each.default
        if part != default:
            told.append(f"{each.name}={_shown(part)}")
    return f"{type(value).__name__}({', '.join(told)})"


def scenario(seed: int) -> Scenario:
    """Think up a scenario."""
    return _Author(Random(seed), seed).scenario()


def scenarios() -> st.SearchStrategy[Scenario]:
    """Return hypothesis' way to the same."""
    return st.integers(0, 2**32 - 1).map(scenario)


class _Author:
    """Thinks up one scenario. What may end a run early, or takes long, shares a scenario with little else."""

    def __init__(self, random: Random, seed: int) -> None:
        self.random = random
        self.seed = seed
        self.tasks: list[Task] = []
        #: Whether ends that last until the deadline of their task are in this scenario.
        self.outlasting = random.random() < 0.1

    def chance(self, percent: float) -> bool:
        return self.random.random() * 100 < percent

    def scenario(self) -> Scenario:
        random = self.random
        if self.chance(3):
            return self._starving()
        for i in range(random.choice([1, 2, 3, 3, 4, 4, 5, 6, 7, 8])):
            self.tasks.append(self._task(f"t{i}", final=False))
        if self.chance(30):
            for i in range(random.choice([1, 1, 2, 3])):
                self.tasks.append(self._task(f"f{i}", final=True))
        result = Scenario(
            seed=self.seed,
            tasks=self.tasks,
            parallelism=None if self.outlasting else random.choice([None, None, 1, 2, 3]),
            crashes=random.choice([0, 0, 5, 15]),
            large=self.chance(40),
            bothered=self.chance(10),
            limits={task.name: self._limits() for task in self.tasks if task.each is not None and self.chance(15)},
        )
        if self.chance(15):
            names = [task.name for task in self.tasks if not task.final]
            result = replace(result, result=Broken() if self.chance(10) else Sum(1, random.sample(names, 1)))
        if self.chance(20):
            start = random.randrange(12)
            result = replace(result, suspended=(start, start + random.randrange(1, 12)))
        if self.chance(12):
            result = replace(result, stop=random.choice(list(StopMode)), stop_at=random.randrange(15))
        elif self.chance(8):
            result = replace(result, deadline=random.choice([2, 10, 30, 100, 900]))
        elif self.chance(4) and any(task.final for task in self.tasks):
            result = self._endless_finally(result)
        elif self.chance(10):
            # Suspended from the beginning, so that the one that is marked has not begun.
            marked = random.choice([task.name for task in self.tasks if not task.final])
            phase = random.choice([Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED])
            result = replace(result, marks={marked: phase}, suspended=(1, 10))
        if self.chance(35):
            result = replace(result, epochs=[self._epoch() for _ in range(random.choice([1, 1, 1, 2, 3]))])
        return result

    def _epoch(self) -> Epoch:
        phase = self.random.choice([Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED])
        return Epoch(self.random.choice([Again.RETRY, Again.RETRY, *Again]), self.random.randrange(100), phase)

    def _starving(self) -> Scenario:
        """A task that holds the only slot for long, and one that does not wait for it so long."""
        hog = Task(name="hog", ends=[End(Way.TOO_LONG)], priority=5, proceeds=self.chance(50))
        late = Task(name="late", ends=[End(Way.STARVES)], proceeds=self.chance(50))
        self.tasks = [hog, late]
        for i in range(self.random.randrange(4)):
            self.tasks.append(self._task(f"t{i}", final=False, least=1))
        epochs = [Epoch(Again.RETRY)] if self.chance(20) else []
        crashes = self.random.choice([0, 5, 15])
        return Scenario(seed=self.seed, tasks=self.tasks, parallelism=1, epochs=epochs, crashes=crashes)

    def _endless_finally(self, result: Scenario) -> Scenario:
        last = next(i for i, task in enumerate(self.tasks) if task.final)
        task = Task(name=self.tasks[last].name, final=True, ends=[End(Way.TOO_LONG)], required=self.chance(50))
        return replace(result, tasks=[*self.tasks[:last], task], final_deadline=600, limits={})

    def _task(self, name: str, *, final: bool, least: int = 0) -> Task:
        random = self.random
        before = [task.name for task in self.tasks if task.final is final]
        needs = random.sample(before, min(len(before), max(least, random.choice([0, 1, 1, 1, 2, 2, 3]))))
        trigger = random.choice([TriggerRule.ALL_SUCCEEDED, *TriggerRule]) if self.chance(60) else Task.trigger
        reads = [] if trigger in EARLY else [each for each in needs if self.chance(60)]
        if final and self.chance(50):
            reads += random.sample([task.name for task in self.tasks if not task.final], 1)
        kind = random.choice([WorkKind.POD] * 6 + list(WorkKind))
        task = Task(
            name=name,
            needs=needs,
            kind=kind,
            trigger=trigger,
            when=self._condition(reads, final=final) if self.chance(25) else None,
            value=self._value(reads, final=final),
            final=final,
            required=final and self.chance(40),
            priority=random.choice([0, 0, 0, 1, -1]),
            infrastructure_limit=random.choice([0, 1, 2, 2]),
            limit=random.choice([0, 0, 1, 1, 2]),
            on_timeout=self.chance(50),
        )
        if trigger in CONSUMING and needs and not final and self.chance(60):
            task = replace(task, handles=True)
        elif self.chance(15) and not task.required:
            task = replace(task, proceeds=True)
        task = self._with_kind(task)
        if self.chance(12) and task.kind is not WorkKind.SET:
            task = replace(task, repeat=self._rounds())
        if self.chance(22):
            items = [self._ends(task) for _ in range(random.choice([1, 2, 3, 4]))]
            task = replace(task, each=self._each(reads), item_ends=items, ends=(DONE,))
        return task

    def _value(self, reads: Sequence[str], *, final: bool) -> Formula:
        if final and self.chance(40):
            return Tally()
        return Broken() if self.chance(2) else Sum(self.random.randrange(10), tuple(reads))

    def _condition(self, reads: Sequence[str], *, final: bool) -> Formula:
        choices: list[Formula] = [Fixed(True), Fixed(False), Odd(Sum(self.random.randrange(2), tuple(reads)))]
        if reads:
            choices += [Ended(reads[0], self.random.choice([Phase.SUCCEEDED, Phase.SUCCEEDED, Phase.FAILED]))] * 2
        if self.chance(10):
            choices = [Broken(), Fixed("yes")]
        return self.random.choice(choices)

    def _with_kind(self, task: Task) -> Task:
        """Add what depends on the kind: outputs, how attempts end, and what is done about it."""
        random = self.random
        if task.kind is WorkKind.WAIT:
            task = replace(task, wait=random.choice(list(Wait)))
        if task.kind is WorkKind.APPROVAL:
            task = replace(task, lapse_approves=self.chance(50), declared={"x": 7})
        if task.kind is WorkKind.SET:
            task = replace(task, declared={"x": None})
        if task.kind in SLOT_KINDS or task.wait in (Wait.CALLBACK, Wait.CONDITION):
            task = replace(task, declared={"x": random.choice([None, None, None, 7])} if self.chance(70) else {})
        if task.kind in (WorkKind.POD, WorkKind.JOB):
            task = replace(task, skip_codes=(42,) if self.chance(15) else ())
        if task.kind in SLOT_KINDS and self.chance(20):
            task = replace(task, rules=[self._rule(task) for _ in range(random.choice([1, 1, 2]))])
        return replace(task, ends=self._ends(task))

    def _rule(self, task: Task) -> Rule:
        random = self.random
        limit = random.choice([None, 0, 1, 2])
        resources = {"limits": {"memory": "2Gi"}} if task.kind is WorkKind.POD and self.chance(50) else None
        match random.randrange(3):
            case 0:
                return Rule(exit_codes=random.choice([(2,), (2, 3), (1,)]), limit=limit, resources=resources)
            case 1:
                reasons = random.choice([("OOMKilled",), ("Evicted",), ("OOMKilled", "TimedOut")])
                return Rule(reasons=reasons, limit=limit, resources=resources)
            case _:
                return Rule(when=ExitedWith(random.choice([1, 2, 3])), limit=limit, resources=resources)

    def _ends(self, task: Task) -> Sequence[End]:
        return [self._end(task) for _ in range(self.random.choice([1, 1, 2, 2, 3, 4]))]

    def _end(self, task: Task) -> End:
        random = self.random
        match task.kind:
            case WorkKind.SET:
                return DONE
            case WorkKind.APPROVAL:
                way = random.choice([Way.DONE, Way.DONE, Way.REJECTED, Way.LAPSES])
                return End(way, exit_code=None, writes={"x": random.randrange(9)} if way is Way.DONE else {})
            case WorkKind.WAIT if task.wait is not Wait.CONDITION:
                ways = [Way.DONE, Way.DONE, Way.REJECTED, Way.SILENT] if task.wait is Wait.CALLBACK else [Way.DONE]
                way = random.choice(ways)
                writes = {"x": random.randrange(9)} if way is Way.DONE and task.wait is Wait.CALLBACK else None
                return End(way, exit_code=None, writes=writes)
        if self.chance(50):
            return self._success(task)
        ways = [Way.EXIT, Way.EXIT, Way.EVICTED, Way.OUTLASTS if self.outlasting else Way.TOO_LONG]
        if task.kind in OBJECT_KINDS:
            ways += [Way.REFUSED]
        if task.kind is WorkKind.POD:
            ways += [Way.EXIT, Way.NEVER_STARTS, Way.STUCK]
        way = random.choice(ways)
        if way is not Way.EXIT:
            return End(way, exit_code=None)
        code = random.choice([1, 1, 2, 3, 42]) if task.kind in (WorkKind.POD, WorkKind.JOB) else None
        return End(way, exit_code=code, reason=random.choice(["", "", "OOMKilled"]))

    def _success(self, task: Task) -> End:
        """An attempt that goes well, but for what it may have written."""
        if task.kind in (WorkKind.POD, WorkKind.JOB) and task.declared and self.chance(15):
            return End(exit_code=0, writes=self.random.choice([{}, {}, {"x": "seven"}]))
        return End(exit_code=0)

    def _rounds(self) -> Repeat:
        until: Formula = self.random.choice([Round(1), Round(2), Round(3), Round(9), Reached(350), Fixed("yes")])
        return Repeat(until, self.random.choice([1, 2, 3, 4]), delay=self.random.choice([0, 0, 5]))

    def _each(self, reads: Sequence[str]) -> Each:
        random = self.random
        most = random.choice([3, 3, 5, 7])
        items: Formula = Upto(Sum(random.randrange(8), tuple(reads)), most)
        if self.chance(4):
            items = random.choice([Broken(), Fixed("list"), Fixed([])])
        tolerated = self.chance(50)
        percent = tolerated and self.chance(50)
        return Each(
            items,
            when=Odd(Sum(random.randrange(2))) if self.chance(20) else None,
            max_parallel=random.choice([1, 2, 3]) if self.chance(40) else None,
            count=random.choice([0, 1, 2]) if tolerated and not percent else None,
            percent=random.choice([0, 10, 34, 50, 100]) if percent else None,
            batch_size=random.choice([1, 2, 3]) if self.chance(20) else None,
            limit=3 if self.chance(12) else 10_000,
        )

    def _limits(self) -> Limits:
        match self.random.randrange(3):
            case 0:
                return Limits(max_parallel=self.random.choice([1, 2]))
            case 1:
                return Limits(count=self.random.choice([0, 1, 2]))
            case _:
                return Limits(percent=self.random.choice([0, 34, 50, 100]))
