"""What the commands of `fairlead archive` do, and how any command comes to an archive."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

from fairlead.api.resolution import merge_definition
from fairlead.archive.objects import open_archive
from fairlead.archive.record import ArchivedRun, RunKey, unpack
from fairlead.archive.search import archived_runs, latest_run, namespaces_of
from fairlead.archive.store import ArchiveError, ArchiveStore, Stored
from fairlead.cli.archive_get import RecordFormat
from fairlead.cli.cluster_tree import draw_object
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.terminal import data, print_json, say
from fairlead.clock import utc_now

__all__ = [
    "GetRequest",
    "ListRequest",
    "PruneRequest",
    "list_runs",
    "opened",
    "prune",
    "show_run",
    "unavailable",
    "whole",
]

_HINT = "name it with --archive URL or $FAIRLEAD_ARCHIVE; one on the operator's volume is read where that is: \
kubectl exec -n fairlead deploy/fairlead -- fairlead archive list"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """What was asked for on the command line; see `archive_list.py`."""

    archive: str | None
    namespace: str = ""
    name: str = ""
    since: date | None = None
    failed: bool = False
    limit: int = 100
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRequest:
    """What was asked for on the command line; see `archive_get.py`."""

    archive: str | None
    name: str
    namespace: str = ""
    uid: str = ""
    output: RecordFormat = RecordFormat.PRETTY


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """What was asked for on the command line; see `archive_prune.py`."""

    archive: str | None
    days: int
    logs_only: bool = False
    dry_run: bool = False


def list_runs(request: ListRequest) -> int:
    """List runs; returns the exit code. Raises :class:`CliError`."""
    return _run(_list(request))


def show_run(request: GetRequest) -> int:
    """Show a run; returns the exit code. Raises :class:`CliError`."""
    return _run(_show(request))


def prune(request: PruneRequest) -> int:
    """Delete what is old; returns the exit code. Raises :class:`CliError`."""
    return _run(_prune(request))


def opened(url: str | None) -> ArchiveStore:
    """Return the archive at a URL. Raises :class:`CliError`."""
    if not url:
        raise CliError("no archive was named", hint=_HINT)
    try:
        return open_archive(url)
    except ArchiveError as error:
        raise CliError(str(error), hint=_HINT) from error


def unavailable(error: ArchiveError) -> CliError:
    """Return what to end with when the archive cannot be read."""
    return CliError(str(error), ExitCode.UNREACHABLE)


def whole(run: ArchivedRun) -> dict[str, Any]:
    """Return the Workflow of a record, with what it ran in its spec."""
    workflow = dict(run.workflow)
    if run.definition is not None:
        workflow["spec"] = merge_definition(workflow["spec"], run.definition)
    return workflow


def _run(work: Coroutine[Any, Any, int]) -> int:
    try:
        return asyncio.run(work)
    except ArchiveError as error:
        raise unavailable(error) from error


async def _list(request: ListRequest) -> int:
    store = opened(request.archive)
    found: list[RunKey] = []
    left_out = False
    for namespace in [request.namespace] if request.namespace else await namespaces_of(store):
        of_namespace: list[RunKey] = []
        async with aclosing(archived_runs(store, namespace, name=request.name, since=request.since)) as keys:
            async for key in keys:
                if request.failed and key.phase == "Succeeded":
                    continue
                if len(of_namespace) == request.limit:
                    left_out = True
                    break
                of_namespace.append(key)
        found += of_namespace
    found.sort(key=lambda key: key.finished_at, reverse=True)
    if request.as_json:
        print_json([_shown(key) for key in found])
        return ExitCode.OK
    _print_table(found)
    if left_out:
        say().print("earlier ones are left out (--limit)")
    elif not found:
        say().print("the archive has none")
    return ExitCode.OK


def _shown(key: RunKey) -> dict[str, Any]:
    return {
        "namespace": key.namespace,
        "name": key.name,
        "uid": key.uid,
        "phase": key.phase,
        "finishedAt": key.finished_at.isoformat().replace("+00:00", "Z"),
        "epoch": key.epoch,
        "path": key.path,
    }


def _print_table(keys: list[RunKey]) -> None:
    rows = [
        (key.namespace, key.name, key.phase, f"{key.finished_at:%Y-%m-%d %H:%M:%S}", str(key.epoch), key.uid)
        for key in keys
    ]
    if not rows:
        return
    heads = ("NAMESPACE", "NAME", "PHASE", "FINISHED (UTC)", "EPOCH", "UID")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    console = data()
    for row in chain([heads], rows):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), soft_wrap=True)


async def _show(request: GetRequest) -> int:
    store = opened(request.archive)
    key = await latest_run(store, request.name, namespace=request.namespace, uid=request.uid)
    if key is None:
        where = f" of namespace {request.namespace!r}" if request.namespace else ""
        raise CliError(f"the archive has no run {request.name!r}{where}", hint="what there is: fairlead archive list")
    workflow = whole(unpack(await store.get(key.path)))
    _print_run(workflow, request.output)
    return ExitCode.OK


def _print_run(workflow: Mapping[str, Any], output: RecordFormat) -> None:
    match output:
        case RecordFormat.PRETTY:
            draw_object(workflow)
        case RecordFormat.JSON:
            print_json(workflow)
        case RecordFormat.YAML:
            import yaml

            sys.stdout.write(yaml.safe_dump(json.loads(json.dumps(workflow)), sort_keys=False, allow_unicode=True))


async def _prune(request: PruneRequest) -> int:
    store = opened(request.archive)
    before = utc_now() - timedelta(days=request.days)
    old: list[Stored] = []
    for folder in ("logs",) if request.logs_only else ("logs", "runs"):
        old += [each async for each in store.walk(folder) if each.modified_at < before]
    for each in () if request.dry_run else old:
        await store.delete(each.path)
    size = sum(each.size for each in old)
    done = "would be deleted" if request.dry_run else "deleted"
    data().print(f"{len(old)} objects of {size} bytes {done}")
    return ExitCode.OK
