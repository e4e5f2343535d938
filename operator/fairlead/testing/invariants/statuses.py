"""S9: what a status says about itself: which generation it is of, and since when its conditions are as they are."""

from __future__ import annotations

from collections.abc import Iterator

from .world import Step

__all__ = ["conditions_move_with_their_status", "observed_generation"]


def observed_generation(step: Step) -> Iterator[str]:
    """S9: `observedGeneration` neither decreases nor exceeds the generation."""
    change = step.change
    if not step.operator or change.subresource != "status" or not change.after:
        return
    generation = change.after["metadata"].get("generation", 1)
    before = (change.before.get("status") or {}).get("observedGeneration", 0)
    after = (change.after.get("status") or {}).get("observedGeneration", 0)
    if not before <= after <= generation:
        name = f"{change.served.resource.kind} {change.key}"
        yield f"{name}: observedGeneration went from {before} to {after}, the generation is {generation}"


def conditions_move_with_their_status(step: Step) -> Iterator[str]:
    """S9: `lastTransitionTime` of a condition changes with its status, and only then.

    Suspended tells since when the spec says so; between two generations it may have been otherwise for a moment.
    """
    change = step.change
    if not step.operator or change.subresource != "status" or not change.after:
        return
    before = {each.get("type"): each for each in (change.before.get("status") or {}).get("conditions") or ()}
    for each in (change.after.get("status") or {}).get("conditions") or ():
        was = before.get(each.get("type"))
        if was is None or was.get("status") != each.get("status"):
            continue
        if each["type"] == "Suspended" and was.get("observedGeneration") != each.get("observedGeneration"):
            continue
        if was.get("lastTransitionTime") != each.get("lastTransitionTime"):
            name = f"{change.served.resource.kind} {change.key}"
            yield f"{name}: {each['type']} is {each['status']} as before, but its lastTransitionTime has moved"
