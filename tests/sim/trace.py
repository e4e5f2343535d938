"""The story of a simulated run, for people: what was stored when and by whom, and what went wrong meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fairlead.testing.apiserver import Change
from fairlead.testing.cluster import START

if TYPE_CHECKING:
    from tests.sim.simulation import Simulation

__all__ = ["trace"]


def trace(simulation: Simulation) -> Iterator[str]:
    """Yield the story line by line."""
    told: list[tuple[float, int, str]] = [
        (_seconds(change.moment), number, _line(change))
        for number, change in enumerate(simulation.cluster.server.journal)
        if change.resource != "events"
    ]
    told += [(seconds, -1, f"!! {what}") for seconds, what in simulation.struck]
    for seconds, _, line in sorted(told):
        yield f"{timedelta(seconds=round(seconds, 3))!s:>16.14}  {line}"


def _seconds(moment: datetime) -> float:
    return (moment - START).total_seconds()


def _line(change: Change) -> str:
    what = f"{change.resource}/{change.subresource}" if change.subresource else change.resource
    return f"{change.actor[:18]:<18} {change.verb:<6} {what} {change.key.name}{_told(change)}"


def _told(change: Change) -> str:
    match change.resource, change.verb:
        case "workflows" | "taskstatusshards", "update" | "create":
            return _phases(change)
        case "pods", "update":
            return _of_pod(change)
        case "workflowactions", "create":
            spec = change.after["spec"]
            return f": {spec['action']} {', '.join(spec.get('tasks', ()))}"
        case _:
            return ""


def _phases(change: Change) -> str:
    before, after = _tasks(change.before), _tasks(change.after)
    moved = [f"{name} {phase}" for name, phase in after.items() if before.get(name) != phase]
    run = change.after.get("status", {}).get("phase", "")
    if run != change.before.get("status", {}).get("phase", ""):
        moved.insert(0, f"the run {run}")
    if change.before.get("spec") != change.after.get("spec") and change.verb == "update":
        moved.append("its spec")
    return ": " + ", ".join(moved) if moved else ""


def _tasks(obj: Mapping[str, Any]) -> dict[str, str]:
    entries = obj.get("tasks", ()) or obj.get("status", {}).get("tasks", ())
    return {each["name"]: f"{each['phase']}/{len(each.get('attempts', ()))}" for each in entries}


def _of_pod(change: Change) -> str:
    told = []
    was, is_ = change.before.get("status", {}).get("phase"), change.after.get("status", {}).get("phase")
    if was != is_:
        told.append(str(is_))
    before, after = change.before["metadata"], change.after["metadata"]
    if "deletionTimestamp" in after and "deletionTimestamp" not in before:
        told.append("is to go")
    for field in ("finalizers", "labels"):
        gone = [each for each in before.get(field) or () if each not in (after.get(field) or ())]
        new = [each for each in after.get(field) or () if each not in (before.get(field) or ())]
        told += [f"-{each}" for each in gone] + [f"+{each}" for each in new]
    return ": " + ", ".join(told) if told else ""
