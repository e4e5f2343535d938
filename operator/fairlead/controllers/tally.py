"""Counting the ends of attempts and runs, for everything and for each template: each end once."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.engine.state import EndedAttempt
from fairlead.telemetry.metrics import Metrics

from .run import Run

__all__ = ["count_attempts", "count_end"]


def count_attempts(metrics: Metrics, run: Run, ended: Iterable[EndedAttempt]) -> None:
    """Count attempts whose end was decided."""
    for each in ended:
        class_ = each.told.lower()
        metrics.attempt_ended(class_, each.kind.value, each.starting_seconds, each.running_seconds)
        if run.definition is not None:
            metrics.templates.attempt_ended(run.owner.namespace, run.definition.template, class_, each.running_seconds)


def count_end(metrics: Metrics, run: Run) -> None:
    """Count the end of a run, unless it has been: one that is taken up again may have several."""
    outcome = run.state.outcome
    if outcome is None or run.counted is outcome:
        return
    run.counted = outcome
    told = "succeeded" if outcome.succeeded else "failed"
    seconds = (outcome.finished_at - run.state.started_at).total_seconds()
    metrics.run_finished(told, outcome.reason, seconds)
    if run.definition is not None:
        metrics.templates.run_finished(run.owner.namespace, run.definition.template, told, seconds)
