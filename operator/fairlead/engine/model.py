"""The values that the engine reasons about: the graph of a run and the state of each of its nodes.

What a graph *is* stands here as frozen types; what has happened so far is a :class:`RunState`, owned by one
worker and updated in place by the engine's own functions only (copying 10,000 nodes for every event would make
each event cost O(n)). Nothing in this module decides anything: legal moves live in `transitions.py`, decisions
in `plan.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "Attempt",
    "Backoff",
    "Clocks",
    "Evaluable",
    "FailureClass",
    "Graph",
    "Jitter",
    "Json",
    "Node",
    "NodeState",
    "Outcome",
    "OutputDeclaration",
    "Phase",
    "Result",
    "RetryPolicy",
    "RunOutcome",
    "RunState",
    "Scope",
    "Settings",
    "TriggerRule",
    "ValueType",
    "Work",
    "WorkKind",
]

#: A JSON value: None, bool, int, float, str, list or dict with string keys.
Json: TypeAlias = Any

#: What an expression sees: `{"params": {...}, "run": {...}, "tasks": {name: {"phase": ..., "outputs": {...}}}}`.
Scope: TypeAlias = Mapping[str, Json]


class Phase(StrEnum):
    """Where a node stands. A closed set; the legal moves between them are in `transitions.py`."""

    WAITING = "Waiting"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    BACKOFF = "Backoff"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    UPSTREAM_FAILED = "UpstreamFailed"
    CANCELLED = "Cancelled"


#: Phases that a node never leaves within an epoch.
TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED, Phase.UPSTREAM_FAILED, Phase.CANCELLED})

#: Phases in which a node holds a slot of the run's parallelism: it has a live attempt.
ACTIVE = frozenset({Phase.STARTING, Phase.RUNNING})


class TriggerRule(StrEnum):
    """When a node may start, given its parents' ends; with the meaning of Airflow's trigger rules."""

    ALL_SUCCEEDED = "AllSucceeded"
    ALL_FAILED = "AllFailed"
    ALL_DONE = "AllDone"
    ALL_DONE_MIN_ONE_SUCCESS = "AllDoneMinOneSuccess"
    ALL_SKIPPED = "AllSkipped"
    ONE_FAILED = "OneFailed"
    ONE_SUCCESS = "OneSuccess"
    ONE_DONE = "OneDone"
    NONE_FAILED = "NoneFailed"
    NONE_FAILED_MIN_ONE_SUCCESS = "NoneFailedMinOneSuccess"
    NONE_SKIPPED = "NoneSkipped"
    ALWAYS = "Always"


class FailureClass(StrEnum):
    """Who is to blame for a failed attempt; it decides which retry budget is charged."""

    USER = "User"
    INFRASTRUCTURE = "Infrastructure"
    CONFIGURATION = "Configuration"
    TIMEOUT = "Timeout"


class WorkKind(StrEnum):
    """What carries a node's attempts."""

    POD = "Pod"
    JOB = "Job"


class ValueType(StrEnum):
    """The JSON type of a parameter or an output, as the API spells it (JSON Schema's names)."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


class Evaluable(Protocol):
    """A compiled expression or a tree of templates, to be evaluated against a scope."""

    def evaluate(self, scope: Scope) -> Json:
        """Return the value. Raises :class:`fairlead.engine.expressions.ExpressionError`."""
        ...


class Work(Protocol):
    """What a node does, opaque to the engine: whoever carries out `StartAttempt` understands it."""

    @property
    def kind(self) -> WorkKind:
        """What carries an attempt."""
        ...

    def evaluate(self, scope: Scope) -> Json:
        """Return the work with every expression replaced by its value. Raises `ExpressionError`."""
        ...


class Jitter(StrEnum):
    """How the delay before a retry is spread. `Full` draws evenly from 0 to the delay."""

    NONE = "None"
    FULL = "Full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays between attempts, in seconds: `initial * factor ** n`, at most `maximum`."""

    initial_seconds: float = 10.0
    factor: float = 2.0
    max_seconds: float = 300.0
    jitter: Jitter = Jitter.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How many failed attempts of each class a node may have before it fails for good."""

    limit: int = 0
    infrastructure_limit: int = 5
    on_timeout: bool = False
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Time limits of a node in seconds; None means no limit.

    `run_seconds` bounds one attempt, from the start of its main container; `deadline_seconds` bounds all
    attempts together, from the start of the first. Time spent waiting or queued counts for neither.
    """

    run_seconds: int | None = None
    deadline_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDeclaration:
    """One declared output of a node. `has_default` tells a default of null from no default."""

    name: str
    type: ValueType
    has_default: bool = False
    default: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One vertex of the graph, as compiled from the definition; it never changes during a run.

    `needs` are the parents (explicit ones and those implied by references), `reads` the tasks whose phase or
    outputs its expressions name: only those are put in its scope, so that a scope costs O(reads), not O(n).
    """

    name: str
    work: Work
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    trigger: TriggerRule = TriggerRule.ALL_SUCCEEDED
    when: Evaluable | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    clocks: Clocks = field(default_factory=Clocks)
    outputs: tuple[OutputDeclaration, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A validated DAG; built by `graph.build`, which is the only place that makes one.

    `nodes` is in declaration order; `children` and `rank` (position in that order) have an entry for each node.
    `outputs` are the run's own results, evaluated once when it succeeds; `reads` the tasks they name.
    """

    nodes: Mapping[str, Node]
    children: Mapping[str, tuple[str, ...]]
    rank: Mapping[str, int]
    params: Mapping[str, Json] = field(default_factory=dict)
    outputs: Sequence[tuple[str, Evaluable]] = ()
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The part of a run's definition that may change while it runs. None means no limit."""

    suspend: bool = False
    parallelism: int | None = None
    deadline_seconds: int | None = None


class Result(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one attempt. `text` is what the task wrote to its outputs file, unparsed."""

    result: Result
    finished_at: datetime
    failure_class: FailureClass | None = None
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    text: str = ""


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
    ending
        why we asked for its end (a reason such as `TimedOut`), or "" when we did not.
    revision
        the state's revision in which its end was decided; once a status of at least this revision is
        persisted, the object may be released.
    """

    number: int
    object_name: str
    created: bool = False
    held: bool = False
    ending: str = ""
    stuck: str = ""
    stuck_since: datetime | None = None
    node_name: str = ""
    main_ended_at: datetime | None = None
    started_at: datetime | None = None
    running_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    failure_class: FailureClass | None = None
    reason: str = ""
    message: str = ""
    revision: int = 0


@dataclass(slots=True, kw_only=True)
class NodeState:
    """What has happened to one node so far.

    `reason` and `message` describe a terminal phase, or why an attempt does not get on (`ImagePull`);
    why a node waits is computed when somebody asks (`reasons.py`), never stored.
    The counters of parents by their end belong to `triggers.py`; `not_before` holds a queued node back (back-off,
    quota).
    """

    node: Node
    phase: Phase = Phase.WAITING
    reason: str = ""
    message: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    outputs: dict[str, Json] = field(default_factory=dict)
    completed_at: datetime | None = None
    not_before: datetime | None = None
    pending: int = 0
    succeeded: int = 0
    failed: int = 0
    upstream_failed: int = 0
    skipped: int = 0

    @property
    def current(self) -> Attempt | None:
        """The latest attempt that has not ended, if there is one."""
        if self.attempts and self.attempts[-1].finished_at is None:
            return self.attempts[-1]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """The end of a run."""

    succeeded: bool
    reason: str
    message: str
    finished_at: datetime


@dataclass(slots=True, kw_only=True)
class RunState:
    """Everything known about one run. `uid` seeds names and jitter.

    `counts` has the number of nodes in each phase. `revision` grows with each change that a status would show;
    `recorded_revision` is persisted, and must come to be at least `unproven_revision` before anything is started;
    `suspended_at` and `suspended_seconds` keep the time that the run's deadline leaves out.
    `stopping` is why the run as a whole is being ended, `stop_recorded` that this was recorded before a restart;
    `hold_until` is set while creates are refused for a reason that passes, such as a quota;
    `live` is the number of nodes with a live attempt, `ended_attempts` and `output_bytes` are limited by `capacity.py`;
    `queue` (by rank) and `timers` are heaps, `armed` is what `timers` holds, `unsettled` names nodes whose trigger has
    to be looked at, `unreleased` finished attempts whose objects we still hold.
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
    outcome: RunOutcome | None = None
    outputs: dict[str, Json] = field(default_factory=dict)
    stopping: str = ""
    stop_recorded: str = ""
    hold_until: datetime | None = None
    suspended_at: datetime | None = None
    suspended_seconds: float = 0.0
    live: int = 0
    ended_attempts: int = 0
    output_bytes: int = 0
    queue: list[tuple[int, str]] = field(default_factory=list)
    timers: list[tuple[datetime, str]] = field(default_factory=list)
    armed: set[tuple[datetime, str]] = field(default_factory=set)
    unsettled: list[str] = field(default_factory=list)
    unreleased: dict[tuple[str, int], None] = field(default_factory=dict)

    @property
    def is_proven(self) -> bool:
        """Whether every end so far is on record or shown by an object that is held: what may follow, may start."""
        return self.unproven_revision <= self.recorded_revision
