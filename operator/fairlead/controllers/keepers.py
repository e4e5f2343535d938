"""What keeps something of runs and attempts that have ended: made as the options say."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.archive.store import ArchiveStore
from fairlead.kube.transport import ApiClient
from fairlead.telemetry.metrics import Metrics

from .archiver import ArchiveHealth, Archiver
from .buckets import Holds
from .log_keeper import LogKeeper
from .options import OperatorOptions
from .store import WorkflowStore

__all__ = ["keepers"]


def keepers(
    client: ApiClient,
    store: WorkflowStore,
    archive: ArchiveStore | None,
    options: OperatorOptions,
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
        logs = LogKeeper(client, archive, health, metrics, metrics, limit_bytes=options.kept_log_bytes, holds=holds)
    metrics.ask("fairlead_archive_failing_seconds", lambda: {(): health.failing_seconds()})
    metrics.ask("fairlead_archive_logs_waiting", lambda: {(): 0 if logs is None else len(logs)})
    return archiver, logs
