"""What is particular to Jobs: the selector that each has of its own, by its UID, and that its template cannot change.

Policies and numbers that the real server fills in (completions, backoffLimit and the like) are not.
"""

from __future__ import annotations

from collections.abc import Iterator

from .exchange import Object
from .refusals import Cause

__all__ = ["changed_spec", "created", "relabelled"]

_UID, _NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
_OLD_UID, _OLD_NAME = "controller-uid", "job-name"


def created(obj: Object) -> Object:
    """Return a new Job with its selector, and its pods' labels; without labels of its own it has those too."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    if spec.get("manualSelector") or "template" not in spec:
        return {**obj, "status": {}}
    uid, name = meta["uid"], meta.get("name")
    template = spec["template"]
    mine = {_UID: uid, _NAME: name, _OLD_UID: uid, _OLD_NAME: name}
    labels = {**((template.get("metadata") or {}).get("labels") or {}), **mine}
    template = {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}}
    if not meta.get("labels"):
        obj = {**obj, "metadata": {**meta, "labels": labels}}
    return {**obj, "spec": {**spec, "selector": {"matchLabels": {_UID: uid}}, "template": template}, "status": {}}


def relabelled(obj: Object) -> Object:
    """Return a changed Job: one without labels has those of its template again."""
    meta = obj["metadata"]
    labels = (((obj.get("spec") or {}).get("template") or {}).get("metadata") or {}).get("labels")
    return obj if meta.get("labels") or not labels else {**obj, "metadata": {**meta, "labels": labels}}


def changed_spec(new: Object, old: Object) -> Iterator[Cause]:
    """Yield what is wrong with a change of a Job's spec."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    selector, template = after.get("selector"), after.get("template")
    wanted = (selector or {}).get("matchLabels") or {}
    labels = ((template or {}).get("metadata") or {}).get("labels") or {}
    uid = new["metadata"].get("uid")
    if not after.get("manualSelector") and uid != old["metadata"]["uid"]:
        for key in (_UID, _OLD_UID):
            yield Cause.value(f"spec.template.metadata.labels[{key}]", labels.get(key), f"must be '{uid}'")
        yield Cause.value("spec.selector", selector, "`selector` not auto-generated")
    if not selector:
        yield Cause.required("spec.selector")
    if not wanted or any(labels.get(key) != value for key, value in wanted.items()):
        yield Cause.value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if selector != before.get("selector"):
        yield Cause.immutable("spec.selector", selector)
    if template != before.get("template"):
        yield Cause.immutable("spec.template", template)
