"""The watchman: hears of every stored change and every request of a cluster, and asks each check about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from fairlead.testing.apiserver.exchange import Answer, Request
from fairlead.testing.apiserver.store import Change
from fairlead.testing.cluster import Cluster

from . import budgets, ends, identity, statuses
from .content import Canaries, SizeLimit
from .departures import (
    Departure,
    Process,
    departure_of,
    status_write_of,
    within_item_limit,
    within_parallelism,
)
from .durability import parents_are_durable
from .holding import not_while_stopping, not_while_suspended
from .leases import Leasing
from .ownership import Ownership, delete_names_uid
from .rest import Rest, held_after_deletion, left_behind
from .world import Step, World

__all__ = ["Violation", "Watchman"]

#: Seconds for which nothing may be written once the world is at rest.
QUIET_SECONDS = 600.0

#: What an operator may write at most, as JSON.
OBJECT_BYTES = 1_000_000

#: What is asked of each create as it leaves.
_AT_DEPARTURE: tuple[tuple[str, Callable[[Departure], Iterator[str]]], ...] = (
    ("S2", parents_are_durable),
    ("S5", budgets.within_budget),
    ("S5", budgets.after_its_back_off),
    ("S7", not_while_suspended),
    ("S7", not_while_stopping),
)

#: How many requests that were never answered are kept in mind.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold: when, at which version of the server, and what was expected instead."""

    invariant: str
    moment: datetime
    version: int
    text: str

    def __str__(self) -> str:
        """`S4 at 08:01:12 (1234): …`."""
        return f"{self.invariant} at {self.moment:%H:%M:%S} ({self.version}): {self.text}"


class Watchman:
    """Watches over a cluster from now on: make it before the first operator starts, and before anything is created.

    `canaries` are texts that must not appear in what an operator writes, such as the values of Secrets. Where there are
    limits for how many finished runs are kept, whether a run is one too many is not judged (`limits_history`).
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        canaries: Collection[str] = (),
        quiet_seconds: float = QUIET_SECONDS,
        object_bytes: int = OBJECT_BYTES,
        limits_history: bool = False,
    ) -> None:
        self.violations: list[Violation] = []
        self.world = World(limits_history=limits_history)
        self._cluster = cluster
        self._rest = Rest(quiet_seconds)
        self._checks: tuple[tuple[str, Callable[[Step], Iterator[str]]], ...] = (
            ("S1", identity.created_once),
            ("S1", identity.one_at_a_time),
            ("S3", ends.nodes_stay_ended),
            ("S3", ends.attempts_stay_ended),
            ("S3", ends.runs_stay_ended),
            ("S4", ends.recorded_before_release),
            ("S4", ends.kept_after_record),
            ("S5", budgets.within_recorded_budgets),
            ("S8", Ownership()),
            ("S9", statuses.observed_generation),
            ("S9", statuses.conditions_move_with_their_status),
            ("S10", self._rest),
            ("S15", SizeLimit(object_bytes)),
            ("S17", Canaries(canaries)),
        )
        self._leasing = Leasing()
        self._processes: dict[tuple[str, int], Process] = {}
        self._under_way: dict[int, tuple[Request, Process, Departure | None, list[Violation]]] = {}
        self._skew = timedelta()
        for change in cluster.server.journal:
            self.world.take(change)
        cluster.server.listeners.append(self._changed)
        self._was_sent, cluster.network.sent = cluster.network.sent, self._sent
        self._was_answered, cluster.network.answered = cluster.network.answered, self._answered

    def at_rest(self) -> None:
        """The world is at rest: from now on nothing is to be written, and nothing of what is over may be left."""
        self._tell("L2", left_behind(self.world))
        self._rest.begin(self._cluster.now())

    def end(self) -> list[Violation]:
        """Look at what is left when all is done; returns everything that was ever violated."""
        self._tell("L2", held_after_deletion(self.world))
        return self.violations

    def _tell(self, invariant: str, texts: Iterable[str]) -> None:
        self.violations += self._violations(invariant, texts)

    def _violations(self, invariant: str, texts: Iterable[str]) -> list[Violation]:
        now, version = self._cluster.now(), self._cluster.server.version
        return [Violation(invariant, now, version, text) for text in texts]

    # -- what is stored

    def _changed(self, change: Change) -> None:
        step = self.world.take(change)
        self._leasing.take(change)
        for invariant, check in self._checks:
            for text in check(step):
                self.violations.append(Violation(invariant, change.moment, change.version, text))
        if step.moves and step.run is not None:
            step.run.record.note_ends(step.moves)

    # -- what is sent

    def _sent(self, sender: str, request: Request) -> None:
        self._was_sent(sender, request)
        if request.method == "GET":
            return
        self._tell("S8", delete_names_uid(request))
        process, skew = self._process(sender)
        self._skew = max(self._skew, skew)
        departure = departure_of(
            request,
            process,
            self.world,
            moment=self._cluster.now(),
            version=self._cluster.server.version,
            skew=self._skew,
        )
        self._tell("S12", self._leasing.of_a_member(request, process))
        if departure is None and status_write_of(request) is None:
            return
        while len(self._under_way) >= _REMEMBERED:
            del self._under_way[next(iter(self._under_way))]
        verdicts = [] if departure is None else self._judged(departure)
        self._under_way[id(request)] = (request, process, departure, verdicts)

    def _judged(self, departure: Departure) -> list[Violation]:
        """Return what is wrong with a create that leaves now, if it comes to take effect."""
        return [
            violation
            for invariant, check in _AT_DEPARTURE
            for violation in self._violations(invariant, check(departure))
        ] + self._violations("S12", self._leasing.held_by_its_sender(departure))

    def _answered(self, sender: str, request: Request, answer: Answer) -> None:
        self._was_answered(sender, request, answer)
        known = self._under_way.pop(id(request), None)
        if known is None or answer.code >= 300:
            return
        _, process, departure, verdicts = known
        self.violations += verdicts
        if departure is None:
            self._acknowledged(request, process)
            return
        new = self.world.carriers.get(answer.body["metadata"]["uid"])
        if new is not None:
            new.process = process
            self._tell("S6", within_parallelism(departure, new, self.world))
            self._tell("S6", within_item_limit(departure, new))

    def _acknowledged(self, request: Request, process: Process) -> None:
        """Note what the status that a process has written says that it knows."""
        key = status_write_of(request)
        run = None if key is None else self.world.run_at(key)
        if run is None:
            return
        status = run.record.status
        process.generations[run.uid] = status.get("observedGeneration", 0)
        (process.stops.add if "stop" in status else process.stops.discard)(run.uid)

    def _process(self, sender: str) -> tuple[Process, timedelta]:
        host = next((host for host in self._cluster.hosts if host.name == sender), None)
        starts, skew = (0, timedelta()) if host is None else (host.starts, host.skew)
        process = self._processes.get((sender, starts))
        if process is None:
            process = Process(f"{sender}/{starts}", self._cluster.server.version)
            self._processes[sender, starts] = process
        return process, skew
