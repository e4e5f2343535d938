"""What of an answer is compared: everything, but what cannot be the same on two servers, or is left out on purpose.

* UIDs and versions become ordinals in the order in which a server first showed them; a list's own version is left out,
  as others write to the real one too; continue tokens, times and `managedFields` are masked or left out.
* A failure is its code, reason, details, and the fields and reasons of its causes, each once: the real one tells some
  of them twice. Its message counts where the operator reads it (`READ`).
* What the real server fills in of pods and Jobs, and the fake does not: `POD_DEFAULTS`, `CONTAINER_DEFAULTS`,
  `JOB_DEFAULTS`, and what is named where they are used.
* What controllers put into every namespace counts by its name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["Ordinals", "comparable", "comparable_event"]

Object = dict[str, Any]

#: Reasons of failures whose message the operator reads, or shows to people.
READ = frozenset({"AlreadyExists", "Conflict", "Forbidden", "NotFound", "Expired", "RequestEntityTooLarge"})
#: Objects that the cluster's controllers create in every namespace.
ALWAYS_THERE = frozenset({"kube-root-ca.crt", "default"})

POD_DEFAULTS: Object = {
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "serviceAccount": "default",
    "serviceAccountName": "default",
    "terminationGracePeriodSeconds": 30,
}
CONTAINER_DEFAULTS: Object = {
    "imagePullPolicy": "IfNotPresent",
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
JOB_DEFAULTS: Object = {
    "backoffLimit": 6,
    "completionMode": "NonIndexed",
    "completions": 1,
    "parallelism": 1,
    "podReplacementPolicy": "TerminatingOrFailed",
    "suspend": False,
}
#: Of Jobs, with values of their own.
JOB_FILLED = frozenset({"manualSelector"})
EVENT_FILLED = frozenset(
    {"firstTimestamp", "lastTimestamp", "source", "eventTime", "reportingComponent", "reportingInstance"}
)

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Ordinals:
    """Names for UIDs and versions of one server."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        #: What was not shown yet has no order: the clean-up's versions, in watches.
        self.closed = False

    def name(self, kind: str, value: str) -> str:
        if self.closed and value not in self._names:
            return f"{kind}, a new one"
        return self._names.setdefault(value, f"{kind} {len(self._names) + 1}")

    def knows(self, value: str) -> bool:
        return len(value) > 8 and value in self._names

    def named(self, text: str) -> str:
        """A text with the UIDs and versions in it named."""
        for value, name in self._names.items():
            if len(value) > 8:
                text = text.replace(value, name)
        return text


def comparable(code: int, body: Any, plural: str, ordinals: Ordinals) -> Any:
    """Return what of an answer is compared."""
    if isinstance(body, bytes | str):
        return {"code": code, "text": str(body)}
    if body.get("kind") == "Status":
        return {"code": code, **_status(body, ordinals)}
    if "items" in body:
        meta = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
        if "continue" in meta:
            meta["continue"] = "<token>" if meta["continue"] else None  # "" in lists of custom resources
        items = [_object(each, plural, ordinals) for each in body["items"] or ()]
        head = {
            "kind": body["kind"],
            "apiVersion": body["apiVersion"],
            "metadata": {key: each for key, each in meta.items() if each is not None},
        }
        return {"code": code, **head, "items": items}
    return {"code": code, **_object(body, plural, ordinals)}


def comparable_event(event: Object, plural: str, ordinals: Ordinals) -> Any:
    """Return what of a watch's event is compared."""
    if event["type"] == "ERROR":
        return {"type": "ERROR", **_status(event["object"], ordinals)}
    return {"type": event["type"], **_object(event["object"], plural, ordinals)}


def _status(body: Object, ordinals: Ordinals) -> Object:
    details = dict(body.get("details") or {})
    if causes := details.pop("causes", None):
        seen = {(each.get("field", ""), each.get("reason", "")) for each in causes}
        details["causes"] = sorted(each for each in seen if each[0] != "<nil>")
    if "uid" in details:
        details["uid"] = ordinals.name("uid", details["uid"])
    shown: Object = {"status": body["status"], "reason": body.get("reason"), "details": details}
    if "continue" in body.get("metadata", {}):
        shown["continue"] = "<token>"
    if body.get("reason") in READ:
        shown["message"] = re.sub(r"\(\d+\)", "(…)", ordinals.named(body["message"]))
    return shown


def _object(obj: Object, plural: str, ordinals: Ordinals) -> Object:
    meta = obj["metadata"]
    if meta.get("name") in ALWAYS_THERE:
        return {"metadata": {"name": meta["name"]}}
    if "uid" in meta:
        ordinals.name("uid", meta["uid"])  # before it is met in labels
    found: Object = _plain(obj, ordinals)
    if plural == "pods":
        _strip_pod(found)
        _without(found.get("status") or {}, {"qosClass": "BestEffort"})
    elif plural == "jobs" and isinstance(spec := found.get("spec"), dict):
        _without(spec, JOB_DEFAULTS)
        for key in JOB_FILLED:
            spec.pop(key, None)
        _strip_pod(spec["template"])
    elif plural == "events":
        for key in EVENT_FILLED:
            found.pop(key, None)
    return {key: value for key, value in found.items() if value not in ({}, None)}


def _strip_pod(pod: Object) -> None:
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return
    _without(spec, POD_DEFAULTS)
    spec.pop("tolerations", None)
    for container in spec.get("containers", ()):
        _without(container, CONTAINER_DEFAULTS)


def _without(obj: Object, defaults: Object) -> None:
    for key, value in defaults.items():
        if obj.get(key) == value:
            del obj[key]


def _plain(value: Any, ordinals: Ordinals, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: each for name, each in _fields(value, ordinals) if each is not None}
    if isinstance(value, list):
        return [_plain(each, ordinals) for each in value]
    if key == "uid" and value:
        return ordinals.name("uid", value)
    if key == "resourceVersion":
        return ordinals.name("version", value)
    if isinstance(value, str) and ordinals.knows(value):
        return ordinals.name("", value)
    if isinstance(value, str) and _TIME.fullmatch(value):
        return "<time>"
    return value


def _fields(obj: Object, ordinals: Ordinals) -> Iterator[tuple[str, Any]]:
    for name in sorted(obj):  # ordinals are given in the same order on both sides
        if name != "managedFields":
            yield name, _plain(obj[name], ordinals, name)
