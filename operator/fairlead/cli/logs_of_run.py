"""What `fairlead logs` does: find the attempts of a run, and for each its log, in its pod or in the archive."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead.api.problems import did_you_mean
from fairlead.archive.logs import LogKey, unpack_log
from fairlead.archive.record import unpack
from fairlead.archive.search import latest_run
from fairlead.archive.store import ArchiveError, ArchiveStore
from fairlead.cli.archived import opened, unavailable, whole
from fairlead.cli.cluster import Cluster, connect
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.terminal import say
from fairlead.engine.names import task_and_index

__all__ = ["Request", "print_logs"]

_Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line; see `logs.py`."""

    name: str
    task: str | None = None
    attempt: int | None = None
    failed: bool = False
    tail: int | None = None
    namespace: str | None = None
    archive: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt of a task. `object_name` is the pod, or the Job, that carried it."""

    task: str
    number: int
    object_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """What one pod has logged, and where that was found."""

    pod: str
    text: bytes
    where: str = ""


def print_logs(request: Request) -> int:
    """Print logs; returns the exit code. Raises :class:`CliError`."""
    try:
        return asyncio.run(_print(request))
    except ArchiveError as error:
        raise unavailable(error) from error


async def _print(request: Request) -> int:
    store = opened(request.archive) if request.archive else None
    async with _run(request, store) as (cluster, workflow):
        attempts = _attempts(request, workflow)
        printed = 0
        for attempt in attempts:
            found = await _logs(request, workflow, attempt, cluster, store)
            if not found:
                said = f"{attempt.task}, attempt {attempt.number}: its pod {attempt.object_name} is gone or has not run"
                say().print(said + ("" if store is None else ", and no log of it was kept"))
            for log in found:
                printed += 1
                _write(attempt, log, titled=len(attempts) > 1 or len(found) > 1)
    if attempts and not printed and store is None:
        say().print("where the operator keeps logs, --archive URL finds those of pods that are gone")
    return ExitCode.OK if printed or not attempts else ExitCode.FAILED


@asynccontextmanager
async def _run(request: Request, store: ArchiveStore | None) -> AsyncIterator[tuple[Cluster | None, _Object]]:
    """Yield a run: from the cluster, or as it is in the archive, then without a cluster to ask for its pods."""
    cluster: Cluster | None = None
    found: _Object
    namespace = request.namespace or ""
    async with AsyncExitStack() as connection:
        try:
            connected = connect(request.kubeconfig, request.context, request.namespace)
            cluster = await connection.enter_async_context(connected)
            namespace = request.namespace or cluster.namespace
            found = await cluster.read(request.name)
        except CliError as error:
            if cluster is None and error.code is not ExitCode.UNREACHABLE:
                raise
            archived = await _archived(request, store, namespace)
            if archived is None:
                raise error from None
            cluster, found = None, archived
        yield cluster, found


async def _archived(request: Request, store: ArchiveStore | None, namespace: str) -> _Object | None:
    if store is None:
        return None
    key = await latest_run(store, request.name, namespace=namespace)
    return None if key is None else whole(unpack(await store.get(key.path)))


def _attempts(request: Request, workflow: _Object) -> list[_Attempt]:
    """Return the attempts that were asked for, in the order of their tasks. Raises :class:`CliError`."""
    entries = (workflow.get("status") or {}).get("tasks") or ()
    names = [entry["name"] for entry in entries]
    if request.task is not None and request.task not in names:
        known = names or [task["name"] for task in workflow["spec"].get("tasks") or ()]
        if request.task not in known:
            raise CliError(f"{request.name} has no task {request.task!r}{did_you_mean(request.task, known)}")
    found: list[_Attempt] = []
    for entry in entries:
        if request.task is not None and request.task not in (entry["name"], task_and_index(entry["name"])[0]):
            continue
        if request.failed and entry.get("phase") != "Failed":
            continue
        tries = [each for each in entry.get("attempts") or () if request.attempt in (None, each["number"])]
        found += [
            _Attempt(task=entry["name"], number=each["number"], object_name=each["podName"])
            for each in (tries if request.attempt else tries[-1:])
            if each.get("podName")
        ]
    if request.attempt is not None and not found:
        raise CliError(f"there is no attempt {request.attempt} of {request.task or 'any task'}")
    return found


async def _logs(
    request: Request, workflow: _Object, attempt: _Attempt, cluster: Cluster | None, store: ArchiveStore | None
) -> list[_Log]:
    try:
        live = {} if cluster is None else await cluster.logs(attempt.object_name, request.tail)
    except CliError as error:
        kept = [] if store is None else await _kept(request, workflow, attempt, store)
        if not kept or error.code is not ExitCode.UNREACHABLE:
            raise
        return kept
    if live:
        return [_Log(pod=pod, text=text) for pod, text in live.items()]
    return [] if store is None else await _kept(request, workflow, attempt, store)


async def _kept(request: Request, workflow: _Object, attempt: _Attempt, store: ArchiveStore) -> list[_Log]:
    metadata = workflow["metadata"]
    folder = LogKey.folder(metadata["namespace"], metadata["name"], metadata["uid"], attempt.object_name)
    keys = [key async for stored in store.walk(folder) if (key := LogKey.read(stored.path)) is not None]
    ended = {key.pod for key in keys if not key.part}
    found = []
    for key in sorted(keys, key=lambda key: key.pod):
        if key.part and key.pod in ended:
            continue
        try:
            text = unpack_log(await store.get(key.path))
        except (OSError, EOFError):
            raise CliError(f"{key.path} in the archive is damaged", ExitCode.FAILED) from None
        where = "kept" if not key.part else "kept when its pod had to go; there may have been more"
        found.append(_Log(pod=key.pod, text=_last(text, request.tail), where=where))
    return found


def _last(text: bytes, lines: int | None) -> bytes:
    if lines is None:
        return text
    return b"".join(text.splitlines(keepends=True)[-lines:]) if lines else b""


def _write(attempt: _Attempt, log: _Log, *, titled: bool) -> None:
    out = sys.stdout
    if titled:
        number = f", attempt {attempt.number}" if attempt.number > 1 else ""
        out.write(f"==> {attempt.task}{number} ({', '.join(filter(None, (log.pod, log.where)))}) <==\n")
    elif log.where:
        say().print(f"{log.pod}: {log.where}")
    text = log.text.decode("utf-8", "replace")
    out.write(text)
    if text and not text.endswith("\n"):
        out.write("\n")
    out.flush()
