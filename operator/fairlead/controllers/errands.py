"""Attempts without an object in the cluster, which this process carries out itself: requests, waits for a condition.

Such an attempt lives in memory, and longer than what memory has of its run: a run may be read again (somebody else has
written its status) while a request is under way, and what comes of that must reach the run all the same, as it cannot
be asked for twice. So an errand is kept until its end is on record, and handed to the run as it is known then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from fairlead.clock import utc_now
from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import WorkKind
from fairlead.engine.state import Outcome

from .refusals import OPERATOR_FORBIDDEN
from .run import Run

__all__ = ["Errand", "ErrandCarrier", "Errands"]


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
        if reason == OPERATOR_FORBIDDEN:
            self.run.stalled = f"the operator may not go on: {message}"
        elif self._told[0] == OPERATOR_FORBIDDEN:
            self.run.stalled = ""
        self._told = (reason, message)
        self._tell(self._seen(reason, message))

    def ends(self, outcome: Outcome) -> None:
        """Tell how it has ended."""
        if not self.is_over:
            self._end = self._seen("", "", outcome)
            self._tell(self._end)

    def belongs_to(self, run: Run) -> None:
        """Go on for a run that was read again, which knows nothing of what was told before."""
        self.run = run
        if self._end is not None:
            self._tell(self._end)
        elif self._told != ("", ""):
            self._tell(self._seen(*self._told))

    def is_recorded(self) -> bool:
        """Tell whether its end is known to the run, and in the persisted status: nobody will ask for it again."""
        state = self.run.state.nodes.get(self.start.node)
        if self.run.closed or state is None or not 1 <= self.start.number <= len(state.attempts):
            return False
        attempt = state.attempts[self.start.number - 1]
        return attempt.finished_at is not None and attempt.revision <= self.run.state.recorded_revision

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

    def unrepeatable(self) -> set[str]:
        """Return the UIDs of the runs with something under way that nobody else could go on with."""
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
        errand = errands[start.object_name] = Errand(run, start, self._notify)
        self._carriers[start.kind].begin(errand)

    def end(self, run: Run, end: EndAttempt) -> None:
        """Give an errand up: the engine has concluded without it."""
        errand = self._by_run.get(run.uid, {}).pop(end.object_name, None)
        if errand is not None and not errand.is_over:
            self._carriers[end.kind].cancel(errand)

    @property
    def runs(self) -> Collection[str]:
        """The UIDs of the runs that have any."""
        return self._by_run.keys()

    def unrepeatable(self) -> set[str]:
        """Return the UIDs of the runs with something under way that nobody else could go on with."""
        return {uid for carrier in self._carriers.values() for uid in carrier.unrepeatable()}

    def resync(self, run: Run) -> None:
        """Forget what is on record."""
        errands = self._by_run.get(run.uid, {})
        for name in [name for name, errand in errands.items() if errand.is_over and errand.is_recorded()]:
            del errands[name]

    def forget(self, uid: str) -> None:
        """Give up all errands of a run that is over, or gone."""
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
