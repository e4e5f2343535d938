"""S8: the operator writes its status, what it has created, and its own finalizer and labels; nothing of anybody else.

What it may write of which kind is one table. An object is the operator's own if an operator created it, or if a
Workflow controls it by its UID. Of a child Workflow it may also write `spec.suspend` and annotations: the child is its
own, and that is how a parent's suspension goes down, also a moment after it was orphaned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from fairlead.api import labels
from fairlead.kube.resources import (
    CLAIMS,
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    EVENTS,
    JOBS,
    LEASES,
    PODS,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
)
from fairlead.testing.apiserver.exchange import Request
from fairlead.testing.apiserver.store import Change

from .leases import wrong_lease
from .objects import controller, finalizers, finished, is_operator
from .world import Step, World

__all__ = ["Ownership", "delete_names_uid"]

_Json = Mapping[str, Any]

_STATUS = frozenset({WORKFLOWS.plural, WORKFLOWTEMPLATES.plural, WORKFLOWACTIONS.plural})
_CREATED = frozenset(
    each.plural
    for each in (PODS, JOBS, WORKFLOWS, TASKSTATUSSHARDS, CONFIGMAPS, CLAIMS, CONTROLLERREVISIONS, WORKFLOWACTIONS)
)
_CHANGED = frozenset(each.plural for each in (PODS, JOBS, WORKFLOWS, TASKSTATUSSHARDS, WORKFLOWACTIONS))
_DELETED = frozenset(each.plural for each in (PODS, JOBS, WORKFLOWS))

_COLLECTORS = frozenset({"foregroundDeletion", "orphan"})
_OWN = (labels.RUN.partition("/")[0] + "/", labels.MANAGED_BY)


class Ownership:
    """S8, change by change. Remembers which objects an operator has created."""

    def __init__(self) -> None:
        self._created: set[str] = set()

    def __call__(self, step: Step) -> Iterator[str]:
        """Yield what an operator has written that is not its to write."""
        change = step.change
        if not step.operator:
            return
        if change.resource == LEASES.plural:
            if problem := wrong_lease(change):
                yield f"{change.verb} of Lease {change.key}: {problem}"
            return
        what = f"{change.verb} of {change.served.resource.kind} {change.key}"
        if change.verb == "create":
            self._created.add(change.uid)
            if problem := _wrong_create(change, step.world):
                yield f"{what}: {problem}"
        elif change.subresource == "status":
            if change.resource not in _STATUS:
                yield f"{what}: its status is not the operator's to write"
        elif not self._is_own(change, step.world):
            yield f"{what}: nothing of it is the operator's"
        elif _is_deletion(change):
            if problem := _wrong_delete(change, step.world):
                yield f"{what}: {problem}"
        else:
            is_child = step.carrier is not None and step.carrier.plural == WORKFLOWS.plural
            yield from (f"{what}: {problem}" for problem in _wrong_changes(change, is_child=is_child))

    def _is_own(self, change: Change, world: World) -> bool:
        if change.uid in self._created:
            return True
        owner = controller(change.before)
        if owner.get("uid") in world.runs:
            return True
        if change.resource == PODS.plural and owner.get("kind") == JOBS.kind:
            return owner["uid"] in self._created  # a pod of one of its Jobs
        if change.resource == WORKFLOWACTIONS.plural:
            return not _is_deletion(change)  # handed over to the run that it is about
        if change.resource == WORKFLOWS.plural and _is_deletion(change):
            return True  # by its TTL: see `_wrong_delete`
        # An orphan: the run that owned it was deleted, its dependents were not.
        return not owner and _only_releases(change)


def delete_names_uid(request: Request) -> Iterator[str]:
    """S8: what an operator deletes it names by its UID, one object at a time."""
    if request.method != "DELETE" or "Impersonate-User" in request.headers:
        return
    if not is_operator(request.headers.get("User-Agent", "")):
        return
    options = orjson.loads(request.body) if request.body else {}
    if not (options.get("preconditions") or {}).get("uid"):
        yield f"DELETE {request.path} has no precondition on the UID"


def _wrong_create(change: Change, world: World) -> str:
    if change.resource == EVENTS.plural:
        return ""
    if change.resource not in _CREATED:
        return "the operator does not create such objects by its own rights"
    run = world.runs.get(controller(change.after).get("uid", ""))
    if run is None:
        return "no Workflow controls it"
    return "" if run.key.namespace == change.key.namespace else f"{run}, which controls it, is in another namespace"


def _wrong_delete(change: Change, world: World) -> str:
    if change.resource == TASKSTATUSSHARDS.plural and not change.after:
        return ""  # it was being deleted, and only our finalizer held it
    if change.resource not in _DELETED:
        return "the operator does not delete such objects"
    strange = set(finalizers(change.before)) - set(finalizers(change.after)) - _COLLECTORS - {labels.FINALIZER}
    if change.after and strange:
        return f"the finalizer {min(strange)} is not the operator's"
    if change.resource != WORKFLOWS.plural or controller(change.before).get("uid") in world.runs:
        return ""
    run = world.runs[change.uid]
    spec = world.spec_of(run) or {}
    kept = run.record.status.get("definition") or {}
    ttl = spec.get("ttlSecondsAfterFinished", kept.get("ttlSecondsAfterFinished"))
    if ttl is None and not world.limits_history:
        return "it is a user's, and has no TTL"
    return "" if finished(change.before.get("status") or {}) else "it is a user's, and has not ended"


def _wrong_changes(change: Change, *, is_child: bool) -> Iterator[str]:
    if change.resource not in _CHANGED:
        yield "the operator does not change such objects"
        return
    allowed = {"metadata"}
    if change.resource == TASKSTATUSSHARDS.plural:
        allowed |= {"revision", "tasks", "undo"}
    before, after = change.before, change.after
    for key in sorted(before.keys() | after.keys()):
        if key not in allowed and before.get(key) != after.get(key):
            if key == "spec" and is_child and _only_suspends(change):
                continue
            yield f"`{key}` is not the operator's to write"
    yield from _wrong_metadata(before["metadata"], after["metadata"])


def _wrong_metadata(before: _Json, after: _Json) -> Iterator[str]:
    ours = {labels.FINALIZER}
    was, now = set(before.get("finalizers") or ()) - ours, set(after.get("finalizers") or ()) - ours
    if was != now:
        yield f"the finalizer {min(was ^ now)} is not the operator's"
    for kind in ("labels", "annotations"):
        old, new = before.get(kind) or {}, after.get(kind) or {}
        if old is new or old == new:
            continue
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key) and not key.startswith(_OWN):
                yield f"{kind}[{key!r}] is not the operator's"
    lost = [each for each in before.get("ownerReferences") or () if each not in (after.get("ownerReferences") or ())]
    if any(each.get("controller") for each in lost):
        yield "its controller was taken off"


def _is_deletion(change: Change) -> bool:
    if not change.after:
        return True
    before, after = change.before["metadata"], change.after["metadata"]
    return any(before.get(key) != after.get(key) for key in ("deletionTimestamp", "deletionGracePeriodSeconds"))


def _only_releases(change: Change) -> bool:
    before, after = finalizers(change.before), finalizers(change.after)
    return labels.FINALIZER in before and set(before) - set(after) <= {labels.FINALIZER}


def _only_suspends(change: Change) -> bool:
    before, after = dict(change.before.get("spec") or {}), dict(change.after.get("spec") or {})
    before.pop("suspend", None)
    after.pop("suspend", None)
    return before == after
