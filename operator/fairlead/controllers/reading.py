"""What is on record of a run, read back: from its Workflow's status, and from the shards of a large one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlead.api.compile import Compiled
from fairlead.api.shard import read_tasks
from fairlead.engine.evidence import believable
from fairlead.engine.plan import begin
from fairlead.engine.restore import restore
from fairlead.engine.state import RunState
from fairlead.kube.shards import fetch_shards
from fairlead.kube.transport import ApiClient

from .asked import recorded_actions, recorded_epoch, recorded_stop
from .ledger import Ledger
from .records import recorded_nodes
from .status import recorded_outcome, stalled_status, suspension
from .store import Workflow

__all__ = ["Record", "ShardsMissing", "read_record", "state_of"]


class ShardsMissing(Exception):
    """Shards of a run are gone: tasks that have run would look as if they had not."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))

    def status(self, workflow: Workflow, now: datetime) -> dict[str, Any]:
        """Return the status that says so."""
        message = (
            f"the record of some tasks is gone: TaskStatusShard {self}. Nothing is started, since they may have run "
            "already. Restore it from a backup, or delete this Workflow and create another"
        )
        return stalled_status(workflow.status, "ShardMissing", message, generation=workflow.generation, now=now)


@dataclass(frozen=True, slots=True)
class Record:
    """The entries of a run's tasks; of a large one, with the ledger of the shards that they are in."""

    tasks: Sequence[Mapping[str, Any]]
    ledger: Ledger | None = None


async def read_record(client: ApiClient, workflow: Workflow) -> Record:
    """Read what is recorded of a run. Raises :class:`ShardsMissing`, and `ApiError`."""
    if workflow.shards is None:
        return Record(read_tasks(workflow.status, ()))
    key, count = workflow.shards
    shards = await fetch_shards(client, key, workflow.uid, count)
    if shards.missing:
        raise ShardsMissing(shards.missing)
    ledger = Ledger()
    ledger.load(workflow.status, shards.found)
    return Record(read_tasks(workflow.status, shards.found), ledger)


def state_of(workflow: Workflow, compiled: Compiled, started_at: datetime, record: Record) -> RunState:
    """Return the engine's state of a run as far as it is recorded."""
    identity: dict[str, Any] = {
        "uid": workflow.uid,
        "name": workflow.name,
        "namespace": workflow.namespace,
        "started_at": started_at,
    }
    if "startTime" not in workflow.status:
        return begin(compiled.graph, **identity)
    stopping, stop_mode = recorded_stop(workflow.status)
    epoch, epoch_at = recorded_epoch(workflow.status)
    nodes = recorded_nodes(record.tasks)
    if record.ledger is not None:  # whose shards may be of different age
        nodes = believable(compiled.graph, nodes, epoch=epoch, epoch_at=epoch_at)
    state = restore(
        compiled.graph,
        nodes,
        **identity,
        epoch=epoch,
        epoch_at=epoch_at,
        actions=recorded_actions(workflow.status),
        stopping=stopping,
        stop_mode=stop_mode,
    )
    state.outcome = recorded_outcome(workflow.status)
    state.outputs = dict(workflow.status.get("outputs") or {})
    state.suspended_at, state.suspended_seconds = suspension(workflow.status)
    return state
