"""One active run in the operator's memory: the engine's state and what the shell needs around it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead.api.compile import Compiled
from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import Event
from fairlead.engine.expressions import Declarations, Evaluator, ExpressionError
from fairlead.engine.model import Settings
from fairlead.engine.state import RunOutcome, RunState
from fairlead.engine.templates import compile_tree
from fairlead.kube.resources import ObjectKey
from fairlead.telemetry.traces import TraceContext, attempt_parent

from .definitions import Definition
from .ledger import Ledger
from .pods import Owner
from .timer import Timer

__all__ = ["Printed", "Run", "service_account_of"]


@dataclass(frozen=True, slots=True)
class Printed:
    """What a task printed, or why that is not to be had."""

    text: str = ""
    error: str = ""


@dataclass(slots=True, kw_only=True)
class Run:
    """A run that has not ended, or whose end is not recorded yet.

    owner, compiled
        what its children refer to, and its compiled definition.
    definition
        what a run of a template runs, as it is kept for this run.
    settings, generation
        the live part of the spec, and the generation it was read from.
    service_account
        in whose name everything is done that the definition describes, other than pods and Jobs.
    state
        the engine's; touched by nobody but the queue's worker of this run.
    inbox
        facts from requests that were carried out in the background.
    written, version
        the status of the Workflow as last persisted, and the resourceVersion that the next write expects.
    definition_bytes, ledger
        how large the definition is, and the shards that hold the tasks of a large run (None: its status does).
    persisted_revision, summary_revision
        the revision of `state` of which everything is persisted, and the one that the Workflow's status shows; -1
        before the first.
    summary_key, summary_due
        what the Workflow's status said that must never be late, and the loop time before which the rest of it may be.
    shown_settings
        those that the reasons of nodes in line were written with.
    stalls
        what keeps the operator from getting on with this run, for its `Stalled` condition, by what is kept.
    closed
        no more is to be created or written for it.
    taken_up, probes
        whether it was begun before this process, and is looked at for the first time; and attempts that it may have
        begun without a record, not looked for yet.
    resync
        whether the next facts must account for every live attempt.
    pending_jobs, next_job_look
        Jobs of which no pod runs yet, and the loop time at which to look at their pods again.
    provided, providing, ending
        the loop time at which a ConfigMap or claim was last seen to exist and be ours, by its name; what is held while
        it is asked for; and objects whose end is being asked for (and whether by force).
    creating, crowded
        the loop time at which the object of an attempt was to be created, by its name, until there is an answer; and
        whether others may wait for one, as so many are being created.
    printed
        what attempts printed that have an output from there, by the name of their object; None while it is being read.
    writing, write_timer, write_due
        the write under way, the one that waits, and the loop time before which none but urgent ones begin.
    counted
        the end that is in the metrics: a run that is taken up again may have several.
    trace
        where its spans belong; None where runs are not traced.
    heard_at
        loop time at which the oldest fact not yet planned for was heard; for the hop metric.
    """

    owner: Owner
    compiled: Compiled
    settings: Settings
    generation: int
    state: RunState
    written: dict[str, Any]
    version: int
    definition: Definition | None = None
    service_account: str = "default"
    taken_up: bool = False
    probes: set[str] = field(default_factory=set)
    inbox: list[Event] = field(default_factory=list)
    definition_bytes: int = 0
    ledger: Ledger | None = None
    persisted_revision: int = -1
    summary_revision: int = -1
    summary_key: object = None
    summary_due: float = 0.0
    shown_settings: Settings | None = None
    persisted_generation: int = 0
    persisted_stalled: str = ""
    stalls: dict[str, str] = field(default_factory=dict)
    closed: bool = False
    heard_at: float = 0.0
    next_resync: float = 0.0
    resync: bool = False
    pending_jobs: set[ObjectKey] = field(default_factory=set)
    next_job_look: float = 0.0
    provided: dict[str, float] = field(default_factory=dict)
    providing: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    ending: set[tuple[str, bool]] = field(default_factory=set)
    creating: dict[str, float] = field(default_factory=dict)
    crowded: bool = False
    printed: dict[str, Printed | None] = field(default_factory=dict)
    writing: asyncio.Task[None] | None = None
    write_timer: Timer | None = None
    write_due: float = 0.0
    counted: RunOutcome | None = None
    trace: TraceContext | None = None

    @property
    def uid(self) -> str:
        """The Workflow's UID: the run's key everywhere."""
        return self.owner.uid

    def traceparent(self, start: StartAttempt) -> str:
        """Return the `traceparent` of an attempt; "" where runs are not traced."""
        return "" if self.trace is None else attempt_parent(self.trace, start.node, start.number)

    @property
    def stalled(self) -> str:
        """What keeps the operator from getting on with it, "" for nothing."""
        return next(iter(self.stalls.values()), "")

    def stall(self, what: str, problem: str) -> None:
        """Note that the operator lacks a right for something of this run; "" that it does not (any more)."""
        if problem:
            self.stalls[what] = f"the operator may not go on: {problem}"
        else:
            self.stalls.pop(what, None)

    @property
    def dirty(self) -> bool:
        """Whether the persisted status does not show everything yet."""
        return (
            self.persisted_revision < self.state.revision
            or self.summary_revision < self.state.revision
            or self.persisted_generation != self.generation
            or self.persisted_stalled != self.stalled
            or (self.ledger is not None and self.ledger.is_dirty)
        )


def service_account_of(definition: Mapping[str, Any], params: Mapping[str, Any], evaluator: Evaluator) -> str:
    """Return the service account in whose name a run reads and creates what its definition names.

    It is that of the run's pods, `taskDefaults.pod.serviceAccountName`, else `default`: one for the run, whatever
    single tasks give their own pods. Expressions in it may use parameters.
    """
    pod = (definition.get("taskDefaults") or {}).get("pod") or {}
    written = str(pod.get("serviceAccountName") or "default")
    path, declared = "spec.taskDefaults.pod.serviceAccountName", Declarations(params=dict.fromkeys(params))
    tree = compile_tree(
        written, path=path, evaluator=evaluator, declarations=declared, report=lambda *_: None, text_only=True
    )
    try:
        return str(tree.evaluate({"params": params}))
    except ExpressionError:
        return written  # which no account can be called: whoever wants to act as it is told
