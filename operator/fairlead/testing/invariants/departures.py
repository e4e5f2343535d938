"""Creates on their way: who has sent them, and what was known when they left.

Some invariants are about the moment of *sending*: what an operator decides is judged by what could be known then, not
by what has happened while its request was under way. A verdict is told only if the request takes effect. A process is
one operator from its start to its end; a host that starts another one is another process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from fairlead.api.retention import LEAST_SECONDS
from fairlead.engine.names import task_and_index
from fairlead.kube.resources import WORKFLOWS, ObjectKey
from fairlead.testing.apiserver.exchange import Request

from .definition import Definition, Task
from .objects import CARRYING, Identity, carried, is_operator
from .world import Carrier, Run, World

__all__ = ["Departure", "Process", "departure_of", "status_write_of", "within_item_limit", "within_parallelism"]


@dataclass(slots=True, eq=False)
class Process:
    """One operator process.

    Attributes:
        name: of its host, and which of its starts it is.
        since: the server's version when it was first heard of.
        generations: the newest generation of each run that it has acknowledged in a status.
        stops: the runs whose stop it has acknowledged.
    """

    name: str
    since: int
    generations: dict[str, int] = field(default_factory=dict)
    stops: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        """The name."""
        return self.name


@dataclass(slots=True, eq=False)
class Departure:
    """A create that has left. `skew` is by how much the sender's clock is, or was, ahead at most."""

    request: Request
    process: Process
    run: Run
    definition: Definition
    identity: Identity
    moment: datetime
    version: int
    skew: timedelta

    @property
    def task(self) -> Task | None:
        """The task that the attempt is of."""
        return self.definition.tasks.get(task_and_index(self.identity.node)[0])

    def __str__(self) -> str:
        """`attempt 1 of 'a' of Workflow default/daily (sent by operator-1/1)`."""
        return f"attempt {self.identity.number} of {self.identity.node!r} of {self.run} (sent by {self.process})"


def departure_of(
    request: Request, process: Process, world: World, *, moment: datetime, version: int, skew: timedelta
) -> Departure | None:
    """Return a create of what carries an attempt of a known run; None for any other request."""
    if request.method != "POST" or request.path.rpartition("/")[2] not in CARRYING or not _is_own(request):
        return None
    if request.query.get("dryRun"):
        return None
    body = orjson.loads(request.body)
    identity = carried(body)
    run = None if identity is None else world.runs.get(identity.run)
    definition = None if run is None else world.definition(run)
    if identity is None or run is None or definition is None:
        return None
    return Departure(request, process, run, definition, identity, moment, version, skew)


def status_write_of(request: Request) -> ObjectKey | None:
    """Return of which Workflow a request by an operator writes the status."""
    parts = request.path.split("/")  # /apis/GROUP/VERSION/namespaces/NAMESPACE/workflows/NAME/status
    if request.method != "PATCH" or parts[-1] != "status" or parts[-3:-2] != [WORKFLOWS.plural] or not _is_own(request):
        return None
    return ObjectKey(parts[-4], parts[-2])


def _is_own(request: Request) -> bool:
    headers = request.headers
    return "Impersonate-User" not in headers and is_operator(headers.get("User-Agent", ""))


def within_parallelism(departure: Departure, new: Carrier, world: World) -> Iterator[str]:
    """S6: main tasks of a run that are live do not become more than `parallelism`."""
    run = departure.run
    if departure.task is None or departure.task.final:
        return
    limits = [_limit((world.spec_of(run, spec) or {}).get("parallelism")) for spec in _recent_specs(departure)]
    others = [each for each in _known_live(departure, new) if _is_main(departure.definition, each)]
    if len(others) + 1 > max(limits):
        names = ", ".join(sorted(each.key.name for each in others))
        yield f"{departure} was created beside {len(others)} that are live ({names}); parallelism is {max(limits):g}"


def within_item_limit(departure: Departure, new: Carrier) -> Iterator[str]:
    """S6: items of a task that are live do not become more than its `maxParallel`."""
    task = departure.task
    if task is None or not task.for_each:
        return
    limits = [_item_limit(spec, task) for spec in _recent_specs(departure)]
    others = [each for each in _known_live(departure, new) if each.task == task.name]
    if len(others) + 1 > max(limits):
        names = ", ".join(sorted(each.node for each in others))
        yield f"{departure} was created beside {len(others)} that are live ({names}); maxParallel is {max(limits):g}"


def _recent_specs(departure: Departure) -> Iterator[dict[str, object]]:
    """Yield the specs that may be what the sender goes by: all that were there in the last three lease times."""
    since = departure.moment - timedelta(seconds=LEAST_SECONDS)
    acknowledged = departure.run.record.status.get("observedGeneration", 0)
    for each in reversed(departure.run.generations):
        yield dict(each.spec)
        if each.since <= since and each.number <= acknowledged:
            return


def _known_live(departure: Departure, new: Carrier) -> Iterator[Carrier]:
    """Yield what is live beside a new object and could be known to its sender when it sent.

    That is what it has created itself, what was there when it began, and what has been there for three lease times. A
    request of another operator, or of one that has died, may land at any moment: nobody can have known of that one.
    """
    sender, settled = departure.process, departure.moment - timedelta(seconds=LEAST_SECONDS)
    for each in departure.run.live:
        if each is new or _goes_on_by_itself(each):
            continue
        if each.process is sender or each.version <= sender.since or each.moment <= settled:
            yield each


def _goes_on_by_itself(carrier: Carrier) -> bool:
    """Tell whether somebody has had a child Workflow run again, which is no business of its parent."""
    status = carrier.obj.get("status") or {}
    return carrier.plural == WORKFLOWS.plural and status.get("epoch", 1) > 1


def _is_main(definition: Definition, carrier: Carrier) -> bool:
    task = definition.tasks.get(carrier.task)
    return task is not None and not task.final


def _limit(value: object) -> float:
    return float(value) if isinstance(value, int) else float("inf")


def _item_limit(spec: dict[str, object], task: Task) -> float:
    overrides = spec.get("overrides")
    for each in overrides if isinstance(overrides, list) else ():
        if each.get("task") == task.name and each.get("maxParallel") is not None:
            return _limit(each["maxParallel"])
    return _limit(task.max_parallel)
