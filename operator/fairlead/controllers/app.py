"""The process around the operator: kopf, signals, probes and the way it ends. The only file that imports kopf.

One loop, one process. kopf watches the Workflows and does nothing but put them in line; everything else the operator
follows itself (`runtime.py`), and the Workflows, too, where it serves some namespaces by name (`namespaces.py` says
why). It starts before kopf and ends after it, and the signals are ours: kopf would take seconds to end, and cancels
whatever was started after it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import Any

import uvloop

from fairlead import __version__
from fairlead.archive.objects import open_archive
from fairlead.archive.store import ArchiveError
from fairlead.kube.credentials import Credentials, CredentialsError, load_credentials, open_session
from fairlead.kube.lean_imports import absent
from fairlead.kube.resources import WORKFLOWS
from fairlead.kube.session import Session
from fairlead.telemetry.logs import configure

from . import heap
from .certificate import CertificateFiles
from .metrics_server import MetricsServer
from .moderation import Moderation
from .options import OperatorOptions
from .probes import ProbeServer
from .runtime import Operator
from .vitals import live_checks, ready_checks

with absent("kubernetes"):
    import kopf

__all__ = ["run"]

log = logging.getLogger("fairlead")


def run(options: OperatorOptions) -> int:
    """Run the operator until SIGTERM or SIGINT. Returns the exit code of the process."""
    configure(format_=options.log_format, level=options.log_level)
    # kopf tells at INFO what it does with every single object.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    heap.look_for_garbage_less_often()
    heap.share_one_heap()
    try:
        return uvloop.run(_serve(options))
    except ArchiveError as error:
        log.error("--archive: %s", error)
        return 2
    except CredentialsError as error:
        log.error("%s", error)
        return 3
    except KeyboardInterrupt:
        return 130


async def _serve(options: OperatorOptions) -> int:
    credentials = await load_credentials(
        kubeconfig=options.kubeconfig, context=options.context, strict_x509=options.strict_x509
    )
    return await _Process(credentials, options).serve()


class _Process:
    """One operator and its shell."""

    def __init__(self, credentials: Credentials, options: OperatorOptions) -> None:
        self._credentials = credentials
        self._options = options
        self._stop = asyncio.Event()
        self._kopf_ready = asyncio.Event()
        self._session = Session(credentials)
        archive = None if options.archive is None else open_archive(options.archive)
        moderation = Moderation(time.sleep)  # noqa: TID251  (to hold up the loop is what it is for)
        self._operator = Operator(self._session, options, archive=archive, moderation=moderation)

    async def serve(self) -> int:
        """Serve until told to stop. Returns 0 after a clean end, 1 when a part ended by itself."""
        operator = self._operator
        apart = self._options.metrics_port is not None
        shown = None if apart else operator.metrics
        probes = ProbeServer(shown, live=live_checks(operator), ready=ready_checks(operator))
        port = await probes.start(self._options.listen, self._options.port)
        what = "probes" if apart else "probes and metrics"
        log.info("fairlead %s serves %s; %s on port %d", __version__, self._credentials.host, what, port)
        metrics = self._metrics_server()
        if self._options.metrics_port is not None:
            port = await metrics.start(self._options.listen, self._options.metrics_port)
            log.info("metrics on port %d", port)
        if self._options.webhook_port is not None:
            port = await operator.webhook.start(self._options.listen, self._options.webhook_port)
            log.info("new definitions are checked on port %d", port)
        self._take_signals()
        operator.begin()
        stop = asyncio.create_task(self._stop.wait())
        shell: asyncio.Task[None] | None = None
        try:
            ready = asyncio.create_task(operator.become_ready())
            await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                ready.result()
                if operator.namespaces is None:
                    shell = self._start_kopf()
                    shell_ready = asyncio.create_task(self._kopf_ready.wait())
                    await asyncio.wait({shell_ready, shell, stop}, return_when=asyncio.FIRST_COMPLETED)
                    self._take_signals()  # kopf has put its own handlers in their place
                operator.work()
                shells = () if shell is None else (shell,)
                done, _ = await asyncio.wait({stop, *shells, *operator.tasks}, return_when=asyncio.FIRST_COMPLETED)
                _tell_why(done - {stop})
            else:
                ready.cancel()
            clean = stop.done()
            await operator.shut_down()
            if shell is not None:
                shell.cancel()
                await asyncio.wait({shell}, timeout=1)
            await operator.close()
        finally:
            stop.cancel()
            await operator.webhook.close()
            await probes.close()
            await metrics.close()
            await self._session.close()
        return 0 if clean else 1

    def _metrics_server(self) -> MetricsServer:
        options, context = self._options, None
        if options.metrics_cert is not None and options.metrics_key is not None:
            context = CertificateFiles(options.metrics_cert, options.metrics_key).context
        return MetricsServer(self._operator.metrics, context, self._operator.callers if options.metrics_auth else None)

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

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
            body: Any = event["object"]
            self._operator.workflow_event(event.get("type"), dict(body))
            # kopf holds on to it until the next event, and needs no more of it than the metadata: what ten thousand
            # tasks say would be there twice.
            body.pop("spec", None)
            body.pop("status", None)

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


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing: with kopf's own storage, one event of a 1,000-task Workflow costs 17.7 ms instead of 0.19."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def build(self, **_: Any) -> Any:
        return None


def _tell_why(ended: set[asyncio.Task[Any]]) -> None:
    for task in ended:
        if not task.cancelled():
            why = _reason(task.exception())
            log.error("%s ended by itself (%s): exiting, to be started again", task.get_name(), why)


def _reason(error: BaseException | None) -> str:
    """Return what has gone wrong; of several things at once, each."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_reason, error.exceptions))
    return "no error" if error is None else f"{type(error).__name__}: {error}"
