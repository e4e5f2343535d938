"""What the checks look at: the runs of a cluster and what was created for them, kept in step with the API server.

Everything here comes from stored objects, and from who wrote them. Nothing is asked of an operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from fairlead.api import labels
from fairlead.api.resolution import merge_definition
from fairlead.engine.names import task_and_index
from fairlead.kube.resources import (
    CONTROLLERREVISIONS,
    NAMESPACES,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    ObjectKey,
)
from fairlead.testing.apiserver.store import Change

from .definition import Definition, read_definition
from .objects import CARRYING, Identity, carried, controller, has_ended, is_held, is_operator
from .record import Move, Record

__all__ = ["Carrier", "Generation", "Run", "Step", "World"]

_Json = Mapping[str, Any]


class Generation(NamedTuple):
    """A spec of a Workflow, and since when it has been there."""

    number: int
    since: datetime
    spec: _Json


@dataclass(slots=True, eq=False)
class Carrier:
    """An object that an operator created to carry an attempt.

    Attributes:
        run: whose attempt that is.
        version: at which it was created.
        epoch: that was on record then.
        process: the operator that created it; None where that is not known.
        obj: as it is, or was last.
        gone: it is not there any more.
        tampered: somebody else took off what holds it, or what tells whose it is; or removed it although it was held.
        witnessed: it has ended while our finalizer was on it.
    """

    uid: str
    plural: str
    key: ObjectKey
    run: Run
    identity: Identity
    version: int
    moment: datetime
    epoch: int
    obj: _Json
    process: object = None
    gone: bool = False
    tampered: bool = False
    witnessed: bool = False

    @property
    def node(self) -> str:
        """The node that the attempt is of."""
        return self.identity.node

    @property
    def number(self) -> int:
        """The number of the attempt."""
        return self.identity.number

    @property
    def task(self) -> str:
        """The task that the node belongs to."""
        return task_and_index(self.identity.node)[0]

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.gone or has_ended(self.plural, self.obj)

    @property
    def held(self) -> bool:
        """Whether it is there, and our finalizer on it."""
        return not self.gone and is_held(self.obj)

    @property
    def hidden(self) -> bool:
        """Whether somebody took off the label by which operators find it."""
        own = self.obj["metadata"].get("labels") or {}
        return self.tampered and own.get(labels.RUN_UID) != self.run.uid

    def __str__(self) -> str:
        """`Pod default/daily-a-0a1b-1 (attempt 1 of 'a')`."""
        return f"{self.obj.get('kind', self.plural)} {self.key} (attempt {self.number} of {self.node!r})"


@dataclass(slots=True, eq=False)
class Run:
    """One Workflow, from its creation on, and what was created for it.

    Attributes:
        generations: its specs, oldest first.
        carriers: by node, in the order of their creation.
        live: those that have not ended.
        stopped: somebody has asked to stop it.
        known: its definition, and what that was read from.
    """

    uid: str
    key: ObjectKey
    obj: _Json
    generations: list[Generation] = field(default_factory=list)
    record: Record = field(default_factory=Record)
    carriers: dict[str, list[Carrier]] = field(default_factory=dict)
    live: set[Carrier] = field(default_factory=set)
    gone: bool = False
    stopped: bool = False
    known: tuple[object, Definition] | None = None

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted, or gone."""
        return self.gone or "deletionTimestamp" in self.obj["metadata"]

    @property
    def spec(self) -> _Json:
        """Its spec."""
        return self.obj.get("spec") or {}

    def __str__(self) -> str:
        """`Workflow default/daily`."""
        return f"Workflow {self.key}"

    def of_task(self, task: str) -> Iterator[Carrier]:
        """Yield what was created for a task or its items. O(nodes)."""
        for node, carriers in self.carriers.items():
            if node == task or node.startswith(f"{task}["):
                yield from carriers


class Step(NamedTuple):
    """One change, and what it is to the world, which has taken it in.

    `operator`: an operator wrote it. `run` is the Workflow that changed, or else the one that what changed belongs to;
    a child Workflow is both a run and what carries an attempt of its parent, `carrier.run`. `moves` are changes of what
    is on record, `epoch` the one on record before.
    """

    change: Change
    operator: bool
    world: World
    run: Run | None = None
    carrier: Carrier | None = None
    moves: list[Move] = []  # noqa: RUF012  (never changed)
    epoch: int = 1


class World:
    """All runs and what was created for them.

    Attributes:
        runs: by UID, those that are gone included.
        carriers: by UID of the object.
        shards: by UID of the object, with the UID of their run; those that are gone are not.
        terminating: namespaces that are going away.
        limits_history: whether operators delete runs of which there are too many.
    """

    def __init__(self, *, limits_history: bool = False) -> None:
        self.limits_history = limits_history
        self.runs: dict[str, Run] = {}
        self.carriers: dict[str, Carrier] = {}
        self.shards: dict[str, tuple[str, _Json]] = {}
        self.terminating: set[str] = set()
        self._by_key: dict[ObjectKey, Run] = {}
        self._revisions: dict[ObjectKey, _Json] = {}

    def run_at(self, key: ObjectKey) -> Run | None:
        """Return the run that has a name now."""
        return self._by_key.get(key)

    def definition(self, run: Run) -> Definition | None:
        """Return what a run runs; None where that is not known (yet)."""
        kept = run.record.status.get("definition") or {}
        token = (run.generations[-1].number, kept.get("revision"))
        if run.known is None or run.known[0] != token:
            spec: _Json | None = self.spec_of(run)
            if spec is None:
                return None
            run.known = (token, read_definition(spec))
        return run.known[1]

    def spec_of(self, run: Run, spec: _Json | None = None) -> _Json | None:
        """Return a spec of a run (the newest) with its template written out; None where that is not known."""
        spec = run.spec if spec is None else spec
        if "templateRef" not in spec:
            return spec
        kept = run.record.status.get("definition") or {}
        template = self._revisions.get(ObjectKey(run.key.namespace, kept.get("revision", "")))
        return None if template is None else merge_definition(spec, template)

    def take(self, change: Change) -> Step:
        """Take in a change."""
        operator = is_operator(change.actor)
        carrier = self._take_carrier(change, operator=operator) if change.resource in CARRYING else None
        run: Run | None = None
        moves: list[Move] = []
        epoch = 1
        match change.resource:
            case WORKFLOWS.plural:
                run, moves, epoch = self._take_workflow(change, operator=operator)
            case TASKSTATUSSHARDS.plural:
                run, moves = self._take_shard(change, operator=operator)
                epoch = run.record.epoch if run else 1
            case WORKFLOWACTIONS.plural:
                self._take_action(change)
            case CONTROLLERREVISIONS.plural if change.after:
                self._revisions[change.key] = change.after.get("data") or {}
            case NAMESPACES.plural if "deletionTimestamp" in change.after.get("metadata", {}):
                self.terminating.add(change.key.name)
            case NAMESPACES.plural if change.verb == "delete":
                self.terminating.discard(change.key.name)
        if run is None and carrier is not None:
            run = carrier.run
        return Step(change, operator, self, run, carrier, moves, epoch)

    # -- what carries attempts

    def _take_carrier(self, change: Change, *, operator: bool) -> Carrier | None:
        if change.verb == "create":
            return self._created(change) if operator else None
        carrier = self.carriers.get(change.uid)
        if carrier is None:
            return None
        run = carrier.run
        if not operator and _lost_its_hold(carrier, change):
            carrier.tampered = True
        if change.after:
            carrier.obj = change.after
            carrier.witnessed = carrier.witnessed or (carrier.held and carrier.ended)
        else:
            carrier.gone = True
        if carrier.ended:
            run.live.discard(carrier)
        elif carrier.plural == WORKFLOWS.plural:
            run.live.add(carrier)  # it is run again
        return carrier

    def _created(self, change: Change) -> Carrier | None:
        identity = carried(change.after)
        run = None if identity is None else self.runs.get(identity.run)
        if identity is None or run is None:
            return None
        carrier = Carrier(
            uid=change.uid,
            plural=change.resource,
            key=change.key,
            run=run,
            identity=identity,
            version=change.version,
            moment=change.moment,
            epoch=run.record.epoch,
            obj=change.after,
        )
        self.carriers[change.uid] = carrier
        run.carriers.setdefault(identity.node, []).append(carrier)
        run.live.add(carrier)
        return carrier

    # -- runs

    def _take_workflow(self, change: Change, *, operator: bool) -> tuple[Run, list[Move], int]:
        run = self.runs.get(change.uid)
        if run is None:
            run = self.runs[change.uid] = Run(change.uid, change.key, change.after)
            self._by_key[change.key] = run
        epoch = run.record.epoch
        if not change.after:
            run.gone = True
            self._by_key.pop(change.key, None)
            return run, [], epoch
        run.obj = after = change.after
        generation = after["metadata"].get("generation", 1)
        if not run.generations or run.generations[-1].number != generation:
            run.generations.append(Generation(generation, change.moment, after.get("spec") or {}))
        status = after.get("status") or {}
        if change.subresource != "status" and status == run.record.status:
            return run, [], epoch
        moves = run.record.take_status(status, change.moment)
        if status.get("epoch", 1) != epoch:
            run.record.begin_epoch(status.get("epoch", 1))
        elif not operator:
            run.record.forget()
        return run, moves, epoch

    def _take_shard(self, change: Change, *, operator: bool) -> tuple[Run | None, list[Move]]:
        obj = change.after or change.before
        run = self.runs.get(str(obj.get("workflowUID")))
        if run is None or controller(obj).get("uid") != run.uid:
            return None, []
        if change.after:
            self.shards[change.uid] = (run.uid, change.after)
        else:
            self.shards.pop(change.uid, None)
        moves = run.record.take_shard(obj["index"], change.after or None, change.moment)
        if not operator and change.after:
            run.record.forget()
        return run, moves

    def _take_action(self, change: Change) -> None:
        spec = change.after.get("spec") or {}
        run = self.runs.get(str(spec.get("workflowUID")))
        if run is not None and spec.get("action") == "Stop":
            run.stopped = True


def _lost_its_hold(carrier: Carrier, change: Change) -> bool:
    """Tell whether a change by somebody else took away what keeps an object, or what tells whose it is."""
    if is_held(change.before) and not is_held(change.after):
        return True
    if not change.after:
        return carrier.plural == WORKFLOWS.plural  # nothing ever held it
    run = carrier.identity.run
    own = change.after["metadata"].get("labels") or {}
    return controller(change.after).get("uid") != run or own.get(labels.RUN_UID) != run
