"""Every metric, with its help text and labels, in one place: the table from which everything else is made.

`metrics.Metrics` builds its collectors from it, docs/metrics.md is printed from it, and the tests hold dashboards,
alerts and pages against it. Ours are called `fairlead_…`; what controllers commonly measure keeps the names that
existing dashboards know (`workqueue_…`, `controller_runtime_…`, `rest_client_…`, `leader_election_…`). No label takes
the name of a run, a pod or a namespace: the number of series is bounded by the program, not by its users.
`fairlead_template_…` are the exception: they are off unless asked for, and for so many templates at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["PROCESS", "SPECS", "MetricSpec", "table"]

#: What prometheus_client tells about any process, and ours are read together with.
PROCESS = frozenset(
    {
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
    }
)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: its kind, help and label names; `buckets` in its own unit, for histograms.

    `about` are the kinds of ours that it tells something of, none for what is the operator's own.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()
    about: Sequence[str] = ()


_RUN = ("Workflow",)
_TEMPLATE = ("WorkflowTemplate",)
_ACTION = ("WorkflowAction",)
_RECORD = ("Workflow", "TaskStatusShard")
_JUDGED = ("Workflow", "WorkflowTemplate", "WorkflowAction")

_FAST = (0.00001, 0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_LONG = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
_USUAL = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

SPECS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "counter",
        "fairlead_runs_finished_total",
        "Runs that reached their end, by outcome and the reason of the Succeeded condition.",
        ("outcome", "reason"),
        about=_RUN,
    ),
    MetricSpec(
        "counter",
        "fairlead_actions_total",
        "WorkflowActions that were answered, by what was asked for and whether it was accepted.",
        ("action", "result"),
        about=_ACTION,
    ),
    MetricSpec(
        "counter",
        "fairlead_admission_requests_total",
        "Questions of the API server about new definitions, by kind and result: allowed or refused; and timeout, error "
        "and unreadable, which let the object in.",
        ("kind", "result"),
        about=_JUDGED,
    ),
    MetricSpec(
        "histogram",
        "fairlead_admission_duration_seconds",
        "Time from such a question to its answer.",
        ("kind",),
        _USUAL,
        about=_JUDGED,
    ),
    MetricSpec(
        "gauge",
        "fairlead_runs",
        "Runs that this replica acts for, by phase; those that have ended count for as long as they are there.",
        ("phase",),
        about=_RUN,
    ),
    MetricSpec(
        "gauge",
        "fairlead_runs_waiting",
        "Runs that have not begun, by what they wait for.",
        ("reason",),
        about=_RUN,
    ),
    MetricSpec(
        "gauge",
        "fairlead_runs_stalled",
        "Unfinished runs that go on only if somebody helps, by the reason of their condition Stalled.",
        ("reason",),
        about=_RUN,
    ),
    MetricSpec(
        "histogram",
        "fairlead_run_duration_seconds",
        "Time from a run's start to its end, suspended time included.",
        ("outcome",),
        _LONG,
        about=_RUN,
    ),
    MetricSpec(
        "histogram",
        "fairlead_run_start_delay_seconds",
        "Time from the creation of a Workflow to its start on record, by whole seconds.",
        buckets=(1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0),
        about=_RUN,
    ),
    MetricSpec(
        "gauge",
        "fairlead_tasks",
        "Tasks and items of the runs under way, by phase.",
        ("phase",),
        about=_RUN,
    ),
    MetricSpec(
        "gauge",
        "fairlead_tasks_waiting",
        "Tasks and items of the runs under way that neither run nor have ended, by reason.",
        ("reason",),
        about=_RUN,
    ),
    MetricSpec(
        "gauge",
        "fairlead_task_slots",
        "Slots of the runs under way that are held by live attempts, and tasks and items that wait for one.",
        ("state",),
        about=_RUN,
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
        "Attempts at tasks that ended: succeeded, skipped, cancelled, or the class of their failure.",
        ("class",),
        about=_RUN,
    ),
    MetricSpec(
        "histogram",
        "fairlead_attempt_duration_seconds",
        "Time for which an attempt's main container, or what stands for it, ran.",
        ("class",),
        _LONG,
        about=_RUN,
    ),
    MetricSpec(
        "histogram",
        "fairlead_attempt_startup_seconds",
        "Time from the creation of an attempt's object until its main container runs.",
        ("kind",),
        (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0),
        about=_RUN,
    ),
    MetricSpec(
        "histogram",
        "fairlead_plan_duration_seconds",
        "Time the engine takes to decide what to do about one workflow.",
        buckets=_FAST,
        about=_RUN,
    ),
    MetricSpec(
        "histogram",
        "fairlead_hop_duration_seconds",
        "Time from seeing a task's last dependency end to sending the request that creates its pod.",
        buckets=_USUAL,
        about=_RUN,
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
    MetricSpec("gauge", "fairlead_api_requests_in_flight", "Requests to the API server that are under way."),
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
        about=_RECORD,
    ),
    MetricSpec(
        "counter",
        "fairlead_status_written_bytes_total",
        "Bytes of run status sent to the API server.",
        ("object",),
        about=_RECORD,
    ),
    MetricSpec(
        "counter",
        "fairlead_events_dropped_total",
        "Kubernetes Events that were not recorded: queue_full, refused, unreachable for a minute, closing; and spam, "
        "which are told together.",
        ("reason",),
    ),
    MetricSpec(
        "counter",
        "fairlead_reconcile_errors_total",
        "Errors the worker caught, by family: user, transient or bug.",
        ("controller", "family"),
    ),
    MetricSpec(
        "gauge",
        "fairlead_ready",
        "Whether each of the checks behind /readyz holds: 1, or 0 while it does not.",
        ("check",),
    ),
    MetricSpec(
        "gauge",
        "fairlead_template_tasks",
        "As fairlead_tasks, of the runs of one template.",
        ("namespace", "template", "phase"),
        about=_TEMPLATE,
    ),
    MetricSpec(
        "gauge",
        "fairlead_template_tasks_waiting",
        "As fairlead_tasks_waiting, of the runs of one template.",
        ("namespace", "template", "reason"),
        about=_TEMPLATE,
    ),
    MetricSpec(
        "gauge",
        "fairlead_template_runs_active",
        "Runs of one template that are under way.",
        ("namespace", "template"),
        about=_TEMPLATE,
    ),
    MetricSpec(
        "counter",
        "fairlead_template_runs_finished_total",
        "As fairlead_runs_finished_total, of the runs of one template.",
        ("namespace", "template", "outcome"),
        about=_TEMPLATE,
    ),
    MetricSpec(
        "histogram",
        "fairlead_template_run_duration_seconds",
        "As fairlead_run_duration_seconds, of the runs of one template.",
        ("namespace", "template"),
        _LONG,
        about=_TEMPLATE,
    ),
    MetricSpec(
        "counter",
        "fairlead_template_attempts_total",
        "As fairlead_node_attempts_total, of the runs of one template.",
        ("namespace", "template", "class"),
        about=_TEMPLATE,
    ),
    MetricSpec(
        "counter",
        "fairlead_template_attempt_seconds_total",
        "Time for which attempts of the runs of one template ran.",
        ("namespace", "template", "class"),
        about=_TEMPLATE,
    ),
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
        "counter",
        "fairlead_trace_spans_total",
        "Spans of traces by result: sent to the receiver, or dropped because it did not take them in time.",
        ("result",),
    ),
    MetricSpec(
        "counter",
        "fairlead_runs_deleted_total",
        "Finished runs that were deleted, by cause: their ttl, or a history limit.",
        ("cause",),
        about=_RUN,
    ),
    MetricSpec(
        "counter",
        "fairlead_archive_runs_total",
        "Runs that have ended, by what came of archiving them: written, present (it was there already) or error (it is "
        "tried again).",
        ("result",),
        about=_RUN,
    ),
    MetricSpec(
        "counter",
        "fairlead_archive_logs_total",
        "Logs of attempts that have ended, by what came of keeping them: written, present, partial (as far as it was "
        "known when the pod was deleted), unavailable (the node has none to give) or lost (the archive took none).",
        ("result",),
    ),
    MetricSpec(
        "gauge",
        "fairlead_archive_failing_seconds",
        "For how long nothing could be written to the archive; 0 while all is well.",
    ),
    MetricSpec("gauge", "fairlead_archive_logs_waiting", "Logs that are still to be kept."),
    MetricSpec("gauge", "fairlead_build_info", "Always 1; the labels say what is running.", ("version", "python")),
    MetricSpec(
        "gauge",
        "leader_election_master_status",
        "Whether this replica holds a lease: 1, or 0. Groups of buckets are held one by one.",
        ("name",),
    ),
    MetricSpec("gauge", "workqueue_depth", "Keys waiting in the queue.", ("name", "controller")),
    MetricSpec(
        "gauge",
        "workqueue_unfinished_work_seconds",
        "Time that workers have spent on the keys that they have not done with yet, in all.",
        ("name", "controller"),
    ),
    MetricSpec(
        "gauge",
        "workqueue_longest_running_processor_seconds",
        "Time that a worker has spent on the key that it has had for longest.",
        ("name", "controller"),
    ),
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
        "counter",
        "controller_runtime_terminal_reconcile_errors_total",
        "Reconciliations that found what only the user can mend, and that are not tried again.",
        ("controller",),
    ),
    MetricSpec(
        "counter",
        "controller_runtime_reconcile_panics_total",
        "Reconciliations that ended in a defect of the operator.",
        ("controller",),
    ),
    MetricSpec(
        "gauge",
        "controller_runtime_max_concurrent_reconciles",
        "Keys that a controller works on at once at most.",
        ("controller",),
    ),
    MetricSpec(
        "gauge",
        "controller_runtime_active_workers",
        "Keys that a controller works on now.",
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


def table() -> str:
    """The Markdown table of docs/metrics.md, sorted by name."""
    rows = ["| Metric | Type | Labels | About | Meaning |", "| --- | --- | --- | --- | --- |"]
    for spec in sorted(SPECS, key=lambda spec: spec.name):
        labels = ", ".join(f"`{label}`" for label in spec.labels)
        about = ", ".join(spec.about)
        rows.append(f"| `{spec.name}` | {spec.kind} | {labels} | {about} | {spec.help} |")
    return "\n".join(rows) + "\n"
