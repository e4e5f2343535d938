"""The objects, their versions, and what became of them.

Nothing is decided here: whoever writes has applied every rule before. Stored objects are never changed in place, so
that a version, an event and an answer can share them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from fairlead.kube.resources import ObjectKey

from .exchange import Object
from .served import Served

__all__ = ["Author", "Change", "Store", "Verb"]

Verb = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes: `actor` is the impersonated user, or else the User-Agent; `manager` the field manager."""

    actor: str = ""
    manager: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """One stored change.

    Attributes:
        version: that it made; larger than every one before it.
        moment: when.
        verb: what it was.
        served: the kind.
        subresource: through which it was written, or "".
        key: of the object.
        uid: of the object.
        before: the object, {} before it was created.
        after: the object, {} after it was deleted.
        author: who wrote it.
    """

    version: int
    moment: datetime
    verb: Verb
    served: Served
    subresource: str
    key: ObjectKey
    uid: str
    before: Object
    after: Object
    author: Author
    #: What watches are told, by type and form: encoded once for all of them.
    lines: dict[tuple[str, bool], bytes] = field(default_factory=dict, repr=False)

    @property
    def resource(self) -> str:
        """The plural."""
        return self.served.resource.plural

    @property
    def actor(self) -> str:
        """Who wrote it."""
        return self.author.actor

    @property
    def manager(self) -> str:
        """The field manager that the request named."""
        return self.author.manager


class Store:
    """All objects of a cluster.

    Attributes:
        version: of the newest change.
        compacted: the newest version that is forgotten: what came after it can be told.
        journal: every change, in order; it is not cut by `compact`.
        listeners: told of each change.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.version = 1000
        self.compacted = 0
        self.journal: list[Change] = []
        self.listeners: list[Callable[[Change], None]] = []
        self._objects: dict[str, dict[str, dict[str, Object]]] = {}
        self._changes: dict[str, list[Change]] = {}
        self._versions: dict[str, list[int]] = {}
        self._names = 0

    def now(self) -> datetime:
        """Return the time of day."""
        return self._now()

    def timestamp(self, seconds_later: float = 0) -> str:
        """Return the time of day as objects have it: in whole seconds."""
        moment = datetime.fromtimestamp(self._now().timestamp() + seconds_later, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def unique(self) -> int:
        """Return a number that was not returned before: what UIDs and generated names are made of."""
        self._names += 1
        return self._names

    def get(self, served: Served, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects.get(served.resource.qualified, {}).get(namespace, {}).get(name)

    def all(self, served: Served, namespace: str = "") -> Iterator[Object]:
        """Yield the objects of a kind, of one namespace if it is named; in no order."""
        namespaces = self._objects.get(served.resource.qualified, {})
        if namespace:
            yield from namespaces.get(namespace, {}).values()
        else:
            for objects in namespaces.values():
                yield from objects.values()

    def all_at(self, served: Served, namespace: str, version: int) -> Iterator[Object]:
        """Yield what there was at a version that is not compacted."""
        later = self.since(served, version)
        if not later:
            yield from self.all(served, namespace)
            return
        was: dict[ObjectKey, Object] = {}
        for change in later:
            was.setdefault(change.key, change.before)
        for obj in self.all(served, namespace):
            meta = obj["metadata"]
            if (meta.get("namespace", ""), meta["name"]) not in was:
                yield obj
        for key, before in was.items():
            if before and namespace in ("", key.namespace):
                yield before

    def since(self, served: Served, version: int) -> list[Change]:
        """Return the changes of a kind after a version, oldest first."""
        kind = served.resource.qualified
        return self._changes.get(kind, [])[bisect_right(self._versions.get(kind, ()), version) :]

    def write(self, served: Served, before: Object, after: Object, author: Author, subresource: str = "") -> Object:
        """Store a new state of an object, {} to delete it. Returns it with its version; the last one of a deleted."""
        self.version += 1
        meta = {**(after or before)["metadata"], "resourceVersion": str(self.version)}
        stored = {**(after or before), "metadata": meta}
        key = ObjectKey(meta.get("namespace", ""), meta["name"])
        kind = served.resource.qualified
        objects = self._objects.setdefault(kind, {}).setdefault(key.namespace, {})
        verb: Verb
        if after:
            verb = "update" if before else "create"
            objects[key.name] = stored
        else:
            verb = "delete"
            del objects[key.name]
        change = Change(
            version=self.version,
            moment=self._now(),
            verb=verb,
            served=served,
            subresource=subresource,
            key=key,
            uid=meta["uid"],
            before=before,
            after=stored if after else {},
            author=author,
        )
        self.journal.append(change)
        self._changes.setdefault(kind, []).append(change)
        self._versions.setdefault(kind, []).append(self.version)
        for listener in self.listeners:
            listener(change)
        return stored

    def compact(self, keep: int) -> None:
        """Forget all but the last `keep` changes, for lists and watches."""
        if keep >= len(self.journal):
            return
        oldest = self.journal[-keep].version if keep else self.version + 1
        self.compacted = max(self.compacted, oldest - 1)
        for kind, versions in self._versions.items():
            forgotten = bisect_right(versions, self.compacted)
            del versions[:forgotten], self._changes[kind][:forgotten]
