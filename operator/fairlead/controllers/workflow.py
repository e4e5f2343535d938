"""The controller of Workflows: gather what is known about one run, let the engine plan, apply what it decided.

`reconcile(uid)` is level-triggered: an event only says "look again". It is called for one run by one worker at a
time, and never waits for the requests that carry out a plan; what comes of them is the next call's facts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fairlead.api.compile import Compiled, compile_workflow
from fairlead.api.problems import InvalidSpec, Problem
from fairlead.api.resolution import UnknownTemplate
from fairlead.api.settings import compile_settings
from fairlead.clock import utc_now
from fairlead.engine.commands import EventType, RecordEvent
from fairlead.engine.events import UserAction
from fairlead.engine.expressions import Evaluator, ExpressionError
from fairlead.engine.plan import plan
from fairlead.kube.errors import ApiError, Conflict, NotFound
from fairlead.kube.resources import ObjectKey
from fairlead.kube.transport import ApiClient
from fairlead.telemetry.metrics import Metrics

from .actions import Actions, is_unrecorded
from .apply import Applier
from .buckets import Holds, everything
from .cleanup import Cleaner
from .concurrency import Concurrency, Move, Verdict, conflict_status, stopped_status
from .definitions import Definition, Definitions
from .errands import not_sent
from .gather import JOB_LOOK_SECONDS, Gatherer
from .reading import ShardsMissing, read_record, state_of
from .run import Run, service_account_of
from .status import (
    invalid_status,
    is_invalid,
    operations,
    refused_status,
    unready_status,
)
from .store import Workflow, WorkflowStore
from .tally import count_attempts, count_end
from .tracing import trace_of
from .views import time_of
from .writer import StatusWriter

__all__ = ["CREATED_AT_ONCE", "WorkflowController"]

log = logging.getLogger(__name__)

_CONTROLLER = "workflow"

#: Every active run is looked at in full this often, whatever the watches told.
_RESYNC_SECONDS = 60.0

#: Objects of one run under way to the API server: each is held whole until it is created. More would be no faster, as
#: it takes up fewer in the time in which the next ones are decided on (`GATHERED_SECONDS`).
CREATED_AT_ONCE = 256


class _NotHeld(Exception):
    """What was about to be sent is another replica's to decide on."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A Workflow as it was read: the template's part of it, None for one with tasks of its own, and the whole."""

    definition: Definition | None
    compiled: Compiled


class WorkflowController:
    """Drives all runs of this process. `queue_add(uid)` asks for another call of `reconcile`."""

    def __init__(
        self,
        *,
        store: WorkflowStore,
        gatherer: Gatherer,
        applier: Applier,
        writer: StatusWriter,
        cleaner: Cleaner,
        actions: Actions,
        concurrency: Concurrency,
        definitions: Definitions,
        client: ApiClient,
        evaluator: Evaluator,
        metrics: Metrics,
        holds: Holds = everything,
        traced: bool = False,
    ) -> None:
        self._holds = holds
        self._traced = traced
        self._doubted: set[str] = set()
        self._starting: set[str] = set()
        self._client = client
        self._store = store
        self._gatherer = gatherer
        self._applier = applier
        self._writer = writer
        self._cleaner = cleaner
        self._actions = actions
        self._concurrency = concurrency
        self._definitions = definitions
        self._evaluator = evaluator
        self._metrics = metrics
        self._runs: dict[str, Run] = {}
        self._settling = False
        self._draining = False

    @property
    def active(self) -> Mapping[str, Run]:
        """The runs in memory, by UID."""
        return self._runs

    async def reconcile(self, uid: str) -> float | None:
        """Bring one run up to date. Returns in how many seconds to look again without being told anything."""
        if not self._holds(uid):
            self._drop(uid)
            return None
        try:
            delay = await self._reconcile(uid)
        except ApiError:  # an outage: what is known is true
            raise
        except Exception:
            # Whatever state the bug left in memory is not to be trusted: the next try reads it afresh.
            self.forget(uid)
            raise
        if not self._holds(uid):
            self._drop(uid)  # it was lost meanwhile
            return None
        return delay

    def forget(self, uid: str) -> None:
        """Drop what memory has of a run, so that it is read again from what is persisted."""
        run = self._runs.pop(uid, None)
        if run is not None:
            self._applier.forget(run)
            run.closed = True
            if run.write_timer is not None:
                run.write_timer.cancel()

    def doubt(self, uids: Iterable[str]) -> None:
        """Read these Workflows once more before anything is begun for them: they were somebody else's until now."""
        for uid in uids:
            self._doubted.add(uid)
            self._concurrency.ask_anew(uid)
        self._cleaner.doubt()

    def _drop(self, uid: str) -> None:
        """Do nothing for a run that this replica does not hold, and forget what was heard of it."""
        self.forget(uid)
        self._doubted.discard(uid)
        self._gatherer.take(uid)
        self._concurrency.forget(uid)

    async def settle(self, seconds: float) -> None:
        """Start nothing more, and plan for what must not be cut off, such as a request that can be sent only once.

        Waits at most so long; as a rule there is nothing to wait for.
        """
        self._settling = True
        async with asyncio.timeout(seconds + 1):
            await self._applier.settle(seconds)
            while self._starting or any(run.inbox or not_sent(run) for run in self._runs.values()):  # noqa: ASYNC110  (the workers are at it)
                await asyncio.sleep(0.01)

    async def drain(self, seconds: float) -> None:
        """Plan nothing more, let what is under way finish, and persist what is known; at most so long."""
        self._draining = True
        async with asyncio.timeout(seconds):
            await self._applier.drain(seconds / 2)
            await asyncio.gather(*(self._writer.flush(run) for run in self._runs.values()))

    async def _reconcile(self, uid: str) -> float | None:
        if self._draining:
            return None
        workflow = self._store.get(uid)
        if workflow is None or workflow.deleting:
            self.forget(uid)
            self._applier.abandon(uid)
            delay = await self._cleaner.abandoned(uid, workflow)
            await self._actions.answer_strays(uid)
            return delay
        self._actions.settle(workflow)
        run = self._runs.get(uid)
        if run is None:
            if workflow.is_over and not self._actions.may_go_on(workflow):
                self._applier.abandon(uid)
                self._concurrency.not_started(uid)
                return await self._cleaner.finished(workflow)
            opened = None if self._settling else await self._take_up(workflow)
            if opened is None:
                known = self._store.get(uid)
                if known is not None and known.is_over and not workflow.is_over:
                    return 0.0  # once more, as one that is over: our own write is no news that brings us back
                return self._concurrency.recheck(uid)
            if not isinstance(opened, Run):
                return opened
            run = opened
        return await self._advance(run)

    async def _take_up(self, workflow: Workflow) -> Run | float | None:
        """Open a run, unless others with its `concurrencyKey` are in its way."""
        if workflow.is_over and "startTime" not in workflow.status and not is_invalid(workflow.status):
            self._actions.refuse(workflow, "NotStarted", "the run was over before it had started: create it anew")
            return None
        if workflow.uid in self._doubted:
            await self._reread(workflow)
            self._doubted.discard(workflow.uid)
            return 0.0
        try:
            if self._concurrency.is_waiting(workflow):  # without compiling it each time
                verdict = self._concurrency.look_again(workflow, utc_now())
                if verdict.move is not Move.START:
                    await self._hold_back(workflow, verdict)
                    return None
            return await self._open(workflow)
        finally:
            if workflow.uid not in self._runs:
                self._concurrency.not_started(workflow.uid)

    async def _open(self, workflow: Workflow) -> Run | float | None:
        """Begin a run, or take up one that was begun before this process, or that is over and is asked something.

        Returns in how many seconds to try again where it cannot be taken up, None if its definition is invalid.
        """
        try:
            read = await self._compile(workflow, await self._definitions.of(workflow))
        except InvalidSpec as error:
            await self._refuse(workflow, error)
            return None
        definition, compiled, now = read.definition, read.compiled, utc_now()
        written = workflow.spec if definition is None else definition.spec
        started_at = time_of(workflow.status.get("startTime"))
        verdict = Verdict(Move.START)
        if started_at is None or workflow.is_over:
            if compiled.concurrency is not None:
                await self._cleaner.catch_up()
            try:
                verdict = self._concurrency.ask(workflow, compiled, now)
            except ExpressionError as error:
                await self._refuse(workflow, InvalidSpec([Problem("spec.concurrencyKey.key", error.message)]))
                return None
            if verdict.move is not Move.START:
                await self._hold_back(workflow, verdict)
                return None
        try:
            record = await read_record(self._client, workflow)
        except ShardsMissing as error:
            await self._write(workflow, error.status(workflow, now))
            return _RESYNC_SECONDS
        run = Run(
            owner=workflow.owner if started_at else replace(workflow.owner, concurrency_key=verdict.key),
            compiled=compiled,
            settings=compiled.settings,
            generation=workflow.generation,
            state=state_of(workflow, compiled, started_at or now, record),
            written=dict(workflow.status),
            version=workflow.version,
            definition=definition,
            service_account=service_account_of(written, compiled.graph.params, self._evaluator),
            taken_up=started_at is not None,
            definition_bytes=workflow.definition_bytes,
            ledger=record.ledger,
            trace=trace_of(workflow) if self._traced else None,
        )
        run.counted = run.state.outcome
        if started_at is None:
            # Before the first pod: the start is on record and the spec fixed from here on.
            if not await self._begin(run):
                await self._reread(workflow)
                return None
            self._metrics.run_started((now - workflow.created_at).total_seconds())
            started = RecordEvent(
                type=EventType.NORMAL, reason="Started", message=_count(len(run.state.nodes)), key="start"
            )
            self._applier.record(run.owner, started)
            for warning in compiled.warnings:
                self._advise(run, str(warning))
        self._runs[workflow.uid] = run
        return run

    async def _begin(self, run: Run) -> bool:
        """Put the start of a run on record. Returns False where somebody was faster, or it is another replica's now."""

        def check_held() -> None:
            if not (self._holds(run.uid) and self._concurrency.decides_on(run.owner)):
                raise _NotHeld

        if run.owner.concurrency_key:
            self._starting.add(run.uid)
        try:
            await self._writer.begin(run, before_send=check_held)
        except (Conflict, NotFound, _NotHeld):
            return False
        except ApiError as error:
            if error.maybe_applied:
                self._concurrency.doubt(run.uid)
            raise
        finally:
            self._starting.discard(run.uid)
        return True

    async def _compile(self, workflow: Workflow, definition: Definition | None) -> _Read:
        # In a thread: a thousand tasks take a third of a second, in which other runs go on.
        compiled = await asyncio.to_thread(
            compile_workflow,
            workflow.definition,
            evaluator=self._evaluator,
            name=workflow.name,
            namespace=workflow.namespace,
            definition=None if definition is None else definition.spec,
            started="startTime" in workflow.status,
        )
        return _Read(definition, compiled)

    async def _advance(self, run: Run) -> float | None:
        loop = asyncio.get_running_loop()
        in_full = loop.time() >= run.next_resync
        if in_full:
            run.next_resync = loop.time() + _RESYNC_SECONDS
            run.resync = True
            if run.persisted_revision >= 0:
                await self._writer.verify(run)
            self._gatherer.expect_all(run.uid)
        asked, newer = await self._next_action(run)
        facts = [*await self._gatherer.facts(run), *asked]
        # Read only now: what was heard while facts were gathered counts, above all that the run is suspended.
        workflow = self._store.get(run.uid)
        if run.closed or workflow is None or workflow.deleting:
            self.forget(run.uid)  # closed: somebody else has written its status, or it is another replica's by now
            return 0.0
        if workflow.generation != run.generation:
            definition = None if run.definition is None else run.definition.spec
            run.settings = compile_settings(
                workflow.definition, definition, report=lambda path, message: self._advise(run, f"{path}: {message}")
            )
            run.generation = workflow.generation
        run.heard_at = self._gatherer.heard_at(run.uid)
        now = utc_now()
        started = time.perf_counter()
        room = CREATED_AT_ONCE - len(run.creating)
        planned = plan(run.compiled.graph, run.state, facts, run.settings, now, room)
        self._metrics.plan_took(time.perf_counter() - started)
        if newer is not None:
            self._go_on_by(run, asked[0], newer)
        for command in planned.commands:
            self._applier.dispatch(run, command)
        run.crowded = len(run.creating) >= CREATED_AT_ONCE
        if in_full:
            self._applier.resync(run)
        count_attempts(self._metrics, run, planned.ended)
        changed = run.persisted_generation != run.generation or run.persisted_stalled != run.stalled
        urgent = changed or run.state.outcome is not None or run.state.awaits_record or is_unrecorded(run)
        self._writer.request(run, urgent=urgent)
        if asked:
            self._actions.decided(run, asked[0])
            return 0.0  # there may be another one
        if run.state.outcome is not None:
            return self._conclude(run)
        due = min(run.next_resync - loop.time(), JOB_LOOK_SECONDS if run.pending_jobs else _RESYNC_SECONDS)
        if planned.wake_at is not None:
            due = min(due, max(0.0, (planned.wake_at - now).total_seconds()))
        return due

    async def _next_action(self, run: Run) -> tuple[list[UserAction], _Read | None]:
        """Return what is asked of a run next, and the newer definition that it wants the run to go on by, if it does.

        Before the other facts: this may fail, and those are told only once.
        """
        workflow = self._store.get(run.uid)
        asked = None if workflow is None else await self._actions.next(run, workflow)
        if workflow is None or asked is None:
            return [], None
        if run.definition is None or run.state.outcome is None or not self._actions.wants_latest(run, asked):
            return [asked], None
        latest = await self._definitions.latest(workflow)
        try:
            newer = await self._compile(workflow, latest)
        except InvalidSpec as error:
            reason = "TemplateNotFound" if latest is None else "InvalidSpec"
            self._actions.reject(run, asked, reason, f"there is no other definition to go on by: {error}")
            return [], None
        return [replace(asked, graph=newer.compiled.graph)], newer

    def _go_on_by(self, run: Run, asked: UserAction, newer: _Read) -> None:
        """Let a run keep to a newer definition, if what was asked has been accepted; it is recorded together."""
        if run.state.actions and run.state.actions[-1].uid == asked.uid and run.state.actions[-1].accepted:
            assert newer.definition is not None, "only runs of templates have newer definitions"
            run.compiled, run.definition, run.settings = newer.compiled, newer.definition, newer.compiled.settings
            params = newer.compiled.graph.params
            run.service_account = service_account_of(newer.definition.spec, params, self._evaluator)

    def _conclude(self, run: Run) -> float | None:
        """Count each end of a run once, and let go of it when its end is persisted."""
        count_end(self._metrics, run)
        if run.dirty or run.inbox or run.probes:
            return _RESYNC_SECONDS
        self.forget(run.uid)
        return 0.0  # once more, as one that is over: for its TTL, and what is still held

    def _advise(self, run: Run, text: str) -> None:
        advice = RecordEvent(type=EventType.WARNING, reason="SpecWarning", message=text, key=text)
        self._applier.record(run.owner, advice)

    async def _refuse(self, workflow: Workflow, error: InvalidSpec) -> None:
        """Say why a Workflow cannot be run: for good, or until its template appears."""
        if workflow.is_over:
            self._actions.refuse(workflow, "InvalidSpec", f"the definition cannot be run: {error}")
            return
        begun = "startTime" in workflow.status
        waits = isinstance(error, UnknownTemplate) and not error.others and not begun
        now, previous, generation = utc_now(), workflow.status, workflow.generation
        if waits:
            reason, problem = "TemplateNotFound", error.problems[0]
            if await self._stopped(workflow, str(problem)):
                return
            status = unready_status(problem, reason=reason, generation=generation, previous=previous, now=now)
        else:
            refuse = refused_status if begun else invalid_status
            status = refuse(error.problems, generation=generation, previous=previous, now=now)
        if not await self._write(workflow, status):
            return
        if waits:
            return
        self._metrics.reconcile_error(_CONTROLLER, "user")
        if not begun:
            self._metrics.run_finished("failed", "InvalidSpec")
        refused = RecordEvent(
            type=EventType.WARNING,
            reason="InvalidSpec",
            message=status["message"],
            key=f"invalid/{workflow.generation}",
        )
        self._applier.record(workflow.owner, refused)

    async def _hold_back(self, workflow: Workflow, verdict: Verdict) -> None:
        """Say of a run that it waits for others with its key, or does not start at all because of them."""
        reason = verdict.move.value
        if workflow.is_over:  # and is asked to go on
            if verdict.move is not Move.WAIT:
                self._actions.refuse(workflow, reason, verdict.message)
            return
        waits = verdict.move is Move.WAIT
        if waits and await self._stopped(workflow, verdict.message):
            return
        status = conflict_status(verdict, generation=workflow.generation, previous=workflow.status, now=utc_now())
        if not await self._write(workflow, status):
            return
        if not waits:
            self._metrics.run_finished("failed", reason)
        type_ = EventType.NORMAL if waits else EventType.WARNING
        key = f"concurrency/{reason}/{workflow.generation}"
        self._applier.record(workflow.owner, RecordEvent(type=type_, reason=reason, message=status["message"], key=key))

    async def _stopped(self, workflow: Workflow, why_not_started: str) -> bool:
        """End a run that has not started, if somebody asks for that. Returns whether somebody does."""
        asked = await self._actions.stop_of(workflow, why_not_started)
        if asked is None:
            return False
        status = stopped_status(asked, generation=workflow.generation, previous=workflow.status, now=utc_now())
        if await self._write(workflow, status):
            self._metrics.run_finished("failed", "Stopped")
            told = {"reason": "Stopped", "message": status["message"], "key": f"stopped/{workflow.generation}"}
            self._applier.record(workflow.owner, RecordEvent(type=EventType.WARNING, **told))
        return True

    async def _write(self, workflow: Workflow, status: Mapping[str, Any]) -> bool:
        """Persist the status of a run that is not under way.

        Returns False where it says nothing new, or somebody was faster.
        """
        if not operations(workflow.status, status):
            return False
        try:
            await self._writer.write(workflow.owner, workflow.version, workflow.status, status)
        except (Conflict, NotFound):
            await self._reread(workflow)
            return False
        return True

    async def _reread(self, workflow: Workflow) -> None:
        """Somebody changed the Workflow between our reading and writing it: the sweep's read brings the newest."""
        await self._cleaner.reread(workflow.uid, ObjectKey(workflow.namespace, workflow.name))


def _count(tasks: int) -> str:
    return f"{tasks} task" + "s" * (tasks != 1)
