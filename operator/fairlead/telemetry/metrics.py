"""The collectors of one process, made from the table of `specs.py`.

Counters and histograms are moved when something happens. What can be told at any moment is asked when somebody reads
the metrics, and costs nothing in between.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fairlead import __version__

from .specs import SPECS, MetricSpec

__all__ = ["Metrics", "TemplateMetrics", "WatchedQueue"]

log = logging.getLogger(__name__)

_METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}

#: How an attempt may end, the families of errors, definitions that were let in unchecked, Events that were dropped.
#: They are there from the beginning, at 0: what appears with its first count has, for Prometheus, not grown.
_CLASSES = ("succeeded", "skipped", "cancelled", "user", "infrastructure", "configuration", "timeout")
_FAMILIES = ("user", "transient", "bug")
_UNCHECKED = ("timeout", "error", "unreadable")
_DROPPED = ("queue_full", "spam", "refused", "unreachable", "closing")
_JUDGED = ("Workflow", "WorkflowTemplate", "WorkflowAction", "other", "unknown")

_COUNTED = {
    "fairlead_runs_deleted_total": ("ttl", "history"),
    "fairlead_archive_runs_total": ("written", "present", "error"),
    "fairlead_archive_logs_total": ("written", "present", "partial", "unavailable", "lost"),
    "fairlead_trace_spans_total": ("sent", "dropped"),
}

#: Values of a gauge by those of its labels, in their order.
Values = Mapping[tuple[str, ...], float]


class WatchedQueue(Protocol):
    """What can be asked of a queue of work at any moment."""

    def __len__(self) -> int:
        """Return how many keys wait."""
        ...

    @property
    def workers(self) -> int:
        """How many keys are worked on at once at most."""
        ...

    def working(self) -> Collection[float]:
        """Return for how many seconds each key has been worked on that is not done."""
        ...


class _Asked(Collector):
    """A gauge whose values are asked for at each scrape, from everybody who has some."""

    def __init__(self, spec: MetricSpec) -> None:
        self._spec = spec
        self.sources: list[Callable[[], Values]] = []

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._spec.name, self._spec.help, labels=self._spec.labels)
        for source in self.sources:
            try:
                values = source()
            except Exception:  # a defect of one source must not keep all the others from being told
                log.exception("cannot tell %s", self._spec.name)
                continue
            for labels, value in values.items():
                family.add_metric(labels, value)
        yield family


class Metrics:
    """The collectors of one process, in a registry of their own; pass it to whoever measures.

    It has the methods of `fairlead.kube.observer.Observer`, without knowing it.
    """

    def __init__(self) -> None:
        # Otherwise every counter comes twice, with a `…_created` nobody reads. (A switch of the whole library.)
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._asked: dict[str, _Asked] = {}
        self._histograms: dict[str, Histogram] = {}
        for spec in SPECS:
            match spec.kind:
                case "counter":
                    self._counters[spec.name] = Counter(spec.name, spec.help, spec.labels, registry=self.registry)
                case "gauge":
                    self._asked[spec.name] = _Asked(spec)
                    self.registry.register(self._asked[spec.name])
                case "histogram":
                    self._histograms[spec.name] = Histogram(
                        spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=self.registry
                    )
        ProcessCollector(registry=self.registry)  # process_cpu_seconds_total, process_resident_memory_bytes, …
        version = (__version__, platform.python_version())
        self.ask("fairlead_build_info", lambda: {version: 1.0})
        for class_ in _CLASSES:
            self._counters["fairlead_node_attempts_total"].labels(class_)
        for kind in _JUDGED:
            for result in _UNCHECKED:
                self._counters["fairlead_admission_requests_total"].labels(kind, result)
        for reason in _DROPPED:
            self._counters["fairlead_events_dropped_total"].labels(reason)
        for name, values in _COUNTED.items():
            for value in values:
                self._counters[name].labels(value)
        for outcome, reason in (("succeeded", "Succeeded"), ("failed", "TaskFailed")):
            self._counters["fairlead_runs_finished_total"].labels(outcome, reason)
        self._ends: dict[tuple[str, str], tuple[Counter, Histogram, Histogram]] = {}
        self.templates = TemplateMetrics(self._counters, self._histograms)
        self._exchanges: dict[tuple[str, str, str], tuple[Counter, Histogram, Counter, Counter]] = {}
        self._queues: dict[str, tuple[Counter, Histogram, Histogram]] = {}
        self._reconciled: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def ask(self, name: str, source: Callable[[], Values]) -> None:
        """Ask `source` for values of a gauge at each scrape. Several may be asked for one gauge."""
        self._asked[name].sources.append(source)

    # -- runs

    def run_finished(self, outcome: str, reason: str, seconds: float | None = None) -> None:
        """A run ended; `reason` is one of the constants of the Succeeded condition, `seconds` since it has started."""
        self._counters["fairlead_runs_finished_total"].labels(outcome, reason).inc()
        if seconds is not None:
            self._histograms["fairlead_run_duration_seconds"].labels(outcome).observe(seconds)

    def run_started(self, seconds: float) -> None:
        """A run has started, so long after its creation."""
        self._histograms["fairlead_run_start_delay_seconds"].observe(max(0.0, seconds))

    def action_answered(self, action: str, accepted: bool) -> None:
        """Somebody who asked something of a run was told whether it is done."""
        self._counters["fairlead_actions_total"].labels(action, "accepted" if accepted else "refused").inc()

    def admission_answered(self, kind: str, result: str, seconds: float) -> None:
        """The API server was told whether it may keep an object; see `SPECS` for the results."""
        self._counters["fairlead_admission_requests_total"].labels(kind, result).inc()
        self._histograms["fairlead_admission_duration_seconds"].labels(kind).observe(seconds)

    def groups_taken_over(self, count: int) -> None:
        """Groups of a replica that is no more are ours now."""
        self._counters["fairlead_bucket_groups_taken_over_total"].inc(count)

    def attempt_ended(self, class_: str, kind: str, starting: float | None, running: float | None) -> None:
        """An attempt at a task ended: `succeeded`, `skipped`, `cancelled` or the class of its failure.

        `starting` and `running` are how many seconds that took, None for one that never got so far.
        """
        found = self._ends.get((class_, kind))
        if found is None:
            found = self._ends[class_, kind] = (
                self._counters["fairlead_node_attempts_total"].labels(class_),
                self._histograms["fairlead_attempt_startup_seconds"].labels(kind),
                self._histograms["fairlead_attempt_duration_seconds"].labels(class_),
            )
        ends, startups, durations = found
        ends.inc()
        if starting is not None:
            startups.observe(starting)
        if running is not None:
            durations.observe(running)

    def plan_took(self, seconds: float) -> None:
        """One call of the engine's `plan`."""
        self._histograms["fairlead_plan_duration_seconds"].observe(seconds)

    def hop_took(self, seconds: float) -> None:
        """From seeing the last parent's end to sending the child's create."""
        self._histograms["fairlead_hop_duration_seconds"].observe(seconds)

    def status_written(self, kind: str, size: int) -> None:
        """A status write of `size` bytes; `kind` is `summary` or `shard`."""
        self._counters["fairlead_status_writes_total"].labels(kind).inc()
        self._counters["fairlead_status_written_bytes_total"].labels(kind).inc(size)

    # -- what is left of runs

    def run_deleted(self, cause: str) -> None:
        """A run was deleted: `ttl` or `history`."""
        self._counters["fairlead_runs_deleted_total"].labels(cause).inc()

    def run_archived(self, result: str) -> None:
        """A run was to be archived; see `SPECS` for the results."""
        self._counters["fairlead_archive_runs_total"].labels(result).inc()

    def log_kept(self, result: str) -> None:
        """A log was to be kept; see `SPECS` for the results."""
        self._counters["fairlead_archive_logs_total"].labels(result).inc()

    # -- the API server

    def request_finished(self, *, verb: str, resource: str, code: str, seconds: float, sent_bytes: int) -> None:
        """One HTTP exchange ended."""
        requests, durations, client_requests, sent = self._of_exchange(verb, resource, code)
        requests.inc()
        durations.observe(seconds)
        client_requests.inc()
        if sent_bytes:
            sent.inc(sent_bytes)

    def _of_exchange(self, verb: str, resource: str, code: str) -> tuple[Counter, Histogram, Counter, Counter]:
        """Return the children for these labels: to look them up takes longer than to count."""
        found = self._exchanges.get((verb, resource, code))
        if found is None:
            found = self._exchanges[verb, resource, code] = (
                self._counters["fairlead_api_requests_total"].labels(verb, resource, code),
                self._histograms["fairlead_api_request_duration_seconds"].labels(verb, resource),
                self._counters["rest_client_requests_total"].labels(code, _METHODS.get(verb, "GET")),
                self._counters["fairlead_api_sent_bytes_total"].labels(verb, resource),
            )
        return found

    def watch_restarted(self, *, resource: str, reason: str) -> None:
        """A watch ended and another follows."""
        self._counters["fairlead_watch_restarts_total"].labels(resource, reason).inc()

    def event_dropped(self, *, reason: str) -> None:
        """A Kubernetes Event was not recorded."""
        self._counters["fairlead_events_dropped_total"].labels(reason).inc()

    def spans_told(self, result: str, count: int) -> None:
        """Spans were `sent` or `dropped`. May be called from any thread."""
        self._counters["fairlead_trace_spans_total"].labels(result).inc(count)

    # -- the queue and its workers; the name of a queue is that of its controller

    def watch_queue(self, queue: str, watched: WatchedQueue) -> None:
        """Ask a queue at every scrape."""
        name = (queue, queue)
        for family in _FAMILIES:
            self._counters["fairlead_reconcile_errors_total"].labels(queue, family)
        self._counters["workqueue_retries_total"].labels(*name)
        for each in ("reconcile_errors", "reconcile_panics", "terminal_reconcile_errors"):
            self._counters[f"controller_runtime_{each}_total"].labels(queue)
        self.ask("workqueue_depth", lambda: {name: len(watched)})
        self.ask("workqueue_unfinished_work_seconds", lambda: {name: sum(watched.working())})
        self.ask("workqueue_longest_running_processor_seconds", lambda: {name: max(watched.working(), default=0.0)})
        self.ask("controller_runtime_max_concurrent_reconciles", lambda: {(queue,): watched.workers})
        self.ask("controller_runtime_active_workers", lambda: {(queue,): len(watched.working())})

    def queue_added(self, queue: str) -> None:
        """A key that was not waiting yet was added."""
        self._of_queue(queue)[0].inc()

    def queue_started(self, queue: str, waited_seconds: float) -> None:
        """A worker took a key."""
        self._of_queue(queue)[1].observe(waited_seconds)

    def queue_done(self, queue: str, worked_seconds: float) -> None:
        """The worker is done with it, one way or the other."""
        self._of_queue(queue)[2].observe(worked_seconds)

    def _of_queue(self, queue: str) -> tuple[Counter, Histogram, Histogram]:
        """Return what each key of a queue is counted by, as `_of_exchange` does."""
        found = self._queues.get(queue)
        if found is None:
            found = self._queues[queue] = (
                self._counters["workqueue_adds_total"].labels(queue, queue),
                self._histograms["workqueue_queue_duration_seconds"].labels(queue, queue),
                self._histograms["workqueue_work_duration_seconds"].labels(queue, queue),
            )
        return found

    def queue_retried(self, queue: str) -> None:
        """A key was put back after a failure."""
        self._counters["workqueue_retries_total"].labels(queue, queue).inc()

    def reconciled(self, controller: str, result: str, seconds: float) -> None:
        """A reconciliation ended; `result` is `success`, `requeue_after` or `error`."""
        found = self._reconciled.get((controller, result))
        if found is None:
            found = self._reconciled[controller, result] = (
                self._counters["controller_runtime_reconcile_total"].labels(controller, result),
                self._histograms["controller_runtime_reconcile_time_seconds"].labels(controller),
            )
        total, times = found
        total.inc()
        times.observe(seconds)
        if result == "error":
            self._counters["controller_runtime_reconcile_errors_total"].labels(controller).inc()

    def reconcile_error(self, controller: str, family: str) -> None:
        """The worker caught an error; `family` is `user`, `transient` or `bug`."""
        self._counters["fairlead_reconcile_errors_total"].labels(controller, family).inc()
        if family == "bug":
            self._counters["controller_runtime_reconcile_panics_total"].labels(controller).inc()
        elif family == "user":
            self._counters["controller_runtime_terminal_reconcile_errors_total"].labels(controller).inc()

    def render(self) -> tuple[bytes, str]:
        """The exposition text, and its content type, for the HTTP handler."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class TemplateMetrics:
    """What is counted for each template of its own: at most `most` of them, the first that are heard of; none at first.

    Who must not be counted is told by :meth:`knows`, and is in the metrics of all runs only.
    """

    def __init__(self, counters: Mapping[str, Counter], histograms: Mapping[str, Histogram]) -> None:
        self.most = 0
        self._known: set[tuple[str, str]] = set()
        self._runs = counters["fairlead_template_runs_finished_total"]
        self._attempts = counters["fairlead_template_attempts_total"]
        self._seconds = counters["fairlead_template_attempt_seconds_total"]
        self._durations = histograms["fairlead_template_run_duration_seconds"]

    def knows(self, namespace: str, template: str) -> bool:
        """Tell whether a template is counted; one that is new is, while there is room."""
        key = (namespace, template)
        if key not in self._known and len(self._known) < self.most:
            self._known.add(key)
        return key in self._known

    def run_finished(self, namespace: str, template: str, outcome: str, seconds: float) -> None:
        """A run of a template ended."""
        if self.knows(namespace, template):
            self._runs.labels(namespace, template, outcome).inc()
            self._durations.labels(namespace, template).observe(seconds)

    def attempt_ended(self, namespace: str, template: str, class_: str, running: float | None) -> None:
        """An attempt of a run of a template ended."""
        if self.knows(namespace, template):
            self._attempts.labels(namespace, template, class_).inc()
            self._seconds.labels(namespace, template, class_).inc(max(0.0, running or 0.0))
