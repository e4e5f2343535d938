"""Create, replace and patch: the order in which the real server applies its rules to an object that is written.

What a write means to a kind (which part is left alone, what counts as a change) is in `kinds`; deletion, also the one
that happens when the last finalizer is taken away, is in `deleting`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fairlead.kube.resources import ObjectKey, Resource

from . import metadata
from .applying import Owners, Ownership
from .exchange import Answer, Object, Request
from .kinds import check_create, check_update, known, prepare_create, prepare_update
from .merging import merged, operated
from .namespaces import check_open
from .reading import found, shown
from .refusals import (
    Cause,
    Refused,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
    refusal,
    unsupported_media_type,
)
from .routes import Call, document
from .served import Served
from .store import Store
from .strategic import strategically_merged

__all__ = ["Admission", "Writer"]

#: Says no to what is about to be stored, or None.
Admission = Callable[[Request, Mapping[str, Any]], Answer | None]

_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_JSON = "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"
_PATCH_OPTIONS = Resource("meta.k8s.io", "v1", "patchoptions", "PatchOptions")
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
#: What etcd takes at most, for one object.
_STORED_LIMIT = 1_572_864


class Writer:
    """Writes objects by the rules; `admit` is asked last before one is stored."""

    def __init__(self, store: Store, namespaces: Served | None, admit: Admission | None = None) -> None:
        self.store = store
        self.admit = admit
        self._namespaces = namespaces
        #: Versions of objects as they were created: a default is stored by the first write after that, even by one that
        #: changes nothing; a deletion that waits for a finalizer is such a write too.
        self._undefaulted: set[str] = set()
        self._ownership = Ownership()

    def create(self, call: Call) -> Answer:
        """Answer a POST to a collection."""
        body = document(call.request)
        return self.created(call, body)

    def created(self, call: Call, body: Object) -> Answer:
        """Store a new object."""
        served, store = call.served, self.store
        key = ObjectKey(call.namespace, call.name)
        given = metadata.named(key, body)
        metadata.check_address(given, call.namespace, call.name)
        self._check_kind(served, body)
        if given.get("resourceVersion"):
            raise Refused(refusal(500, "", "resourceVersion should not be set on objects to be created"))
        name = str(given.get("name") or self._generated(given.get("generateName")))
        self._check_namespace(call, name)
        meta = {
            **given,
            "name": name,
            "namespace": call.namespace,
            "uid": f"{store.version:08x}-0000-4000-8000-{store.unique():012x}",
            "creationTimestamp": store.timestamp(),
            "generation": 1 if served.counted else given.get("generation"),
            "deletionTimestamp": None,
            "deletionGracePeriodSeconds": None,
        }
        obj = prepare_create(served, known(served, {**body, "metadata": metadata.ordered(meta)}, {}))
        causes = [
            *metadata.checked(obj["metadata"], lax=served.lax, named=served.collected),
            *check_create(served, obj),
        ]
        if causes:
            raise invalid(served.resource, name, causes)
        self._ask(call, obj)
        present = store.get(served, call.namespace, name)
        if present is not None:
            raise already_exists(served.resource, name, going="deletionTimestamp" in present["metadata"])
        self._check_size(call)
        if not call.dry_run:
            obj = store.write(served, {}, obj, call.author)
            if served.custom and "status" in obj:
                self._undefaulted.add(obj["metadata"]["resourceVersion"])
        return Answer(code=201, body=shown(call, obj))

    def replace(self, call: Call) -> Answer:
        """Answer a PUT."""
        body = document(call.request)
        served = call.served
        given = metadata.named(ObjectKey(call.namespace, call.name), body)
        metadata.check_address(given, call.namespace, call.name)
        self._check_kind(served, body)
        old = self.store.get(served, call.namespace, call.name)
        uid = given.get("uid")
        if old is None:
            if not served.upserted or call.subresource:
                raise not_found(served.resource, call.name)
            if uid:
                raise conflict(served.resource, call.name, _wrong_uid(call, uid, ""))
            given = {key: value for key, value in given.items() if key != "resourceVersion"}
            return self.created(call, {**body, "metadata": given})
        if uid and uid != old["metadata"]["uid"]:
            raise conflict(served.resource, call.name, _wrong_uid(call, uid, old["metadata"]["uid"]))
        return self.updated(call, old, body)

    def patch(self, call: Call) -> Answer:
        """Answer a PATCH."""
        kind = call.request.headers.get("Content-Type", "").partition(";")[0]
        patch = document(call.request)
        if kind == _APPLY:
            return self._apply(call, patch)
        old = found(self.store, call)
        match kind:
            case "application/json-patch+json":
                new = operated(old, patch)
            case "application/merge-patch+json":
                new = merged(old, patch)
            case "application/strategic-merge-patch+json" if not call.served.custom:
                new = strategically_merged(old, patch)
            case _:
                custom = [_JSON, _MERGE, _APPLY]
                raise unsupported_media_type(custom if call.served.custom else [*custom, _STRATEGIC])
        metadata.check_address(metadata.named(ObjectKey(call.namespace, call.name), new), call.namespace, call.name)
        return self.updated(call, old, new)

    def _apply(self, call: Call, config: Object) -> Answer:
        manager = (call.author.manager, call.subresource)
        if not call.author.manager:
            why = Cause.required("fieldManager", "is required for apply patch")
            raise invalid(_PATCH_OPTIONS, "", [why])
        metadata.check_address(metadata.named(ObjectKey(call.namespace, call.name), config), call.namespace, call.name)
        self._check_kind(call.served, config)
        old = self.store.get(call.served, call.namespace, call.name)
        force = call.query.get("force") in ("true", "1")
        new, owners = self._ownership.apply(call.served, old or {}, config, manager, force=force)
        if old is not None:
            return self.updated(call, old, new, owners=owners)
        if call.subresource:
            raise not_found(call.served.resource, call.name)
        uid = config["metadata"].get("uid")
        if uid:
            why_not = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(call.served.resource, call.name, why_not)
        answer = self.created(call, new)
        stored = self.store.get(call.served, call.namespace, call.name)
        if stored is not None:
            self._ownership.record(stored, owners)
        return answer

    def updated(self, call: Call, old: Object, new: Object, *, owners: Owners | None = None) -> Answer:
        """Store another state of an object; `owners` are its fields' after an apply."""
        served, through = call.served, call.subresource
        self._check_version(call, old, new)
        was = old["metadata"]
        given = new["metadata"]
        meta = {
            **given,
            "uid": given.get("uid") or was["uid"],
            "namespace": given.get("namespace") or was.get("namespace"),
            "resourceVersion": was["resourceVersion"],
            "generation": was.get("generation"),
            "creationTimestamp": was["creationTimestamp"],
        }
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            if key in was:
                meta[key] = was[key] if key == "deletionTimestamp" else meta.get(key, was[key])
        decoded = known(served, {**new, "metadata": metadata.ordered(meta)}, old)
        obj = prepare_update(served, through, decoded, old)
        after = obj["metadata"]
        causes = [
            *metadata.checked(after, lax=served.lax, named=served.collected),
            *metadata.compared(after, was),
            *check_update(served, through, obj, old),
        ]
        if causes:
            raise invalid(served.resource, call.name, causes)
        stored = was["resourceVersion"] not in self._undefaulted
        if obj == old and stored and (owners is None or not self._ownership.changes(old, owners)):
            return Answer(code=200, body=shown(call, old))
        self._ask(call, obj)
        if is_emptied(served, obj, old):
            if not call.dry_run:
                self.store.write(served, old, {}, call.author, through)
                self._ownership.forget(was["uid"])
            return Answer(code=200, body=shown(call, obj))
        self._check_size(call)
        if not call.dry_run:
            obj = self.store.write(served, old, obj, call.author, through)
            self._undefaulted.discard(was["resourceVersion"])
            if owners is None:
                self._ownership.written(old, obj)
            else:
                self._ownership.record(obj, owners)
        return Answer(code=200, body=shown(call, obj))

    def _check_version(self, call: Call, old: Object, new: Object) -> None:
        asked = str(new["metadata"].get("resourceVersion") or "")
        if not asked and not call.served.unconditional:
            cause = Cause("FieldValueInvalid", "Invalid value: 0: must be specified for an update", _VERSION)
            raise invalid(call.served.resource, call.name, [cause], kind=call.served.resource.plural)
        if asked and asked != old["metadata"]["resourceVersion"]:
            raise conflict(call.served.resource, call.name)

    def _check_kind(self, served: Served, body: Object) -> None:
        resource = served.resource
        said = (body.get("apiVersion"), body.get("kind"))
        if served.custom and said[0] == resource.api_version and said[1] != resource.kind:
            cause = Cause.value("kind", said[1], f"must be {resource.kind}")
            name = str((body.get("metadata") or {}).get("name", ""))
            raise invalid(resource, name, [cause], kind=str(said[1]))
        if said != (resource.api_version, resource.kind):
            raise bad_request(f"the object provided is unrecognized: {said[0]}, Kind={said[1]} is not {resource.kind}")

    def _check_namespace(self, call: Call, name: str) -> None:
        """Nothing is created where there is no namespace, or one that is going away."""
        if self._namespaces is not None and call.served.resource.namespaced:
            check_open(self.store, self._namespaces, call, name)

    def _check_size(self, call: Call) -> None:
        if len(call.request.body) > _STORED_LIMIT:
            raise Refused(refusal(500, "", "etcdserver: request is too large"))

    def _ask(self, call: Call, obj: Object) -> None:
        if self.admit is not None and (answer := self.admit(call.request, obj)) is not None:
            raise Refused(answer)

    def _generated(self, prefix: object) -> str:
        if not isinstance(prefix, str) or not prefix:
            return ""
        number, suffix = self.store.unique() * 7919, ""
        for _ in range(5):
            number, digit = divmod(number, len(_SUFFIX))
            suffix += _SUFFIX[digit]
        return prefix[:58] + suffix


_VERSION = "metadata.resourceVersion"


def _wrong_uid(call: Call, uid: object, present: str) -> str:
    resource = call.served.resource
    group = f"{resource.group}/" if call.served.custom else ""
    key = f"/registry/{group}{resource.plural}/{call.namespace}/{call.name}"
    return (
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition "
        f"failed: UID in precondition: {uid}, UID in object meta: {present}"
    )


def is_emptied(served: Served, after: Object, before: Object) -> bool:
    """Whether a write takes away the last thing that a deleted object waits for."""
    was = before["metadata"]
    if after["metadata"].get("finalizers") or "deletionTimestamp" not in was:
        return False
    if served.resource.qualified == "namespaces" and (after.get("spec") or {}).get("finalizers"):
        return False
    return bool(was.get("deletionGracePeriodSeconds", 0) == 0)
