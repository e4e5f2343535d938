"""Taking our finalizer, and no other, off everything in some namespaces that has it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fairlead.api import labels
from fairlead.cli.cluster import connect
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.terminal import data
from fairlead.kube.errors import ApiError, Forbidden, NotFound
from fairlead.kube.finalizers import release_finalizer
from fairlead.kube.resources import JOBS, LEASES, PODS, TASKSTATUSSHARDS, ObjectKey, Resource
from fairlead.kube.scope import Scope
from fairlead.kube.transport import ApiClient

__all__ = ["Release", "delete_leases", "release_everything", "release_once"]

#: With a label by which the server picks ours out of what may be a great many, where they have one for sure.
_HELD = ((PODS, labels.RUN_UID), (JOBS, labels.RUN_UID), (TASKSTATUSSHARDS, None))
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What was asked for on the command line; see `release.py`. No namespaces means all."""

    namespaces: tuple[str, ...] = ()
    quiet_seconds: int = 0
    lease_namespace: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None


def release_everything(wanted: Release) -> int:
    """Release until nothing is found, for so long. Returns the exit code. Raises :class:`CliError`."""
    return asyncio.run(_release(wanted))


async def _release(wanted: Release) -> int:
    async with connect(wanted.kubeconfig, wanted.context, None) as cluster:
        try:
            released = await _release_until_quiet(cluster.client, wanted)
            if wanted.lease_namespace is not None:
                await delete_leases(cluster.client, wanted.lease_namespace)
        except Forbidden as error:
            raise CliError(f"not allowed: {error.message}", ExitCode.FAILED) from error
        except ApiError as error:
            raise CliError(f"{cluster.host}: {error}", ExitCode.UNREACHABLE) from error
        data().print(f"released {released} objects")
    return ExitCode.OK


async def _release_until_quiet(client: ApiClient, wanted: Release) -> int:
    clock = asyncio.get_running_loop().time
    released, quiet_until = 0, clock() + wanted.quiet_seconds
    while True:
        found = await release_once(client, wanted.namespaces)
        released += found
        if found:
            quiet_until = clock() + wanted.quiet_seconds
        elif clock() >= quiet_until:
            return released
        await asyncio.sleep(_LOOK_SECONDS if wanted.quiet_seconds else 0)


async def delete_leases(client: ApiClient, namespace: str) -> None:
    """Delete the Leases of replicas, all of which have ended. Raises `ApiError`."""
    async for page in client.list_pages(LEASES, namespace, label_selector=labels.LEASE, metadata_only=True):
        for meta in (item["metadata"] for item in page.items):
            with suppress(NotFound):
                await client.delete(LEASES, meta["name"], namespace, uid=meta["uid"])


async def release_once(client: ApiClient, namespaces: tuple[str, ...]) -> int:
    """Release all that is held now; returns how many there were. Raises `ApiError`."""
    count = 0
    for namespace in Scope(namespaces).parts:
        for resource, label in _HELD:
            for key, uid in await _held(client, resource, namespace, label):
                try:
                    await release_finalizer(client, resource, key, uid=uid, finalizer=labels.FINALIZER)
                except NotFound:
                    continue
                count += 1
    return count


async def _held(
    client: ApiClient, resource: Resource, namespace: str | None, label: str | None
) -> list[tuple[ObjectKey, str]]:
    found = []
    try:
        async for page in client.list_pages(resource, namespace, label_selector=label, metadata_only=True):
            found += [
                (ObjectKey(meta["namespace"], meta["name"]), meta["uid"])
                for meta in (item["metadata"] for item in page.items)
                if labels.FINALIZER in meta.get("finalizers", ())
            ]
    except NotFound:
        return []  # our kinds have been removed, and with them all objects
    return found
