"""The Workflows that exist, as last heard of: by kopf's watch, by our own sweep, or from an answer to a write.

Reports come by several ways and may overtake each other; the newest resourceVersion wins (they are comparable
integers: KEP-5504).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from fairlead.api import labels
from fairlead.api.bookkeeping import without_bookkeeping
from fairlead.engine.names import bucket
from fairlead.kube.resources import WORKFLOWS, ObjectKey
from fairlead.line import Turn

from .owner import Owner, bucket_of_run
from .status import is_finished, is_invalid

__all__ = ["Workflow", "WorkflowStore"]

log = logging.getLogger(__name__)

#: How many removed UIDs are kept in mind: a late answer is late by seconds.
_REMEMBERED = 10_000


#: The fields of a definition that are large, and that nobody asks for once it is compiled.
_BULKY = ("tasks", "finally")


@dataclass(frozen=True, slots=True)
class Workflow:
    """One Workflow resource as it was at `version`.

    `raw` is the object but for its tasks. Those are kept as JSON, `bulk`: ten thousand of them as Python's objects take
    ten times the room.
    """

    namespace: str
    name: str
    uid: str
    version: int
    generation: int
    deleting: bool
    raw: Mapping[str, Any]
    bulk: bytes

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Workflow:
        """Read a raw object of the API server."""
        metadata, spec = raw["metadata"], raw.get("spec") or {}
        bulk = {name: spec[name] for name in _BULKY if name in spec}
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            version=int(metadata["resourceVersion"]),
            generation=metadata.get("generation", 1),
            deleting="deletionTimestamp" in metadata,
            raw={
                **raw,
                "metadata": without_bookkeeping(metadata),
                "spec": {name: value for name, value in spec.items() if name not in bulk},
            },
            bulk=orjson.dumps(bulk),
        )

    def written(self, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> Workflow:
        """Return it as it is after a write of its status."""
        return replace(
            self,
            version=int(metadata["resourceVersion"]),
            deleting="deletionTimestamp" in metadata,
            raw={**self.raw, "metadata": without_bookkeeping(metadata), "status": status},
        )

    @property
    def spec(self) -> Mapping[str, Any]:
        """The definition, as the user wrote it, but for its tasks."""
        spec: Mapping[str, Any] = self.raw["spec"]
        return spec

    @property
    def definition(self) -> Mapping[str, Any]:
        """The definition, as the user wrote it. O(tasks), anew each time."""
        return {**self.spec, **orjson.loads(self.bulk)}

    @property
    def definition_bytes(self) -> int:
        """Return how large the definition is, as JSON."""
        return len(orjson.dumps(self.spec)) + len(self.bulk)

    @property
    def status(self) -> Mapping[str, Any]:
        """What was last recorded."""
        return self.raw.get("status") or {}

    @property
    def created_at(self) -> datetime:
        """When it was created, by the API server's clock and in whole seconds."""
        return datetime.fromisoformat(self.raw["metadata"]["creationTimestamp"])

    @property
    def turn(self) -> Turn:
        """Where it stands in line when it begins, and where its tasks do."""
        priority = self.spec.get("priority")
        return Turn(priority if isinstance(priority, int) else 0, self.namespace)

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun and is not over, by its recorded status."""
        return "startTime" in self.status and not is_finished(self.status)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, by its recorded status, and is not one that was found invalid and corrected since."""
        status = self.status
        corrected = is_invalid(status) and status["observedGeneration"] != self.generation
        return is_finished(status) and not corrected

    @property
    def parent_uid(self) -> str:
        """The UID of the run that it is a sub-workflow of; "" for one that a user, or something else, made."""
        for each in self.raw["metadata"].get("ownerReferences") or ():
            if each.get("controller") and (each["apiVersion"], each["kind"]) == (WORKFLOWS.api_version, WORKFLOWS.kind):
                return str(each["uid"])
        return ""

    @property
    def shards(self) -> tuple[ObjectKey, int] | None:
        """Its key, and how many TaskStatusShards it has at least; None where its status holds all its tasks."""
        if "shards" not in self.status:
            return None
        return ObjectKey(self.namespace, self.name), int(self.status["shards"]["count"])

    @property
    def bucket(self) -> int:
        """The bucket of the run: asked for at every change of one of its pods."""
        return bucket_of_run(self.namespace, self.uid, self.status.get("concurrencyKey", ""))

    @property
    def owner(self) -> Owner:
        """What its children name as their owner."""
        return Owner(
            api_version=WORKFLOWS.api_version,
            kind=WORKFLOWS.kind,
            name=self.name,
            namespace=self.namespace,
            uid=self.uid,
            concurrency_key=self.status.get("concurrencyKey", ""),
        )


class WorkflowStore:
    """Workflows by UID."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Workflow] = {}
        self._removed: dict[str, tuple[ObjectKey, int] | None] = {}
        self._leaving: set[str] = set()
        self._buckets: dict[str, int] = {}
        self._children: dict[str, set[str]] = {}
        self._listeners: list[Callable[[Workflow | None, Workflow | None], None]] = []

    def follow(self, listener: Callable[[Workflow | None, Workflow | None], None]) -> None:
        """Call `listener(old, new)` at each change; `old` is None for a new Workflow, `new` for one that is gone."""
        self._listeners.append(listener)

    def __len__(self) -> int:
        """Return how many Workflows are known."""
        return len(self._by_uid)

    def __iter__(self) -> Iterator[Workflow]:
        """Iterate over the Workflows known now."""
        return iter(list(self._by_uid.values()))

    def get(self, uid: str) -> Workflow | None:
        """Return the Workflow with this UID."""
        return self._by_uid.get(uid)

    def children(self, uid: str) -> list[Workflow]:
        """Return the Workflows that a run is the owner of, whatever made them: they are deleted with it."""
        return [self._by_uid[child] for child in sorted(self._children.get(uid, ()))]

    def put(self, raw: Mapping[str, Any]) -> Workflow:
        """Take in a report unless a newer one is known; return what is known now."""
        metadata = raw["metadata"]
        known = self._as_new(metadata["uid"], int(metadata["resourceVersion"]))
        # Most are our own writes, come back: those are not read at all.
        return self.note(Workflow.of(raw)) if known is None else known

    def note(self, workflow: Workflow) -> Workflow:
        """Take in what is known of a Workflow, unless something newer is; return what is known now."""
        if workflow.uid in self._leaving:
            workflow = replace(workflow, deleting=True)
        if workflow.uid in self._removed:
            return workflow  # an answer that was under way when it was deleted; UIDs never come back
        as_new = self._as_new(workflow.uid, workflow.version)
        if as_new is not None:
            return as_new
        known = self._by_uid.get(workflow.uid)
        self._by_uid[workflow.uid] = workflow
        self._note_parent(known, workflow)
        self._tell(known, workflow)
        return workflow

    def _as_new(self, uid: str, version: int) -> Workflow | None:
        """Return what is known of a Workflow if that is as new as this version, or newer."""
        known = self._by_uid.get(uid)
        return known if known is not None and known.version >= version else None

    def leave(self, uid: str) -> None:
        """Take a Workflow for one that is being deleted: its namespace is, and nothing new of it can be recorded.

        The namespace takes the pods first, and the Workflow only when those are gone: what holds them has to go.
        """
        known = self._by_uid.get(uid)
        if known is not None:
            self._leaving.add(uid)
            self._by_uid[uid] = replace(known, deleting=True)

    def shards_left(self, uid: str) -> tuple[ObjectKey, int] | None:
        """Return the key of a Workflow that is gone, and how many shards it had; None where it had none."""
        return self._removed.get(uid)

    def bucket_of(self, uid: str) -> int:
        """Return the bucket of a run: the same for everybody who knows of the same status of it.

        Of one that is not there (any more) what it has left tells; it can only be another one than its UID's if it had
        a `concurrencyKey`. So can that of a run whose key has just been found, of which nothing was created yet.
        """
        known = self._by_uid.get(uid)
        if known is not None:
            return known.bucket
        found = self._buckets.get(uid)
        return bucket(uid) if found is None else found

    def note_labels(self, metadata: Mapping[str, Any]) -> None:
        """Note which bucket an object that a run has created says that its run is in."""
        found = metadata.get("labels") or {}
        uid, number = found.get(labels.RUN_UID, ""), found.get(labels.BUCKET, "")
        if uid and uid not in self._by_uid and number.isdecimal():
            self._note_bucket(uid, int(number))

    def _note_bucket(self, uid: str, number: int) -> None:
        if number != bucket(uid):
            self._buckets[uid] = number
        while len(self._buckets) > _REMEMBERED:
            del self._buckets[next(iter(self._buckets))]

    def _note_parent(self, old: Workflow | None, new: Workflow | None) -> None:
        before, now = "" if old is None else old.parent_uid, "" if new is None else new.parent_uid
        if before == now:
            return
        if old is not None and before:
            self._children[before].discard(old.uid)
            if not self._children[before]:
                del self._children[before]
        if new is not None and now:
            self._children.setdefault(now, set()).add(new.uid)

    def remove(self, uid: str) -> None:
        """Forget a Workflow that is gone."""
        known = self._by_uid.pop(uid, None)
        if known is not None:
            self._note_bucket(uid, known.bucket)
            self._note_parent(known, None)
        self._leaving.discard(uid)
        if uid not in self._removed:
            self._removed[uid] = None if known is None else known.shards
        while len(self._removed) > _REMEMBERED:
            del self._removed[next(iter(self._removed))]
        if known is not None:
            self._tell(known, None)

    def _tell(self, old: Workflow | None, new: Workflow | None) -> None:
        for listener in self._listeners:
            try:
                listener(old, new)
            except Exception:  # a bug there, about one Workflow, must not keep us from hearing of the others
                log.exception("a change of a Workflow was not taken in")
