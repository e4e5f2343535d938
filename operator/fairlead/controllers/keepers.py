"""What keeps something of runs and attempts that have ended: made as the options say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fairlead.archive.store import ArchiveStore
from fairlead.engine.model import WorkKind
from fairlead.kube.scope import Following
from fairlead.kube.session import Http
from fairlead.kube.slots import Slots
from fairlead.kube.transport import ApiClient
from fairlead.telemetry.metrics import Metrics

from .archiver import ArchiveHealth, Archiver
from .buckets import Holds
from .log_keeper import LOGS_AT_ONCE, LogKeeper
from .options import OperatorOptions
from .store import WorkflowStore

__all__ = ["keepers"]


def keepers(
    session: Http,
    client: ApiClient,
    store: WorkflowStore,
    archive: ArchiveStore | None,
    options: OperatorOptions,
    informers: Mapping[WorkKind, Following[Any]],
    notify: Callable[[str], None],
    metrics: Metrics,
    holds: Holds,
) -> tuple[Archiver | None, LogKeeper | None]:
    """Return what keeps runs, and what keeps logs; None for what is not kept."""
    if archive is None:
        return None, None
    health, logs = ArchiveHealth(), None
    archiver = Archiver(client, store, archive, health, notify, metrics, metrics)
    if options.keep_logs:
        # By a client of its own: a node that is slow to give logs must not take the places of other requests.
        slots = Slots(LOGS_AT_ONCE, least=LOGS_AT_ONCE, start=LOGS_AT_ONCE)
        of_logs = ApiClient(session, observer=metrics, max_retries=0, slots=slots)
        most = options.kept_log_bytes
        logs = LogKeeper(of_logs, archive, health, informers, metrics, metrics, limit_bytes=most, holds=holds)
    metrics.ask("fairlead_archive_failing_seconds", lambda: {(): health.failing_seconds()})
    metrics.ask("fairlead_archive_logs_waiting", lambda: {(): 0 if logs is None else len(logs)})
    return archiver, logs
