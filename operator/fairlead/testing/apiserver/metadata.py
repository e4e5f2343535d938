"""The rules of `metadata` that all kinds share: what a client may set, what is checked, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.kube.resources import ObjectKey

from .exchange import Object
from .refusals import Cause, bad_request

__all__ = ["check_address", "checked", "compared", "named", "ordered"]

_FIELDS = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
)
_LISTS = frozenset({"labels", "annotations", "ownerReferences", "finalizers"})
_STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_LIMIT = 253
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LABEL_LIMIT = 63

_BAD_NAME = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_BAD_LABEL = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def ordered(meta: Mapping[str, object]) -> Object:
    """Return what there is of the known fields; empty ones are as good as missing, and an owner is named once."""
    result: Object = {}
    for key in _FIELDS:
        value = meta.get(key)
        if value is not None and (value or key not in _LISTS) and value != "":
            result[key] = value
    owners = result.get("ownerReferences")
    if owners is not None and len(owners) > 1:
        result["ownerReferences"] = [each for i, each in enumerate(owners) if each not in owners[:i]]
    return result


def named(key: ObjectKey, obj: object) -> Object:
    """Return the metadata of an object as a client sent it. Raises `Refused`: it is none."""
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata", {}), dict):
        raise bad_request(f"the body is no object to store as {key}")
    meta: Object = obj.get("metadata") or {}
    return meta


def check_address(meta: Mapping[str, object], namespace: str, name: str) -> None:
    """Raise `Refused` unless the object is the one that the path names."""
    if name and meta.get("name") != name:
        raise bad_request(
            f"the name of the object ({meta.get('name') or ''}) does not match the name on the URL ({name})"
        )
    if meta.get("namespace", namespace) not in (namespace, ""):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def checked(meta: Mapping[str, object], *, lax: bool, named: bool = True) -> Iterator[Cause]:
    """Yield what is wrong with metadata by itself; `lax`: finalizers need no domain; not `named`: any name will do."""
    yield from _checked_name(meta.get("name"), any_will_do=not named)
    labels = meta.get("labels")
    if isinstance(labels, dict):
        for value in labels.values():
            if len(value) > _LABEL_LIMIT:
                yield Cause.value("metadata.labels", value, f"must be no more than {_LABEL_LIMIT} bytes")
            elif not _LABEL.fullmatch(value):
                yield Cause.value("metadata.labels", value, _BAD_LABEL)
    yield from _checked_owners(meta.get("ownerReferences"))
    finalizers = meta.get("finalizers")
    if isinstance(finalizers, list):
        for index, each in enumerate(finalizers):
            if "/" not in each and each not in _STANDARD_FINALIZERS and not lax:
                why = "name is neither a standard finalizer name nor is it fully qualified"
                yield Cause.value(f"metadata.finalizers[{index}]", each, why)
        if "orphan" in finalizers and "foregroundDeletion" in finalizers:
            why = "finalizer orphan and foregroundDeletion cannot be both set"
            yield Cause.value("metadata.finalizers", finalizers, why)


def _checked_name(name: object, *, any_will_do: bool) -> Iterator[Cause]:
    if not name:
        yield Cause.required("metadata.name", "name or generateName is required")
    elif any_will_do:
        return
    elif len(str(name)) > _NAME_LIMIT:
        yield Cause.value("metadata.name", name, f"must be no more than {_NAME_LIMIT} characters")
    elif not _NAME.fullmatch(str(name)):
        yield Cause.value("metadata.name", name, _BAD_NAME)


def _checked_owners(owners: object) -> Iterator[Cause]:
    if not isinstance(owners, list):
        return
    for index, owner in enumerate(owners):
        where = f"metadata.ownerReferences[{index}]"
        for key, what in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(key):
                field = f"{where}.{key}"
                yield Cause.value(field, owner.get(key, ""), f"{what} must not be empty")
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            yield Cause.value("metadata.ownerReferences", "v1, Kind=Event", "is disallowed from being an owner")
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        names = " and ".join(f"{each.get('kind')}/{each.get('name')}" for each in controllers[:2])
        why = f'Only one reference can have Controller set to true. Found "true" in references for {names}'
        yield Cause("FieldValueInvalid", f"Invalid value: {why}", "metadata.ownerReferences")


def compared(new: Mapping[str, object], old: Mapping[str, object]) -> Iterator[Cause]:
    """Yield what an update may not change."""
    for key in ("name", "namespace", "uid"):
        if new.get(key) != old.get(key):
            yield Cause.immutable(f"metadata.{key}", new.get(key, ""))
    if new.get("deletionTimestamp") != old.get("deletionTimestamp"):
        yield Cause.immutable("metadata.deletionTimestamp", new.get("deletionTimestamp", ""))
    if new.get("deletionGracePeriodSeconds") != old.get("deletionGracePeriodSeconds"):
        yield Cause.immutable("metadata.deletionGracePeriodSeconds", new.get("deletionGracePeriodSeconds"))
    if old.get("deletionTimestamp"):
        held = old.get("finalizers") or ()
        added = [each for each in _strings(new.get("finalizers")) if each not in _strings(held)]
        if added:
            names = ", ".join(f'"{each}"' for each in added)
            why = "no new finalizers can be added if the object is being deleted, found new finalizers "
            yield Cause.forbidden("metadata.finalizers", f"{why}[]string{{{names}}}")


def _strings(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []
