"""Finding runs in an archive by the names of their records, which need not be read for that."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date

from .record import RunKey
from .store import ArchiveStore

__all__ = ["archived_runs", "latest_run", "namespaces_of"]


async def namespaces_of(store: ArchiveStore) -> list[str]:
    """Return the namespaces that have runs in an archive. Raises `ArchiveError`."""
    return await store.folders(RunKey.folder())


async def archived_runs(
    store: ArchiveStore, namespace: str, *, name: str = "", since: date | None = None
) -> AsyncGenerator[RunKey, None]:
    """Iterate over the ends of runs of a namespace, the latest first. Raises `ArchiveError`."""
    for day in reversed(await store.folders(RunKey.folder(namespace))):
        if since is not None and day < since.isoformat():
            return
        found = [
            key
            async for stored in store.walk(RunKey.folder(namespace, day, name))
            if (key := RunKey.read(stored.path)) is not None
        ]
        for key in sorted(found, key=lambda key: (key.finished_at, key.name, key.epoch), reverse=True):
            yield key


async def latest_run(store: ArchiveStore, name: str, *, namespace: str = "", uid: str = "") -> RunKey | None:
    """Return the latest end of a run of that name; None where there is none. Raises `ArchiveError`."""
    latest: list[RunKey] = []
    for each in [namespace] if namespace else await namespaces_of(store):
        async with aclosing(archived_runs(store, each, name=name)) as keys:
            async for key in keys:
                if not uid or key.uid == uid:
                    latest.append(key)
                    break
    return max(latest, key=lambda key: key.finished_at, default=None)
