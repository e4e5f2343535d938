"""S15 in the small: some runs have a few hundred bytes for what is on record, and so move to shards on the way.

The product's limits are those of the API server, which no simulated run comes near. Here they are lowered, so that runs
outgrow their Workflow, and shards overflow, while things go wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import orjson

from fairlead.controllers import ledger, workflow, writer
from fairlead.kube.resources import TASKSTATUSSHARDS, WORKFLOWS
from fairlead.testing.apiserver import Change

__all__ = ["little_room", "oversized"]

#: Bytes: of entries, those that a shard takes another node with, and those that it may grow to; of a status but for its
#: tasks, with a hundred requests that it remembers; of an object but for what is in it.
_FULL, _LIMIT, _SUMMARY, _AROUND = 500, 900, 35_000, 1_500

#: Objects of a run that are created at once.
_CREATED = 2


@contextmanager
def little_room(inline: int) -> Iterator[None]:
    """Let a Workflow have room for so many bytes of tasks, a shard for a few hundred, and two creates be under way."""
    with ExitStack() as stack:
        for module, name, value in (
            (writer, "INLINE_BYTES", inline),
            (ledger, "FULL_BYTES", _FULL),
            (ledger, "LIMIT_BYTES", _LIMIT),
            (workflow, "CREATED_AT_ONCE", _CREATED),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def oversized(changes: Iterable[Change], inline: int) -> Iterator[str]:
    """Yield what an operator has written that is larger than it may be."""
    for change in changes:
        if not change.actor.startswith("fairlead") or not change.after:
            continue
        if change.resource == TASKSTATUSSHARDS.plural:
            found = _of_a_shard(change)
        elif change.resource == WORKFLOWS.plural and change.subresource == "status":
            found = _of_a_status(change, inline)
        else:
            continue
        yield from (f"S15: {change.served.resource.kind} {change.key} at {change.version}: {each}" for each in found)


def _of_a_shard(change: Change) -> Iterator[str]:
    sizes = [_size(each) for each in change.after["tasks"]]
    if len(sizes) > 1 and sum(sizes) > _LIMIT:
        yield f"{len(sizes)} entries with {sum(sizes)} bytes; it may have {_LIMIT}"
    most = 2 * max(_LIMIT, *sizes, 0) + _AROUND  # twice, where there is something to undo
    if _size(change.after) > most:
        yield f"{_size(change.after)} bytes; it may have {most}"


def _of_a_status(change: Change, inline: int) -> Iterator[str]:
    status = change.after["status"]
    entries = status.get("tasks") or []
    tasks = _size(entries)
    # How a run starts is written before anybody measures it: it is at most two hundred tasks that wait.
    if tasks > inline and any(each["phase"] != "Waiting" for each in entries):
        yield f"{tasks} bytes of tasks; it may have {inline}"
    if _size(status) - tasks > _SUMMARY:
        yield f"{_size(status) - tasks} bytes beside its tasks; it may have {_SUMMARY}"


def _size(value: object) -> int:
    return len(orjson.dumps(value))
