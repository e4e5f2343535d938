"""Fetching what a task printed, where one of its outputs comes from there.

A pod's log goes with its pod, and with its node. So it is read as soon as the main container has ended well, and
nothing is told of that end before it is there: the engine would let go of the pod. Reading takes its time in the
background; whoever has waited for it is told to look again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from fairlead.api.work import MAIN_CONTAINER
from fairlead.engine.events import AttemptSeen
from fairlead.engine.model import FailureClass, OutputSource
from fairlead.engine.outputs import TEXT_LIMIT
from fairlead.engine.state import Outcome, Result
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.logs import read_log
from fairlead.kube.resources import ObjectKey
from fairlead.kube.transport import ApiClient

from .refusals import blocks_operator
from .run import Printed, Run

__all__ = ["StdoutReader"]

log = logging.getLogger(__name__)

#: A node that does not answer, or a log that is being rotated: tried again, for a minute in all.
_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 20.0)
_RIGHTS_SECONDS = 10.0


class StdoutReader:
    """Completes the ends of attempts by what they printed. `notify(uid)` tells that a run can go on."""

    def __init__(self, client: ApiClient, notify: Callable[[str], None]) -> None:
        self._client = client
        self._notify = notify
        self._tasks: set[asyncio.Task[None]] = set()

    def complete(self, run: Run, seen: AttemptSeen, pod: str, again: Callable[[], None]) -> AttemptSeen | None:
        """Return what was seen of an attempt whose main container has ended well, with what it printed.

        None where that is still being read from its `pod`; `again` is called when it is there.
        """
        if not _wants_stdout(run, seen):
            return seen
        if seen.object_name not in run.printed:
            run.printed[seen.object_name] = None
            key = ObjectKey(run.owner.namespace, pod)
            task = asyncio.create_task(self._read(run, seen.object_name, key, again))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        printed = run.printed[seen.object_name]
        if printed is None:
            return None
        if seen.outcome is None:
            return seen
        del run.printed[seen.object_name]
        return replace(seen, outcome=_with(seen.outcome, printed))

    async def _read(self, run: Run, object_name: str, pod: ObjectKey, again: Callable[[], None]) -> None:
        waits = iter(_RETRY_SECONDS)
        while not run.closed:
            try:
                printed = Printed(text=await read_log(self._client, pod, MAIN_CONTAINER, limit_bytes=TEXT_LIMIT))
            except ApiError as error:
                if blocks_operator(error):
                    run.stall(object_name, error.message)
                    self._notify(run.uid)
                    await asyncio.sleep(_RIGHTS_SECONDS)
                    continue
                seconds = None if isinstance(error, NotFound) else next(waits, None)
                if seconds is not None:
                    await asyncio.sleep(seconds)
                    continue
                log.warning("cannot read what %s printed: %s", pod, error, extra=run.owner.fields())
                printed = Printed(error=error.message or str(error))
            run.stall(object_name, "")
            run.printed[object_name] = printed
            again()
            return


def _wants_stdout(run: Run, seen: AttemptSeen) -> bool:
    """Tell whether an output comes from what an attempt printed, and its end is not known yet."""
    state = run.state.nodes.get(seen.node)
    if state is None or all(each.source is not OutputSource.STDOUT for each in state.node.outputs):
        return False
    known = next((each for each in state.attempts if each.number == seen.number), None)
    return known is None or known.finished_at is None


def _with(outcome: Outcome, printed: Printed) -> Outcome:
    if outcome.result is not Result.SUCCEEDED:
        return outcome
    if not printed.error:
        return replace(outcome, stdout=printed.text)
    return Outcome(
        result=Result.FAILED,
        finished_at=outcome.finished_at,
        failure_class=FailureClass.INFRASTRUCTURE,
        reason="LogUnavailable",
        message=f"what the task printed is one of its outputs, and could not be read: {printed.error}",
        exit_code=outcome.exit_code,
    )
