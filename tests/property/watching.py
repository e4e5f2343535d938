"""What must hold at every moment while a scenario is played, whatever the run comes to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.property.reference import Failure, rule_of
from tests.property.script import End, Task

from fairlead.engine.commands import Command, EndAttempt, StartAttempt
from fairlead.engine.events import UserAction
from fairlead.engine.model import OBJECT_KINDS, SLOT_KINDS, ActionKind, Json, Phase, StopMode, WorkKind
from fairlead.engine.state import ActionRecord

if TYPE_CHECKING:
    from tests.property.bodies import Body
    from tests.property.player import Player

_UNLIMITED = 2**31


class Disagreement(AssertionError):
    """The engine does something else than it should."""


def is_noise(action: UserAction) -> bool:
    """Tell whether a request is one of those that cannot be."""
    names, phase = action.tasks, action.phase
    return names == ("nobody",) or phase is Phase.RUNNING or action.token == "of another" or "y" in action.values


class Watch:
    """Watches over a player. `created` are all objects that there have been, `stopped` the stop that was accepted."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.created: dict[str, tuple[str, int]] = {}
        self.begun: set[tuple[str, int]] = set()
        self.stopped: ActionRecord | None = None
        self._epoch = 1
        self._ends: dict[str, Phase] = {}
        self._most: dict[str, int] = {}

    def after_plan(self, commands: Iterable[Command]) -> None:
        player, run = self.player, self.player.run
        if run.epoch != self._epoch:
            self._epoch, self._ends = run.epoch, {}
        if run.is_proven:
            self._check_ends()
        for record in run.actions:
            if record.action is ActionKind.STOP and record.accepted:
                self.stopped = record
            if record.accepted and any(each.uid == record.uid and is_noise(each) for each in player.requests):
                raise Disagreement(f"accepted: {record}")
        self._note_limits()
        self._check_stop()
        for command in commands:
            if isinstance(command, StartAttempt):
                self._check_start(command)
            elif isinstance(command, EndAttempt) and command.reason == "Stopped" and command.kind in SLOT_KINDS:
                raise Disagreement(f"{command.node} is ended by a graceful stop")

    def _check_ends(self) -> None:
        """Terminal is final."""
        for name, state in self.player.run.nodes.items():
            if not state.is_over:
                continue
            known = self._ends.setdefault(name, state.phase)
            # What ended without an attempt, and was not on record yet, may be cut off before a crash or after it.
            cut_off = Phase.CANCELLED in (known, state.phase) and not state.attempts
            if known is not state.phase and not cut_off:
                raise Disagreement(f"{name} was {known}, and is {state.phase}")

    def _check_stop(self) -> None:
        """Any other stop ends what runs."""
        run = self.player.run
        if not run.stopping or run.stop_mode is StopMode.GRACEFUL:
            return
        for name, state in run.nodes.items():
            if state.current is not None and not state.current.ending and not state.node.final:
                raise Disagreement(f"{name} goes on although the run is stopped")

    def _check_start(self, start: StartAttempt) -> None:
        """Nothing is started that should wait, and what is started is told all that it needs."""
        player, task = self.player, self.task_of(start.node)
        if start.kind in OBJECT_KINDS and not task.final and (player.settings.suspend or player.run.stopping):
            raise Disagreement(f"{start.node} is started although the run is suspended or stopped")
        state = player.run.nodes[start.node]
        earlier = state.attempts[: start.number - 1]
        this_epoch = [each for each in earlier if each.epoch == player.run.epoch]
        succeeds = earlier[-1].object_name if earlier and not this_epoch and task.kind is WorkKind.WORKFLOW else ""
        resources: Json = None
        for each in this_epoch:
            if each.failure_class is not None:
                failure = Failure(End(exit_code=each.exit_code), each.failure_class, each.reason, each.number)
                rule = rule_of(task, {}, failure)
                resources = resources if rule is None or rule.resources is None else rule.resources
        told = (start.index, start.succeeds, start.resources)
        if told != (state.index, succeeds, resources if start.kind in OBJECT_KINDS else None):
            raise Disagreement(f"{start} should be told: {state.index}, {succeeds!r}, {resources}")

    def before_create(self, start: StartAttempt) -> None:
        """At most one live attempt of each node, never created twice, and no more than there may be."""
        live = [body.start.node for body in self.player.bodies.values() if body.live]
        if start.node in live:
            raise Disagreement(f"two live attempts of {start.node}")
        if start.object_name in self.created and start.object_name not in self.player.stolen:
            raise Disagreement(f"{start.object_name} is created again")
        self.created[start.object_name] = (start.node, start.number)
        task = self.task_of(start.node)
        if task.final:
            return
        slots = [node for node in live if self.task_of(node).kind in SLOT_KINDS and not self.task_of(node).final]
        self._check_limit("", len(slots))
        self._check_limit(task.name, sum(self.task_of(node) is task for node in live))

    def _check_limit(self, name: str, live: int) -> None:
        if live >= self._most.get(name, _UNLIMITED):
            raise Disagreement(f"one more than {name or 'parallelism'} allows: {self._most[name]}")

    def _note_limits(self) -> None:
        """Keep the highest limits so far: one may be lowered between the decision to start and the start."""
        settings = self.player.settings
        limits: dict[str, int | None] = {"": settings.parallelism}
        for task in self.player.tasks.values():
            override = settings.overrides.get(task.name)
            if task.each is not None:
                own = override.max_parallel if override is not None else None
                limits[task.name] = task.each.max_parallel if own is None else own
        for name, limit in limits.items():
            self._most[name] = max(self._most.get(name, 0), _UNLIMITED if limit is None else limit)

    def before_send(self, start: StartAttempt) -> None:
        """What has no object is begun once it is on record, and told when it may have been begun before."""
        player, key = self.player, (start.node, start.number)
        if key in player.sent:
            raise Disagreement(f"{key} is carried out already")
        if key in self.begun and not start.resumed:
            raise Disagreement(f"{key} was begun before, and nobody says so")
        if player.remembers and key not in player.memory.attempts:
            raise Disagreement(f"{key} is begun before its start is on record")
        self.begun.add(key)

    def before_release(self, body: Body) -> None:
        if body.live:
            raise Disagreement(f"{body.start.object_name} is released while it lives")

    def task_of(self, node: str) -> Task:
        return self.player.tasks[node.partition("[")[0]]
