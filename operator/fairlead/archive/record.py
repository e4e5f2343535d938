"""The record of a run that has ended, as compact JSON lines, and the name under which it is archived. Pure.

The first line is the run: its metadata, its definition, its status. Each further line is a task, or an item of one, as
the status or the shards had it. All of it is gzipped, without a time in it: the same run gives the same bytes.

The name says enough to list runs without reading them:
`runs/NAMESPACE/DATE/NAME/TIME_PHASE_EPOCH_UID.jsonl.gz`, date and time being those of the end, in UTC.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from fairlead import __version__
from fairlead.api.bookkeeping import without_bookkeeping

from .store import ArchiveError

__all__ = ["FORMAT", "ArchivedRun", "RunKey", "pack", "unpack"]

#: Raised when a reader of this release could not read what is written any more.
FORMAT = 1

_ROOT = "runs"
_SUFFIX = ".jsonl.gz"
_MOMENT = "%H%M%S"

#: Of metadata, what tells nothing about a run that is gone.
_METADATA_LEFT_OUT = ("resourceVersion", "selfLink", "finalizers")
#: Of a status: what comes in lines of its own, and what only the operator had a use for.
_STATUS_LEFT_OUT = ("tasks", "shards", "internal", "revision")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKey:
    """One end of one run. `phase` is that of the status: Succeeded, Failed, Cancelled."""

    namespace: str
    name: str
    uid: str
    finished_at: datetime
    phase: str
    epoch: int = 1

    @property
    def path(self) -> str:
        """The name of the object."""
        moment = self.finished_at.astimezone(UTC)
        folder = f"{self.namespace}/{moment.date().isoformat()}/{self.name}"
        return f"{_ROOT}/{folder}/{moment.strftime(_MOMENT)}_{self.phase}_{self.epoch}_{self.uid}{_SUFFIX}"

    @staticmethod
    def folder(namespace: str = "", day: str = "", name: str = "") -> str:
        """Return the folder of all runs, of those of a namespace, of a day in it, or of a name on that day."""
        parts = [_ROOT]
        for part in (namespace, day, name):
            if not part:
                break
            parts.append(part)
        return "/".join(parts)

    @classmethod
    def read(cls, path: str) -> RunKey | None:
        """Return what the name of an object says; None for one that is no record of ours."""
        parts = path.split("/")
        if len(parts) != 5 or parts[0] != _ROOT or not parts[4].endswith(_SUFFIX):
            return None
        _, namespace, day, name, file = parts
        fields = file.removesuffix(_SUFFIX).split("_", 3)
        try:
            moment, phase, epoch, uid = fields
            finished_at = datetime.strptime(day + moment, "%Y-%m-%d" + _MOMENT).replace(tzinfo=UTC)
            return cls(namespace=namespace, name=name, uid=uid, finished_at=finished_at, phase=phase, epoch=int(epoch))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """What a record has. `workflow` is the Workflow as it was, with all its tasks in its status."""

    workflow: Mapping[str, Any]
    definition: Mapping[str, Any] | None


def pack(
    workflow: Mapping[str, Any],
    tasks: Iterable[Mapping[str, Any]],
    *,
    definition: Mapping[str, Any] | None = None,
    missing: Iterable[str] = (),
) -> bytes:
    """Return the record of a run: a Workflow as the API server has it, and the entries of all its tasks.

    `definition` is that of the template which it ran by; `missing` are shards that are gone, and what they said is.
    """
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as out:
        for line in _lines(workflow, tasks, definition, missing):  # one by one: a large run has ten thousand
            out.write(line + b"\n")
    return packed.getvalue()


def _lines(
    workflow: Mapping[str, Any],
    tasks: Iterable[Mapping[str, Any]],
    definition: Mapping[str, Any] | None,
    missing: Iterable[str],
) -> Iterator[bytes]:
    told = without_bookkeeping(workflow["metadata"])
    metadata = {key: value for key, value in told.items() if key not in _METADATA_LEFT_OUT}
    status = {key: value for key, value in (workflow.get("status") or {}).items() if key not in _STATUS_LEFT_OUT}
    head = {
        "kind": "Run",
        "format": FORMAT,
        "fairlead": __version__,
        "metadata": metadata,
        "spec": workflow.get("spec") or {},
        "status": status,
    }
    if definition is not None:
        head["definition"] = definition
    gone = list(missing)
    if gone:
        head["missingShards"] = gone
    yield orjson.dumps(head)
    uid = metadata["uid"]
    for each in tasks:
        yield orjson.dumps({"kind": "Task", "run": uid, **each})


def unpack(content: bytes) -> ArchivedRun:
    """Read a record. Raises `ArchiveError` for what is none, or one that only a newer release can read."""
    try:
        head, *tasks = [orjson.loads(line) for line in gzip.decompress(content).splitlines()]
        if head["kind"] != "Run":
            raise KeyError("kind")
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"this is no record of a run: {error}") from error
    if head["format"] > FORMAT:
        raise ArchiveError(f"this record was written by fairlead {head['fairlead']}, which is newer: upgrade")
    entries = [{key: value for key, value in each.items() if key not in ("kind", "run")} for each in tasks]
    workflow = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": head["metadata"],
        "spec": head["spec"],
        "status": {**head["status"], "tasks": entries},
    }
    return ArchivedRun(workflow, head.get("definition"))
