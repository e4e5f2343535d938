"""Runs without a cluster: nodes that do nothing, facts made by hand, and a cluster that answers commands.

:class:`Bench` drives one run fact by fact, for tables. :class:`Cluster` holds the objects that commands create and says
what would be observed of them, for whole runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from fairlead.engine import graph as graphs
from fairlead.engine.commands import Command, EndAttempt, RecordEvent, ReleaseAttempt, StartAttempt
from fairlead.engine.endings import ENDINGS
from fairlead.engine.epochs import record_of
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused, StatusRecorded, UserAction
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import (
    ActionKind,
    Backoff,
    FailureClass,
    Graph,
    Json,
    Node,
    OutputDeclaration,
    RetryPolicy,
    Scope,
    Settings,
    ValueType,
    WorkKind,
)
from fairlead.engine.names import attempt_name
from fairlead.engine.plan import Plan, begin, plan
from fairlead.engine.restore import NodeRecord, restore
from fairlead.engine.state import Attempt, NodeState, Outcome, Result, RunState

UID = "0f0e0d0c-1111-2222-3333-444455556666"
RUN = "daily"
T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Value:
    """A compiled expression with a known value, or one that cannot be evaluated."""

    value: Json | Callable[[Scope], Json] = None
    error: str = ""

    def evaluate(self, scope: Scope) -> Json:
        if self.error:
            raise ExpressionError(self.error)
        return self.value(scope) if callable(self.value) else self.value


@dataclass(frozen=True)
class FakeWork(Value):
    """Work that nobody does."""

    kind: WorkKind = WorkKind.POD


def node(name: str, *needs: str, work: FakeWork | None = None, **more: Any) -> Node:
    return Node(name=name, needs=needs, work=work or FakeWork(f"work of {name}"), **more)


def retries(limit: int = 0, infrastructure: int = 0, *, seconds: float = 0, on_timeout: bool = False) -> RetryPolicy:
    backoff = Backoff(initial_seconds=seconds, factor=1, max_seconds=seconds)
    return RetryPolicy(limit=limit, infrastructure_limit=infrastructure, on_timeout=on_timeout, backoff=backoff)


def declared(name: str, type_: ValueType = ValueType.INTEGER, **more: Any) -> OutputDeclaration:
    return OutputDeclaration(name=name, type=type_, **more)


def name_of(node_name: str, number: int = 1) -> str:
    return attempt_name(RUN, UID, node_name, number)


def seen(task: str, number: int = 1, *, started: float = 0, **more: Any) -> AttemptSeen:
    """The object of an attempt exists; `running` is when its main container started."""
    if (running := more.pop("running", None)) is not None:
        more["running_at"] = at(running)
    defaults: dict[str, Any] = {"object_name": name_of(task, number), "held": True}
    return AttemptSeen(node=task, number=number, started_at=at(started), **(defaults | more))


def succeeded(task: str, number: int = 1, *, end: float = 1, text: str = "", **more: Any) -> AttemptSeen:
    outcome = Outcome(result=Result.SUCCEEDED, finished_at=at(end), exit_code=0, text=text)
    return seen(task, number, outcome=outcome, **more)


def failed(
    task: str,
    number: int = 1,
    failure_class: FailureClass = FailureClass.USER,
    *,
    end: float = 1,
    reason: str = "ExitCode",
    **more: Any,
) -> AttemptSeen:
    outcome = Outcome(
        result=Result.FAILED, finished_at=at(end), exit_code=1, failure_class=failure_class, reason=reason
    )
    return seen(task, number, outcome=outcome, **more)


def cut_off(task: str, number: int = 1, reason: str = "Cancelled", *, end: float = 1, **more: Any) -> AttemptSeen:
    """An attempt has ended because we asked for that."""
    outcome = Outcome(result=Result.CANCELLED, finished_at=at(end), exit_code=137, reason=reason)
    return seen(task, number, outcome=outcome, ending=reason, **more)


def gone(task: str, number: int = 1, *, when: float = 1) -> AttemptGone:
    return AttemptGone(node=task, number=number, seen_at=at(when))


def refused(task: str, number: int = 1, *, until: float | None = None, reason: str = "Refused") -> StartRefused:
    retry_at = None if until is None else at(until)
    return StartRefused(node=task, number=number, reason=reason, message="the server said no", retry_at=retry_at)


def asked(kind: str, *tasks: str, uid: str = "", by: str = "ann", **more: Any) -> UserAction:
    """Somebody asks something of the run."""
    action = ActionKind(kind)
    uid = uid or f"{kind}/{','.join(tasks)}"
    return UserAction(uid=uid, name=kind.lower(), kind=action, created_at=T0, by=by, tasks=tasks, **more)


@dataclass
class Bench:
    """One run on the bench. `tell(facts, after=…)` plans at T0 + `after` seconds, or when it planned last."""

    graph: Graph
    run: RunState
    settings: Settings = field(default_factory=Settings)
    seconds: float = 0
    room: int | None = None

    def tell(self, *facts: Event, after: float | None = None) -> Plan:
        self.seconds = self.seconds if after is None else after
        return plan(self.graph, self.run, facts, self.settings, at(self.seconds), self.room)

    def started(self, *facts: Event, after: float | None = None) -> list[str]:
        """Plan, and return which attempts are to be started, as `name/number`."""
        return [f"{c.node}/{c.number}" for c in self.tell(*facts, after=after).commands if isinstance(c, StartAttempt)]

    def recorded(self, after: float | None = None) -> list[str]:
        """Record everything, plan, and return which attempts are to be started."""
        return self.started(self.record(), after=after)

    def record(self) -> StatusRecorded:
        """The fact that everything is on record."""
        return StatusRecorded(revision=self.run.revision)

    def ended(self, *facts: Event, after: float | None = None) -> list[tuple[str, str]]:
        """Plan, and return which attempts are to be ended, and why."""
        commands = self.tell(*facts, after=after).commands
        return [(f"{c.node}/{c.number}", c.reason) for c in commands if isinstance(c, EndAttempt)]

    def released(self, *facts: Event, after: float | None = None) -> list[str]:
        commands = self.tell(*facts, after=after).commands
        return [f"{c.node}/{c.number}" for c in commands if isinstance(c, ReleaseAttempt)]

    def orders(self, *facts: Event, after: float | None = None) -> list[Command]:
        """Plan, and return what is to be done to objects."""
        return [c for c in self.tell(*facts, after=after).commands if not isinstance(c, RecordEvent)]

    def state(self, name: str) -> NodeState:
        return self.run.nodes[name]

    def phase(self, name: str) -> str:
        return self.run.nodes[name].phase.value

    def phases(self) -> dict[str, str]:
        return {name: state.phase.value for name, state in self.run.nodes.items()}

    def restarted(self, recorded: Iterable[NodeRecord] | None = None) -> Bench:
        """The same run under a controller that knows what was recorded: by default, everything."""
        records = records_of(self.run) if recorded is None else recorded
        was = self.run
        run = restore(
            self.graph,
            records,
            uid=UID,
            name=RUN,
            namespace="default",
            started_at=T0,
            epoch=was.epoch,
            epoch_at=was.epoch_at,
            actions=was.actions,
            stopping=was.stopping,
            stop_mode=was.stop_mode,
        )
        return Bench(self.graph, run, self.settings, self.seconds)


def bench(*nodes: Node, settings: Settings | None = None, begun: bool = True, **more: Any) -> Bench:
    """Return a run of these nodes; `begun`: planned once, at T0."""
    graph = graphs.build(nodes, **more)
    run = begin(graph, uid=UID, name=RUN, namespace="default", started_at=T0)
    result = Bench(graph, run, settings or Settings())
    if begun:
        result.tell()
    return result


def records_of(run: RunState) -> list[NodeRecord]:
    """What a status would keep of a run: attempts that are known to exist or have ended."""
    records = [record_of(state) for state in run.nodes.values()]
    records += [past for state in run.nodes.values() for past in state.past.values()]
    return [
        replace(record, attempts=tuple(_recorded(each) for each in record.attempts if _is_recorded(each)))
        for record in records
    ]


def _is_recorded(attempt: Attempt) -> bool:
    return attempt.created or attempt.finished_at is not None


def _recorded(attempt: Attempt) -> Attempt:
    forgotten: dict[str, Any] = {"ending": "", "forced_at": None, "deleting_at": None, "revision": 0, "rule": None}
    return replace(attempt, created=True, held=False, **forgotten)


Script: TypeAlias = FailureClass | Result | None


@dataclass
class Body:
    """One object in the cluster. `script` says how it will end, if nobody ends it before (None: it never will)."""

    node: str
    number: int
    started_at: datetime
    script: Script
    running_at: datetime | None = None
    outcome: Outcome | None = None
    ending: str = ""
    deleting: bool = False
    held: bool = True

    @property
    def live(self) -> bool:
        return self.outcome is None


class Cluster:
    """Objects by name, driven from outside: `advance` moves one on, `fact_of` says how it is observed."""

    def __init__(self, scripts: Callable[[str, int], Script]) -> None:
        self.scripts = scripts
        self.bodies: dict[str, Body] = {}
        self.created: list[str] = []

    def start(self, start: StartAttempt, now: datetime) -> None:
        """Create; a name that exists is found to exist, which is success."""
        if start.object_name in self.bodies:
            return
        self.created.append(start.object_name)
        script = self.scripts(start.node, start.number)
        self.bodies[start.object_name] = Body(start.node, start.number, now, script)

    def end(self, name: str, reason: str) -> None:
        body = self.bodies.get(name)
        if body is not None and body.live:
            body.ending, body.deleting = body.ending or reason, True

    def release(self, name: str) -> None:
        if name in self.bodies:
            self.bodies[name].held = False

    def carry_out(self, commands: Iterable[Command], now: datetime) -> None:
        for command in commands:
            match command:
                case StartAttempt():
                    self.start(command, now)
                case EndAttempt():
                    self.end(command.object_name, command.reason)
                case ReleaseAttempt():
                    self.release(command.object_name)

    def advance(self, name: str, now: datetime) -> None:
        """Move one object on: created, running, ended."""
        body = self.bodies[name]
        if not body.live:
            return
        if body.deleting and body.ending in ENDINGS:
            class_ = ENDINGS[body.ending]
            result = Result.CANCELLED if class_ is None else Result.FAILED
            body.outcome = Outcome(result=result, finished_at=now, failure_class=class_, reason=body.ending)
        elif body.running_at is None:
            body.running_at = now
        elif isinstance(body.script, FailureClass):
            body.outcome = Outcome(
                result=Result.FAILED, finished_at=now, failure_class=body.script, reason="Scripted", exit_code=1
            )
        elif body.script is not None:
            body.outcome = Outcome(result=body.script, finished_at=now, exit_code=0)

    def fact_of(self, name: str) -> AttemptSeen:
        body = self.bodies[name]
        return AttemptSeen(
            node=body.node,
            number=body.number,
            object_name=name,
            started_at=body.started_at,
            running_at=body.running_at,
            ending=body.ending,
            deleting=body.deleting,
            held=body.held,
            outcome=body.outcome,
        )

    def facts(self) -> Iterator[AttemptSeen]:
        return (self.fact_of(name) for name in self.bodies)


def driven(on: Bench, cluster: Cluster, *, steps: int = 10_000) -> Bench:
    """Run to the end: everything that can happen happens, one second at a time."""
    for _ in range(steps):
        on.seconds += 1
        planned = on.tell(*cluster.facts(), StatusRecorded(revision=on.run.revision))
        cluster.carry_out(planned.commands, at(on.seconds))
        for name in list(cluster.bodies):
            cluster.advance(name, at(on.seconds))
        if on.run.outcome is not None:
            return on
        if planned.wake_at is not None and not any(body.live for body in cluster.bodies.values()):
            on.seconds = max(on.seconds, (planned.wake_at - T0).total_seconds())
    raise AssertionError(f"no end after {steps} steps: {on.phases()}")
