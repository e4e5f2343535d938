"""What the engine runs: the graph of a run, as frozen types, and the closed sets that rules speak of.

What has happened so far is in `state.py`. Nothing in this module decides anything: legal moves live in
`transitions.py`, decisions in `plan.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

__all__ = [
    "ACTIVE",
    "OBJECT_KINDS",
    "SLOT_KINDS",
    "TERMINAL",
    "ActionKind",
    "Backoff",
    "Clocks",
    "Evaluable",
    "FailureClass",
    "ForEach",
    "Graph",
    "Jitter",
    "Json",
    "Node",
    "OutputDeclaration",
    "OutputSource",
    "Override",
    "Phase",
    "Repeat",
    "RetryPolicy",
    "RetryRule",
    "Scope",
    "Settings",
    "StopMode",
    "Tolerance",
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
    """What carries a node's attempts.

    A pod, a Job, any other object (`resource`) or a child Workflow in the cluster; or nothing there at all: a wait, an
    approval, an HTTP request, or a set of values.
    """

    POD = "Pod"
    JOB = "Job"
    RESOURCE = "Resource"
    WORKFLOW = "Workflow"
    WAIT = "Wait"
    APPROVAL = "Approval"
    HTTP = "Http"
    SET = "Set"


#: Kinds whose attempts are objects in the cluster, created under a deterministic name.
OBJECT_KINDS = frozenset({WorkKind.POD, WorkKind.JOB, WorkKind.RESOURCE, WorkKind.WORKFLOW})

#: Kinds whose live attempts count against `parallelism`. Waiting costs nothing, so waits and approvals do not.
SLOT_KINDS = OBJECT_KINDS | {WorkKind.HTTP}


class ActionKind(StrEnum):
    """What a user may ask of a run, by a WorkflowAction."""

    RETRY = "Retry"
    CLEAR = "Clear"
    MARK = "Mark"
    STOP = "Stop"
    APPROVE = "Approve"
    REJECT = "Reject"
    COMPLETE = "Complete"
    HEARTBEAT = "Heartbeat"


class StopMode(StrEnum):
    """How a run is stopped.

    `Graceful` lets what runs finish, `Cancel` ends it; both run `finally` then. `Terminate` ends what runs and leaves
    `finally` out.
    """

    GRACEFUL = "Graceful"
    CANCEL = "Cancel"
    TERMINATE = "Terminate"


class OutputSource(StrEnum):
    """Where an output of a pod is read from."""

    FILE = "File"
    STDOUT = "Stdout"


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
class RetryRule:
    """What happens after failures of one sort; of several rules the first that matches counts.

    A rule matches when each of its criteria that is given does. `exit_codes` are those of failures of class User,
    `reasons` may name a reason of any class, `when` sees `attempt` (`number`, `exitCode`, `class`, `reason`, `message`)
    and is asked about failures of class User and Timeout only, unless `reasons` is given too. `limit` and `backoff` of
    None are the policy's; `resources` are what the attempts after such a failure have instead of the task's own.
    """

    exit_codes: frozenset[int] = frozenset()
    reasons: frozenset[str] = frozenset()
    when: Evaluable | None = None
    limit: int | None = None
    backoff: Backoff | None = None
    resources: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How many failed attempts of each class a node may have before it fails for good."""

    limit: int = 0
    infrastructure_limit: int = 5
    on_timeout: bool = False
    backoff: Backoff = field(default_factory=Backoff)
    rules: tuple[RetryRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Time limits of a node in seconds; None means no limit.

    `queue_seconds` bounds the wait for our own limits before an attempt, `start_seconds` the time from the creation of
    its object to the start of its main container, `run_seconds` one attempt from there on; `deadline_seconds` bounds
    all attempts together, from the start of the first. Queue time is not run time: each clock counts its own.
    `heartbeat_seconds` bounds the silence of a callback.
    """

    queue_seconds: int | None = None
    start_seconds: int | None = None
    run_seconds: int | None = None
    deadline_seconds: int | None = None
    heartbeat_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDeclaration:
    """One declared output of a node. A `type` of None is any; `has_default` tells a default of null from no default."""

    name: str
    type: ValueType | None
    has_default: bool = False
    default: Json = None
    source: OutputSource = OutputSource.FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How many items of a `forEach` may fail: a number, or a percentage of all items. Without either, none."""

    count: int | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEach:
    """One node for each item of a list, or for each batch of `batch_size` items.

    `items` is evaluated once, when the node's trigger has fired; its expressions see each item as `item`, under the
    name `variable`, and its position as `index` (with batches: the list of the batch's items, and its number).
    `when` is asked for each item. A list of more than `limit` items fails the node before anything starts.
    """

    items: Evaluable
    variable: str = "item"
    when: Evaluable | None = None
    max_parallel: int | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    batch_size: int | None = None
    limit: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A node that is run again after each success until `until` is true, at most `max_iterations` times.

    `until` sees the round's own `outputs` and `iteration` (from 1); the next round sees them as `previous`.
    """

    until: Evaluable
    max_iterations: int
    delay_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One vertex of the graph, as compiled from the definition; it never changes during a run.

    `needs` are the parents (explicit ones and those implied by references), `reads` the tasks whose phase or
    outputs its expressions name: only those are put in its scope, so that a scope costs O(reads), not O(n).
    A failed node with `continue_on_failure` counts as a success for its children, with its outputs' defaults. One that
    `handles` takes, by succeeding, the blame off its failed parents. `final` nodes belong to `finally`: they come after
    all others, and fail the run only when `required`. An exit code in `skip_exit_codes` means Skipped. A pod that is
    being deleted on a node which does not answer is replaced after `replace_lost_after_seconds`, or waited for.
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
    for_each: ForEach | None = None
    repeat: Repeat | None = None
    continue_on_failure: bool = False
    handles: bool = False
    final: bool = False
    required: bool = False
    skip_exit_codes: frozenset[int] = frozenset()
    replace_lost_after_seconds: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A validated DAG; built by `graph.build`, which is the only place that makes one.

    `nodes` is in declaration order, those of `finally` last; `children` and `rank` (position in that order) have an
    entry for each node. `outputs` are the run's own results, evaluated once when it succeeds; `reads` the tasks they
    name. `final` names those of `finally`, `final_deadline_seconds` bounds them all together.
    """

    nodes: Mapping[str, Node]
    children: Mapping[str, tuple[str, ...]]
    rank: Mapping[str, int]
    params: Mapping[str, Json] = field(default_factory=dict)
    outputs: Sequence[tuple[str, Evaluable]] = ()
    reads: tuple[str, ...] = ()
    final: tuple[str, ...] = ()
    final_deadline_seconds: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What replaces a `forEach` task's own limits while the run is going on; None leaves the task's."""

    max_parallel: int | None = None
    tolerance: Tolerance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The part of a run's definition that may change while it runs. None means no limit; `overrides` are by task."""

    suspend: bool = False
    parallelism: int | None = None
    deadline_seconds: int | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)
