"""Whether what users asked for was done: judged by what was stored when, not by what the operator says of it.

How a run ends that was stopped, or has passed its deadline, depends on the moment; so the naive interpreter is not
asked about it. But nothing new may begin then, what runs has to end, and it has to end soon.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fairlead.api import labels
from fairlead.engine.model import StopMode

if TYPE_CHECKING:
    from tests.sim.simulation import Simulation

__all__ = ["LONG_SECONDS", "undone"]

#: How long some pods would run that are to be ended.
LONG_SECONDS = 5_000.0

#: An operator may know as little as three lease times ago; and one may be held up for minutes, and the API server away.
_STALE, _SOON = timedelta(seconds=60), timedelta(seconds=900)


def undone(simulation: Simulation, name: str) -> Iterator[str]:
    """Yield what was asked of the first epoch of a run and not done."""
    journal = simulation.cluster.server.journal
    finished = next((each for each in journal if _is_of(each, name) and _condition(each.after, "Finished")), None)
    end = None if finished is None else finished.moment
    for change in journal:
        spec = change.after.get("spec", {})
        if change.resource != "workflowactions" or spec.get("action") != "Stop" or change.verb == "create":
            continue
        accepted = _condition(change.after, "Accepted") and not _condition(change.before, "Accepted")
        if accepted and spec["workflowName"] == name and (end is None or change.moment < end):
            yield from _not_stopped(simulation, name, spec["mode"], change.moment, end)
    if finished is not None and simulation.scenario.deadline is not None:
        yield from _outlived(simulation, finished.after, finished.moment)


def _not_stopped(simulation: Simulation, name: str, mode: str, at: datetime, end: datetime | None) -> Iterator[str]:
    """No task but those of `finally` begins after a stop, and what was running then has ended soon after."""
    live: dict[str, datetime | None] = {}
    for change in simulation.cluster.server.journal:
        if not _is_of_main(simulation, change, name):
            continue
        pod = change.key.name
        if change.verb == "create" and change.moment <= at:
            live[pod] = None
        elif change.verb == "create" and change.moment > at + _STALE and (end is None or change.moment < end):
            yield f"S7: {pod} was created at {change.moment}, after the stop of {at}"
        over = not change.after or change.after.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if over and pod in live and live[pod] is None:
            live[pod] = change.moment
    late = sorted(pod for pod, ended in live.items() if ended is None or ended > at + _SOON)
    if late and mode != StopMode.GRACEFUL.value:
        yield f"L5: the run was to be stopped ({mode}) at {at}, and long after that there was still {late[0]}"


def _is_of_main(simulation: Simulation, change: Any, name: str) -> bool:
    """Tell whether a change is of a pod of a run's tasks, other than those of `finally`."""
    metadata = (change.after or change.before).get("metadata", {})
    annotations = metadata.get("annotations") or {}
    if change.resource != "pods" or annotations.get(labels.RUN_NAME) != name or not metadata.get("ownerReferences"):
        return False
    return not simulation.tasks[annotations[labels.NODE].partition("[")[0]].final


def _outlived(simulation: Simulation, run: dict[str, Any], end: datetime) -> Iterator[str]:
    """A run without a `finally`, which may take its time, goes on for little longer than its deadline."""
    scenario = simulation.scenario
    start = datetime.fromisoformat(run["status"]["startTime"])
    assert scenario.deadline is not None
    lasts = scenario.suspended is not None or any(task.final for task in scenario.tasks)
    if not lasts and end - start > timedelta(seconds=scenario.deadline) + _SOON:
        yield f"L5: the run took {end - start}, and its deadline was {scenario.deadline} s"


def _is_of(change: Any, name: str) -> bool:
    return bool(change.resource == "workflows" and change.key.name == name)


def _condition(obj: dict[str, Any], type_: str) -> bool:
    conditions = obj.get("status", {}).get("conditions", ())
    return any(each["type"] == type_ and each["status"] == "True" for each in conditions)
