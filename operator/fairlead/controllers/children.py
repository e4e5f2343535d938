"""Sub-workflows as what they are to their parents: what carries an attempt.

A sub-workflow is an ordinary Workflow, so its changes come by the same way as everybody's: into the store, which this
follows. What is kept of each is what its parent's engine has to know, so that a parent is put in line when one of its
children starts, says something new, or ends, and not at each write of its status.

A child that a user's retry runs again carries a further attempt from then on. That is on the child before it is asked
to run again: :data:`fairlead.api.labels.CARRIES` has the attempt's number and the child's epoch that counts as this
attempt. Whoever looks later, after whichever crash, comes to the same reading. Attempts are therefore looked up by
*their* names here; the child that carries one may be called after an earlier one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from fairlead.api import labels
from fairlead.engine.endings import ENDINGS
from fairlead.engine.ends import outcome_of_ending
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import FailureClass, Json
from fairlead.engine.names import attempt_name
from fairlead.engine.state import Outcome, Result
from fairlead.kube.resources import ObjectKey

from .store import Workflow, WorkflowStore
from .views import identity_of, time_of

__all__ = ["ChildView", "Children", "child_view", "observe_child", "retry_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildView:
    """What is known of a sub-workflow.

    `name` is its own, `object_name` that of the attempt it carries, which counts from `since`, in its epoch `carries`;
    `epoch` is the one it is in. `stopping` tells that it is being stopped, `suspended` that it was suspended with its
    parent, `final` that it belongs to the parent's `finally`, `refused` why it is not run again. `held` is never True:
    nothing of ours keeps it.
    """

    name: str
    uid: str
    owner_name: str
    owner_uid: str
    node: str
    number: int
    object_name: str
    created_at: datetime
    since: datetime
    epoch: int = 1
    carries: int = 1
    running_at: datetime | None = None
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None
    succeeded: bool = False
    invalid: bool = False
    outputs: Mapping[str, Json] = field(default_factory=dict)
    refused: str = ""
    stopping: bool = False
    suspended: bool = False
    final: bool = False
    deleting_at: datetime | None = None
    ending: str = ""
    held: bool = False


def retry_name(child: str, epoch: int) -> str:
    """Return the name of the request that a child in this epoch be run again."""
    return f"{child}-retry-{epoch}"


def child_view(workflow: Workflow) -> ChildView | None:
    """Return what a Workflow is to its parent; None for one without. Never raises on what somebody has edited."""
    parent_uid = workflow.parent_uid
    if not parent_uid:
        return None
    metadata, status = workflow.raw["metadata"], workflow.status
    identity = identity_of(metadata)
    identity.pop("result")  # a child is never let go of
    if workflow.name != attempt_name(identity["owner_name"], parent_uid, identity["node"], identity["number"]):
        return None  # somebody made it that way; it is no attempt of ours
    if (metadata.get("labels") or {}).get(labels.RUN_UID) != parent_uid:
        return None  # a `resource` task made it, and has its own way of looking at it
    number, carries, since = _carried(metadata) or (identity["number"], 1, identity["created_at"])
    identity["number"] = number
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    finished = conditions.get("Finished", {})
    epoch = status.get("epoch", 1)
    verdict = conditions.get("Succeeded", {})
    return ChildView(
        **identity,
        object_name=attempt_name(identity["owner_name"], parent_uid, identity["node"], number),
        since=since,
        epoch=epoch,
        carries=carries,
        running_at=_running_at(status, epoch, carries, since),
        **_why(status, conditions),
        finished_at=_finished_at(status, finished) if finished.get("status") == "True" else None,
        succeeded=verdict.get("status") == "True",
        invalid=verdict.get("reason") == "InvalidSpec",
        outputs=status.get("outputs") or {},
        refused=_refused(status, retry_name(workflow.name, carries - 1)),
        stopping="stop" in status,
        suspended=labels.SUSPENDED in (metadata.get("annotations") or {}),
        final=labels.FINAL in (metadata.get("annotations") or {}),
        deleting_at=time_of(metadata.get("deletionTimestamp")),
        ending=(metadata.get("annotations") or {}).get(labels.ENDING, ""),
    )


def _carried(metadata: Mapping[str, Any]) -> tuple[int, int, datetime] | None:
    """Return the attempt that a child carries if it is not the one that it is called after: number, epoch, since."""
    try:
        note = json.loads((metadata.get("annotations") or {})[labels.CARRIES])
        return int(note["attempt"]), int(note["epoch"]), datetime.fromisoformat(note["since"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None  # there is none, or somebody else wrote it


def _why(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return how a child gets on, in the words of its own status."""
    stalled, message = conditions.get("Stalled", {}), str(status.get("message", ""))
    if stalled.get("status") == "True":
        return {"reason": stalled["reason"], "message": stalled.get("message") or message}
    if conditions.get("Suspended", {}).get("status") == "True":
        return {"reason": "Suspended", "message": message}
    verdict, progress = conditions.get("Succeeded", {}), status.get("progress")
    if verdict.get("reason") == "WaitingForConcurrencyKey":
        return {"reason": verdict["reason"], "message": message}
    return {"reason": "Subworkflow", "message": f"{progress} tasks have ended"} if progress else {}


def _running_at(status: Mapping[str, Any], epoch: int, carries: int, since: datetime) -> datetime | None:
    if epoch < carries:
        return None  # it is not running again yet
    return time_of(status.get("startTime")) if carries == 1 else since


def _finished_at(status: Mapping[str, Any], finished: Mapping[str, Any]) -> datetime | None:
    return time_of(status.get("completionTime") or finished.get("lastTransitionTime"))


def _refused(status: Mapping[str, Any], name: str) -> str:
    for each in status.get("actions") or ():
        ours = each.get("action") == "Retry" and (each["name"] == name or each["name"].startswith(f"{name}-"))
        if ours and each.get("accepted") is False:
            return f"{each.get('reason', '')}: {each.get('message', '')}"
    return ""


def observe_child(child: ChildView) -> AttemptSeen:
    """Return how the attempt that a sub-workflow carries stands."""
    outcome = _outcome(child)
    return AttemptSeen(
        node=child.node,
        number=child.number,
        object_name=child.object_name,
        started_at=child.since,
        running_at=child.running_at,
        reason="" if outcome else child.reason,
        message="" if outcome else child.message,
        ending=child.ending,
        # Its end has been asked for with effect: there is no need to ask again.
        deleting=child.deleting_at is not None or child.stopping,
        outcome=outcome,
    )


def _outcome(child: ChildView) -> Outcome | None:
    if child.epoch < child.carries:
        if not child.refused:
            return None  # what it says is about an attempt before this one
        return _failed(child.since, FailureClass.CONFIGURATION, "RetryRefused", child.refused)
    if child.finished_at is None:
        return None
    if child.succeeded:
        return Outcome(result=Result.SUCCEEDED, finished_at=child.finished_at, values=child.outputs)
    if child.ending in ENDINGS:
        return outcome_of_ending(child.ending, child.finished_at)
    failure_class = FailureClass.CONFIGURATION if child.invalid else FailureClass.USER
    return _failed(child.finished_at, failure_class, "SubworkflowFailed", child.message or "the sub-workflow failed")


def _failed(at: datetime, failure_class: FailureClass, reason: str, message: str) -> Outcome:
    return Outcome(result=Result.FAILED, finished_at=at, failure_class=failure_class, reason=reason, message=message)


class Children:
    """All sub-workflows, by the attempt that they carry: what an informer is to pods. Follows the store.

    `on_change(key, old, new)` hears of changes that matter to a parent, `suspended(parent)` that one was suspended or
    resumed.
    """

    def __init__(
        self,
        store: WorkflowStore,
        on_change: Callable[[ObjectKey, ChildView | None, ChildView | None], None],
        suspended: Callable[[Workflow], None],
    ) -> None:
        self._store = store
        self._on_change = on_change
        self._suspended = suspended
        self._by_owner: dict[str, dict[ObjectKey, ChildView]] = {}
        self._by_key: dict[ObjectKey, ChildView] = {}
        store.follow(self._changed)

    def get(self, key: ObjectKey) -> ChildView | None:
        """Return the child that carries an attempt."""
        return self._by_key.get(key)

    def by_owner(self, uid: str) -> Mapping[ObjectKey, ChildView]:
        """Return the children of a run: a live, read-only view."""
        return MappingProxyType(self._by_owner.get(uid, {}))

    async def confirm_gone(self, _: ObjectKey, uid: str | None = None) -> bool:
        """Tell whether a child is really gone. Nobody selects among Workflows, so what the store lacks is."""
        return uid is None or self._store.get(uid) is None

    def _changed(self, old: Workflow | None, new: Workflow | None) -> None:
        before = None if old is None else child_view(old)
        after = None if new is None else child_view(new)
        if before != after:
            was = self._take_out(old, before)
            now = self._put_in(new, after)
            if was is not None and now not in (None, was):
                before = None  # it carries another attempt now; the one before is over
            if (key := now or was) is not None:
                self._on_change(key, before, after)
        if old is not None and new is not None and old.spec.get("suspend") != new.spec.get("suspend"):
            self._suspended(new)

    def _take_out(self, workflow: Workflow | None, child: ChildView | None) -> ObjectKey | None:
        if workflow is None or child is None:
            return None
        key = ObjectKey(workflow.namespace, child.object_name)
        found = self._by_owner.get(child.owner_uid, {})
        found.pop(key, None)
        self._by_key.pop(key, None)
        if not found:
            self._by_owner.pop(child.owner_uid, None)
        return key

    def _put_in(self, workflow: Workflow | None, child: ChildView | None) -> ObjectKey | None:
        if workflow is None or child is None:
            return None
        key = ObjectKey(workflow.namespace, child.object_name)
        self._by_owner.setdefault(child.owner_uid, {})[key] = self._by_key[key] = child
        return key
