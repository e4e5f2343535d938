"""What has happened to a run so far: its nodes, their attempts, and the bookkeeping around them.

A :class:`RunState` is owned by one worker and updated in place by the engine's own functions only: copying 10,000
nodes for every event would make each event cost O(n). Nothing in this module decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from fairlead.engine.model import (
    SLOT_KINDS,
    TERMINAL,
    ActionKind,
    FailureClass,
    Json,
    Node,
    Override,
    Phase,
    StopMode,
    WorkKind,
)

if TYPE_CHECKING:
    from fairlead.engine.events import AttemptSeen

__all__ = [
    "ActionRecord",
    "Attempt",
    "EndedAttempt",
    "Items",
    "NodeRecord",
    "NodeState",
    "Outcome",
    "QueueEntry",
    "Result",
    "RunOutcome",
    "RunState",
    "Unsent",
]

#: A place in line: higher priority first, then the order of the definition, then that of a list; and the node's name.
QueueEntry: TypeAlias = tuple[int, int, int, str]


class Result(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one attempt.

    `text` is what the task wrote to its outputs file, unparsed, and `stdout` the end of its standard output where one
    of its outputs is read from there; `values` are outputs that come as JSON already (None: read `text`).
    """

    result: Result
    finished_at: datetime
    failure_class: FailureClass | None = None
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    text: str = ""
    stdout: str = ""
    values: Mapping[str, Json] | None = None


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try of a node. Its identity is (run UID, node, number); numbers start at 1 and never restart.

    created
        the object is known to exist (or to have existed) in the cluster; before that it is only an intent.
    held
        our finalizer keeps the finished object until its outcome is recorded.
    main_ended_at
        its main container has ended while the object as a whole has not (an injected sidecar runs on).
    stuck, stuck_since
        a reason such as `ImagePull` for which the object will not start without somebody's help, and since when
        it has tried.
    ending, forced_at
        why we asked for its end (a reason such as `TimedOut`), or "" when we did not; and when it was last asked for
        without waiting for its node.
    deleting_at
        when its object, which somebody deleted, should have been gone; set while it is not.
    due_at
        when a wait is over, or an approval's time is up.
    heard_at
        when a callback was last heard of (its start, or a heartbeat).
    epoch, iteration
        the retry epoch and the round of a `repeat` that it belongs to, both from 1.
    revision
        the state's revision in which its end was decided; once a status of at least this revision is
        persisted, the object may be released.
    rule
        the place of the retry rule that its failure matches, -1 for none of them; None: that was not asked yet.
    more
        what a newer release has recorded of it, which is kept as it is.
    """

    number: int
    object_name: str
    created: bool = False
    held: bool = False
    ending: str = ""
    forced_at: datetime | None = None
    stuck: str = ""
    stuck_since: datetime | None = None
    node_name: str = ""
    main_ended_at: datetime | None = None
    deleting_at: datetime | None = None
    due_at: datetime | None = None
    heard_at: datetime | None = None
    started_at: datetime | None = None
    running_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    failure_class: FailureClass | None = None
    reason: str = ""
    message: str = ""
    epoch: int = 1
    iteration: int = 1
    revision: int = 0
    rule: int | None = field(default=None, compare=False)
    more: Mapping[str, Json] | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well: an end without a class and without a reason."""
        return self.finished_at is not None and self.failure_class is None and not self.reason


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """What is counted of an attempt whose end was decided.

    `told` is Succeeded, Skipped, Cancelled or the class of its failure. The seconds are None where it never was there,
    or never ran.
    """

    kind: WorkKind
    told: str
    starting_seconds: float | None
    running_seconds: float | None

    @classmethod
    def of(cls, attempt: Attempt, kind: WorkKind, result: Result) -> EndedAttempt:
        """Read an attempt that has ended."""
        created, began, ended = attempt.started_at, attempt.running_at, attempt.finished_at
        told = result.value if attempt.failure_class is None else attempt.failure_class.value
        return cls(
            kind,
            # A request whose answer cannot be evaluated has no class: nobody but the user can mend it.
            FailureClass.USER.value if told == Result.FAILED.value else told,
            None if created is None or began is None else max(0.0, (began - created).total_seconds()),
            None if ended is None or began is None else max(0.0, (ended - began).total_seconds()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """What was persisted of one node: of a task, or of an item (`m[3]`).

    `digest` is that of the list of a `forEach` task whose list was known, "" else, and `total` its length (None: there
    is none, or it is not known). An item without a record waits. `more` is what a newer release has recorded.
    """

    name: str
    phase: Phase
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    queued_at: datetime | None = None
    completed_at: datetime | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    digest: str = ""
    total: int | None = None
    more: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Unsent:
    """An attempt that the shell carries out once the status shows `revision`.

    `resumed`: an earlier controller may have begun it.
    """

    revision: int
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Superseded:
    """An attempt that must not count, as it was `seen` last; the status shows that from `revision` on."""

    revision: int
    seen: AttemptSeen


@dataclass(slots=True, kw_only=True)
class Items:
    """The nodes of a `forEach`, and how far they have come. Belongs to `items.py`.

    `states` are in the order of the list; those before `admitted` have been put in line or have ended. `open` is how
    many are in line or running, `active` how many of those have a live attempt, `ended` how many have ended in each
    phase. `digest` is of the list, so that a later epoch can tell whether it is still the same; `exceeded` that more
    have failed than is tolerated, and `returned` has those that would have been started again since that was found.
    """

    states: list[NodeState]
    digest: str
    admitted: int = 0
    open: int = 0
    active: int = 0
    ended: dict[Phase, int] = field(default_factory=dict)
    exceeded: bool = False
    returned: list[NodeState] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class NodeState:
    """What has happened to one node so far: to a task, or to one item of a `forEach` task (`m[3]`).

    `reason` and `message` describe a terminal phase, or why an attempt does not get on (`ImagePull`);
    why a node waits is computed when somebody asks (`reasons.py`), never stored.
    The counters of parents by their end belong to `triggers.py`; `not_before` holds a queued node back (back-off,
    quota), `queued_at` is since when it is in line.
    `refused` is what its next attempt was refused with last, for a while: reason and message.
    `items` are those of a `forEach` task whose list is known; `parent`, `index` and `item` are set for an item.
    `past` has what was recorded of the items of a list that is not known yet, by index, and `past_digest` is that of
    the list whose items had these ends.
    `epoch_start` is how many attempts it had before this epoch: budgets count from there.
    `more` is what a newer release has recorded of it, which is kept as it is.
    """

    node: Node
    name: str = ""
    phase: Phase = Phase.WAITING
    reason: str = ""
    message: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    outputs: dict[str, Json] = field(default_factory=dict)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    queued_at: datetime | None = None
    not_before: datetime | None = None
    refused: tuple[str, str] | None = None
    pending: int = 0
    succeeded: int = 0
    failed: int = 0
    upstream_failed: int = 0
    skipped: int = 0
    items: Items | None = None
    past: dict[int, NodeRecord] = field(default_factory=dict)
    past_digest: str = ""
    parent: NodeState | None = None
    index: int | None = None
    item: Json = None
    epoch_start: int = 0
    more: Mapping[str, Json] | None = None

    def __post_init__(self) -> None:
        self.name = self.name or self.node.name

    @property
    def takes_slot(self) -> bool:
        """Whether its live attempts count against `parallelism`; the items of a task do, not the task itself."""
        return self.items is None and self.node.work.kind in SLOT_KINDS

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in this epoch for good."""
        return self.phase in TERMINAL

    @property
    def iteration(self) -> int:
        """The round of a `repeat` that its next or current attempt belongs to, from 1."""
        return 1 + sum(1 for attempt in self.attempts[self.epoch_start :] if attempt.succeeded)

    @property
    def current(self) -> Attempt | None:
        """The latest attempt that has not ended, if there is one."""
        if self.attempts and self.attempts[-1].finished_at is None:
            return self.attempts[-1]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """The end of a run. `cancelled` tells that somebody stopped it, which is no success either."""

    succeeded: bool
    reason: str
    message: str
    finished_at: datetime
    cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """What became of a user's request. One that was not accepted has changed nothing; `reason` says why."""

    uid: str
    name: str
    action: ActionKind
    by: str
    at: datetime
    accepted: bool
    reason: str
    message: str = ""


@dataclass(slots=True, kw_only=True)
class RunState:
    """Everything known about one run. `uid` seeds names and jitter.

    nodes, counts
        the state of each task and item, and how many there are in each phase (of a task with items: the items).
    revision, recorded_revision, unproven_revision
        `revision` grows with each change that a status would show; `recorded_revision` is persisted, and must come to
        be at least `unproven_revision` before anything is started.
    touched
        names of nodes that a status would show differently; whoever writes it empties this.
    epoch, epoch_at, actions
        the retry epoch, from 1, and when it began (None: with the run); what users have asked for, oldest first.
    suspended_at, suspended_seconds
        the time that the run's deadline leaves out.
    stopping, stop_mode, stop_recorded
        why and how the run as a whole is being ended, and that this was recorded before a restart.
    open_main, open_final
        how many tasks have not ended: of the definition, and of `finally`.
    hold_until
        set while creates are refused for a reason that passes, such as a quota.
    live, ended_attempts, output_bytes
        the number of nodes that take a slot, and what `capacity.py` limits.
    queue, free_queue
        heaps of the nodes that are ready: those that take a slot, and those that take none.
    timers, armed
        a heap, and what is in it.
    unsettled, unreleased, unsent
        nodes whose trigger has to be looked at, finished attempts whose objects we still hold, and attempts that the
        shell carries out once their start is on record.
    strays
        the newest facts about items of a list that is not known yet, by task and object name.
    superseded
        attempts that must not count, by node and number, and whose objects are ended once that is on record.
    final_since, summary
        when the last task before `finally` ended, and what `finally` is told of them all, once it has asked.
    """

    uid: str
    name: str
    namespace: str
    started_at: datetime
    nodes: dict[str, NodeState]
    counts: dict[Phase, int]
    revision: int = 0
    recorded_revision: int = 0
    unproven_revision: int = 0
    touched: dict[str, None] = field(default_factory=dict)
    epoch: int = 1
    epoch_at: datetime | None = None
    actions: list[ActionRecord] = field(default_factory=list)
    outcome: RunOutcome | None = None
    outputs: dict[str, Json] = field(default_factory=dict)
    stopping: str = ""
    stop_mode: StopMode | None = None
    stop_recorded: str = ""
    hold_until: datetime | None = None
    suspended_at: datetime | None = None
    suspended_seconds: float = 0.0
    open_main: int = 0
    open_final: int = 0
    live: int = 0
    ended_attempts: int = 0
    output_bytes: int = 0
    overrides: Mapping[str, Override] = field(default_factory=dict)
    queue: list[QueueEntry] = field(default_factory=list)
    free_queue: list[QueueEntry] = field(default_factory=list)
    timers: list[tuple[datetime, str]] = field(default_factory=list)
    armed: set[tuple[datetime, str]] = field(default_factory=set)
    unsettled: list[str] = field(default_factory=list)
    unreleased: dict[tuple[str, int], None] = field(default_factory=dict)
    unsent: dict[tuple[str, int], Unsent] = field(default_factory=dict)
    strays: dict[str, dict[str, Any]] = field(default_factory=dict)
    superseded: dict[tuple[str, int], Superseded] = field(default_factory=dict)
    final_since: datetime | None = None
    summary: dict[str, Json] | None = None

    @property
    def is_proven(self) -> bool:
        """Whether every end so far is on record or shown by an object that is held: what may follow, may start."""
        return self.unproven_revision <= self.recorded_revision

    @property
    def awaits_record(self) -> bool:
        """Whether something waits for the record, which should therefore be written at once."""
        return not self.is_proven or any(each.revision > self.recorded_revision for each in self.unsent.values())

    @property
    def is_finalizing(self) -> bool:
        """Whether all that is left is `finally`: what limits and holds back tasks does not apply to it."""
        return not self.open_main

    def touch(self, state: NodeState) -> None:
        """Note that a status would show this node differently from now on."""
        self.revision += 1
        self.touched[state.name] = None
