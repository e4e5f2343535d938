"""What carries an attempt while a scenario is played: an object in the cluster, or what the shell does without one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from tests.property.scenarios import ENDLESS
from tests.property.script import End, Way

from fairlead.engine.commands import StartAttempt
from fairlead.engine.endings import ENDINGS
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import OBJECT_KINDS, FailureClass, WorkKind
from fairlead.engine.state import Outcome, Result

_CLASSES = {Way.EXIT: FailureClass.USER, Way.EVICTED: FailureClass.INFRASTRUCTURE}


@dataclass
class Body:
    """One object in the cluster, or what the shell does where there is none."""

    start: StartAttempt
    end: End
    started_at: datetime
    running_at: datetime | None = None
    outcome: Outcome | None = None
    ending: str = ""
    held: bool = True

    @property
    def live(self) -> bool:
        return self.outcome is None

    @property
    def busy(self) -> bool:
        """Whether it gets on without waiting for a clock."""
        starts = self.running_at is None and self.end.way not in (Way.NEVER_STARTS, Way.STUCK)
        return self.live and (bool(self.ending) or starts or self.end.way not in ENDLESS)

    def fact(self) -> AttemptSeen:
        stuck = self.end.way is Way.STUCK and self.live
        return AttemptSeen(
            node=self.start.node,
            number=self.start.number,
            object_name=self.start.object_name,
            started_at=self.started_at,
            running_at=self.running_at,
            reason="ImagePull" if stuck else "",
            stuck_since=self.started_at if stuck else None,
            ending=self.ending,
            deleting=bool(self.ending),
            held=self.held and self.start.kind in OBJECT_KINDS,
            outcome=self.outcome,
        )

    def advance(self, now: datetime) -> bool:
        """Get on by one step; tell whether anything has changed."""
        if not self.live:
            return False
        if self.ending:
            class_ = ENDINGS[self.ending]
            result = Result.CANCELLED if class_ is None else Result.FAILED
            self.outcome = Outcome(result=result, finished_at=now, failure_class=class_, reason=self.ending)
        elif self.running_at is None:
            if self.end.way in (Way.NEVER_STARTS, Way.STUCK):
                return False
            self.running_at = now
        elif self.end.way in ENDLESS:
            return False
        else:
            self.outcome = self._end(now)
        return True

    def _end(self, now: datetime) -> Outcome:
        if self.end.way is not Way.DONE:
            class_, reason = _CLASSES[self.end.way], self.end.reason or self.end.way.value
            return Outcome(
                result=Result.FAILED,
                finished_at=now,
                failure_class=class_,
                reason=reason,
                exit_code=self.end.exit_code,
            )
        written = {"x": self.start.work["x"]} if self.end.writes is None else self.end.writes
        text, values = (json.dumps(written), None) if self.start.kind in (WorkKind.POD, WorkKind.JOB) else ("", written)
        return Outcome(result=Result.SUCCEEDED, finished_at=now, exit_code=0, text=text, values=values)
