"""A world around the engine in which anything may happen, and which watches over the invariants of reliability.md.

Commands are carried out one by one, late, or never (the controller crashes first); facts come in any order, twice, or
stale; status writes take their time. What must always hold is asserted where it could break: at every create, every
release and every plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

from tests.property.reference import interpret, succeeds
from tests.property.script import EVICTED, End, Task, Way
from tests.unit.engine.kit import RUN, T0, UID, Body, Cluster, FakeWork, Value, at

from fairlead.controllers.records import recorded_nodes
from fairlead.controllers.status import encode, suspension
from fairlead.engine import graph as graphs
from fairlead.engine.commands import Command, RecordEvent, ReleaseAttempt, StartAttempt
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused, StatusRecorded
from fairlead.engine.model import TERMINAL, Backoff, FailureClass, Graph, Jitter, Node, Phase, RetryPolicy, Settings
from fairlead.engine.plan import Plan, begin, plan
from fairlead.engine.restore import restore
from fairlead.engine.retry import backoff_seconds
from fairlead.engine.state import Result, RunState

_ENDS: dict[Way, FailureClass | Result] = {
    Way.DONE: Result.SUCCEEDED,
    Way.EXIT: FailureClass.USER,
    Way.EVICTED: FailureClass.INFRASTRUCTURE,
    Way.REFUSED: FailureClass.CONFIGURATION,
}

BACKOFF = Backoff(initial_seconds=8, factor=2, max_seconds=60, jitter=Jitter.FULL)


def end_of(end: End) -> FailureClass | Result:
    return _ENDS[end.way]


def node_of(task: Task) -> Node:
    return Node(
        name=task.name,
        work=FakeWork(task.name),
        needs=tuple(task.needs),
        trigger=task.trigger,
        when=None if task.when is None else Value(task.when),
        retry=RetryPolicy(limit=task.limit, infrastructure_limit=task.infrastructure_limit, backoff=BACKOFF),
    )


@dataclass
class Write:
    """A status write that has been sent: what it shows, and up to which revision."""

    status: dict[str, Any]
    revision: int


@dataclass
class World:
    tasks: Sequence[Task]
    parallelism: int | None
    graph: Graph = field(init=False)
    run: RunState = field(init=False)
    cluster: Cluster = field(init=False)
    settings: Settings = field(init=False)
    seconds: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    write: Write | None = None
    shown: int = -1
    inbox: list[Event] = field(default_factory=list)
    pending: list[Command] = field(default_factory=list)
    changed: dict[str, None] = field(default_factory=dict)
    past: dict[str, AttemptSeen] = field(default_factory=dict)
    stolen: set[str] = field(default_factory=set)
    terminal: dict[str, Phase] = field(default_factory=dict)
    crashes: int = 0

    def __post_init__(self) -> None:
        self.graph = graphs.build([node_of(task) for task in self.tasks])
        self.run = begin(self.graph, uid=UID, name=RUN, namespace="default", started_at=T0)
        self.cluster = Cluster(self._script)
        self.settings = Settings(parallelism=self.parallelism)
        self._commit(self._snapshot())
        self.look(Random(0))

    def _script(self, name: str, number: int) -> FailureClass | Result:
        return end_of(self._scripted(name, number))

    def _scripted(self, name: str, number: int) -> End:
        ends = next(task for task in self.tasks if task.name == name).ends
        return ends[min(number, len(ends)) - 1]

    # What the controller does.

    def look(self, random: Random, *, stale: bool = False, twice: bool = False) -> Plan:
        """Take in what has changed, in some order, and plan."""
        facts: list[Event] = [self._fact(name) for name in self.changed]
        self.changed.clear()
        if twice:
            facts += [self._fact(name) for name in self.cluster.bodies if random.random() < 0.5]
        if stale:
            facts += [fact for name, fact in self.past.items() if name in self.cluster.bodies]
        random.shuffle(facts)
        answers, self.inbox = self.inbox, []
        return self._plan([*answers, *facts])

    def _fact(self, name: str) -> Event:
        if name in self.cluster.bodies:
            return self.cluster.fact_of(name)
        body = self.gone[name]
        return AttemptGone(node=body.node, number=body.number, seen_at=at(self.seconds))

    def _plan(self, facts: Sequence[Event]) -> Plan:
        before = {name: state.phase for name, state in self.run.nodes.items()}
        planned = plan(self.graph, self.run, facts, self.settings, at(self.seconds))
        for command in planned.commands:
            assert not (isinstance(command, StartAttempt) and self.settings.suspend), "S7: started while suspended"
            if not isinstance(command, RecordEvent):
                self.pending.append(command)
        self._check_phases(before)
        return planned

    def _check_phases(self, before: dict[str, Phase]) -> None:
        for name, state in self.run.nodes.items():
            if before[name] in TERMINAL:
                assert state.phase is before[name], "S3: terminal is final"
            if state.phase in TERMINAL and self.run.is_proven:
                assert self.terminal.setdefault(name, state.phase) is state.phase, "S3: another end after a crash"
        live = sum(state.phase in (Phase.STARTING, Phase.RUNNING) for state in self.run.nodes.values())
        assert self.run.live == live, "S6: slots leak"
        assert self.parallelism is None or live <= self.parallelism, "S6: more attempts than slots"
        assert sum(self.run.counts.values()) == len(self.run.nodes)

    def carry_out(self, index: int, *, quota: bool = False, answered: bool = True) -> None:
        """Carry out one command; whether its answer arrives or is lost, the watch will tell."""
        command = self.pending.pop(index % len(self.pending))
        match command:
            case StartAttempt():
                self._start(command, quota=quota, answered=answered)
            case ReleaseAttempt():
                self._check_release(command)
                if command.object_name in self.cluster.bodies:
                    self.touch(command.object_name)
                    self.cluster.release(command.object_name)
            case _:
                raise AssertionError(f"nothing is to be ended here: {command}")

    def _start(self, start: StartAttempt, *, quota: bool, answered: bool) -> None:
        refused = "QuotaExceeded" if quota else "Suspended" if self.settings.suspend else ""
        if refused:
            retry_at = at(self.seconds + 5)
            self.inbox.append(
                StartRefused(node=start.node, number=start.number, reason=refused, message="", retry_at=retry_at)
            )
            return
        if start.object_name not in self.cluster.bodies:
            self._check_start(start)
        if self._script(start.node, start.number) is FailureClass.CONFIGURATION:
            self.inbox.append(
                StartRefused(node=start.node, number=start.number, reason="ObjectRefused", message="invalid")
            )
            return
        self.cluster.start(start, at(self.seconds))
        self.stolen.discard(start.object_name)
        if answered:
            self.inbox.append(self.cluster.fact_of(start.object_name))
        self.changed[start.object_name] = None

    def send_status(self) -> None:
        """Begin a status write, unless one is under way or there is nothing new to show."""
        if self.write is None and self.shown != self.run.revision:
            self.write = Write(self._snapshot(), self.run.revision)

    def record_status(self) -> None:
        """The API server has persisted what was sent."""
        if self.write is not None:
            self._commit(self.write.status)
            self.inbox.append(StatusRecorded(revision=self.write.revision))
            self.shown = self.write.revision
            self.write = None

    def _snapshot(self) -> dict[str, Any]:
        return encode(self.run, self.settings, generation=1, previous=self.status, now=at(self.seconds))

    def _commit(self, status: dict[str, Any]) -> None:
        before = {node.name: node for node in recorded_nodes(self.status.get("tasks", ()))}
        for node in recorded_nodes(status.get("tasks", ())):
            old = before.get(node.name)
            if old is not None and old.phase in TERMINAL:
                assert node == old, "S3, S15: a recorded end has changed"
        self.status = status

    def crash(self, random: Random, *, persisted: bool) -> None:
        """Lose everything in memory, and begin again with the last status and all objects, in some order."""
        if persisted:
            self.send_status()
            self.record_status()
        self.write, self.shown, self.inbox, self.pending = None, -1, [], []
        self.changed.clear()
        self.crashes += 1
        self.run = self._rebuilt()
        self._plan(self._all_facts(self.run, random))

    def _rebuilt(self) -> RunState:
        records = recorded_nodes(self.status.get("tasks", ()))
        run = restore(self.graph, records, uid=UID, name=RUN, namespace="default", started_at=T0)
        run.suspended_at, run.suspended_seconds = suspension(self.status)
        return run

    def _all_facts(self, run: RunState, random: Random) -> list[Event]:
        facts: list[Event] = list(self.cluster.facts())
        for state in run.nodes.values():
            attempt = state.current
            if attempt is not None and attempt.object_name not in self.cluster.bodies:
                facts.append(AttemptGone(node=state.node.name, number=attempt.number, seen_at=at(self.seconds)))
        random.shuffle(facts)
        return facts

    # What the rest of the world does.

    @property
    def gone(self) -> dict[str, Body]:
        return self.__dict__.setdefault("_gone", {})  # type: ignore[no-any-return]

    def advance(self, index: int) -> None:
        """One object gets on."""
        names = [name for name, body in self.cluster.bodies.items() if body.live]
        if names:
            name = names[index % len(names)]
            self.touch(name)
            self.cluster.advance(name, at(self.seconds))

    def touch(self, name: str) -> None:
        self.past[name] = self.cluster.fact_of(name)
        self.changed[name] = None

    def remove(self, index: int) -> None:
        """A finished object that nobody holds any more is cleaned up."""
        names = [name for name, body in self.cluster.bodies.items() if not body.live and not body.held]
        if names:
            self._remove(names[index % len(names)])

    def steal(self, index: int) -> None:
        """Somebody takes our finalizer off a live object, and it vanishes."""
        names = [name for name, body in self.cluster.bodies.items() if body.live]
        if names:
            name = names[index % len(names)]
            self.stolen.add(name)
            self._remove(name)

    def _remove(self, name: str) -> None:
        self.gone[name] = self.cluster.bodies.pop(name)
        self.changed[name] = None

    # What must hold.

    def _check_start(self, start: StartAttempt) -> None:
        siblings = [body for body in self.cluster.bodies.values() if body.node == start.node]
        assert not any(body.live for body in siblings), "S1: two live attempts of a node"
        known = start.object_name in self.cluster.created
        assert not known or start.object_name in self.stolen, "S1: an attempt was started twice"
        live = sum(body.live for body in self.cluster.bodies.values())
        assert self.parallelism is None or live < self.parallelism, "S6: more pods than slots"
        self._check_durable(start)
        self._check_back_off(start)

    def _check_durable(self, start: StartAttempt) -> None:
        """S2: a controller that knows durable facts only comes to the same decision."""
        run = self._rebuilt()
        run.recorded_revision = 2**63
        facts = self._all_facts(run, Random(0))
        plan(self.graph, run, facts, Settings(), at(self.seconds))
        state = run.nodes[start.node]
        assert state.phase is Phase.STARTING, f"S2: started {start.node}, but a rebuilt controller says {state.phase}"
        assert len(state.attempts) == start.number, "S2: another number after a rebuild"

    def _check_back_off(self, start: StartAttempt) -> None:
        previous = next(
            (b for b in self.cluster.bodies.values() if (b.node, b.number) == (start.node, start.number - 1)), None
        )
        if previous is None or previous.outcome is None:
            return
        class_ = previous.outcome.failure_class
        assert class_ is not None
        failures = sum(end_of(self._end_of(start.node, n)) is class_ for n in range(1, start.number))
        delay = backoff_seconds(BACKOFF, failures, f"{UID}/{start.node}/{previous.number}")
        due = previous.outcome.finished_at + timedelta(seconds=delay)
        assert at(self.seconds) >= due, "S5: back-off was cut short"

    def _check_release(self, release: ReleaseAttempt) -> None:
        body = self.cluster.bodies.get(release.object_name)
        if body is None:
            return
        assert body.outcome is not None, "S4: released while it lives"
        recorded = {node.name: node for node in recorded_nodes(self.status.get("tasks", ()))}[release.node]
        attempt = next((each for each in recorded.attempts if each.number == release.number), None)
        assert attempt is not None, "S4: released before it was recorded at all"
        assert attempt.finished_at == body.outcome.finished_at, "S4: released before its end was recorded"
        assert attempt.failure_class is body.outcome.failure_class, "S4: recorded as another end"

    def _end_of(self, name: str, number: int) -> End:
        stolen = any((self.gone[n].node, self.gone[n].number) == (name, number) for n in self.stolen)
        return EVICTED if stolen else self._scripted(name, number)

    # The end of the story: faults stop.

    def settle(self) -> None:
        """Let everything happen that still can, and check that the run comes to its right end and stays there."""
        random = Random(1)
        self.settings = replace(self.settings, suspend=False)
        for _ in range(500):
            while self.pending:
                self.carry_out(0)
            planned = self.look(random)
            self.send_status()
            self.record_status()
            live = [name for name, body in self.cluster.bodies.items() if body.live]
            for name in live:
                self.touch(name)
                self.cluster.advance(name, at(self.seconds))
            if self.run.outcome is not None and not self.pending and not self.inbox and not self.changed:
                break
            if not live and not self.pending and planned.wake_at is not None:
                self.seconds = max(self.seconds, -int(-(planned.wake_at - T0).total_seconds() // 1))
            self.seconds += 1
        else:
            raise AssertionError(f"L1: no end: {[(n, s.phase) for n, s in self.run.nodes.items()]}")
        self._check_end()
        self._check_quiet()

    def _check_end(self) -> None:
        longest = max((body.number for body in [*self.cluster.bodies.values(), *self.gone.values()]), default=0) + 1
        tasks = [
            replace(task, ends=[*(self._end_of(task.name, i) for i in range(1, longest + 1)), *task.ends[-1:]])
            for task in self.tasks
        ]
        expected = interpret(tasks)
        phases = {name: told.phase for name, told in expected.items()}
        assert {name: state.phase for name, state in self.run.nodes.items()} == phases, "L1: not the right end"
        assert self.run.outcome is not None
        assert self.run.outcome.succeeded == succeeds(tasks, expected)
        for task in tasks:
            attempts = self.run.nodes[task.name].attempts
            failures = [attempt.failure_class for attempt in attempts]
            assert failures.count(FailureClass.USER) <= task.limit + 1, "S5: over the user's budget"
            assert failures.count(FailureClass.INFRASTRUCTURE) <= task.infrastructure_limit + 1, "S5: over budget"
        assert not any(body.live for body in self.cluster.bodies.values()), "a live pod of a run that is over"
        assert not any(body.held for body in self.cluster.bodies.values()), "S4: held for ever"

    def _check_quiet(self) -> None:
        """S10: the same world again causes nothing, for this controller and for the next."""
        revision, status = self.run.revision, self.status
        planned = self._plan(self._all_facts(self.run, Random(2)))
        assert planned == Plan((), None, ()), "S10: something to do in a world at rest"
        assert self.run.revision == revision, "S10: something to write in a world at rest"
        assert self._snapshot() == status
        run = self._rebuilt()
        again = plan(self.graph, run, self._all_facts(run, Random(3)), self.settings, self.run.outcome.finished_at)  # type: ignore[union-attr]
        assert [c for c in again.commands if not isinstance(c, RecordEvent)] == []
        self.run = run
        assert self._snapshot() == status, "S4, S15: a restart changes the recorded end"


def wander(world: World, random: Random, *, steps: int = 80) -> None:
    """Take some random steps, and settle."""
    for _ in range(random.randrange(steps)):
        match random.randrange(12):
            case 0 | 1:
                world.look(random, stale=random.random() < 0.5, twice=random.random() < 0.5)
            case 2 | 3 if world.pending:
                world.carry_out(random.randrange(50), quota=random.random() < 0.2, answered=random.random() < 0.5)
            case 4 | 5:
                world.advance(random.randrange(50))
            case 6:
                world.seconds += random.randrange(30)
            case 7:
                world.send_status()
            case 8:
                world.record_status()
            case 9:
                world.remove(random.randrange(50))
            case 10:
                world.crash(random, persisted=random.random() < 0.5)
            case 11:
                world.settings = Settings(parallelism=world.parallelism, suspend=random.random() < 0.3)
    world.settle()
