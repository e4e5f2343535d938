"""DELETE: grace, finalizers and propagation, in the order in which the real server weighs them.

Dependents are not looked for here: a propagation leaves a finalizer for the collector, which does the rest.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fairlead.kube.resources import Resource

from .exchange import Answer, Object
from .namespaces import marked
from .pods import grace_of
from .reading import found, selector_of, shown
from .refusals import Cause, conflict, invalid, success
from .routes import Call, options_of
from .served import Served
from .store import Author, Store

__all__ = ["delete", "delete_all", "deleted"]

_OPTIONS = Resource("meta.k8s.io", "v1", "deleteoptions", "DeleteOptions")
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"


def delete(store: Store, call: Call) -> Answer:
    """Answer a DELETE of one object."""
    options = options_of(call)
    _check_policy(options)
    obj = found(store, call)
    after, gone = deleted(store, call.served, obj, options, call.author, dry_run=bool(options.get("dryRun")))
    if call.served.shown_deleted or not gone:
        return Answer(code=200, body=shown(call, after))
    resource, meta = call.served.resource, after["metadata"]
    details: Object = {"name": meta["name"]}
    if resource.group:
        details["group"] = resource.group
    return success(details={**details, "kind": resource.plural, "uid": meta["uid"]})


def delete_all(store: Store, call: Call) -> Answer:
    """Answer a DELETE of a collection: each object for itself."""
    options = options_of(call)
    _check_policy(options)
    select = selector_of(call)
    chosen = [obj for obj in store.all(call.served, call.namespace) if select is None or select(obj)]
    chosen.sort(key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
    for obj in chosen:
        deleted(store, call.served, obj, options, call.author, dry_run=bool(options.get("dryRun")))
    resource = call.served.resource
    items = chosen if call.served.custom else [{k: v for k, v in o.items() if k not in _HEAD} for o in chosen]
    body = {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(store.version)},
        "items": items,
    }
    return Answer(code=200, body=body)


_HEAD = ("apiVersion", "kind")


def deleted(
    store: Store, served: Served, obj: Object, options: Object, author: Author, *, dry_run: bool = False
) -> tuple[Object, bool]:
    """Delete an object, or mark it as deleted. Returns it as it is then, and whether it is gone.

    Raises `Refused`: a precondition does not hold.
    """
    _check(served, obj, options.get("preconditions") or {})
    if served.resource.qualified == "namespaces":
        return _namespace(store, served, obj, options, author, dry_run=dry_run)
    ending = _graceful(store, served, obj, options.get("gracePeriodSeconds"))
    if ending is obj:  # it is being deleted, and nothing makes it faster
        return obj, False
    meta = dict((ending or obj)["metadata"])
    finalizers = _finalizers(served, meta, options)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    if ending is None and finalizers:
        _mark(store, meta)
    if ending is None and not finalizers:
        return (obj if dry_run else store.write(served, obj, {}, author)), True
    changed = obj if meta == obj["metadata"] else {**obj, "metadata": meta}
    if changed is not obj and not dry_run:
        changed = store.write(served, obj, changed, author)
    if finalizers or (ending is not None and meta["deletionGracePeriodSeconds"] > 0):
        return changed, False
    if dry_run:
        return changed, True
    return store.write(served, changed, {}, author), True


def _namespace(
    store: Store, served: Served, obj: Object, options: Object, author: Author, *, dry_run: bool
) -> tuple[Object, bool]:
    """Mark a namespace; the collector lets it go when nothing is left in it."""
    if "deletionTimestamp" in obj["metadata"]:
        return obj, False
    after = marked(store, obj)
    finalizers = _finalizers(served, after["metadata"], options)
    if finalizers:
        after["metadata"]["finalizers"] = finalizers
    return after if dry_run else store.write(served, obj, after, author), False


def _check(served: Served, obj: Object, preconditions: Object) -> None:
    meta = obj["metadata"]
    for key, named, what in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        asked = preconditions.get(key)
        if asked is not None and asked != meta[key]:
            why = (
                f"the {named} in the precondition ({asked}) does not match the {named} in record ({meta[key]}). "
                f"The object might have been {what}"
            )
            raise conflict(served.resource, meta["name"], why, by_kind=True)


def _check_policy(options: Object) -> None:
    policy = options.get("propagationPolicy")
    if policy not in (None, "Foreground", "Background", "Orphan"):
        why = f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"'
        raise invalid(_OPTIONS, "", [Cause("FieldValueNotSupported", why, "propagationPolicy")])


def _graceful(store: Store, served: Served, obj: Object, asked: int | None) -> Object | None:
    """Return the object marked as ending; itself where that changes nothing; None where there is no grace."""
    if not served.graceful:
        return None
    meta = obj["metadata"]
    if asked is not None and asked < 0:
        asked = 1
    if "deletionTimestamp" in meta:
        given = meta.get("deletionGracePeriodSeconds", 0)
        if given == 0:
            return None
        if asked is None or asked >= given:  # only a shorter time can be asked for
            return obj
        ends = datetime.fromisoformat(meta["deletionTimestamp"]) + timedelta(seconds=asked - given)
        later = {"deletionTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), "deletionGracePeriodSeconds": asked}
        return {**obj, "metadata": {**meta, **later}}
    seconds = grace_of(obj, asked)
    ending: Object = {"deletionTimestamp": store.timestamp(seconds), "deletionGracePeriodSeconds": seconds}
    if "generation" in meta:
        ending["generation"] = meta["generation"] + 1
    return {**obj, "metadata": {**meta, **ending}}


def _mark(store: Store, meta: Object) -> None:
    """Mark as deleted what has no grace, and finalizers."""
    if "deletionGracePeriodSeconds" not in meta and "generation" in meta:
        meta["generation"] += 1
    now = store.timestamp()
    if "deletionTimestamp" not in meta or meta["deletionTimestamp"] > now:
        meta["deletionTimestamp"] = now
    meta["deletionGracePeriodSeconds"] = 0


def _finalizers(served: Served, meta: Object, options: Object) -> list[str]:
    """The finalizers after a delete: those of the collector are set as its propagation asks."""
    present: list[str] = meta.get("finalizers") or []
    orphan = foreground = False
    policy = options.get("propagationPolicy")
    if served.collected:
        if options.get("orphanDependents") is not None:
            orphan = bool(options["orphanDependents"])
        elif policy is not None:
            orphan, foreground = policy == "Orphan", policy == "Foreground"
        else:
            chosen = next((each for each in present if each in (_ORPHAN, _FOREGROUND)), None)
            orphan = chosen == _ORPHAN or (chosen is None and served.orphans)
            foreground = chosen == _FOREGROUND
    kept = [each for each in present if each not in (_ORPHAN, _FOREGROUND)]
    return [*kept, *([_ORPHAN] if orphan else []), *([_FOREGROUND] if foreground else [])]
