"""What a write means to each kind: which part it may touch, what the server sets, and when the generation grows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import jobs, namespaces, pods
from .exchange import Object
from .refusals import Cause
from .schemas import defaulted, pruned, schema_of, violations
from .served import Served

__all__ = ["check_create", "check_update", "known", "prepare_create", "prepare_update"]

_HEAD = ("apiVersion", "kind", "metadata")


def prepare_create(served: Served, obj: Object) -> Object:
    """Return a new object with what the server sets: its status is not the client's to say."""
    if served.status:
        obj.pop("status", None)
    match served.resource.qualified:
        case "pods":
            obj["status"] = pods.created_status()
        case "namespaces":
            return _headed(namespaces.created(obj))
        case "jobs.batch":
            return _headed(jobs.created(obj))
        case "nodes":
            obj["status"] = {}
        case "secrets":
            obj.setdefault("type", "Opaque")
        case "persistentvolumeclaims":
            obj["status"] = {"phase": "Pending"}
    return _headed(_filled(served, obj))


def prepare_update(served: Served, subresource: str, new: Object, old: Object) -> Object:
    """Return an object with only what may be written this way, and its generation."""
    if subresource == "status":
        return _headed(_filled(served, _status_only(served, new, old)))
    if served.resource.qualified == "namespaces" and subresource != "finalize":
        new = {**new, "spec": {**(new.get("spec") or {}), "finalizers": old["spec"].get("finalizers", [])}}
    if served.resource.qualified == "secrets":
        new = {"type": "Opaque", **new}
    if served.resource.qualified == "jobs.batch":
        new = jobs.relabelled(new)
    if served.status:
        new = _with(new, "status", old.get("status"))
    new = _filled(served, new)
    if served.counted and _counts(served, new, old):
        meta = new["metadata"]
        new = {**new, "metadata": {**meta, "generation": old["metadata"].get("generation", 0) + 1}}
    return _headed(new)


def known(served: Served, obj: Object, old: Object) -> Object:
    """Return an object as it is decoded: without what its kind's schema does not know."""
    schema = schema_of(served.resource) if served.custom else None
    return obj if schema is None else pruned(schema, obj, old)


def _filled(served: Served, obj: Object) -> Object:
    schema = schema_of(served.resource) if served.custom else None
    return obj if schema is None else defaulted(schema, obj)


def _by_schema(served: Served, obj: Object, old: Object) -> Iterator[Cause]:
    schema = schema_of(served.resource) if served.custom else None
    if schema is not None:
        yield from violations(schema, obj, old)


def check_create(served: Served, obj: Object) -> Iterator[Cause]:
    """Yield what is wrong with a new object."""
    yield from _by_schema(served, obj, {})
    if served.resource.qualified == "pods":
        spec = obj.get("spec") or {}
        if not spec.get("containers"):
            yield Cause.required("spec.containers")
    elif served.resource.qualified == "events":
        about = (obj.get("involvedObject") or {}).get("namespace", "")
        if about != obj["metadata"]["namespace"] and (about or obj["metadata"]["namespace"] != "default"):
            yield Cause.value("involvedObject.namespace", about, "does not match event.namespace")


def check_update(served: Served, subresource: str, new: Object, old: Object) -> Iterator[Cause]:
    """Yield what is wrong with a change."""
    yield from _by_schema(served, new, old)
    if served.resource.qualified == "pods" and not subresource:
        yield from pods.changed_spec(new, old)
    elif served.resource.qualified == "jobs.batch":
        yield from jobs.changed_spec(new, old)


def _status_only(served: Served, new: Object, old: Object) -> Object:
    """What a write of the status may change. Of a custom resource nothing else; of others also most metadata."""
    status = new.get("status")
    if served.custom:
        return _with(old, "status", status)
    kept = {key: value for key, value in old.items() if key not in ("metadata", "status")}
    meta = dict(new["metadata"])
    if served.graceful:  # old kubelets broke these
        meta["ownerReferences"] = old["metadata"].get("ownerReferences")
        if meta["ownerReferences"] is None:
            del meta["ownerReferences"]
    return _with({**kept, "metadata": meta}, "status", status)


def _counts(served: Served, new: Object, old: Object) -> bool:
    if not served.custom:
        return bool(new.get("spec") != old.get("spec"))
    skipped = {*_HEAD, "status"} if served.status else set(_HEAD)
    keys = (new.keys() | old.keys()) - skipped
    return any(new.get(key) != old.get(key) for key in keys)


def _with(obj: Object, key: str, value: Any) -> Object:
    if value is None:
        return {name: each for name, each in obj.items() if name != key}
    return {**obj, key: value}


def _headed(obj: Object) -> Object:
    return {**{key: obj[key] for key in _HEAD if key in obj}, **{k: v for k, v in obj.items() if k not in _HEAD}}
