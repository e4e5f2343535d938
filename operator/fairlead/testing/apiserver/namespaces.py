"""What is particular to namespaces: they are deleted in two steps, and take nothing new from the first one on."""

from __future__ import annotations

from .exchange import Object
from .refusals import Cause, forbidden, not_found
from .routes import Call
from .served import Served
from .store import Author, Store

__all__ = ["check_open", "created", "finalized", "marked"]


def created(obj: Object) -> Object:
    """Return a new namespace as the server makes it."""
    meta = obj["metadata"]
    labels = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta.get("name")}
    spec = {"finalizers": ["kubernetes"]}
    return {**obj, "metadata": {**meta, "labels": labels}, "spec": spec, "status": {"phase": "Active"}}


def marked(store: Store, obj: Object) -> Object:
    """Return a namespace that is going away. No grace is noted, unlike elsewhere."""
    meta = {**obj["metadata"], "deletionTimestamp": store.timestamp()}
    return {**obj, "metadata": meta, "status": {**(obj.get("status") or {}), "phase": "Terminating"}}


def finalized(store: Store, served: Served, namespace: Object, author: Author) -> None:
    """Take the namespace controller's finalizer away: nothing is left in it."""
    kept = [each for each in namespace["spec"].get("finalizers", ()) if each != "kubernetes"]
    after = {**namespace, "spec": {**namespace["spec"], "finalizers": kept} if kept else {}}
    held = kept or namespace["metadata"].get("finalizers")
    store.write(served, namespace, after if held else {}, author, "finalize")


def check_open(store: Store, namespaces: Served, call: Call, name: str) -> None:
    """Raise `Refused` unless something can be created in the namespace of a call."""
    namespace = store.get(namespaces, "", call.namespace)
    if namespace is None:
        raise not_found(namespaces.resource, call.namespace)
    if "deletionTimestamp" in namespace["metadata"]:
        said = f"namespace {call.namespace} is being terminated"
        why = f"unable to create new content in namespace {call.namespace} because it is being terminated"
        cause = Cause("NamespaceTerminating", said, "metadata.namespace")
        raise forbidden(call.served.resource, name, why, [cause])
