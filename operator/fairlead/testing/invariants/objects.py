"""What single objects say by themselves: whose they are, which attempt they carry, whether they have ended.

The rules are those of Kubernetes and of the contract (labels, names), written down once more and apart from the
operator's own, so that a mistake there is not repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from fairlead.api import labels
from fairlead.kube.asking import USER_AGENT
from fairlead.kube.resources import JOBS, PODS, WORKFLOWS

__all__ = [
    "CARRYING",
    "Identity",
    "carried",
    "controller",
    "failed_by_itself",
    "finalizers",
    "finished",
    "finished_at",
    "has_ended",
    "is_held",
    "is_operator",
    "succeeded",
]

_Json = Mapping[str, Any]

#: Kinds of objects that carry attempts and that the operator creates by its own rights.
CARRYING = frozenset({PODS.plural, JOBS.plural, WORKFLOWS.plural})

_PRODUCT = USER_AGENT.partition("/")[0] + "/"


class Identity(NamedTuple):
    """Which attempt an object was created to carry."""

    run: str
    node: str
    number: int


def is_operator(actor: str) -> bool:
    """Tell whether somebody is an operator, of whatever version, acting by its own rights."""
    return actor.startswith(_PRODUCT)


def controller(obj: _Json) -> _Json:
    """Return the reference to the object that controls this one, {} where there is none."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((each for each in owners if each.get("controller")), {})


def carried(obj: _Json) -> Identity | None:
    """Return which attempt an object carries, by what it was created with; None for one that carries none."""
    owner, metadata = controller(obj), obj["metadata"]
    if (owner.get("apiVersion"), owner.get("kind")) != (WORKFLOWS.api_version, WORKFLOWS.kind):
        return None
    node = (metadata.get("annotations") or {}).get(labels.NODE, "")
    number = str(metadata.get("name", "")).rpartition("-")[2]
    return Identity(owner["uid"], node, int(number)) if node and number.isdecimal() else None


def finalizers(obj: _Json) -> list[str]:
    """Return the finalizers of an object, none of one that is not there."""
    return list(obj["metadata"].get("finalizers") or ()) if obj else []


def is_held(obj: _Json) -> bool:
    """Tell whether our finalizer is on an object."""
    return labels.FINALIZER in finalizers(obj)


def has_ended(plural: str, obj: _Json) -> bool:
    """Tell whether what an object carries is over, or will never be heard of again."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    deleting = "deletionTimestamp" in metadata
    match plural:
        case PODS.plural:
            # One that no kubelet has, or that was deleted by force, never becomes terminal.
            unheard = not (obj.get("spec") or {}).get("nodeName") or metadata.get("deletionGracePeriodSeconds") == 0
            return status.get("phase") in ("Succeeded", "Failed") or (deleting and unheard)
        case JOBS.plural:
            over = "True" in (_condition(status, "Complete"), _condition(status, "Failed"))

            return over or (deleting and "foregroundDeletion" not in finalizers(obj))
        case _:
            return deleting or finished(status)


def succeeded(plural: str, obj: _Json) -> bool:
    """Tell whether an object that has ended did so well, as far as it shows."""
    status = obj.get("status") or {}
    match plural:
        case PODS.plural:
            return bool(status.get("phase") == "Succeeded")
        case JOBS.plural:
            return _condition(status, "Complete") == "True"
        case _:
            return _condition(status, "Succeeded") == "True"


def failed_by_itself(plural: str, obj: _Json) -> bool:
    """Tell whether an object is a pod that failed by nothing but its own program: its user's budget is charged."""
    if plural != PODS.plural:
        return False
    metadata, status = obj["metadata"], obj.get("status") or {}
    end = _main_end(status)
    return (
        status.get("phase") == "Failed"
        and bool(end.get("exitCode"))
        and end.get("reason") in (None, "", "Error", "OOMKilled")
        and not status.get("reason")
        and "deletionTimestamp" not in metadata
        and labels.ENDING not in (metadata.get("annotations") or {})
        and _condition(status, "DisruptionTarget") != "True"
    )


def finished_at(obj: _Json) -> datetime | None:
    """Return when the main container of a pod ended."""
    text = _main_end(obj.get("status") or {}).get("finishedAt")
    return None if not text else datetime.fromisoformat(text)


def finished(status: _Json) -> bool:
    """Tell whether a run is over, by its recorded status."""
    return _condition(status, "Finished") == "True"


def _main_end(status: _Json) -> _Json:
    for each in status.get("containerStatuses") or ():
        if each.get("name") == "main":
            return (each.get("state") or {}).get("terminated") or {}
    return {}


def _condition(status: _Json, kind: str) -> str:
    return next((str(each.get("status")) for each in status.get("conditions") or () if each.get("type") == kind), "")
