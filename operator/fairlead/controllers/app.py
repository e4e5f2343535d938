"""The wiring of the operator, and the only file that imports kopf.

One loop, one process. kopf watches the Workflows and does nothing but put them in line; pods and Jobs come through our
own informers. Our runtime starts before kopf and ends after it, and the signals are ours: kopf would take seconds to
end, and cancels whatever was started after it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import kopf

from fairlead import __version__
from fairlead.api import labels
from fairlead.egress.addresses import Addresses
from fairlead.egress.connections import Connections
from fairlead.egress.sender import Sender
from fairlead.engine.model import WorkKind
from fairlead.expr.cel import CelEvaluator
from fairlead.kube.credentials import Credentials, CredentialsError, load_credentials, open_session
from fairlead.kube.discovery import Discovery
from fairlead.kube.errors import ApiError
from fairlead.kube.events import EventRecorder
from fairlead.kube.informer import Informer
from fairlead.kube.resources import JOBS, PODS, WORKFLOWS, ObjectKey
from fairlead.kube.transport import ApiClient
from fairlead.telemetry.logs import configure
from fairlead.telemetry.metrics import Metrics

from .actions import Actions
from .apply import Applier
from .caches import Cache
from .carrier import Carrier
from .certificate import ServingCertificate
from .cleanup import Cleaner
from .concurrency import Concurrency
from .condition import Conditions
from .definitions import Definitions
from .errands import Errands
from .gather import Gatherer
from .http_task import HttpTasks
from .options import OperatorOptions
from .probes import ProbeServer
from .queue import WorkQueue
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

__all__ = ["Operator", "run"]

log = logging.getLogger("fairlead")

_SWEEP_SECONDS = 60.0
_SETTLE_SECONDS = 10.0
_DRAIN_SECONDS = 5.0
#: A loop of ours that has not come round for so long hangs.
_HUNG_SECONDS = 150.0
#: A watch that has not been heard for so long is deaf.
_DEAF_SECONDS = 120.0


def run(options: OperatorOptions) -> int:
    """Run the operator until SIGTERM or SIGINT. Returns the exit code of the process."""
    configure(format_=options.log_format, level=options.log_level)
    # kopf tells at INFO what it does with every single object.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        return asyncio.run(_serve(options))
    except CredentialsError as error:
        log.error("%s", error)
        return 3
    except KeyboardInterrupt:
        return 130


async def _serve(options: OperatorOptions) -> int:
    credentials = await load_credentials(
        kubeconfig=options.kubeconfig, context=options.context, strict_x509=options.strict_x509
    )
    operator = Operator(credentials, options)
    return await operator.serve()


class Operator:
    """Everything that one process runs."""

    def __init__(self, credentials: Credentials, options: OperatorOptions) -> None:
        self._credentials = credentials
        self._options = options
        self._stop = asyncio.Event()
        self._kopf_ready = asyncio.Event()
        self._swept_at = 0.0
        self._sweep_problem = ""
        self._waiting_for = "starting"
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics = Metrics()
        self._session = open_session(credentials)
        client = ApiClient(self._session, observer=self.metrics, max_in_flight=options.max_in_flight)
        self._client = client
        self.store = WorkflowStore()
        self.queue = WorkQueue("workflow", self._reconcile, self.metrics)
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
        )
        caches: dict[WorkKind, Cache] = {**self.informers, WorkKind.WORKFLOW: self.subworkflows.children}
        self.gatherer = Gatherer(client, caches, self.queue.add)
        discovery = Discovery(client)
        self.resources = ResourceCarrier(client, discovery, self.queue.add, self.metrics)
        carriers: dict[WorkKind, Carrier] = {
            WorkKind.RESOURCE: self.resources,
            WorkKind.WORKFLOW: self.subworkflows,
        }
        self.conditions = Conditions(client, discovery, self.metrics)
        requests = HttpTasks(client, Sender(Connections(Addresses(options.http_allow_private))))
        self.errands = Errands({WorkKind.WAIT: self.conditions, WorkKind.HTTP: requests}, self.queue.add)
        self.applier = Applier(
            client,
            self.store,
            caches,
            carriers,
            self.errands,
            self.recorder,
            self.queue.add,
            self.metrics.hop_took,
        )
        self.writer = StatusWriter(
            client, self.store, self.queue.add, self._lost, self.metrics.status_written, self.applier.record
        )
        self.cleaner = Cleaner(client, self.store, self.gatherer, self.applier, self.writer, self.queue.add)
        self.actions = Actions(client, self.store, self.queue.add, self.metrics.action_answered, self.metrics)
        evaluator = CelEvaluator()
        definitions = Definitions(client, self.queue.add)
        self.webhook = WebhookServer(client, evaluator, self.metrics, _certificate(options))
        self.templates = Templates(client, evaluator, definitions.appeared, self.metrics, self.metrics)
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
            concurrency=Concurrency(self.store, self._active, self.queue.add),
            metrics=self.metrics,
        )
        self.retention = Retention(
            client,
            self.store,
            self.informers,
            self._active,
            workers=max(1, options.max_in_flight // 2),
        )
        #: Everything that is watched by ourselves, by the name of the resource.
        self.caches: dict[str, Informer[Any]] = {
            **{f"{kind.value.lower()}s": informer for kind, informer in self.informers.items()},
            "workflowactions": self.actions.informer,
            "workflowtemplates": self.templates.informer,
        }

    async def serve(self) -> int:
        """Serve until told to stop. Returns 0 after a clean end, 1 when a part ended by itself."""
        probes = ProbeServer(self.metrics, live=self._live_checks(), ready=self._ready_checks())
        port = await probes.start(self._options.listen, self._options.port)
        log.info("fairlead %s serves %s; probes and metrics on port %d", __version__, self._credentials.host, port)
        if self._options.webhook_port is not None:
            port = await self.webhook.start(self._options.listen, self._options.webhook_port)
            log.info("new definitions are checked on port %d", port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._observe_caches()
        for informer in self.caches.values():
            self._background(informer.run())
        self._background(self.recorder.run())
        stop = asyncio.create_task(self._stop.wait())
        shell: asyncio.Task[None] | None = None
        try:
            ready = asyncio.create_task(self._become_ready())
            await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                ready.result()
                shell = self._start_kopf()
                shell_ready = asyncio.create_task(self._kopf_ready.wait())
                await asyncio.wait({shell_ready, shell, stop}, return_when=asyncio.FIRST_COMPLETED)
                for number in (signal.SIGTERM, signal.SIGINT):  # kopf has put its own in their place
                    loop.add_signal_handler(number, self._stop.set)
                self._waiting_for = ""
                self._background(self.queue.run())
                self._background(self.resources.queue.run())
                self._background(self.templates.queue.run())
                self._background(self.conditions.queue.run())
                self._background(self._sweep_for_ever())
                self._background(self.retention.run())
                log.info("ready")
                done, _ = await asyncio.wait({shell, stop, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                _tell_why(done - {stop})
            else:
                ready.cancel()
            clean = stop.done()
            await self._shut_down(shell)
        finally:
            stop.cancel()
            await self.webhook.close()
            await probes.close()
            await self._session.close()
        return 0 if clean else 1

    async def _become_ready(self) -> None:
        """Wait until our kinds are served and the caches are filled, saying what is missing meanwhile."""
        while True:
            try:
                # By listing, not by discovery: without the right to it, kopf would end and take us along.
                await anext(self._client.list_pages(WORKFLOWS, limit=1, metadata_only=True))
                break
            except ApiError as error:
                if error.status == 404:
                    self._wait_for("the CustomResourceDefinitions are not installed: kubectl apply -f crds/")
                else:
                    self._wait_for(f"the Workflows cannot be read: {error}")
            await asyncio.sleep(1.0)
        for plural, informer in self.caches.items():
            while not informer.synced.is_set():
                self._wait_for(informer.last_error or f"reading all {plural}")
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await informer.synced.wait()

    def _wait_for(self, what: str) -> None:
        if what != self._waiting_for:
            log.warning("waiting: %s", what)
        self._waiting_for = what

    def _start_kopf(self) -> asyncio.Task[None]:
        registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
        settings.scanning.disabled = True
        settings.peering.standalone = True
        settings.posting.enabled = False
        settings.posting.loggers = False
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = 310
        settings.watching.connect_timeout = 10
        settings.networking.request_timeout = 30
        settings.networking.error_backoffs = [0.5, 1, 2, 2, 3]
        settings.persistence.diffbase_storage = _NoDiffBase()
        settings.process.ultimate_exiting_timeout = None

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            # A session of its own each time: kopf closes what it is given.
            return kopf.AiohttpSession(server=self._credentials.host, aiohttp_session=open_session(self._credentials))

        @kopf.on.event(WORKFLOWS.group, WORKFLOWS.version, WORKFLOWS.plural, registry=registry)
        async def workflow(event: kopf.RawEvent, **_: Any) -> None:
            self.workflow_event(event.get("type"), dict(event["object"]))

        return asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=settings,
                clusterwide=True,
                standalone=True,
                # Else kopf asks the system for its user's name, which a numeric user in a container has not.
                # It is a string; kopf does not export the name that it gives to that type.
                identity="fairlead",  # type: ignore[arg-type]
                ready_flag=self._kopf_ready,
            ),
            name="kopf",
        )

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

    async def _reconcile(self, uid: str) -> float | None:
        return await self.controller.reconcile(uid)

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
            for workflow in self.store:
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

    async def _shut_down(self, shell: asyncio.Task[None] | None) -> None:
        log.info("stopping: no new tasks are started, the status is written")
        self._waiting_for = "stopping"
        with suppress(TimeoutError):
            await self.controller.settle(_SETTLE_SECONDS)
        with suppress(TimeoutError):
            await self.controller.drain(_DRAIN_SECONDS)
        self.queue.close()
        self.resources.queue.close()
        self.templates.queue.close()
        self.subworkflows.close()
        await self.actions.close(_DRAIN_SECONDS / 2)
        await self.errands.close()
        if shell is not None:
            shell.cancel()
            await asyncio.wait({shell}, timeout=1)
        await self.recorder.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    def _informer(self, kind: WorkKind, resource: Any, project: Callable[[Any], Any]) -> Informer[Any]:
        return Informer(
            self._client,
            resource,
            project=project,
            on_change=lambda key, old, new: self._changed(kind, key, old, new),
            label_selector=labels.RUN_UID,
            observer=self.metrics,
        )

    def _changed(self, kind: WorkKind, key: ObjectKey, old: Any, new: Any) -> None:
        self.gatherer.changed(kind, key, old, new)
        self.retention.changed(kind, key, new)

    def _observe_caches(self) -> None:
        for plural, informer in self.caches.items():
            self.metrics.watch_cache(plural, informer.staleness, informer.__len__)
        queues = {
            "workflow": self.queue,
            "resource": self.resources.queue,
            "condition": self.conditions.queue,
            "template": self.templates.queue,
        }
        for name, queue in queues.items():
            self.metrics.queue_depth(name, queue.__len__)

    def _live_checks(self) -> dict[str, Callable[[], str]]:
        def loop_of(informer: Informer[Any]) -> Callable[[], str]:
            return lambda: _too_long(informer.idle(), _HUNG_SECONDS, "the watch loop has not come round")

        def sweep() -> str:
            since = asyncio.get_running_loop().time() - self._swept_at if self._swept_at else 0.0
            return _too_long(since, _HUNG_SECONDS + _SWEEP_SECONDS, "the sweep has not come round")

        return {f"{plural}-loop": loop_of(each) for plural, each in self.caches.items()} | {"sweep": sweep}

    def _ready_checks(self) -> dict[str, Callable[[], str]]:
        def heard(informer: Informer[Any]) -> Callable[[], str]:
            return lambda: (
                informer.last_error
                or _too_long(informer.staleness(), _DEAF_SECONDS, "nothing heard from the API server")
            )

        return {f"{plural}-watch": heard(each) for plural, each in self.caches.items()} | {
            "start": lambda: self._waiting_for,
            "workflows": lambda: self._sweep_problem,
        }


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: with kopf's own storage, one event of a 1,000-task Workflow costs 17.7 ms instead of 0.19."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def build(self, **_: Any) -> Any:
        return {}


def _certificate(options: OperatorOptions) -> ServingCertificate | None:
    if options.webhook_cert is None or options.webhook_key is None:
        return None
    return ServingCertificate(options.webhook_cert, options.webhook_key)


def _too_long(seconds: float, limit: float, what: str) -> str:
    return f"{what} for {seconds:.0f} s" if seconds > limit else ""


def _tell_why(ended: set[asyncio.Task[Any]]) -> None:
    for task in ended:
        if not task.cancelled():
            log.error(
                "%s ended by itself (%s): exiting, to be started again", task.get_name(), task.exception() or "no error"
            )
