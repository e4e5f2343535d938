"""Attempts without an object in the cluster, which this process carries out itself: requests, waits for a condition.

Such an attempt lives in memory, and longer than what memory has of its run: a run may be read again (somebody else has
written its status) while a request is under way, and what comes of that must reach the run all the same, as it cannot
be asked for twice. So an errand is kept until its end is on record, and handed to the run as it is known then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from fairlead.clock import utc_now
from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import WorkKind
from fairlead.engine.state import Outcome

from .refusals import OPERATOR_FORBIDDEN
from .run import Run

__all__ = ["Errand", "ErrandCarrier", "Errands", "not_sent"]


class Errand:
    """One attempt on its way. Whoever carries it out tells here how it stands; after its end nothing is heard of it."""

    __slots__ = ("_end", "_notify", "_told", "run", "start")

    def __init__(self, run: Run, start: StartAttempt, notify: Callable[[str], None]) -> None:
        self.run = run
        self.start = start
        self._notify = notify
        self._told = ("", "")
        self._end: AttemptSeen | None = None

    @property
    def is_over(self) -> bool:
        """Whether its end is known."""
        return self._end is not None

    def waits(self, reason: str, message: str) -> None:
        """Tell why it does not get on; two empty texts say that it does. Without our own rights, its run is stalled."""
        if self.is_over or (reason, message) == self._told:
            return
        self._told = (reason, message)
        self._stall()
        self._tell(self._seen(reason, message))

    def ends(self, outcome: Outcome) -> None:
        """Tell how it has ended."""
        if not self.is_over:
            self.stops_waiting()
            self._end = self._seen("", "", outcome)
            self._tell(self._end)

    def belongs_to(self, run: Run) -> None:
        """Go on for a run that was read again, which knows nothing of what was told before."""
        self.run = run
        if self._end is not None:
            self._tell(self._end)
        elif self._told != ("", ""):
            self._stall()
            self._tell(self._seen(*self._told))

    def stops_waiting(self) -> None:
        """Wait for nothing any more."""
        self._told = ("", "")
        self._stall()

    def is_recorded(self, run: Run) -> bool:
        """Tell whether its end is known to the run, and in the persisted status: nobody will ask for it again."""
        state = run.state.nodes.get(self.start.node)
        if run.closed or state is None or not 1 <= self.start.number <= len(state.attempts):
            return False
        attempt = state.attempts[self.start.number - 1]
        return attempt.finished_at is not None and attempt.revision <= run.state.recorded_revision

    def _stall(self) -> None:
        reason, message = self._told
        self.run.stall(self.start.object_name, message if reason == OPERATOR_FORBIDDEN else "")

    def _seen(self, reason: str, message: str, outcome: Outcome | None = None) -> AttemptSeen:
        return AttemptSeen(
            node=self.start.node,
            number=self.start.number,
            object_name=self.start.object_name,
            started_at=utc_now(),
            reason=reason,
            message=message,
            outcome=outcome,
        )

    def _tell(self, fact: AttemptSeen) -> None:
        if not self.run.closed:
            self.run.inbox.append(fact)
            self._notify(self.run.uid)


class ErrandCarrier(Protocol):
    """Carries out the errands of one kind."""

    def begin(self, errand: Errand) -> None:
        """Begin; returns at once."""
        ...

    def cancel(self, errand: Errand) -> None:
        """Give up, at whatever point it is. Nothing more is told about it."""
        ...

    def is_unrepeatable(self, start: StartAttempt) -> bool:
        """Tell whether nobody else could go on with an attempt."""
        ...

    def withdraw(self, errand: Errand) -> None:
        """End an unrepeatable errand of which nothing has been done yet, so that it can be tried again elsewhere."""
        ...

    async def settle(self, seconds: float) -> None:
        """Begin nothing more, and wait, at most so long, for what could not be taken up again later."""
        ...

    async def close(self) -> None:
        """Give everything up."""
        ...


class Errands:
    """All attempts that this process carries out itself. `notify(uid)`: a run's inbox has something new."""

    def __init__(self, carriers: Mapping[WorkKind, ErrandCarrier], notify: Callable[[str], None]) -> None:
        self._carriers = carriers
        self._notify = notify
        self._by_run: dict[str, dict[str, Errand]] = {}
        self._unsent: dict[str, set[str]] = {}

    def __len__(self) -> int:
        """Return how many there are, those included whose end is not recorded yet."""
        return sum(map(len, self._by_run.values()))

    def start(self, run: Run, start: StartAttempt) -> None:
        """Begin an errand, or go on with one of this process for a run that was read again."""
        errands = self._by_run.setdefault(run.uid, {})
        known = errands.get(start.object_name)
        if known is not None:
            known.belongs_to(run)
            return
        if start.object_name in self._unsent.get(run.uid, ()):
            self._unsent[run.uid].remove(start.object_name)
            start = replace(start, resumed=False)
        errand = errands[start.object_name] = Errand(run, start, self._notify)
        self._carriers[start.kind].begin(errand)

    def remember(self, run: Run) -> None:
        """Note what of a run, which memory is about to drop, was not sent: its record alone does not tell that.

        Nor does it become untrue: whoever has the run meanwhile finds no end of it on record, and does not send it.
        """
        if unsent := not_sent(run):
            self._unsent.setdefault(run.uid, set()).update(unsent)

    def end(self, run: Run, end: EndAttempt) -> None:
        """Give an errand up: the engine has concluded without it."""
        errand = self._by_run.get(run.uid, {}).pop(end.object_name, None)
        if errand is not None and not errand.is_over:
            self._carriers[end.kind].cancel(errand)
            errand.stops_waiting()

    @property
    def runs(self) -> Collection[str]:
        """The UIDs of the runs that have any, or had."""
        return self._by_run.keys() | self._unsent.keys()

    def finish(self, uid: str, run: Run | None) -> bool:
        """Bring to an end what nobody else could go on with, of a run that somebody else is about to have.

        `run`: as it is in memory, if it is. Returns whether all of that has ended, and is on record: whoever reads the
        run without its end must take it for one that was cut off.
        """
        done = True
        for errand in list(self._by_run.get(uid, {}).values()):
            carrier = self._carriers[errand.start.kind]
            if carrier.is_unrepeatable(errand.start):
                if not errand.is_over:
                    carrier.withdraw(errand)
                done &= errand.is_over and run is not None and errand.is_recorded(run)
        return done and not (self._unsent.get(uid) if run is None else not_sent(run))

    def resync(self, run: Run) -> None:
        """Forget what is on record."""
        errands = self._by_run.get(run.uid, {})
        for name in [name for name, errand in errands.items() if errand.is_over and errand.is_recorded(run)]:
            del errands[name]

    def forget(self, uid: str) -> None:
        """Give up all errands of a run that is over, or gone, or somebody else's."""
        self._unsent.pop(uid, None)
        for errand in self._by_run.pop(uid, {}).values():
            if not errand.is_over:
                self._carriers[errand.start.kind].cancel(errand)

    async def settle(self, seconds: float) -> None:
        """Begin nothing more, and wait, at most so long, for what could not be taken up again later."""
        for carrier in self._carriers.values():
            await carrier.settle(seconds)

    async def close(self) -> None:
        """Give everything up."""
        for carrier in self._carriers.values():
            await carrier.close()


def not_sent(run: Run) -> set[str]:
    """Return the requests of a run, by name, that are sent once their start is on record, which it may be already."""
    nodes = run.state.nodes
    return {
        nodes[node].attempts[number - 1].object_name
        for (node, number), unsent in run.state.unsent.items()
        if nodes[node].node.work.kind is WorkKind.HTTP and not unsent.resumed
    }
