"""Every metric, with its help text, in one place.

The table below is the truth: `Metrics` builds its collectors from it and `python -m fairlead.telemetry.metrics`
prints it for docs/metrics.md. Ours are called `fairlead_…`; what controllers commonly measure keeps the names
that existing dashboards know (`workqueue_…`, `controller_runtime_…`, `rest_client_…`). No label takes the name
of a run, a pod or a namespace: the number of series is bounded by the program, not by its users.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from fairlead import __version__

__all__ = ["SPECS", "MetricSpec", "Metrics", "table"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: its kind, help and label names; `buckets` in its own unit, for histograms."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()


_FAST = (0.00001, 0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_USUAL = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

SPECS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "counter",
        "fairlead_runs_finished_total",
        "Runs that reached their end, by outcome and the reason of the Succeeded condition.",
        ("outcome", "reason"),
    ),
    MetricSpec(
        "counter",
        "fairlead_actions_total",
        "WorkflowActions that were answered, by what was asked for and whether it was accepted.",
        ("action", "result"),
    ),
    MetricSpec(
        "counter",
        "fairlead_admission_requests_total",
        "Questions of the API server about new definitions, by kind and result: allowed or refused; and timeout, error "
        "and unreadable, which let the object in.",
        ("kind", "result"),
    ),
    MetricSpec(
        "histogram",
        "fairlead_admission_duration_seconds",
        "Time from such a question to its answer.",
        ("kind",),
        _USUAL,
    ),
    MetricSpec("gauge", "fairlead_runs", "Runs that this replica acts for, by phase.", ("phase",)),
    MetricSpec(
        "gauge",
        "fairlead_namespace_served",
        "Whether one of the namespaces that are served by name is: 0 while something in it may not be read.",
        ("watched_namespace",),  # `namespace` is what Prometheus says of where the operator is
    ),
    MetricSpec(
        "gauge",
        "fairlead_webhook_certificate_expiry_timestamp_seconds",
        "When the certificate of the webhook expires; 0 while there is none.",
    ),
    MetricSpec(
        "gauge",
        "fairlead_bucket_groups",
        "Groups of buckets that this replica holds, of 16; 0 while its lease is over.",
    ),
    MetricSpec(
        "counter",
        "fairlead_bucket_groups_taken_over_total",
        "Groups of buckets that this replica took over from one that has ended or died.",
    ),
    MetricSpec(
        "counter",
        "fairlead_node_attempts_total",
        "Attempts at tasks that ended, by the class of their outcome.",
        ("class",),
    ),
    MetricSpec(
        "histogram",
        "fairlead_plan_duration_seconds",
        "Time the engine takes to decide what to do about one workflow.",
        buckets=_FAST,
    ),
    MetricSpec(
        "histogram",
        "fairlead_hop_duration_seconds",
        "Time from seeing a task's last dependency end to sending the request that creates its pod.",
        buckets=_USUAL,
    ),
    MetricSpec(
        "counter",
        "fairlead_api_requests_total",
        "Requests to the API server, every retry counted; code <error> means that no answer came.",
        ("verb", "resource", "code"),
    ),
    MetricSpec(
        "histogram",
        "fairlead_api_request_duration_seconds",
        "Time from sending a request to the last byte of its answer (of a watch: to its first).",
        ("verb", "resource"),
        _USUAL,
    ),
    MetricSpec(
        "counter",
        "fairlead_api_sent_bytes_total",
        "Bytes of request bodies sent to the API server.",
        ("verb", "resource"),
    ),
    MetricSpec(
        "gauge",
        "fairlead_api_requests_limit",
        "Requests to the API server that may be under way at once now; it follows how fast the server answers.",
    ),
    MetricSpec("gauge", "fairlead_api_requests_waiting", "Requests that wait for others to be answered."),
    MetricSpec(
        "counter",
        "fairlead_watch_restarts_total",
        "Watches that ended and were opened again: closed, expired, silent or error.",
        ("resource", "reason"),
    ),
    MetricSpec(
        "gauge",
        "fairlead_cache_staleness_seconds",
        "Time since the API server last proved that our watch of a resource is alive.",
        ("resource",),
    ),
    MetricSpec("gauge", "fairlead_cache_objects", "Objects held in the cache of a resource.", ("resource",)),
    MetricSpec(
        "counter",
        "fairlead_status_writes_total",
        "Writes of run status, by what was written: the summary on the Workflow, or a shard.",
        ("object",),
    ),
    MetricSpec(
        "counter",
        "fairlead_status_written_bytes_total",
        "Bytes of run status sent to the API server.",
        ("object",),
    ),
    MetricSpec(
        "counter",
        "fairlead_events_dropped_total",
        "Kubernetes Events that were not recorded: queue_full, spam, refused or closing.",
        ("reason",),
    ),
    MetricSpec(
        "counter",
        "fairlead_reconcile_errors_total",
        "Errors the worker caught, by family: user, transient or bug.",
        ("controller", "family"),
    ),
    MetricSpec("gauge", "fairlead_build_info", "Always 1; the labels say what is running.", ("version", "python")),
    MetricSpec("gauge", "workqueue_depth", "Keys waiting in the queue.", ("name", "controller")),
    MetricSpec(
        "counter",
        "workqueue_adds_total",
        "Keys added to the queue, not counting those that were waiting already.",
        ("name", "controller"),
    ),
    MetricSpec(
        "histogram",
        "workqueue_queue_duration_seconds",
        "Time a key waits in the queue before a worker takes it.",
        ("name", "controller"),
        _USUAL,
    ),
    MetricSpec(
        "histogram",
        "workqueue_work_duration_seconds",
        "Time a worker spends on a key.",
        ("name", "controller"),
        _USUAL,
    ),
    MetricSpec(
        "counter",
        "workqueue_retries_total",
        "Keys put back after a failure, to be tried again later.",
        ("name", "controller"),
    ),
    MetricSpec(
        "counter",
        "controller_runtime_reconcile_total",
        "Reconciliations by result: success, requeue_after or error.",
        ("controller", "result"),
    ),
    MetricSpec(
        "counter",
        "controller_runtime_reconcile_errors_total",
        "Reconciliations that failed.",
        ("controller",),
    ),
    MetricSpec(
        "histogram",
        "controller_runtime_reconcile_time_seconds",
        "Time a reconciliation takes.",
        ("controller",),
        _USUAL,
    ),
    MetricSpec(
        "counter",
        "rest_client_requests_total",
        "Requests to the API server by HTTP method and status code.",
        ("code", "method"),
    ),
)

_METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}


class Metrics:
    """The collectors of one process, in a registry of their own; pass it to whoever measures.

    It has the methods of `fairlead.kube.observer.Observer`, without knowing it.
    """

    def __init__(self) -> None:
        # Otherwise every counter comes twice, with a `…_created` nobody reads. (A switch of the whole library.)
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for spec in SPECS:
            match spec.kind:
                case "counter":
                    self._counters[spec.name] = Counter(spec.name, spec.help, spec.labels, registry=self.registry)
                case "gauge":
                    self._gauges[spec.name] = Gauge(spec.name, spec.help, spec.labels, registry=self.registry)
                case "histogram":
                    self._histograms[spec.name] = Histogram(
                        spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=self.registry
                    )
        ProcessCollector(registry=self.registry)  # process_cpu_seconds_total, process_resident_memory_bytes, …
        self._gauges["fairlead_build_info"].labels(__version__, platform.python_version()).set(1)
        self._phases: set[str] = set()
        self._exchanges: dict[tuple[str, str, str], tuple[Counter, Histogram, Counter, Counter]] = {}

    # -- runs

    def run_finished(self, outcome: str, reason: str) -> None:
        """A run ended; `reason` is one of the constants of the Succeeded condition."""
        self._counters["fairlead_runs_finished_total"].labels(outcome, reason).inc()

    def action_answered(self, action: str, accepted: bool) -> None:
        """Somebody who asked something of a run was told whether it is done."""
        self._counters["fairlead_actions_total"].labels(action, "accepted" if accepted else "refused").inc()

    def admission_answered(self, kind: str, result: str, seconds: float) -> None:
        """The API server was told whether it may keep an object; see `SPECS` for the results."""
        self._counters["fairlead_admission_requests_total"].labels(kind, result).inc()
        self._histograms["fairlead_admission_duration_seconds"].labels(kind).observe(seconds)

    def runs(self, by_phase: Mapping[str, int]) -> None:
        """How many runs are in each phase now; a phase no longer mentioned has none."""
        gauge = self._gauges["fairlead_runs"]
        for phase in self._phases - by_phase.keys():
            gauge.labels(phase).set(0)
        for phase, count in by_phase.items():
            gauge.labels(phase).set(count)
        self._phases |= by_phase.keys()

    def namespace_served(self, namespace: str, served: Callable[[], bool]) -> None:
        """Ask this at every scrape."""
        self._gauges["fairlead_namespace_served"].labels(namespace).set_function(served)

    def certificate_expiry(self, expires: Callable[[], float]) -> None:
        """Ask this at every scrape."""
        self._gauges["fairlead_webhook_certificate_expiry_timestamp_seconds"].set_function(expires)

    def groups_held(self, count: Callable[[], int]) -> None:
        """Ask this at every scrape."""
        self._gauges["fairlead_bucket_groups"].set_function(count)

    def groups_taken_over(self, count: int) -> None:
        """Groups of a replica that is no more are ours now."""
        self._counters["fairlead_bucket_groups_taken_over_total"].inc(count)

    def node_attempt(self, class_: str) -> None:
        """An attempt at a task ended: `succeeded`, or the class of its failure."""
        self._counters["fairlead_node_attempts_total"].labels(class_).inc()

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

    def request_slots(self, limit: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Ask these at every scrape."""
        self._gauges["fairlead_api_requests_limit"].set_function(limit)
        self._gauges["fairlead_api_requests_waiting"].set_function(waiting)

    def watch_restarted(self, *, resource: str, reason: str) -> None:
        """A watch ended and another follows."""
        self._counters["fairlead_watch_restarts_total"].labels(resource, reason).inc()

    def watch_cache(self, resource: str, staleness: Callable[[], float], size: Callable[[], int]) -> None:
        """Ask these at every scrape: an informer's `staleness` and `__len__`."""
        self._gauges["fairlead_cache_staleness_seconds"].labels(resource).set_function(staleness)
        self._gauges["fairlead_cache_objects"].labels(resource).set_function(size)

    def event_dropped(self, *, reason: str) -> None:
        """A Kubernetes Event was not recorded."""
        self._counters["fairlead_events_dropped_total"].labels(reason).inc()

    # -- the queue and its workers; the name of a queue is that of its controller

    def queue_depth(self, queue: str, depth: Callable[[], int]) -> None:
        """Ask this at every scrape."""
        self._gauges["workqueue_depth"].labels(queue, queue).set_function(depth)

    def queue_added(self, queue: str) -> None:
        """A key that was not waiting yet was added."""
        self._counters["workqueue_adds_total"].labels(queue, queue).inc()

    def queue_started(self, queue: str, waited_seconds: float) -> None:
        """A worker took a key."""
        self._histograms["workqueue_queue_duration_seconds"].labels(queue, queue).observe(waited_seconds)

    def queue_done(self, queue: str, worked_seconds: float) -> None:
        """The worker is done with it, one way or the other."""
        self._histograms["workqueue_work_duration_seconds"].labels(queue, queue).observe(worked_seconds)

    def queue_retried(self, queue: str) -> None:
        """A key was put back after a failure."""
        self._counters["workqueue_retries_total"].labels(queue, queue).inc()

    def reconciled(self, controller: str, result: str, seconds: float) -> None:
        """A reconciliation ended; `result` is `success`, `requeue_after` or `error`."""
        self._counters["controller_runtime_reconcile_total"].labels(controller, result).inc()
        self._histograms["controller_runtime_reconcile_time_seconds"].labels(controller).observe(seconds)
        if result == "error":
            self._counters["controller_runtime_reconcile_errors_total"].labels(controller).inc()

    def reconcile_error(self, controller: str, family: str) -> None:
        """The worker caught an error; `family` is `user`, `transient` or `bug`."""
        self._counters["fairlead_reconcile_errors_total"].labels(controller, family).inc()

    def render(self) -> tuple[bytes, str]:
        """The exposition text, and its content type, for the HTTP handler."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


def table() -> str:
    """The Markdown table of docs/metrics.md, sorted by name."""
    rows = ["| Metric | Type | Labels | Meaning |", "| --- | --- | --- | --- |"]
    for spec in sorted(SPECS, key=lambda spec: spec.name):
        labels = ", ".join(f"`{label}`" for label in spec.labels)
        rows.append(f"| `{spec.name}` | {spec.kind} | {labels} | {spec.help} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
