"""S5: no more attempts than a task's budgets allow, across restarts, and none before its back-off is over.

Counted are the objects that were created, so that a forgotten status cannot hide one. Failures that are plainly the
program's own (an exit code, no disruption, nobody's deletion) are charged to the user's limit here as there; what is
charged to whom beyond that is only looked at in the record, and what an operator wrote down as lost is left out, since
of that nobody knows what it was. Rules, rounds and jitter only ever loosen these bounds: where a task has them, the
bound is the sum of all its budgets, and no delay is demanded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta

from fairlead.engine.endings import LOST
from fairlead.engine.names import task_and_index

from .definition import Retries
from .departures import Departure
from .objects import failed_by_itself, finished_at
from .world import Carrier, Step

__all__ = ["after_its_back_off", "failures_of_its_own", "within_budget", "within_recorded_budgets"]


def failures_of_its_own(carriers: Iterable[Carrier]) -> list[Carrier]:
    """Return the attempts that failed by nothing but their own program, in the order of their creation."""
    return [each for each in carriers if failed_by_itself(each.plural, each.obj)]


def within_budget(departure: Departure) -> Iterator[str]:
    """S5: there is budget left for an attempt that is created."""
    task, number = departure.task, departure.identity.number
    if task is None:
        return
    past = _earlier(departure)
    most = task.retries.most * task.rounds
    if len({each.number for each in past} | {number}) > most:
        yield f"{departure} is one too many: its budgets allow {most} in an epoch"
    own = len(failures_of_its_own(past))
    if task.rounds == 1 and own > task.retries.limit + task.retries.rule_limits:
        yield f"{departure} follows {own} failures of its own; the limit is {task.retries.limit}"


def after_its_back_off(departure: Departure) -> Iterator[str]:
    """S5: an attempt leaves no earlier than its back-off after the failure before it, by the clock of its sender."""
    task, past = departure.task, _earlier(departure)
    own = failures_of_its_own(past)
    if task is None or task.rounds > 1 or not own or own[-1] is not past[-1]:
        return
    ended, delay = finished_at(own[-1].obj), task.retries.delay(len(own))
    if ended is None or own[-1].number != departure.identity.number - 1:
        return
    due = ended + timedelta(seconds=delay)
    if departure.moment + departure.skew < due:
        yield f"{departure} left before {due:%H:%M:%S}, {delay:g} s after the failure before it"


def within_recorded_budgets(step: Step) -> Iterator[str]:
    """S5: on record, too, no class of failures has had more attempts than its budget."""
    if step.run is None or not step.operator or not step.moves:
        return
    definition = step.world.definition(step.run)
    for node, _, after in step.moves:
        task = None if definition is None else definition.tasks.get(task_and_index(node)[0])
        if after is None or task is None or len(after.get("attempts") or ()) < 2 or task.retries.ruled:
            continue
        charged: Counter[tuple[int, int, str]] = Counter()
        for each in after["attempts"]:
            if each.get("class") and each.get("reason") != LOST:
                charged[each.get("epoch", 1), each.get("iteration", 1), _budget(each["class"])] += 1
        for (epoch, _, budget), count in charged.items():
            most = 1 + _limit(task.retries, budget)
            if count > most:
                many = f"{count} failures of class {budget} in epoch {epoch}"
                yield f"{step.run}: {node!r} has {many}; {most} are allowed"


def _earlier(departure: Departure) -> list[Carrier]:
    carriers = departure.run.carriers.get(departure.identity.node, ())
    epoch, number = departure.run.record.epoch, departure.identity.number
    return [each for each in carriers if each.epoch == epoch and each.number < number]


def _budget(failure_class: str) -> str:
    return "User" if failure_class == "Timeout" else failure_class


def _limit(retries: Retries, budget: str) -> int:
    match budget:
        case "User":
            return retries.limit
        case "Infrastructure":
            return retries.infrastructure_limit
        case _:
            return 0
