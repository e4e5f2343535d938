"""The operator without its shell: the parts of one process, how they are wired, and how they begin and end.

It is told of Workflows by `workflow_event`, and follows everything else itself, through the one session that it is
given. kopf, signals and probes are `app.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any

from fairlead.archive.store import ArchiveStore
from fairlead.egress.addresses import Addresses, Network
from fairlead.egress.connections import Connections
from fairlead.egress.sender import Sender
from fairlead.engine.model import WorkKind
from fairlead.expr.cel import CelEvaluator
from fairlead.kube.discovery import Discovery
from fairlead.kube.errors import ApiError
from fairlead.kube.events import EventRecorder
from fairlead.kube.informer import Informer
from fairlead.kube.informers import Informers
from fairlead.kube.resources import EVENTS, JOBS, PODS, SECRETS, VALIDATING_WEBHOOKS, WORKFLOWS, ObjectKey
from fairlead.kube.scope import Following, Scope
from fairlead.kube.session import Http
from fairlead.kube.slots import Slots
from fairlead.kube.transport import ApiClient
from fairlead.line import Turn
from fairlead.telemetry.metrics import Metrics
from fairlead.telemetry.traces import SpanSink

from .actions import Actions
from .apply import Applier
from .buckets import GROUPS, Holdings, selector_of
from .caches import Cache
from .callers import Callers
from .carrier import Carrier
from .census import Census
from .certificate import serving_certificate
from .certificate_keeper import CertificateKeeper
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
from .keepers import keepers
from .membership import LEASE_SECONDS
from .moderation import Moderation
from .namespaces import WatchedNamespaces
from .options import OperatorOptions
from .queue import WorkQueue
from .replicas import Replicas
from .resource_task import ResourceCarrier
from .retention import Retention
from .run import Run
from .store import WorkflowStore
from .subworkflow import SubworkflowCarrier
from .sweep import Sweep
from .templates import Templates
from .tracing import Tracing
from .views import job_view, pod_view
from .vitals import tell_metrics
from .webhook import WebhookServer
from .workflow import WorkflowController
from .writer import StatusWriter

__all__ = ["Operator"]

log = logging.getLogger("fairlead")

#: What every replica may write at any time: nothing of it is about a run.
_FREE = frozenset({EVENTS.plural, SECRETS.plural, VALIDATING_WEBHOOKS.plural})

_SETTLE_SECONDS, _DRAIN_SECONDS, _TRACES_SECONDS = 10.0, 5.0, 2.0


class Operator:
    """The parts, and what connects them.

    Args:
        session: with the API server; it stays the caller's to close.
        options: of the process.
        spans: takes traces of runs; by default the receiver that the options name.
        archive: where what is left of runs goes, None for nowhere.
        moderation: lets the loop sleep between bunches of news, None for never.

    Attributes:
        tasks: what runs for ever; one that ends by itself means that the process had better end.
        waiting_for: what is missing, or "".
    """

    def __init__(
        self,
        session: Http,
        options: OperatorOptions,
        spans: SpanSink | None = None,
        archive: ArchiveStore | None = None,
        moderation: Moderation | None = None,
    ) -> None:
        self._moderation = moderation
        self.waiting_for = "starting"
        self.tasks: list[asyncio.Task[None]] = []
        self.metrics = Metrics()
        client = ApiClient(session, observer=self.metrics, max_in_flight=options.max_in_flight, fence=self._fence)
        self.client = client
        self.callers = Callers(client)
        self.scope = Scope(options.watch_namespaces)
        self.store = WorkflowStore()
        self.holdings = Holdings(asyncio.get_running_loop().time, self.store.bucket_of)
        if options.lease_namespace is None:
            self.holdings.hold_everything()
        holds = self.holdings.holds
        self.queue = WorkQueue("workflow", self._reconcile, self.metrics, turn=self._turn, about=self._about)
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
        self.gatherer = Gatherer(client, caches, self.queue.add, self.queue.add_within, self.queue.add_eventually)
        discovery = Discovery(client)
        self.resources = ResourceCarrier(client, discovery, self.queue.add, self.metrics)
        carriers: dict[WorkKind, Carrier] = {
            WorkKind.RESOURCE: self.resources,
            WorkKind.WORKFLOW: self.subworkflows,
        }
        self.conditions = Conditions(client, discovery, self.metrics)
        requests = HttpTasks(
            client,
            _sender(options.http_allow_private),
            senders={
                namespace: _sender((*options.http_allow_private, *networks))
                for namespace, networks in options.http_allow_private_in.items()
            },
            holds=holds,
        )
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
            self.queue.add_eventually,
            self.gatherer.doubt,
            self.metrics.hop_took,
            holds,
        )
        self.writer = StatusWriter(
            client, self.store, self.queue.add, self._lost, self.metrics.status_written, self.applier.record
        )
        if spans is None and options.traces_endpoint is not None:
            spans = _sink(options.traces_endpoint, self.metrics)
        self.tracing = None if spans is None else Tracing(client, spans)
        self.actions = Actions(
            client, self.store, self.queue.add, self.metrics.action_answered, self.metrics, self.scope
        )
        evaluator = CelEvaluator()
        definitions = Definitions(client, self.queue.add)
        self.webhook = WebhookServer(client, evaluator, self.metrics, certificate := serving_certificate(options))
        self._certificate_keeper: CertificateKeeper | None = None
        if certificate is not None:
            self.metrics.ask(
                "fairlead_webhook_certificate_expiry_timestamp_seconds", lambda: {(): certificate.expiry()}
            )
            if options.webhook_keeping is not None:
                self._certificate_keeper = CertificateKeeper(client, options.webhook_keeping, certificate)
        self.templates = Templates(
            client,
            evaluator,
            definitions.appeared,
            self.metrics,
            self.metrics,
            holds,
            self.scope,
            lambda namespace: self.history.look_at(namespace),  # noqa: PLW0108  (it is made below)
        )
        self.history = History(self.store, options.history, self.templates.limits, self.queue.add)
        self.archiver, self.logs = keepers(
            session, client, self.store, archive, options, self.informers, self.queue.add, self.metrics, holds
        )
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
            client,
            self.store,
            self.gatherer,
            self.applier,
            self.writer,
            self.queue.add,
            expiry,
            holds,
            self.tracing,
            self.scope,
        )
        self.sweep = Sweep(self.cleaner.sweep, self.store.__len__)
        self.concurrency = Concurrency(self.store, self._active, self.queue.add, self.holdings.holds_key)
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
            concurrency=self.concurrency,
            metrics=self.metrics,
            holds=holds,
            traced=self.tracing is not None,
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
        self.duties = RunDuties(
            self.informers.values(),
            self.store,
            self.controller,
            self.concurrency,
            self.errands,
            self.actions,
            self.templates,
            self.logs,
            self.queue.add,
            self.metrics.groups_taken_over,
            self.holdings.group_of,
        )
        self.metrics.templates.most = options.template_metrics
        self.census = Census(self.store, lambda: self.controller.active, self.holdings)
        leases = options.lease_namespace
        self.replicas = None if leases is None else self._replicas(session, leases, options.replica)
        #: Everything that is watched by ourselves, by the name of the resource.
        self.caches: dict[str, Following[Any]] = {
            **{f"{kind.value.lower()}s": informer for kind, informer in self.informers.items()},
            "workflowactions": self.actions.informer,
            "workflowtemplates": self.templates.informer,
        }
        #: Of an operator that serves some namespaces by name; the Workflows of all of them are told of by the shell.
        self.namespaces: WatchedNamespaces | None = None
        if self.scope.namespaces:
            workflows = self.scope.informer(
                client, WORKFLOWS, project=self._take_in, on_change=self._workflow_changed, observer=self.metrics
            )
            assert isinstance(workflows, Informers)
            self.namespaces = WatchedNamespaces(workflows, self.caches)
            self.caches["workflows"] = workflows
        if self.replicas is not None:
            self.caches["leases"] = self.replicas.informer

    def begin(self) -> None:
        """Begin to follow the cluster; nothing is done about it yet."""
        tell_metrics(self)
        for plural, informer in self.caches.items():
            if self.namespaces is None or plural != "workflows":
                self._background(informer.run())
        if self.namespaces is not None:
            self._background(self.namespaces.run())
        self._background(self.recorder.run())
        if self._certificate_keeper is not None:
            self._background(self._certificate_keeper.run())

    async def become_ready(self) -> None:
        """Wait until our kinds are served and the caches are filled, saying what is missing meanwhile.

        Of several namespaces, one is enough, as long as no other may still come.
        """
        if self.namespaces is not None:
            while missing := self.namespaces.waits_for():
                self.wait_for(missing)
                await asyncio.sleep(0.2)
        else:
            await self._read_everything()
        if self.replicas is not None:
            await self._filled("leases", self.replicas.informer)

    async def _read_everything(self) -> None:
        while True:
            try:
                # By listing, not by discovery: without the right to it, kopf would end and take us along.
                await anext(self.client.list_pages(WORKFLOWS, limit=1, metadata_only=True))
                break
            except ApiError as error:
                if error.status == 404:
                    self.wait_for("the CustomResourceDefinitions are not installed: kubectl apply -f crds/")
                else:
                    self.wait_for(f"the Workflows cannot be read: {error}")
            await asyncio.sleep(1.0)
        for plural, informer in self.caches.items():
            if isinstance(informer, Informer):
                await self._filled(plural, informer)

    async def _filled(self, plural: str, informer: Informer[Any]) -> None:
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
        self._background(self.sweep.run())
        self._background(self.retention.run())
        if self.replicas is not None:
            self._background(self.replicas.run())
        log.info("ready")

    def workflow_event(self, type_: str | None, raw: dict[str, Any]) -> None:
        """Take in what the watch tells about one Workflow. `type_` is None for the initial listing."""
        uid = raw["metadata"]["uid"]
        ours = self.holdings.has(uid)
        if type_ == "DELETED":
            self.store.remove(uid)
        else:
            before = self.store.get(uid)
            if self.store.put(raw) is before:
                return  # our own write, come back
        # A run that was and is another replica's is not looked at: there is nothing to do, and nothing to forget.
        if ours or self.holdings.has(uid):
            self.queue.add(uid)

    def _take_in(self, raw: dict[str, Any]) -> str:
        """Take in a Workflow of a namespace that is followed by ourselves; nothing else of it is kept than its UID."""
        self.workflow_event("MODIFIED", raw)
        return str(raw["metadata"]["uid"])

    def _workflow_changed(self, _key: ObjectKey, old: str | None, new: str | None) -> None:
        if new is None:
            self.workflow_event("DELETED", {"metadata": {"uid": old}})

    def _fence(self, resource: str) -> Callable[[], None] | None:
        """Return what keeps back a write that is asked for now, if anything may: others may act by then."""
        return None if resource in _FREE or resource.endswith("reviews") else self.holdings.fence()

    async def _reconcile(self, uid: str) -> float | None:
        return await self.controller.reconcile(uid)

    def _turn(self, uid: str) -> Turn | None:
        """Return where a run stands in line that has not begun; one that has goes on before them.

        Also one that another process has begun: its next task waits for us.
        """
        workflow = self.store.get(uid)
        goes_on = workflow is None or uid in self.controller.active or workflow.is_under_way
        return None if workflow is None or goes_on else workflow.turn

    def _about(self, uid: str) -> Mapping[str, Any]:
        """Return what a log line says about a run."""
        workflow = self.store.get(uid)
        return {} if workflow is None else workflow.owner.fields()

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
            log.warning("cannot read the run again: %s; the sweep will", error, extra=run.owner.fields())
            return
        if gone:
            self.queue.add(run.uid)

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
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close, _TRACES_SECONDS)
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.append(task)
        task.add_done_callback(self.tasks.remove)

    def _informer(self, kind: WorkKind, resource: Any, project: Callable[[Any], Any]) -> Following[Any]:
        def view(raw: Any) -> Any:
            self.store.note_labels(raw["metadata"])
            return project(raw)

        return self.scope.informer(
            self.client,
            resource,
            project=view,
            on_change=lambda key, old, new: self._changed(kind, key, old, new),
            label_selector=selector_of(self.holdings.groups),
            observer=self.metrics,
        )

    def _replicas(self, session: Http, namespace: str, name: str) -> Replicas:
        # By a client of its own: what it has to say must not wait for a slot, nor for as long as others may.
        slots = Slots(2 * GROUPS, least=2 * GROUPS, start=2 * GROUPS)
        client = ApiClient(
            session, observer=self.metrics, request_timeout=LEASE_SECONDS / 3, max_retries=0, slots=slots
        )
        return Replicas(client, namespace, name, self.holdings, self.duties, self.metrics)

    def _changed(self, kind: WorkKind, key: ObjectKey, old: Any, new: Any) -> None:
        if self.logs is not None:
            self.logs.changed(kind, key, old, new)
        self.gatherer.changed(kind, key, old, new)
        self.retention.changed(kind, key, new)
        if self._moderation is not None:
            self._moderation.changed(kind, key, new)

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


def _sink(endpoint: str, metrics: Metrics) -> SpanSink:
    # Imported only where it is used: OpenTelemetry is an optional extra, and takes 170 ms and some megabytes.
    from fairlead.telemetry.otlp import OtlpSink

    return OtlpSink(endpoint, metrics.spans_told)


def _sender(private: Iterable[Network]) -> Sender:
    return Sender(Connections(Addresses(private)))
