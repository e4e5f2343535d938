"""The operator without its shell: the parts of one process, how they are wired, and how they begin and end.

It is told of Workflows by `workflow_event`, and follows everything else itself, through the one session that it is
given. kopf, signals and probes are `app.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp

from fairlead.archive.store import ArchiveStore
from fairlead.egress.addresses import Addresses
from fairlead.egress.connections import Connections
from fairlead.egress.sender import Sender
from fairlead.engine.model import WorkKind
from fairlead.expr.cel import CelEvaluator
from fairlead.kube.discovery import Discovery
from fairlead.kube.errors import ApiError, Unreachable
from fairlead.kube.events import EventRecorder
from fairlead.kube.informer import Informer
from fairlead.kube.resources import EVENTS, JOBS, PODS, WORKFLOWS, ObjectKey
from fairlead.kube.slots import Slots
from fairlead.kube.transport import ApiClient
from fairlead.line import Turn
from fairlead.telemetry.metrics import Metrics

from .actions import Actions
from .apply import Applier
from .archiver import ArchiveHealth, Archiver
from .buckets import GROUPS, Holdings, selector_of
from .caches import Cache
from .carrier import Carrier
from .certificate import ServingCertificate
from .cleanup import Cleaner
from .concurrency import Concurrency
from .condition import Conditions
from .definitions import Definitions
from .duties import RunDuties
from .errands import Errands
from .expiry import Expiry
from .gather import Gatherer
from .history import History
from .http_task import HttpTasks
from .log_keeper import LOGS_AT_ONCE, LogKeeper
from .membership import LEASE_SECONDS
from .options import OperatorOptions
from .queue import WorkQueue
from .replicas import Replicas
from .resource_task import ResourceCarrier
from .retention import Retention
from .run import Run
from .store import WorkflowStore
from .subworkflow import SubworkflowCarrier
from .templates import Templates
from .views import job_view, pod_view
from .webhook import WebhookServer
from .workflow import WorkflowController
from .writer import StatusWriter

__all__ = ["Operator"]

log = logging.getLogger("fairlead")

_SWEEP_SECONDS = 60.0
_SETTLE_SECONDS = 10.0
_DRAIN_SECONDS = 5.0
#: A loop of ours that has not come round for so long hangs.
_HUNG_SECONDS = 150.0
#: A lease that was not even tried to be renewed for so long is lost.
_UNSEEN_SECONDS = 30.0
#: A watch that has not been heard for so long is deaf.
_DEAF_SECONDS = 120.0


class Operator:
    """The parts, and what connects them.

    Args:
        session: whose base URL is the API server's; it stays the caller's to close.
        options: of the process.
        archive: where what is left of runs goes, None for nowhere.

    Attributes:
        tasks: what runs for ever; one that ends by itself means that the process had better end.
        waiting_for: what is missing, or "".
    """

    def __init__(
        self, session: aiohttp.ClientSession, options: OperatorOptions, archive: ArchiveStore | None = None
    ) -> None:
        self._swept_at = 0.0
        self._sweep_problem = ""
        self.waiting_for = "starting"
        self.tasks: list[asyncio.Task[None]] = []
        self.metrics = Metrics()
        client = ApiClient(session, observer=self.metrics, max_in_flight=options.max_in_flight, fence=self._check_lease)
        self._client = client
        self.metrics.request_slots(lambda: client.slots.limit, lambda: client.slots.waiting)
        self.store = WorkflowStore()
        self.holdings = Holdings(asyncio.get_running_loop().time, self.store.bucket_of)
        if options.lease_namespace is None:
            self.holdings.hold_everything()
        holds = self.holdings.holds
        self.queue = WorkQueue("workflow", self._reconcile, self.metrics, turn=self._turn)
        self.informers = {
            WorkKind.POD: self._informer(WorkKind.POD, PODS, pod_view),
            WorkKind.JOB: self._informer(WorkKind.JOB, JOBS, job_view),
        }
        self.recorder = EventRecorder(client, observer=self.metrics)
        self.subworkflows = SubworkflowCarrier(
            client,
            self.store,
            self.queue.add,
            lambda key, old, new: self.gatherer.changed(WorkKind.WORKFLOW, key, old, new),
            holds,
        )
        caches: dict[WorkKind, Cache] = {**self.informers, WorkKind.WORKFLOW: self.subworkflows.children}
        self.gatherer = Gatherer(client, caches, self.queue.add, self.queue.add_within)
        discovery = Discovery(client)
        self.resources = ResourceCarrier(client, discovery, self.queue.add, self.metrics)
        carriers: dict[WorkKind, Carrier] = {
            WorkKind.RESOURCE: self.resources,
            WorkKind.WORKFLOW: self.subworkflows,
        }
        self.conditions = Conditions(client, discovery, self.metrics)
        requests = HttpTasks(client, Sender(Connections(Addresses(options.http_allow_private))), holds=holds)
        self.errands = Errands({WorkKind.WAIT: self.conditions, WorkKind.HTTP: requests}, self.queue.add)
        self.applier = Applier(
            client,
            self.store,
            caches,
            carriers,
            self.errands,
            self.recorder,
            self.queue.add,
            self.queue.add_within,
            self.gatherer.doubt,
            self.metrics.hop_took,
            holds,
        )
        self.writer = StatusWriter(
            client, self.store, self.queue.add, self._lost, self.metrics.status_written, self.applier.record
        )
        self.actions = Actions(client, self.store, self.queue.add, self.metrics.action_answered, self.metrics)
        evaluator = CelEvaluator()
        definitions = Definitions(client, self.queue.add)
        self.webhook = WebhookServer(client, evaluator, self.metrics, _certificate(options))
        self.templates = Templates(
            client,
            evaluator,
            definitions.appeared,
            self.metrics,
            self.metrics,
            holds,
            self._limits_changed,
        )
        self.history = History(self.store, options.history, self.templates.limits, self.queue.add)
        self.archiver, self.logs = self._keepers(session, archive, options)
        expiry = Expiry(
            client,
            self.store,
            self.gatherer,
            self.applier,
            self.history,
            self.metrics,
            self.archiver,
            self.logs,
        )
        self.cleaner = Cleaner(
            client, self.store, self.gatherer, self.applier, self.writer, self.queue.add, expiry, holds
        )
        self.controller = WorkflowController(
            store=self.store,
            gatherer=self.gatherer,
            applier=self.applier,
            writer=self.writer,
            cleaner=self.cleaner,
            actions=self.actions,
            client=client,
            definitions=definitions,
            evaluator=evaluator,
            concurrency=Concurrency(self.store, self._active, self.queue.add, self.holdings.holds_key),
            metrics=self.metrics,
            holds=holds,
        )
        self.retention = Retention(
            client,
            self.store,
            self.informers,
            self._active,
            workers=max(1, options.max_in_flight // 2),
            holds=holds,
            waits_for_log=(lambda _uid: False) if self.logs is None else self.logs.waits_for,
        )
        self.replicas = (
            None
            if options.lease_namespace is None
            else self._replicas(session, options.lease_namespace, options.replica)
        )
        #: Everything that is watched by ourselves, by the name of the resource.
        self.caches: dict[str, Informer[Any]] = {
            **{f"{kind.value.lower()}s": informer for kind, informer in self.informers.items()},
            "workflowactions": self.actions.informer,
            "workflowtemplates": self.templates.informer,
        }
        if self.replicas is not None:
            self.caches["leases"] = self.replicas.informer

    def begin(self) -> None:
        """Begin to follow the cluster; nothing is done about it yet."""
        self._observe_caches()
        for informer in self.caches.values():
            self._background(informer.run())
        self._background(self.recorder.run())

    async def become_ready(self) -> None:
        """Wait until our kinds are served and the caches are filled, saying what is missing meanwhile."""
        while True:
            try:
                # By listing, not by discovery: without the right to it, kopf would end and take us along.
                await anext(self._client.list_pages(WORKFLOWS, limit=1, metadata_only=True))
                break
            except ApiError as error:
                if error.status == 404:
                    self.wait_for("the CustomResourceDefinitions are not installed: kubectl apply -f crds/")
                else:
                    self.wait_for(f"the Workflows cannot be read: {error}")
            await asyncio.sleep(1.0)
        for plural, informer in self.caches.items():
            while not informer.synced.is_set():
                self.wait_for(informer.last_error or f"reading all {plural}")
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await informer.synced.wait()

    def wait_for(self, what: str) -> None:
        """Note, and log, what is missing."""
        if what != self.waiting_for:
            log.warning("waiting: %s", what)
        self.waiting_for = what

    def work(self) -> None:
        """Begin to act: the caches are filled, and the Workflows are told of from now on."""
        self.waiting_for = ""
        for queue in self.queues().values():
            self._background(queue.run())
        self._background(self._sweep_for_ever())
        self._background(self.retention.run())
        if self.replicas is not None:
            self._background(self.replicas.run())
        log.info("ready")

    def workflow_event(self, type_: str | None, raw: dict[str, Any]) -> None:
        """Take in what the watch tells about one Workflow. `type_` is None for the initial listing."""
        uid = raw["metadata"]["uid"]
        if type_ == "DELETED":
            self.store.remove(uid)
        else:
            before = self.store.get(uid)
            if self.store.put(raw) is before:
                return  # our own write, come back
        self.queue.add(uid)

    def _check_lease(self, resource: str) -> None:
        """Keep back whatever is about to be written past the deadline: others may act by now. Raises `ApiError`."""
        if not self.holdings.count and resource != EVENTS.plural and not resource.endswith("reviews"):
            raise Unreachable("the lease is over: nothing is written", maybe_applied=False)

    async def _reconcile(self, uid: str) -> float | None:
        return await self.controller.reconcile(uid)

    def _turn(self, uid: str) -> Turn | None:
        """Return where a run stands in line that has not begun; one that has goes on before them."""
        workflow = self.store.get(uid)
        return None if workflow is None or uid in self.controller.active else workflow.turn

    def _active(self, uid: str) -> Run | None:
        return self.controller.active.get(uid)

    def _lost(self, run: Run) -> None:
        """The persisted status is not what we wrote: read the run again."""
        self.controller.forget(run.uid)
        self._background(self._reread(run))

    async def _reread(self, run: Run) -> None:
        try:
            gone = await self.cleaner.reread(run.uid, ObjectKey(run.owner.namespace, run.owner.name))
        except ApiError as error:
            log.warning("cannot read %s again: %s; the sweep will", run.owner.name, error)
            return
        if gone:
            self.queue.add(run.uid)

    async def _sweep_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._swept_at = loop.time()
            by_phase: dict[str, int] = {}
            for workflow in filter(lambda each: self.holdings.holds(each.uid), self.store):
                phase = workflow.status.get("phase", "Pending")
                by_phase[phase] = by_phase.get(phase, 0) + 1
            self.metrics.runs(by_phase)
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.cleaner.sweep()
                self._sweep_problem = ""
            except ApiError as error:
                self._sweep_problem = f"the Workflows cannot be read: {error}"
                log.warning("%s", self._sweep_problem)

    async def shut_down(self) -> None:
        """Write what is known, start nothing, and end everything; bounded by some seconds."""
        log.info("stopping: no new tasks are started, the status is written")
        self.waiting_for = "stopping"
        if self.replicas is not None:
            self.replicas.close()
        with suppress(TimeoutError):
            await self.controller.settle(_SETTLE_SECONDS)
        with suppress(TimeoutError):
            await self.controller.drain(_DRAIN_SECONDS)
        for queue in self.queues().values():
            queue.close()
        self.history.close()
        self.subworkflows.close()
        await self.actions.close(_DRAIN_SECONDS / 2)
        await self.errands.close()
        if self.replicas is not None:
            await self.replicas.leave()

    async def close(self) -> None:
        """End what still runs, after :meth:`shut_down`."""
        await self.recorder.close()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.append(task)
        task.add_done_callback(self.tasks.remove)

    def _informer(self, kind: WorkKind, resource: Any, project: Callable[[Any], Any]) -> Informer[Any]:
        def view(raw: Any) -> Any:
            self.store.note_labels(raw["metadata"])
            return project(raw)

        return Informer(
            self._client,
            resource,
            project=view,
            on_change=lambda key, old, new: self._changed(kind, key, old, new),
            label_selector=selector_of(self.holdings.groups),
            observer=self.metrics,
        )

    def _replicas(self, session: aiohttp.ClientSession, namespace: str, name: str) -> Replicas:
        duties = RunDuties(
            self.informers.values(),
            self.store,
            self.controller,
            self.errands,
            self.actions,
            self.templates,
            self.queue.add,
            self.metrics.groups_taken_over,
            self.holdings.group_of,
        )
        # By a client of its own: what it has to say must not wait for a slot, nor for as long as others may.
        slots = Slots(2 * GROUPS, least=2 * GROUPS, start=2 * GROUPS)
        client = ApiClient(
            session, observer=self.metrics, request_timeout=LEASE_SECONDS / 3, max_retries=0, slots=slots
        )
        return Replicas(client, namespace, name, self.holdings, duties, self.metrics)

    def _client_of_logs(self, session: aiohttp.ClientSession) -> ApiClient:
        slots = Slots(LOGS_AT_ONCE, least=LOGS_AT_ONCE, start=LOGS_AT_ONCE)
        return ApiClient(session, observer=self.metrics, max_retries=0, slots=slots)

    def _keepers(
        self, session: aiohttp.ClientSession, archive: ArchiveStore | None, options: OperatorOptions
    ) -> tuple[Archiver | None, LogKeeper | None]:
        """Return what keeps runs that have ended, and logs."""
        if archive is None:
            return None, None
        health, logs = ArchiveHealth(), None
        archiver = Archiver(self._client, self.store, archive, health, self.queue.add, self.metrics, self.metrics)
        if options.keep_logs:
            logs = LogKeeper(
                self._client_of_logs(session),
                archive,
                health,
                self.metrics,
                self.metrics,
                limit_bytes=options.kept_log_bytes,
                holds=self.holdings.holds,
            )
        self.metrics.archive_health(health.failing_seconds, lambda: 0 if logs is None else len(logs))
        return archiver, logs

    def _limits_changed(self, namespace: str) -> None:
        self.history.look_at(namespace)

    def _changed(self, kind: WorkKind, key: ObjectKey, old: Any, new: Any) -> None:
        if self.logs is not None:
            self.logs.changed(kind, key, old, new)
        self.gatherer.changed(kind, key, old, new)
        self.retention.changed(kind, key, new)

    def _observe_caches(self) -> None:
        for plural, informer in self.caches.items():
            self.metrics.watch_cache(plural, informer.staleness, informer.__len__)
        self.metrics.groups_held(lambda: len(self.holdings.groups) if self.holdings.count else 0)
        for name, queue in self.queues().items():
            self.metrics.queue_depth(name, queue.__len__)

    def queues(self) -> dict[str, WorkQueue]:
        """Return all lines of work by name."""
        return {
            "workflow": self.queue,
            "resource": self.resources.queue,
            "template": self.templates.queue,
            "condition": self.conditions.queue,
            **({} if self.archiver is None else {"archive": self.archiver.queue}),
            **({} if self.logs is None else {"logs": self.logs.queue}),
        }

    def live_checks(self) -> dict[str, Callable[[], str]]:
        """Return what has to go on for the process to be worth keeping: each tells what is wrong, or ""."""

        def loop_of(informer: Informer[Any]) -> Callable[[], str]:
            return lambda: _too_long(informer.idle(), _HUNG_SECONDS, "the watch loop has not come round")

        def sweep() -> str:
            since = asyncio.get_running_loop().time() - self._swept_at if self._swept_at else 0.0
            return _too_long(since, _HUNG_SECONDS + _SWEEP_SECONDS, "the sweep has not come round")

        return {f"{plural}-loop": loop_of(each) for plural, each in self.caches.items()} | {
            "sweep": sweep,
            "replicas": lambda: self._replicas_hang(_HUNG_SECONDS),
        }

    def _lease_problem(self) -> str:
        """Return why this replica acts for nobody; a renewal that fails now and then is no reason yet."""
        return "" if self.replicas is None or self.holdings.count else self.replicas.problem

    def _replicas_hang(self, limit: float) -> str:
        if self.replicas is None or self.waiting_for:
            return ""
        return _too_long(self.replicas.idle(), limit, "the lease has not been seen to")

    def ready_checks(self) -> dict[str, Callable[[], str]]:
        """Return what has to hold for the operator to do its work; likewise."""

        def heard(informer: Informer[Any]) -> Callable[[], str]:
            return lambda: (
                informer.last_error
                or _too_long(informer.staleness(), _DEAF_SECONDS, "nothing heard from the API server")
            )

        return {f"{plural}-watch": heard(each) for plural, each in self.caches.items()} | {
            "start": lambda: self.waiting_for,
            "workflows": lambda: self._sweep_problem,
            "replicas": lambda: self._lease_problem() or self._replicas_hang(_UNSEEN_SECONDS),
        }


def _certificate(options: OperatorOptions) -> ServingCertificate | None:
    if options.webhook_cert is None or options.webhook_key is None:
        return None
    return ServingCertificate(options.webhook_cert, options.webhook_key)


def _too_long(seconds: float, limit: float, what: str) -> str:
    return f"{what} for {seconds:.0f} s" if seconds > limit else ""
