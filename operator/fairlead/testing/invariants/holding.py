"""S7: an operator that has said that a run is suspended, or being stopped, starts nothing more of it.

Judged when a create leaves, by what the same process has acknowledged before: an `observedGeneration` whose spec says
`suspend`, or `status.stop`, in a status that it wrote and that was stored. A create that left earlier may land later.
Another operator, or the same host after a restart, may not have heard of it yet. A generation that suspends no more,
once it is there, may be known to everybody. `finally` goes on while suspended, and after every stop but `Terminate`.
"""

from __future__ import annotations

from collections.abc import Iterator

from .departures import Departure

__all__ = ["not_while_stopping", "not_while_suspended"]


def not_while_suspended(departure: Departure) -> Iterator[str]:
    """S7: nothing but `finally` leaves once the suspension is acknowledged."""
    run, task = departure.run, departure.task
    known = departure.process.generations.get(run.uid)
    if known is None or task is None or task.final:
        return
    newer = [each for each in run.generations if each.number >= known]
    if newer and all(each.spec.get("suspend") for each in newer):
        yield f"{departure} left although that operator had acknowledged generation {known}, which is suspended"


def not_while_stopping(departure: Departure) -> Iterator[str]:
    """S7: nothing but `finally` leaves once the stop is acknowledged; after Terminate, nothing."""
    run, task = departure.run, departure.task
    stop = run.record.status.get("stop")
    if run.uid not in departure.process.stops or stop is None or task is None:
        return
    if not task.final or stop.get("mode") == "Terminate":
        yield f"{departure} left although that operator had acknowledged the stop ({stop.get('reason')})"
