"""What is particular to pods: which fields of the spec may change, how long they take to end, binding and eviction.

Fields that the real server fills in (volumes of the service account's token, tolerations, policies) are not.
"""

from __future__ import annotations

from collections.abc import Iterator

from .exchange import Object
from .refusals import Cause

__all__ = ["DEFAULT_GRACE", "changed_spec", "created_status", "grace_of"]

DEFAULT_GRACE = 30
_MUTABLE = frozenset({"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"})
_SAID = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def created_status() -> Object:
    """Return the status that a pod has at first, whatever the client sent."""
    return {"phase": "Pending"}


def grace_of(pod: Object, asked: int | None) -> int:
    """Return the seconds that a pod is given to end: none before it is on a node, and after it has ended."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    seconds = int(spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE)) if asked is None else asked
    return 1 if seconds < 0 else seconds


def changed_spec(new: Object, old: Object) -> Iterator[Cause]:
    """Yield what is wrong with a change of a pod's spec."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    if after is before or after == before:
        return
    moved = [key for key in ("containers", "initContainers") if len(after.get(key) or ()) != len(before.get(key) or ())]
    for key in moved:
        yield Cause.forbidden(f"spec.{key}", "pod updates may not add or remove containers")
    if moved:
        return
    deadline, was = after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if was is not None and deadline is not None and deadline > was:
        yield Cause.value("spec.activeDeadlineSeconds", deadline, "must be less than or equal to previous value")
        return
    if was is not None and deadline is None:
        yield Cause.value("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")
    removed = [each for each in before.get("tolerations") or () if each not in (after.get("tolerations") or ())]
    seconds, earlier = after.get("terminationGracePeriodSeconds"), before.get("terminationGracePeriodSeconds")
    if removed or seconds != earlier or _fixed(after) != _fixed(before):
        yield Cause.forbidden("spec", _SAID)


def _fixed(spec: Object) -> Object:
    """The part of a spec that cannot change."""
    fixed = {key: value for key, value in spec.items() if key not in _MUTABLE}
    for key in ("containers", "initContainers"):
        if key in fixed:
            fixed[key] = [{name: value for name, value in each.items() if name != "image"} for each in fixed[key]]
    return fixed
