"""The run that owns what is created for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fairlead.engine.names import bucket, bucket_of_key

__all__ = ["Owner", "bucket_of_run", "owner_reference"]


def bucket_of_run(namespace: str, uid: str, concurrency_key: str) -> int:
    """Return the bucket of a run, by the `concurrencyKey` on record for it, or "" for none."""
    return bucket_of_key(namespace, concurrency_key) if concurrency_key else bucket(uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The run that owns what is created. `concurrency_key` is the one on record, or about to be."""

    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str
    concurrency_key: str = ""

    @property
    def bucket(self) -> int:
        """The bucket of the run, and of all that it owns."""
        return bucket_of_run(self.namespace, self.uid, self.concurrency_key)

    def fields(self, node: str = "", number: int = 0) -> dict[str, Any]:
        """Return what a log line says about the run, and about a task, or an item (`m[3]`), and an attempt of it."""
        said: dict[str, Any] = {"workflow": self.name, "namespace": self.namespace}
        if node:
            said["task"] = node
        if number:
            said["attempt"] = number
        return said


def owner_reference(owner: Owner) -> dict[str, Any]:
    """Return the reference by which the garbage collector, and we, know whose an object is."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
