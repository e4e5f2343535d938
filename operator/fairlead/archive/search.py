"""Finding runs in an archive by the names of their records, which need not be read for that."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import date

from .record import RunKey
from .store import ArchiveStore

__all__ = ["archived_runs", "latest_run"]


async def archived_runs(
    store: ArchiveStore, *, namespace: str = "", name: str = "", since: date | None = None
) -> AsyncGenerator[RunKey, None]:
    """Iterate over the ends of runs, of each namespace from the latest day to the earliest. Raises `ArchiveError`."""
    namespaces = [namespace] if namespace else await store.folders(RunKey.folder())
    for each in namespaces:
        for day in reversed(await store.folders(RunKey.folder(each))):
            if since is not None and day < since.isoformat():
                break
            found = [
                key
                async for stored in store.walk(RunKey.folder(each, day, name))
                if (key := RunKey.read(stored.path)) is not None
            ]
            for key in sorted(found, key=lambda key: (key.finished_at, key.name, key.epoch), reverse=True):
                yield key


async def latest_run(store: ArchiveStore, name: str, *, namespace: str = "", uid: str = "") -> RunKey | None:
    """Return the latest end of a run of that name; None where there is none. Raises `ArchiveError`."""
    latest: RunKey | None = None
    async for key in archived_runs(store, namespace=namespace, name=name):
        if latest is not None and (key.namespace == latest.namespace and key.finished_at < latest.finished_at):
            continue
        if (not uid or key.uid == uid) and (latest is None or key.finished_at > latest.finished_at):
            latest = key
            if namespace:
                break  # days come latest first
    return latest
