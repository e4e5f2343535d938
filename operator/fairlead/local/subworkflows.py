"""`workflow` tasks on this machine: a run within a run, whose end is that of the attempt.

The templates are those that were given along with the workflow. A sub-workflow has limits of its own, its tasks'
directories are below that of the attempt, and it ends, by `finally`, when its parent ends the attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Protocol

from fairlead.api.compile import Compiled, compile_workflow
from fairlead.api.problems import InvalidSpec
from fairlead.clock import utc_now
from fairlead.engine.capacity import MOST_DEEP
from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.endings import ENDINGS
from fairlead.engine.ends import outcome_of_ending
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import TERMINAL, FailureClass, StopMode
from fairlead.engine.state import Outcome, Result, RunState
from fairlead.expr.cel import CelEvaluator
from fairlead.local.guard import Guard

__all__ = ["Nested", "Subworkflows"]


class Nested(Protocol):
    """A run within a run."""

    state: RunState
    on_change: Callable[[Collection[str]], None]

    async def execute_under(self, guard: Guard) -> None:
        """Run to the end."""

    def stop(self, mode: StopMode = StopMode.CANCEL) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End every process at once."""


class Subworkflows:
    """The sub-workflows of one run.

    `find` returns the spec of a template by its name, `make` makes the run that carries an attempt, `tell` hears how
    each of them gets on. `depth` is how many runs are above these.
    """

    def __init__(
        self,
        *,
        find: Callable[[str], Any],
        make: Callable[[Compiled, StartAttempt], Nested],
        tell: Callable[[AttemptSeen], None],
        depth: int,
    ) -> None:
        self._find = find
        self._make = make
        self._tell = tell
        self._depth = depth
        self._live: dict[str, Nested] = {}
        self._ending: dict[str, str] = {}

    def start(self, start: StartAttempt, namespace: str, guard: Guard, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Begin one, in a task of `group`."""
        return group.create_task(self._carry(start, namespace, guard), name=start.object_name)

    def end(self, end: EndAttempt, mode: StopMode | None) -> None:
        """Ask one to stop, as its parent is being stopped; without a `mode` it is only this attempt that ends."""
        if (run := self._live.get(end.object_name)) is not None:
            self._ending.setdefault(end.object_name, end.reason)
            run.stop(StopMode.TERMINATE if mode is StopMode.TERMINATE else StopMode.CANCEL)

    def kill(self) -> None:
        """End every process of theirs at once."""
        for run in self._live.values():
            run.kill()

    async def _carry(self, start: StartAttempt, namespace: str, guard: Guard) -> None:
        started_at = utc_now()
        if self._depth > MOST_DEEP:
            message = f"{MOST_DEEP} Workflows are above this one already: do its templates run each other?"
            self._tell(_seen(start, started_at, outcome=_failed("NestingTooDeep", message, invalid=True)))
            return
        try:
            run = self._make(self._compiled(start, namespace), start)
        except InvalidSpec as invalid:
            outcome = _failed("SubworkflowFailed", str(invalid), invalid=True)
            self._tell(_seen(start, started_at, outcome=outcome))
            return
        self._live[start.object_name] = run
        run.on_change = lambda _: self._tell(_seen(start, started_at, message=_progress(run.state)))
        try:
            await run.execute_under(guard)
        finally:
            del self._live[start.object_name]
        outcome = _outcome(run.state, self._ending.pop(start.object_name, ""))
        self._tell(_seen(start, started_at, outcome=outcome))

    def _compiled(self, start: StartAttempt, namespace: str) -> Compiled:
        """Raises :class:`InvalidSpec`."""
        work = start.work
        spec = {"templateRef": {"name": work["templateName"]}, "arguments": work["arguments"]}
        return compile_workflow(
            spec,
            evaluator=CelEvaluator(),
            name=start.object_name,
            namespace=namespace,
            definition=self._find(work["templateName"]),
        )


def _seen(
    start: StartAttempt, started_at: datetime, *, message: str = "", outcome: Outcome | None = None
) -> AttemptSeen:
    return AttemptSeen(
        node=start.node,
        number=start.number,
        object_name=start.object_name,
        started_at=started_at,
        running_at=started_at,
        reason="Subworkflow" if message else "",
        message=message,
        outcome=outcome,
    )


def _progress(run: RunState) -> str:
    ended = sum(run.counts[phase] for phase in TERMINAL)
    return f"{ended}/{sum(run.counts.values())} tasks have ended"


def _outcome(run: RunState, ending: str) -> Outcome:
    """Return how an attempt has ended, by its run. `ending` is why its parent asked for that, if it did."""
    end = run.outcome
    assert end is not None
    if end.succeeded:
        return Outcome(result=Result.SUCCEEDED, finished_at=end.finished_at, values=run.outputs)
    if ending in ENDINGS:
        return outcome_of_ending(ending, end.finished_at)
    return _failed("SubworkflowFailed", end.message or "the sub-workflow failed")


def _failed(reason: str, message: str, *, invalid: bool = False) -> Outcome:
    return Outcome(
        result=Result.FAILED,
        finished_at=utc_now(),
        failure_class=FailureClass.CONFIGURATION if invalid else FailureClass.USER,
        reason=reason,
        message=message,
    )
