"""The runs that wait for a `concurrencyKey`, in their order, and those of which nobody has asked yet what theirs is.

Ten thousand may wait for one key, and each of them asks how many are before it: that is a look into an ordered list,
not a walk through all that there is. Who may pass is none of this module's business (`concurrency.py`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api.concurrency import OnConflict

from .status import is_finished
from .store import Workflow

__all__ = ["Group", "Lines", "Place", "age_of", "order_of"]

#: The namespace, and the key.
Group = tuple[str, str]

#: When it was created, and what tells those of the same second apart.
Age = tuple[str, str]

#: Higher priority first, then the older one; of runs that replace each other, age alone counts.
Order = tuple[int, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A run that wants to start, and its place in line."""

    uid: str
    name: str
    generation: int
    group: Group
    age: Age
    order: Order
    limit: int
    on_conflict: OnConflict


class Lines:
    """Places by run and by key."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._lines: dict[Group, list[tuple[Order, str]]] = {}
        #: Runs that may have a key, by namespace: they may belong before others.
        self._unasked: dict[str, dict[str, Workflow]] = {}

    def get(self, uid: str) -> Place | None:
        """Return the place of a run."""
        return self._places.get(uid)

    def put(self, place: Place) -> None:
        """Put a run in line, in place of where it was."""
        self.remove(place.uid)
        self._places[place.uid] = place
        insort(self._lines.setdefault(place.group, []), (place.order, place.uid))
        self.asked(place.group[0], place.uid)

    def remove(self, uid: str) -> bool:
        """Take a run out of line. Returns whether it was in one."""
        place = self._places.pop(uid, None)
        if place is None:
            return False
        line = self._lines[place.group]
        del line[bisect_left(line, (place.order, uid))]
        if not line:
            del self._lines[place.group]
        return True

    def before(self, place: Place) -> int:
        """Return how many are before a place, which need not be taken."""
        return bisect_left(self._lines.get(place.group, ()), (place.order, place.uid))

    def ahead(self, place: Place) -> list[str]:
        """Return who is before a place."""
        return [uid for _, uid in self._lines.get(place.group, [])[: self.before(place)]]

    def neighbour(self, place: Place) -> str:
        """Return who is right before a place that is not the first."""
        return self._lines[place.group][self.before(place) - 1][1]

    def others(self, place: Place) -> Iterator[Place]:
        """Iterate over all others in the same line."""
        for _, uid in list(self._lines.get(place.group, ())):
            if uid != place.uid:
                yield self._places[uid]

    # -- those that nobody has asked yet

    def note(self, workflow: Workflow) -> bool:
        """Take note of a run as it is now: whether it may be in line once it has been asked.

        Returns whether it may be in the way of others than before, or of none any more.
        """
        if workflow.uid in self._places or not _may_wait(workflow):
            return self.asked(workflow.namespace, workflow.uid)
        unasked = self._unasked.setdefault(workflow.namespace, {})
        before, unasked[workflow.uid] = unasked.get(workflow.uid), workflow
        return before is not None and _in_the_way_of(before) != _in_the_way_of(workflow)

    def asked(self, namespace: str, uid: str) -> bool:
        """Take note that it is known of a run what its key is, or that it is gone. Returns whether that is new."""
        unasked = self._unasked.get(namespace, {})
        found = unasked.pop(uid, None)
        if found is not None and not unasked:
            del self._unasked[namespace]
        return found is not None

    def unknown(self, place: Place) -> list[Workflow]:
        """Return runs of which nobody has asked yet what their key is, and that may belong before this place."""
        namespace, key = place.group
        return [
            workflow
            for workflow in self._unasked.get(namespace, {}).values()
            if _may_have_key(workflow, key) and order_of(workflow) < place.order
        ]


def age_of(workflow: Workflow) -> Age:
    """Return by what runs are older than others."""
    return str(workflow.raw["metadata"]["creationTimestamp"]), workflow.uid


def order_of(workflow: Workflow, on_conflict: OnConflict | None = None) -> Order:
    """Return where a run stands in line; `on_conflict` as it is known, else as its own spec says."""
    if on_conflict is None:
        said: Mapping[str, Any] = workflow.spec.get("concurrencyKey") or {}
        queues = said.get("onConflict", OnConflict.QUEUE) == OnConflict.QUEUE
    else:
        queues = on_conflict is OnConflict.QUEUE
    return (-workflow.turn.priority if queues else 0, *age_of(workflow))


def _may_wait(workflow: Workflow) -> bool:
    status = workflow.status
    return not ("startTime" in status or workflow.deleting or is_finished(status)) and (
        "concurrencyKey" in status or "concurrencyKey" in workflow.spec
    )


def _may_have_key(workflow: Workflow, key: str) -> bool:
    if _lacks_template(workflow):
        return False
    recorded = workflow.status.get("concurrencyKey")
    return recorded is None or bool(recorded == key)


def _in_the_way_of(workflow: Workflow) -> tuple[bool, object, Order]:
    """Return what those follow from that a run may be before, of which nobody has asked yet what its key is."""
    return _lacks_template(workflow), workflow.status.get("concurrencyKey"), order_of(workflow)


def _lacks_template(workflow: Workflow) -> bool:
    """Tell whether a run waits for its template: it is in nobody's way before that is there."""
    conditions = workflow.status.get("conditions") or ()
    return any((each["type"], each["reason"]) == ("Succeeded", "TemplateNotFound") for each in conditions)
