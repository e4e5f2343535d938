"""Which runs are traced, and when: each once it is over, from what is on record of it, so that no restart loses any.

Whoever finds a run that has ended a short while ago, and knows nothing of its spans, hands them over: they have the
same ids each time, and are the same. So nothing has to be written down about it, nor done while a run goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fairlead.api import labels
from fairlead.clock import utc_now
from fairlead.kube.errors import ApiError
from fairlead.kube.transport import ApiClient
from fairlead.telemetry.traces import RecordedRun, SpanSink, TraceContext, context_of, spans_of

from .asked import recorded_epoch
from .reading import ShardsMissing, read_record
from .records import recorded_nodes
from .status import recorded_outcome
from .store import Workflow
from .views import time_of

__all__ = ["Tracing", "trace_of"]

log = logging.getLogger(__name__)

#: A run that has ended longer ago was told by an operator before this one, or is not told.
_RECENT = timedelta(minutes=10)
_REMEMBERED = 10_000


class Tracing:
    """Hands over the spans of runs."""

    def __init__(self, client: ApiClient, sink: SpanSink) -> None:
        self._client = client
        self._sink = sink
        self._told: dict[tuple[str, int], None] = {}

    async def over(self, workflow: Workflow) -> None:
        """Hand over the spans of a run that is over, unless that was done. Never raises, and waits for no receiver."""
        try:
            await self._over(workflow)
        except Exception as error:  # whatever is wrong with it, the run is cleaned up after all the same
            trace = None if isinstance(error, ApiError | ShardsMissing) else error
            log.warning("the run is not traced: %s", error, exc_info=trace, extra=workflow.owner.fields())

    async def _over(self, workflow: Workflow) -> None:
        outcome = recorded_outcome(workflow.status)
        started_at = time_of(workflow.status.get("startTime"))
        if outcome is None or started_at is None or utc_now() - outcome.finished_at > _RECENT:
            return
        epoch, epoch_at = recorded_epoch(workflow.status)
        if (workflow.uid, epoch) in self._told:
            return
        context = trace_of(workflow)
        if context.sampled:
            record = await read_record(self._client, workflow)
            run = RecordedRun(
                namespace=workflow.namespace,
                name=workflow.name,
                uid=workflow.uid,
                epoch=epoch,
                started_at=epoch_at or started_at,
                finished_at=outcome.finished_at,
                failure="" if outcome.succeeded else outcome.reason,
            )
            count = 1 + sum(_tells(each, epoch) for entry in record.tasks for each in entry.get("attempts") or ())
            nodes = (node for entry in record.tasks for node in recorded_nodes((entry,)))
            self._sink.submit(spans_of(context, run, nodes), count)
        self._told[workflow.uid, epoch] = None
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]

    def close(self, seconds: float) -> None:
        """Wait until the receiver has what was handed over, at most so long. Blocks."""
        self._sink.close(seconds)


def _tells(attempt: Mapping[str, Any], epoch: int) -> bool:
    """Tell whether an attempt becomes a span (`spans_of`)."""
    return attempt.get("epoch", 1) == epoch and "startTime" in attempt and "completionTime" in attempt


def trace_of(workflow: Workflow) -> TraceContext:
    """Return where the spans of a run belong. An annotation puts them below somebody else's span."""
    annotations = workflow.raw["metadata"].get("annotations") or {}
    return context_of(workflow.uid, annotations.get(labels.TRACEPARENT, ""))
