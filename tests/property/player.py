"""Plays a scenario against the real engine: a cluster, a shell, a user and a status, in a random order of events.

Facts come shuffled, twice, late or stale; commands are carried out one by one, some later than others; the controller
crashes and starts again from what was recorded; users ask again until the answer is on record. What must hold at every
moment is asserted where it could break (`Disagreement`); what the run comes to is compared by `differential.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

from tests.property.bodies import Body
from tests.property.compiled import FOREVER, Compiled, node_of
from tests.property.memory import Lost, Memory
from tests.property.scenarios import ENDLESS, Scenario
from tests.property.script import End, Task, Wait, Way, read_by
from tests.property.watching import Disagreement, Watch, is_noise
from tests.unit.engine.kit import RUN, T0, UID, at

from fairlead.engine import graph as graphs
from fairlead.engine.commands import Command, EndAttempt, RecordEvent, ReleaseAttempt, StartAttempt
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused, StatusRecorded, UserAction
from fairlead.engine.model import (
    OBJECT_KINDS,
    ActionKind,
    Json,
    Override,
    Phase,
    Settings,
    Tolerance,
    WorkKind,
)
from fairlead.engine.plan import begin, plan
from fairlead.engine.state import ActionRecord, NodeState, Outcome, Result

_MOST_STEPS = 3_000

#: How an attempt ends whose object somebody has removed.
_GONE = End(Way.EVICTED, exit_code=None, reason="ObjectGone")


def mark_values(phase: Phase, task: Task, name: str) -> Mapping[str, Json]:
    """Return what somebody who marks a task, or an item of it, gives as its outputs, whatever its kind."""
    listed = task.each is not None and "[" not in name
    given: dict[str, Json] = {"x": 5, "option": "Approve", "by": "ann", "at": "now"}
    return {name: [value] if listed else value for name, value in given.items()} if phase is Phase.SUCCEEDED else {}


class Player:
    """One run of a scenario. `seconds` is the time, `steps` how often anything might have happened."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.random = Random(scenario.seed + 1)
        self.tasks = {task.name: task for task in scenario.tasks}
        self.graph = graphs.build(
            [node_of(task) for task in scenario.tasks],
            outputs=[] if scenario.result is None else [("x", Compiled(scenario.result))],
            reads=read_by(scenario.result),
            final_deadline_seconds=scenario.final_deadline or FOREVER,
        )
        self.run = begin(self.graph, uid=UID, name=RUN, namespace="default", started_at=T0)
        self.settings = Settings(
            parallelism=scenario.parallelism,
            deadline_seconds=scenario.deadline,
            overrides={
                name: Override(
                    max_parallel=limits.max_parallel,
                    tolerance=None
                    if limits.count is None and limits.percent is None
                    else Tolerance(count=limits.count, percent=limits.percent),
                )
                for name, limits in scenario.limits.items()
            },
        )
        self.memory = Memory(self.graph, large=scenario.large)
        self.memory.open(self.run, self.settings, T0)
        self.remembers = bool(scenario.crashes)
        self.seconds = self.steps = self.epoch_steps = self.requested = 0
        self.bodies: dict[str, Body] = {}
        self.stolen: dict[str, tuple[str, int]] = {}
        self.sent: dict[tuple[str, int], Body] = {}
        self.answered: set[tuple[str, int]] = set()
        self.inbox: list[Event] = []
        self.pending: list[Command] = []
        self.changed: dict[str, None] = {}
        self.stale: list[Event] = []
        self.requests: list[UserAction] = []
        self.shown = -1
        self.wake_at: datetime | None = None
        self.seen: set[str] = set()
        self.watch = Watch(self)
        self.marks = [
            self.ask(ActionKind.MARK, name, phase=phase, values=mark_values(phase, self.tasks[name], name))
            for name, phase in scenario.marks.items()
        ]
        self.persists = any(task.kind in (WorkKind.APPROVAL, WorkKind.WAIT) for task in scenario.tasks)

    # The whole.

    def play(self) -> None:
        """Go on until the run has ended and nothing is left to be done."""
        self.epoch_steps = 0
        while not self._is_quiet():
            if self.epoch_steps > _MOST_STEPS:
                raise Disagreement(f"no end: {[(name, state.phase.value) for name, state in self.run.nodes.items()]}")
            self.step()

    def _is_quiet(self) -> bool:
        if self.run.outcome is None or self.pending or self.inbox or self.changed or self.requests:
            return False
        return self.shown == self.run.revision and not any(body.held or body.live for body in self.bodies.values())

    def step(self) -> None:
        self.users()
        self.carry_out()
        self.advance()
        self.look()
        self.write()
        if self.remembers and self.may_crash and self.random.random() * 100 < self.scenario.crashes:
            self.crash()
        self.pass_time()

    @property
    def may_crash(self) -> bool:
        """Whether a crash makes no difference: what is marked before it has begun has to be on record first."""
        marking = any(action.kind is ActionKind.MARK and not is_noise(action) for action in self.requests)
        return self.steps > 1 and not marking

    def pass_time(self) -> None:
        """A few seconds, or as long as it takes until something is due."""
        busy = (
            self.pending
            or self.inbox
            or self.changed
            or self.requests
            or self.settings.suspend
            or self.shown != self.run.revision
            or any(body.busy for body in self.bodies.values())
            or any(body.busy for body in self.sent.values())
            or self._unanswered()
        )
        if busy or self.wake_at is None:
            self.seconds += self.random.randrange(4)
        else:
            self.seconds = max(self.seconds, -int(-(self.wake_at - T0).total_seconds() // 1))

    # The controller.

    def look(self, facts: Sequence[Event] = ()) -> None:
        """Take in what has changed, in some order, and plan."""
        found: list[Event] = [*facts, *(self._fact(name) for name in self.changed)]
        self.changed.clear()
        if self.random.random() < 0.3:
            found += [body.fact() for body in self.bodies.values() if self.random.random() < 0.5]
            found += self.stale
            self.stale = [
                event for event in found if isinstance(event, AttemptSeen) and event.object_name in self.bodies
            ]
        found += self.inbox
        self.inbox = []
        known = {record.uid for record in self.run.actions}
        found += [action for action in self.requests if action.uid not in known or self.random.random() < 0.2]
        self.random.shuffle(found)
        planned = plan(self.graph, self.run, found, self.settings, at(self.seconds))
        # What is due at once may be due after one more look, but not after that: it would look for ever.
        if planned.wake_at is not None and self.wake_at == planned.wake_at < at(self.seconds):
            raise Disagreement(f"it still wants to look again at {planned.wake_at}, which is past")
        self.wake_at = planned.wake_at
        self.watch.after_plan(planned.commands)
        self.pending += [each for each in planned.commands if not isinstance(each, RecordEvent)]

    def _fact(self, name: str) -> Event:
        if name in self.bodies:
            return self.bodies[name].fact()
        node, number = self.watch.created[name]
        return AttemptGone(node=node, number=number, seen_at=at(self.seconds))

    def write(self) -> None:
        """Write the status: begun in one step, recorded in another, if it is not lost in a crash."""
        if self.random.random() < 0.4:
            return
        if not self.remembers:
            if self.shown != self.run.revision:
                self._recorded(self.run.revision, {record.uid for record in self.run.actions})
        elif self.memory.is_writing:
            try:
                revision = self.memory.proceed()
            except Lost:
                self.crash()
                return
            if revision is not None:
                self._recorded(revision, {each["uid"] for each in self.memory.status.get("actions", ())})
        elif self.shown != self.run.revision:
            self.memory.begin(self.run, self.settings, at(self.seconds), self.random)

    def _recorded(self, revision: int, requests: Collection[str]) -> None:
        self.shown = revision
        self.inbox.append(StatusRecorded(revision=revision))
        self.requests = [action for action in self.requests if action.uid not in requests]

    def crash(self) -> None:
        """Lose everything in memory, and begin again with the last status and all objects."""
        self.seen.add("crash of a large run" if self.scenario.large else "crash")
        self.inbox, self.pending, self.sent, self.stale, self.shown = [], [], {}, [], -1
        self.changed.clear()
        self.wake_at = None
        self.run = self.memory.recall()
        recorded = {record.uid for record in self.run.actions}
        self.requests = [action for action in self.requests if action.uid not in recorded]
        facts: list[Event] = [body.fact() for body in self.bodies.values()]
        for state in self.run.nodes.values():
            attempt = state.current
            if attempt is None or attempt.object_name in self.bodies or state.node.work.kind not in OBJECT_KINDS:
                continue
            facts.append(AttemptGone(node=state.name, number=attempt.number, seen_at=at(self.seconds)))
        self.look(facts)

    # The shell and the cluster.

    def advance(self) -> None:
        """Let objects, and what the shell carries out, get on."""
        now = at(self.seconds)
        for name, body in self.bodies.items():
            if self.random.random() < 0.6 and body.advance(now):
                self.changed[name] = None
        for body in self.sent.values():
            if self.random.random() < 0.6 and body.advance(now) and not body.live:
                self.inbox.append(body.fact())
        if self.scenario.bothered and self.random.random() < 0.05:
            self._steal()

    def _steal(self) -> None:
        """Somebody removes an object that carries an attempt, finalizer and all."""
        # Not one that is about to be ended by a clock: which of both comes first is a matter of chance.
        names = [
            name for name, body in self.bodies.items() if body.busy and not body.ending and body.end.way not in ENDLESS
        ]
        if names:
            self.seen.add("object removed by others")
            name = self.random.choice(names)
            body = self.bodies.pop(name)
            self.stolen[name] = (body.start.node, body.start.number)
            self.changed[name] = None
            # That it is gone is told after it was seen: their order is the shell's business.
            self.inbox = [each for each in self.inbox if getattr(each, "object_name", "") != name]
            self.stale = [each for each in self.stale if getattr(each, "object_name", "") != name]

    def carry_out(self) -> None:
        """Carry out most of what was decided on."""
        todo, self.pending = self.pending, []
        self.random.shuffle(todo)
        for command in todo:
            if self.random.random() < 0.15:
                self.pending.append(command)
                continue
            match command:
                case StartAttempt():
                    self._start(command)
                case EndAttempt():
                    self._end(command)
                case ReleaseAttempt():
                    self._release(command)

    def _start(self, start: StartAttempt) -> None:
        end = self.end_of(start.node, start.number)
        if start.kind not in OBJECT_KINDS:
            self._send(start, end)
            return
        if start.object_name in self.bodies:
            self.inbox.append(self.bodies[start.object_name].fact())
            return
        if end.way is Way.REFUSED or self.random.random() < 0.03:
            retry_at = None if end.way is Way.REFUSED else at(self.seconds + 5)
            reason = end.way.value if retry_at is None else "QuotaExceeded"
            self.inbox.append(
                StartRefused(node=start.node, number=start.number, reason=reason, message="no", retry_at=retry_at)
            )
            return
        self.watch.before_create(start)
        body = self.bodies[start.object_name] = Body(start, end, at(self.seconds))
        if self.random.random() < 0.7:
            self.inbox.append(body.fact())
        self.changed[start.object_name] = None

    def _send(self, start: StartAttempt, end: End) -> None:
        self.watch.before_send(start)
        self.sent[start.node, start.number] = Body(start, end, at(self.seconds), running_at=at(self.seconds))

    def _end(self, command: EndAttempt) -> None:
        if command.kind not in OBJECT_KINDS:
            body = self.sent.pop((command.node, command.number), None)
            if body is not None and self.random.random() < 0.3:
                body.ending = ""
                body.outcome = body.outcome or Outcome(
                    result=Result.SUCCEEDED, finished_at=at(self.seconds), values={"x": 0}
                )
                self.inbox.append(body.fact())  # too late
            return
        found = self.bodies.get(command.object_name)
        if found is not None and found.live and not found.ending:
            found.ending = command.reason
            self.changed[command.object_name] = None

    def _release(self, command: ReleaseAttempt) -> None:
        body = self.bodies.get(command.object_name)
        if body is None:
            return
        self.watch.before_release(body)
        body.held = False
        if self.random.random() < 0.3:
            del self.bodies[command.object_name]
            if self.random.random() < 0.5:
                self.changed[command.object_name] = None

    def by_others(self) -> Mapping[tuple[str, int], End]:
        """Return the attempts, by node and number, that somebody has ended by removing their objects."""
        return {
            (name, number): _GONE
            for name, number in self.stolen.values()
            if name in self.run.nodes
            for attempt in self.run.nodes[name].attempts
            if attempt.number == number and attempt.reason == _GONE.reason
        }

    def end_of(self, node: str, number: int) -> End:
        task, bracket, rest = node.partition("[")
        return self.tasks[task].end(int(rest.rstrip("]")) if bracket else None, number)

    # The users.

    def ask(self, kind: ActionKind, *tasks: str, **more: Any) -> str:
        """Make a request; it is told until it is on record."""
        self.requested += 1
        uid = f"{self.requested:04}"
        self.requests.append(
            UserAction(
                uid=uid,
                name=f"a{uid}",
                kind=kind,
                created_at=at(self.seconds),
                by="ann",
                verified=True,
                tasks=tasks,
                **more,
            )
        )
        return uid

    def answer_to(self, uid: str) -> ActionRecord | None:
        return next((record for record in self.run.actions if record.uid == uid), None)

    def users(self) -> None:
        """Another step of what is done to the run."""
        self.steps += 1
        self.epoch_steps += 1
        scenario = self.scenario
        if scenario.suspended is not None and self.steps in scenario.suspended:
            suspend = self.steps == scenario.suspended[0]
            self.settings = replace(self.settings, suspend=suspend)
            if suspend and self.run.outcome is None:
                self.seen.add("suspend")
        goes_on = self.run.epoch == 1 and self.run.outcome is None
        if self.epoch_steps == scenario.stop_at and goes_on and scenario.stop is not None:
            self.ask(ActionKind.STOP, mode=scenario.stop)
        if scenario.bothered and self.random.random() < 0.2:
            self._bother()
        if scenario.bothered and self.random.random() < 0.2:
            self._change_limits()
        if self.persists:
            for state, number in self._unanswered():
                if self.random.random() < 0.5:
                    self._answer(state, number)
                elif state.node.work.kind is WorkKind.WAIT:
                    self.ask(ActionKind.HEARTBEAT, state.name, token=state.attempts[-1].object_name)

    def _unanswered(self) -> list[tuple[NodeState, int]]:
        """Return the approvals and callbacks that somebody is going to answer, and has not yet."""
        if not self.persists:
            return []
        found = []
        for state in self.run.nodes.values():
            attempt = state.current
            if attempt is None or state.node.work.kind not in (WorkKind.APPROVAL, WorkKind.WAIT):
                continue
            key = (state.name, attempt.number)
            end = self.end_of(*key)
            task = self.tasks[state.node.name]
            if key in self.answered or end.way in ENDLESS or task.wait not in (None, Wait.CALLBACK):
                continue
            if not self.remembers or key in self.memory.attempts:
                found.append((state, attempt.number))
        return found

    def _answer(self, state: NodeState, number: int) -> None:
        self.answered.add((state.name, number))
        end = self.end_of(state.name, number)
        token = state.attempts[-1].object_name
        if end.way is Way.REJECTED:
            self.ask(ActionKind.REJECT, state.name, token=token)
        elif state.node.work.kind is WorkKind.APPROVAL:
            self.ask(ActionKind.APPROVE, state.name, values=end.writes or {})
        else:
            self.ask(ActionKind.COMPLETE, state.name, values=end.writes or {}, token=token)

    def _bother(self) -> None:
        """Ask for something that cannot be."""
        self.seen.add("action refused")
        name = self.random.choice(list(self.tasks))
        match self.random.randrange(5):
            case 0:
                self.ask(ActionKind.MARK, "nobody", phase=Phase.SUCCEEDED)
            case 1:
                self.ask(ActionKind.COMPLETE, name, token="of another")
            case 2:
                self.ask(ActionKind.MARK, name, phase=Phase.RUNNING)
            case 3:
                self.ask(ActionKind.APPROVE, name, values={"y": 1})
            case _:
                self.ask(ActionKind.CLEAR, "nobody")

    def _change_limits(self) -> None:
        """Change what may be changed while a run goes on, and must not change what it comes to."""
        self.seen.add("limits changed")
        if self.settings.parallelism is not None:
            self.settings = replace(self.settings, parallelism=self.random.choice([1, 2, 3]))
        overrides = {
            name: replace(override, max_parallel=self.random.choice([1, 2, 3]))
            for name, override in self.settings.overrides.items()
        }
        self.settings = replace(self.settings, overrides=overrides)

    @property
    def stopping(self) -> str:
        """Why the run is, or was, stopped in this epoch; "" when it was not."""
        return self.run.stopping or self.run.stop_recorded
