"""The cluster's own clean-up: dependents of owners that are gone or going, and the contents of namespaces.

One step at a time, so that a simulation decides what happens in between. It follows the real garbage collector's and
namespace controller's decisions, not their timing, and writes without asking anybody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from fairlead.kube.resources import ObjectKey

from .deleting import deleted
from .exchange import Object
from .namespaces import finalized
from .routes import Routes
from .served import Served
from .store import Author, Change, Store
from .writing import is_emptied

__all__ = ["Collector"]

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_COLLECTOR = Author("system:serviceaccount:kube-system:generic-garbage-collector", "kube-controller-manager")
_NAMESPACES = Author("system:serviceaccount:kube-system:namespace-controller", "kube-controller-manager")

_Place = tuple[Served, ObjectKey]


class Collector:
    """Watches the store for what is to be looked at, and does one thing at a time about it."""

    def __init__(self, store: Store, routes: Routes, namespaces: Served | None) -> None:
        self._store = store
        self._routes = routes
        self._namespaces = namespaces
        self._due: OrderedDict[_Place, None] = OrderedDict()  # each once
        self._dependents: dict[str, dict[_Place, None]] = {}
        self._shared: dict[_Place, None] = {}  # what has several owners
        self._kinds = {each.resource.qualified: each for each in routes.served}
        store.listeners.append(self._hear)

    def step(self) -> bool:
        """Do one thing; False if there is nothing to do."""
        # The real one looks at all of them at once: what keeps an owner loses the others before any is deleted.
        for place in self._shared:
            obj = self._store.get(place[0], *place[1]) if place in self._due else None
            if obj is not None and self._lose_owners(place[0], obj):
                return True
        while self._due:
            place, _ = self._due.popitem(last=False)  # what is done to it brings it back, behind its dependents
            obj = self._store.get(place[0], *place[1])
            if obj is not None and self._attend(place[0], obj):
                return True
        return self._empty_namespaces()

    # -- what is to be looked at

    def _hear(self, change: Change) -> None:
        if not change.served.collected:
            return
        place = (change.served, change.key)
        before, after = _owners(change.before), _owners(change.after)
        going = bool(change.after) and "deletionTimestamp" in change.after["metadata"]
        if before != after:
            for each in before:
                self._dependents.get(each["uid"], {}).pop(place, None)
            for each in after:
                self._dependents.setdefault(each["uid"], {})[place] = None
            self._shared.pop(place, None)
            if len(after) > 1:
                self._shared[place] = None
            # An owner may have waited for this one.
            self._due.update(dict.fromkeys(self._waiting(change)))
        if going or not change.after:  # dependents first: the real one looks at them while their owner still waits
            self._due.update(self._dependents.get(change.uid, {}))
        if going or (after and before != after):
            self._due[place] = None

    def _waiting(self, change: Change) -> Iterator[_Place]:
        for reference in _owners(change.before):
            place = self._owner(change.key, reference)
            if place is not None:
                yield place

    def _owner(self, dependent: ObjectKey, reference: Object) -> _Place | None:
        served = self._routes.of_kind(str(reference.get("apiVersion")), str(reference.get("kind")))
        if served is None:
            return None
        namespace = dependent.namespace if served.resource.namespaced else ""
        return served, ObjectKey(namespace, str(reference.get("name")))

    # -- what is done

    def _attend(self, served: Served, obj: Object) -> bool:
        meta = obj["metadata"]
        finalizers = meta.get("finalizers") or ()
        if "deletionTimestamp" in meta:
            if _ORPHAN in finalizers:
                return self._orphan(served, obj)
            if _FOREGROUND not in finalizers:
                return False
            return self._foreground(served, obj)
        owners = self._sorted_owners(obj)
        if owners is None or owners[0] or not meta.get("ownerReferences"):
            return False
        _, waiting, _ = owners
        if waiting and self._dependents.get(meta["uid"]):
            return self._delete(served, obj, "Foreground")
        kept = next((each for each in finalizers if each in (_ORPHAN, _FOREGROUND)), "")
        return self._delete(served, obj, {_ORPHAN: "Orphan", _FOREGROUND: "Foreground"}.get(kept, "Background"))

    def _lose_owners(self, served: Served, obj: Object) -> bool:
        """Take off the references to owners that are gone or wait to be, where there is another one."""
        if "deletionTimestamp" in obj["metadata"]:
            return False
        solid, waiting, gone = self._sorted_owners(obj) or ([], [], [])
        if not solid or not (waiting or gone):
            return False
        return self._disown(served, obj, {each["uid"] for each in [*waiting, *gone]})

    def _sorted_owners(self, obj: Object) -> tuple[list[Object], list[Object], list[Object]] | None:
        """The owners that are there, those that wait for their dependents, and those that are gone; None if unknown."""
        solid: list[Object] = []
        waiting: list[Object] = []
        gone: list[Object] = []
        for each in obj["metadata"].get("ownerReferences") or ():
            owner = self._found(obj, each)
            if owner is None:
                return None  # of a kind that is not served: nothing is known of it
            (gone if not owner else waiting if _waits(owner) else solid).append(each)
        return solid, waiting, gone

    def _found(self, obj: Object, reference: Object) -> Object | None:
        """The owner; {} if it is gone, or another one has its name; None if it cannot be told."""
        meta = obj["metadata"]
        place = self._owner(ObjectKey(meta.get("namespace", ""), meta["name"]), reference)
        if place is None:
            return None
        owner = self._store.get(place[0], *place[1])
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else {}

    def _dependents_of(self, obj: Object) -> Iterator[tuple[Served, Object]]:
        for served, key in list(self._dependents.get(obj["metadata"]["uid"], ())):
            dependent = self._store.get(served, *key)
            if dependent is not None:
                yield served, dependent

    def _orphan(self, served: Served, obj: Object) -> bool:
        uid = obj["metadata"]["uid"]
        for dependent_served, dependent in self._dependents_of(obj):
            return self._disown(dependent_served, dependent, {uid})
        return self._release(served, obj, _ORPHAN)

    def _foreground(self, served: Served, obj: Object) -> bool:
        uid = obj["metadata"]["uid"]
        for _, dependent in self._dependents_of(obj):
            references = dependent["metadata"]["ownerReferences"]
            if any(each["uid"] == uid and each.get("blockOwnerDeletion") for each in references):
                return False
        return self._release(served, obj, _FOREGROUND)

    def _delete(self, served: Served, obj: Object, policy: str) -> bool:
        version = self._store.version
        deleted(self._store, served, obj, {"propagationPolicy": policy}, _COLLECTOR)
        return self._store.version != version

    def _disown(self, served: Served, obj: Object, uids: set[Any]) -> bool:
        kept = [each for each in obj["metadata"]["ownerReferences"] if each["uid"] not in uids]
        return self._rewrite(served, obj, "ownerReferences", kept)

    def _release(self, served: Served, obj: Object, finalizer: str) -> bool:
        kept = [each for each in obj["metadata"]["finalizers"] if each != finalizer]
        return self._rewrite(served, obj, "finalizers", kept)

    def _rewrite(self, served: Served, obj: Object, key: str, value: list[Any]) -> bool:
        meta = {name: each for name, each in obj["metadata"].items() if name != key}
        if value:
            meta[key] = value
        emptied = is_emptied(served, {**obj, "metadata": meta}, obj)
        self._store.write(served, obj, {} if emptied else {**obj, "metadata": meta}, _COLLECTOR)
        return True

    # -- namespaces

    def _empty_namespaces(self) -> bool:
        if self._namespaces is None:
            return False
        going = [each for each in self._store.all(self._namespaces) if "deletionTimestamp" in each["metadata"]]
        return any(self._empty(self._namespaces, each) for each in going)

    def _empty(self, served: Served, namespace: Object) -> bool:
        """Delete something in a namespace; or, if nothing is left, let it go."""
        if "kubernetes" not in namespace["spec"].get("finalizers", ()):
            return False
        name = namespace["metadata"]["name"]
        pods = self._kinds.get("pods")
        others = [each for each in self._kinds.values() if each.resource.namespaced and each is not pods]
        # Pods go first, and hold up everything else (since 1.33).
        for kinds in ([pods] if pods is not None else [], others):
            left = list(self._contents(name, kinds))
            for kind, obj in left:
                if "deletionTimestamp" not in obj["metadata"]:
                    deleted(self._store, kind, obj, {"propagationPolicy": "Background"}, _NAMESPACES)
                    return True
            if left:
                return False
        finalized(self._store, served, namespace, _NAMESPACES)
        return True

    def _contents(self, namespace: str, kinds: Iterable[Served]) -> Iterator[tuple[Served, Object]]:
        for served in kinds:
            for obj in self._store.all(served, namespace):
                yield served, obj


def _owners(obj: Object) -> list[Object]:
    references: list[Object] | None = obj["metadata"].get("ownerReferences") if obj else None
    return references or []


def _waits(owner: Object) -> bool:
    meta = owner["metadata"]
    return "deletionTimestamp" in meta and _FOREGROUND in (meta.get("finalizers") or ())
