"""Who may start, of the runs with the same `concurrencyKey` in a namespace.

A run holds its key from the start that is on record until its end is, so that holders are known after a crash; the key
is in its status. One that has been let through, and whose start is not on record yet, holds it as well, so that two
starts at once do not both pass. The others wait in line (`key_lines.py`), and are looked at again when whoever is in
their way has ended, started, or is gone.

Where there are several replicas, one of them decides: the key on record is what a run's bucket follows from (see
`Workflow.owner`). So whoever finds out that the key of a new run is not its to decide on records it, which passes the
run on; from then on all runs with that key are in the same hands, and so are those which it stops for others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Any

from fairlead.api.compile import Compiled
from fairlead.api.concurrency import OnConflict
from fairlead.engine.events import UserAction
from fairlead.engine.model import ActionKind, StopMode
from fairlead.engine.state import ActionRecord
from fairlead.engine.stops import STOP_REASONS
from fairlead.engine.wording import few

from .asked import encode_record
from .key_lines import Group, Lines, Place, age_of, order_of
from .owner import Owner
from .run import Run
from .status import condition, is_finished
from .store import Workflow, WorkflowStore

__all__ = ["Concurrency", "Move", "Verdict", "conflict_status", "stopped_status"]

#: A run in line is looked at again this often, whatever it was told: one that may be next, one far behind, of which
#: there may be ten thousand; and one that waits for others to be stopped.
_RECHECK_SECONDS = 60.0
_BEHIND_SECONDS = 900.0
_STOPPING_SECONDS = 5.0

#: Who stops a run in favour of another one, as its record has it.
_BY = "fairlead"

_SHOWN = 3


class Move(Enum):
    """What a run does now."""

    START = "Start"
    WAIT = "WaitingForConcurrencyKey"
    REFUSE = "ConcurrencyRefused"
    REPLACED = "ConcurrencyReplaced"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run with a key does now, and why, for people."""

    move: Move
    key: str = ""
    message: str = ""


class Concurrency:
    """Lets runs through.

    `active(uid)` returns a run in memory, `notify(uid)` asks for a run to be looked at; `decides(namespace, key)` tells
    whether it is this replica that decides on a key.
    """

    def __init__(
        self,
        store: WorkflowStore,
        active: Callable[[str], Run | None],
        notify: Callable[[str], None],
        decides: Callable[[str, str], bool] = lambda _namespace, _key: True,
    ) -> None:
        self._store = store
        self._active = active
        self._notify = notify
        self._decides = decides
        self._holders: dict[Group, set[str]] = {}
        self._let_through: dict[str, Group] = {}
        self._passing: dict[Group, set[str]] = {}
        self._doubted: set[str] = set()
        self._lines = Lines()
        self._watchers: dict[str, set[str]] = {}
        store.follow(self._heard)

    def is_waiting(self, workflow: Workflow) -> bool:
        """Tell whether a run is in line, by its present definition."""
        place = self._lines.get(workflow.uid)
        return place is not None and place.generation == workflow.generation

    def recheck(self, uid: str) -> float | None:
        """Return in how many seconds to look at a run again that is in line; None for one that is not."""
        place = self._lines.get(uid)
        if place is None:
            return None
        if place.on_conflict is OnConflict.REPLACE:
            return _STOPPING_SECONDS
        return _RECHECK_SECONDS if self._lines.before(place) < place.limit else _BEHIND_SECONDS

    def look_again(self, workflow: Workflow, now: datetime) -> Verdict:
        """Decide anew about a run that is in line."""
        place = self._lines.get(workflow.uid)
        assert place is not None, "only asked about runs that are waiting"
        return self._decide(place, now)

    def ask(self, workflow: Workflow, compiled: Compiled, now: datetime) -> Verdict:
        """Decide about a run that is not active. Raises `ExpressionError` where its key cannot be told."""
        wanted = compiled.concurrency
        if wanted is None:
            self._leave(workflow.uid)
            return Verdict(Move.START)
        key = _recorded(workflow) or wanted.evaluate(
            compiled.graph.params, name=workflow.name, namespace=workflow.namespace, uid=workflow.uid
        )
        group = (workflow.namespace, key)
        if not self._decides(*group):
            self._leave(workflow.uid)
            return Verdict(Move.WAIT, key, f"the replica that decides on the key {key!r} is asked")
        if self._let_through.get(workflow.uid) == group or self._is_under(workflow, group):
            self._let(workflow, group)
            self._leave(workflow.uid)
            return Verdict(Move.START, key)
        place = Place(
            uid=workflow.uid,
            name=workflow.name,
            generation=workflow.generation,
            group=group,
            age=age_of(workflow),
            order=order_of(workflow, wanted.on_conflict),
            limit=wanted.limit,
            on_conflict=wanted.on_conflict,
        )
        self._lines.put(place)
        self._wake(workflow.uid)  # now it is known whether it is in anybody's way
        if place.on_conflict is OnConflict.REPLACE:
            for each in self._lines.others(place):
                self._notify(each.uid)  # it may take their place, too
        return self._decide(place, now)

    @property
    def passing(self) -> Collection[Group]:
        """The keys of runs that were let through, and whose start, or going on, is not on record yet."""
        return self._passing.keys()

    def decides_on(self, owner: Owner) -> bool:
        """Tell whether this replica may still start a run that it has let through."""
        return not owner.concurrency_key or self._decides(owner.namespace, owner.concurrency_key)

    def ask_anew(self, uid: str) -> None:
        """Take a run out of the line until :meth:`ask`: somebody else may have decided meanwhile."""
        self._leave(uid)

    def doubt(self, uid: str) -> None:
        """Take note that the start of a run may be on record or not: it holds its key until it is let through anew."""
        self._doubted.add(uid)

    def not_started(self, uid: str) -> None:
        """Take note that a run that was let through has not started after all, or has ended."""
        if uid not in self._doubted and self._unlet(uid):
            self._note(uid)
            self._wake(uid)

    def forget(self, uid: str) -> None:
        """Forget what place a run has in line: it is another replica's, and its status tells."""
        self._leave(uid)
        self._doubted.discard(uid)
        self.not_started(uid)

    # -- deciding

    def _decide(self, place: Place, now: datetime) -> Verdict:
        key = place.group[1]
        if place.on_conflict is OnConflict.REPLACE and self._is_outdated(place):
            self._leave(place.uid)
            return Verdict(Move.REPLACED, key, f"a newer run with the key {key!r} takes its place")
        holders = sorted(self._holding(place), key=age_of)
        before = self._lines.before(place)
        unknown = [] if before or len(holders) >= place.limit else self._lines.unknown(place)
        if len(holders) + before + len(unknown) < place.limit:
            self._leave(place.uid)
            self._let(place, place.group)
            self._wake(place.uid)
            return Verdict(Move.START, key)
        message = _why(place, holders, before)
        if unknown:
            self._watch(place, [workflow.uid for workflow in unknown])
            return Verdict(Move.WAIT, key, message)
        if place.on_conflict is OnConflict.REFUSE:
            self._leave(place.uid)
            return Verdict(Move.REFUSE, key, message)
        if place.on_conflict is OnConflict.REPLACE:
            older = [workflow for workflow in holders if age_of(workflow) < place.age]
            self._stop(place, older[: len(holders) + before - place.limit + 1], now)
        if before < place.limit:
            # Also those before it: once they have started, it is their end that it waits for.
            self._watch(place, [*(workflow.uid for workflow in holders), *self._lines.ahead(place)])
        else:
            # Those far behind look at whoever is right before them: an end is not everybody's business.
            self._watch(place, [self._lines.neighbour(place)])
        return Verdict(Move.WAIT, key, message)

    def _holding(self, place: Place) -> list[Workflow]:
        """Return the other runs that hold a key."""
        uids = self._holders.get(place.group, set()) | self._passing.get(place.group, set())
        found = (self._store.get(uid) for uid in uids - {place.uid})
        return [workflow for workflow in found if workflow is not None]

    def _is_under(self, workflow: Workflow, group: Group) -> bool:
        """Tell whether a run is a sub-workflow of one that holds the key: each would wait for the other."""
        above, seen = self._store.get(workflow.parent_uid), {workflow.uid}
        while above is not None and above.uid not in seen:  # anybody can make two Workflows each other's owners
            seen.add(above.uid)
            if above.uid in self._holders.get(group, ()) or self._let_through.get(above.uid) == group:
                return True
            above = self._store.get(above.parent_uid)
        return False

    def _is_outdated(self, place: Place) -> bool:
        """Tell whether enough newer runs wait to replace what is active, this one included."""
        newer = (
            each
            for each in self._lines.others(place)
            if each.on_conflict is OnConflict.REPLACE and each.age > place.age
        )
        return sum(1 for _ in islice(newer, place.limit)) == place.limit

    def _stop(self, place: Place, workflows: Iterable[Workflow], now: datetime) -> None:
        """Ask the engine to cancel runs in favour of another one; asked again, it is the same request."""
        for workflow in workflows:
            run = self._active(workflow.uid)
            if run is None or run.state.stop_mode in (StopMode.CANCEL, StopMode.TERMINATE):
                continue
            uid = f"replaced-by-{place.uid}"
            asked = [each.uid for each in run.inbox if isinstance(each, UserAction)]
            if uid in asked or any(record.uid == uid for record in run.state.actions):
                continue
            run.inbox.append(
                UserAction(
                    uid=uid,
                    name=place.name,
                    kind=ActionKind.STOP,
                    mode=StopMode.CANCEL,
                    created_at=now,
                    by=_BY,
                    verified=True,
                    reason=f"the run {place.name!r}, which has the same concurrencyKey, takes its place",
                )
            )
            self._notify(workflow.uid)

    # -- who is told of what

    def _heard(self, old: Workflow | None, new: Workflow | None) -> None:
        """Keep the holders of each key, and tell those in line when one has left; the store's listener."""
        held, holds = _held_by(old), _held_by(new)
        known = new or old
        assert known is not None
        if held is not None and held != holds:
            found = self._holders.get(held, set())
            found.discard(known.uid)
            if not found:
                self._holders.pop(held, None)
            self._wake(known.uid)
        if holds is not None:
            if held is None:
                self._wake(known.uid)  # it is not in line any more, if another replica has let it through
            self._holders.setdefault(holds, set()).add(known.uid)
            self._unlet(known.uid)  # its start is on record
        if new is None or new.deleting or is_finished(new.status):
            self._leave(known.uid)
            self._doubted.discard(known.uid)
        if new is None:
            self.not_started(known.uid)
            moved = self._lines.asked(known.namespace, known.uid)
        else:
            moved = known.uid not in self._let_through and self._lines.note(new)
        if moved:
            self._wake(known.uid)

    def _let(self, run: Workflow | Place, group: Group) -> None:
        """Let a run through: it holds the key until it is known that it has not started."""
        self._unlet(run.uid)
        self._let_through[run.uid] = group
        self._passing.setdefault(group, set()).add(run.uid)
        if self._lines.asked(group[0], run.uid):
            self._wake(run.uid)

    def _unlet(self, uid: str) -> bool:
        self._doubted.discard(uid)
        group = self._let_through.pop(uid, None)
        if group is None:
            return False
        passing = self._passing[group]
        passing.discard(uid)
        if not passing:
            del self._passing[group]
        return True

    def _leave(self, uid: str) -> None:
        if self._lines.remove(uid):
            self._note(uid)
            self._wake(uid)

    def _note(self, uid: str) -> None:
        """Take note of a run that nothing is known of any more but what is stored."""
        if (workflow := self._store.get(uid)) is not None:
            self._lines.note(workflow)

    def _watch(self, place: Place, uids: Iterable[str]) -> None:
        for uid in uids:
            self._watchers.setdefault(uid, set()).add(place.uid)

    def _wake(self, uid: str) -> None:
        for watcher in self._watchers.pop(uid, ()):
            self._notify(watcher)


def conflict_status(verdict: Verdict, *, generation: int, previous: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the status of a run that has not started because of its key: it waits, or it is over."""
    phase = {Move.REFUSE: "Failed", Move.REPLACED: "Cancelled"}.get(verdict.move, "Pending")
    conditions = _conditions(phase, verdict.move.value, verdict.message)
    return {
        "observedGeneration": generation,
        "phase": phase,
        "message": verdict.message,
        "concurrencyKey": verdict.key,
        "conditions": [
            condition(kind, *said, generation=generation, previous=previous, now=now)
            for kind, said in conditions.items()
        ],
    }


def stopped_status(asked: UserAction, *, generation: int, previous: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the status of a run that somebody stopped while it was in line: nothing of it has started, or will."""
    mode = asked.mode or StopMode.CANCEL
    message = f"stopped by {asked.by or 'somebody'} before it had started"
    record = ActionRecord(
        uid=asked.uid,
        name=asked.name,
        action=asked.kind,
        by=asked.by,
        at=now,
        accepted=True,
        reason="Accepted",
        message="the run had not started, and will not",
    )
    conditions = _conditions("Cancelled", STOP_REASONS[mode], message)
    return {
        **previous,
        "observedGeneration": generation,
        "phase": "Cancelled",
        "message": message,
        "actions": [encode_record(record)],
        "stop": {"mode": mode.value, "reason": STOP_REASONS[mode]},
        "conditions": [
            condition(kind, *said, generation=generation, previous=previous, now=now)
            for kind, said in conditions.items()
        ],
    }


def _conditions(phase: str, reason: str, message: str) -> dict[str, tuple[str, str, str]]:
    over = phase != "Pending"
    return {
        "Succeeded": ("False" if over else "Unknown", reason, message),
        "Finished": ("True" if over else "False", reason, message if over else ""),
        "Reconciling": ("False" if over else "True", reason, "" if over else message),
        "Stalled": ("True" if over else "False", reason, message if over else ""),
    }


def _held_by(workflow: Workflow | None) -> Group | None:
    """Return the key that a run holds by its recorded status."""
    if workflow is None:
        return None
    status = workflow.status
    if "concurrencyKey" not in status or "startTime" not in status or is_finished(status):
        return None
    return workflow.namespace, status["concurrencyKey"]


def _recorded(workflow: Workflow) -> str:
    """Return the key of a run that was begun, which is its own for good; "" for others."""
    return str(workflow.status.get("concurrencyKey", "")) if "startTime" in workflow.status else ""


def _why(place: Place, holders: list[Workflow], before: int) -> str:
    names = few([workflow.name for workflow in holders], _SHOWN)
    held = f"the key {place.group[1]!r} is held by {names} ({len(holders)}/{place.limit})" if holders else ""
    line = f"{before} in line before this run" if before else ""
    return "; ".join(filter(None, (held, line))) or f"older runs with the key {place.group[1]!r} are looked at first"
