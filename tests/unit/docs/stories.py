"""Plays the examples of docs/semantics.md: a definition, what happens to it, and how it has to end.

An example is a YAML block: the `spec` of a Workflow, and comments that tell the story:

    # extract: exit 1, ok {"rows": 3}        how the attempts of a task or an item end, in order; the last is repeated
    # after 60 s: Approve sign-off by ann    what somebody asks for, then
    # after 5 s: suspend                     or changes in the live part of the spec (suspend, resume)
    # ⇒ Succeeded: extract Succeeded, b Skipped (WhenFalse)      how the run ends, and its tasks (and their reasons)
    # ⇒ waits: sign-off WaitingForApproval                       or what it waits for, for ever

It is compiled by the very code that the operator runs, planned by its engine, and only the cluster is played: pods run
for ten seconds of a clock of its own and end as the story says, read by the classification of real pods.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from fairlead.api.compile import compile_workflow
from fairlead.engine.classify import PodView, observe_pod
from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.events import AttemptSeen, Event, StatusRecorded, UserAction
from fairlead.engine.model import ActionKind, FailureClass, Phase, Settings, StopMode, WorkKind
from fairlead.engine.plan import begin, plan
from fairlead.engine.reasons import why
from fairlead.engine.state import Outcome, Result, RunState
from fairlead.expr.cel import CelEvaluator

__all__ = ["Story", "parse", "tell"]

_UID = "11111111-2222-3333-4444-555555555555"
_START = datetime(2026, 11, 22, 8, tzinfo=UTC)
_RUN = timedelta(seconds=10)
_LATEST = timedelta(days=30)
_PODS = (WorkKind.POD, WorkKind.JOB)


@dataclass(frozen=True)
class Asked:
    """Something that somebody does, so many seconds after the start."""

    at: datetime
    what: str


@dataclass(frozen=True)
class Story:
    spec: dict[str, Any]
    ends: dict[str, list[str]]
    asked: list[Asked]
    outcome: str
    nodes: dict[str, str]


def parse(block: str) -> Story:
    """Read an example."""
    ends: dict[str, list[str]] = {}
    asked: list[Asked] = []
    outcome, nodes = "", {}
    for line in re.findall(r"^# (.*)$", block, re.MULTILINE):
        if line.startswith("⇒ "):
            outcome, _, rest = line[2:].partition(":")
            nodes = dict(re.findall(r"(\S+) (\w+(?: \(\w+\))?)(?:, |$)", rest.strip()))
        elif match := re.fullmatch(r"after (\d+) s: (.*)", line):
            asked.append(Asked(_START + timedelta(seconds=int(match[1])), match[2]))
        elif match := re.fullmatch(r"(\S+): (.*)", line):
            ends[match[1]] = re.split(r", (?![^{]*\})", match[2])
    return Story(yaml.safe_load(block), ends, asked, outcome, nodes)


@dataclass
class _World:
    story: Story
    settings: Settings
    now: datetime = _START
    pods: dict[str, PodView] = field(default_factory=dict)
    others: dict[str, tuple[StartAttempt, datetime]] = field(default_factory=dict)

    def start(self, command: StartAttempt) -> None:
        if command.kind not in _PODS:
            self.others[command.object_name] = (command, self.now)
            return
        self.pods[command.object_name] = PodView(
            name=command.object_name,
            uid="",
            owner_name="",
            owner_uid="",
            node=command.node,
            number=command.number,
            phase="Running",
            created_at=self.now,
            running_at=self.now,
            node_name="node-1",
        )

    def end(self, command: EndAttempt) -> None:
        pod = self.pods.get(command.object_name)
        if pod is not None and pod.finished_at is None:
            self.pods[pod.name] = replace(
                pod, ending=command.reason, phase="Failed", exit_code=143, finished_at=self.now, deleting_at=self.now
            )
        self.others.pop(command.object_name, None)

    def step(self) -> list[Event]:
        """End what has run for its time; return what is seen."""
        facts: list[Event] = []
        for name, pod in self.pods.items():
            if pod.finished_at is None and self.now - pod.created_at >= _RUN:
                self.pods[name] = _ended(pod, self._end_of(pod.node, pod.number), self.now)
            facts.append(observe_pod(self.pods[name]))
        for name, (command, at) in list(self.others.items()):
            if self.now - at >= _RUN and (end := self._end_of(command.node, command.number)) != "hangs":
                facts.append(_answer(command, end, at, self.now))
                del self.others[name]
        return facts

    def _end_of(self, node: str, number: int) -> str:
        ends = self.story.ends.get(node) or self.story.ends.get(node.partition("[")[0]) or ["ok"]
        return ends[min(number, len(ends)) - 1]

    def due(self) -> list[datetime]:
        hanging = (pod for pod in self.pods.values() if pod.finished_at is None)
        times = [pod.created_at + _RUN for pod in hanging if self._end_of(pod.node, pod.number) != "hangs"]
        times += [
            at + _RUN for command, at in self.others.values() if self._end_of(command.node, command.number) != "hangs"
        ]
        return [time for time in times if time > self.now]


def _ended(pod: PodView, end: str, now: datetime) -> PodView:
    word, _, rest = end.partition(" ")
    match word:
        case "ok":
            return replace(pod, phase="Succeeded", exit_code=0, finished_at=now, main_message=rest)
        case "exit":
            return replace(pod, phase="Failed", exit_code=int(rest), finished_at=now, main_reason="Error")
        case "OOMKilled":
            return replace(pod, phase="Failed", exit_code=137, finished_at=now, main_reason="OOMKilled")
        case "evicted":
            return replace(
                pod,
                phase="Failed",
                exit_code=137,
                finished_at=now,
                disruption="EvictionByEvictionAPI",
                main_reason="Error",
            )
        case "hangs":
            return pod
        case _:
            raise ValueError(f"a pod cannot end so: {end!r}")


def _answer(command: StartAttempt, end: str, at: datetime, now: datetime) -> AttemptSeen:
    word, _, rest = end.partition(" ")
    outcome = Outcome(result=Result.SUCCEEDED, finished_at=now, values=json.loads(rest or "{}"))
    if word != "ok":
        outcome = Outcome(
            result=Result.FAILED, finished_at=now, failure_class=FailureClass.USER, reason=word, message=rest
        )
    return AttemptSeen(
        node=command.node,
        number=command.number,
        object_name=command.object_name,
        started_at=at,
        running_at=at,
        outcome=outcome,
    )


def tell(story: Story) -> tuple[str, dict[str, str], RunState]:
    """Play a story; return how the run ended (or `waits`), how each node stands, and the engine's state."""
    compiled = compile_workflow(story.spec, evaluator=CelEvaluator(), name="example", namespace="default")
    run = begin(
        compiled.graph,
        uid="11111111-2222-3333-4444-555555555555",
        name="example",
        namespace="default",
        started_at=_START,
    )
    world = _World(story, compiled.settings)
    asked = list(story.asked)
    while world.now - _START < _LATEST:
        facts = [*world.step(), StatusRecorded(revision=run.revision)]
        while asked and asked[0].at <= world.now:
            facts += _ask(world, asked.pop(0))
        planned = plan(compiled.graph, run, facts, world.settings, world.now)
        for command in planned.commands:
            if isinstance(command, StartAttempt):
                world.start(command)
            elif isinstance(command, EndAttempt):
                world.end(command)
        times = world.due() + [each.at for each in asked]
        if planned.wake_at is not None:
            times.append(planned.wake_at)
        if run.awaits_record or any(pod.finished_at == world.now and pod.ending for pod in world.pods.values()):
            times.append(world.now + timedelta(seconds=1))
        if not times:
            break
        world.now = max(min(times), world.now + timedelta(seconds=1))
    return _how_it_ended(run), {name: _how(run, world.settings, name) for name in run.nodes}, run


def _ask(world: _World, asked: Asked) -> list[Event]:
    if asked.what in ("suspend", "resume"):
        world.settings = replace(world.settings, suspend=asked.what == "suspend")
        return []
    text, _, by = asked.what.partition(" by ")
    text, brace, values = text.partition(" {")
    verb, *names = text.split()
    modes = [StopMode(name) for name in names if name in list(StopMode)]
    phases = [Phase(name) for name in names if name in list(Phase)]
    return [
        UserAction(
            uid=f"{asked.at:%H%M%S}{asked.what}",
            name=verb.lower(),
            kind=ActionKind(verb),
            created_at=asked.at,
            by=by or "ann",
            verified=True,
            tasks=tuple(name for name in names if name not in (*modes, *phases)),
            mode=modes[0] if modes else None,
            phase=phases[0] if phases else None,
            values=json.loads("{" + values) if brace else {},
        )
    ]


def _how_it_ended(run: RunState) -> str:
    if run.outcome is None:
        return "waits"
    return "Succeeded" if run.outcome.succeeded else "Cancelled" if run.outcome.cancelled else "Failed"


def _how(run: RunState, settings: Settings, name: str) -> str:
    state = run.nodes[name]
    reason, _ = why(run, settings, state)
    return f"{state.phase.value} ({reason})" if reason else state.phase.value
