"""The alerts, as data: the one place that has their expressions.

`rules()` makes a Prometheus rule file of them, which the chart wraps into a PrometheusRule. `$window` in an expression
is how far it looks back. A test may shorten every window and every `for`, and nothing else: what it sees fire is the
rule that ships. Each alert has a section in docs/runbooks/alerts.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import Any, Literal

__all__ = ["ALERTS", "GROUP", "RUNBOOKS", "Alert", "Pace", "rules"]

GROUP = "fairlead"

#: What stands for the address of the runbooks in what is generated; the chart has a value for it.
RUNBOOKS = "docs/runbooks/alerts.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule. `window` is what `$window` stands for, `hold` for how long the expression has to be true before."""

    name: str
    severity: Literal["critical", "warning", "info"]
    expr: str
    summary: str
    window: str = ""
    hold: str = "0s"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast alerts are: the windows and holds of all, where they are not to be their own."""

    window: str
    hold: str


#: Standard names are everybody's: only those of our processes.
_OURS = "and on (namespace, job, instance) fairlead_build_info"
_ANSWERED = "rate(fairlead_api_request_duration_seconds_bucket{verb!='watch'}[$window])"

ALERTS: tuple[Alert, ...] = (
    Alert(
        name="FairleadDown",
        severity="critical",
        expr="absent(fairlead_build_info)",
        hold="5m",
        summary="No operator tells its metrics: no run goes on, or Prometheus does not find it.",
    ),
    Alert(
        name="FairleadNotReady",
        severity="critical",
        expr="min by (namespace, job, instance, check) (fairlead_ready) == 0",
        hold="5m",
        summary="An operator is not ready: its check {{ $labels.check }} fails.",
    ),
    Alert(
        name="FairleadRestarting",
        severity="warning",
        expr=f"(changes(process_start_time_seconds[$window]) > 2) {_OURS}",
        window="30m",
        summary="An operator was started {{ $value }} times within half an hour.",
    ),
    Alert(
        name="FairleadBucketsUnheld",
        severity="critical",
        expr="sum by (namespace, job) (fairlead_bucket_groups) < 16",
        hold="2m",
        summary="Only {{ $value }} of 16 groups of runs are held by a replica: the runs of the others stand still.",
    ),
    Alert(
        name="FairleadRightsMissing",
        severity="critical",
        expr="sum by (namespace, job, reason) (fairlead_runs_stalled{reason='OperatorBlocked'}) > 0",
        hold="5m",
        summary="{{ $value }} runs are stalled because the operator may not do what they need.",
    ),
    Alert(
        name="FairleadNamespaceNotServed",
        severity="warning",
        expr="min by (namespace, job, watched_namespace) (fairlead_namespace_served) == 0",
        hold="5m",
        summary="The namespace {{ $labels.watched_namespace }} is not served: its runs stand still.",
    ),
    Alert(
        name="FairleadStatusNotWritten",
        severity="critical",
        expr=(
            "sum by (namespace, job, resource) (rate(fairlead_api_requests_total{verb=~'patch|create', code=~'4..', "
            "resource=~'workflows/status|taskstatusshards', code!~'404|409|429'}[$window])) > 0"
        ),
        window="5m",
        hold="5m",
        summary="Status cannot be written to {{ $labels.resource }}: what has ended stays held, and nobody sees it.",
    ),
    Alert(
        name="FairleadApiErrors",
        severity="warning",
        expr=(
            "sum by (namespace, job) (rate(fairlead_api_requests_total{code=~'5..|429|<error>'}[$window])) / "
            "sum by (namespace, job) (rate(fairlead_api_requests_total[$window])) > 0.05"
        ),
        window="5m",
        hold="5m",
        summary="{{ $value | humanizePercentage }} of the requests to the API server fail.",
    ),
    Alert(
        name="FairleadApiSlow",
        severity="warning",
        expr=f"histogram_quantile(0.99, sum by (namespace, job, le) ({_ANSWERED})) > 1",
        window="5m",
        hold="10m",
        summary="One request to the API server in a hundred takes longer than {{ $value | humanizeDuration }}.",
    ),
    Alert(
        name="FairleadHopSlow",
        severity="warning",
        expr=(
            "histogram_quantile(0.99, sum by (namespace, job, le) "
            "(rate(fairlead_hop_duration_seconds_bucket[$window]))) > 1"
        ),
        window="10m",
        hold="10m",
        summary="One task in a hundred starts {{ $value | humanizeDuration }} after it could, or later.",
    ),
    Alert(
        name="FairleadQueueSlow",
        severity="warning",
        expr=(
            "histogram_quantile(0.99, sum by (namespace, job, name, le) (rate(workqueue_queue_duration_seconds_bucket"
            "[$window]) and on (namespace, job, instance) fairlead_build_info)) > 5"
        ),
        window="10m",
        hold="10m",
        summary="Work waits {{ $value | humanizeDuration }} in the queue {{ $labels.name }}.",
    ),
    Alert(
        name="FairleadReconcileStuck",
        severity="warning",
        expr=("(max by (namespace, job, instance, name) (workqueue_longest_running_processor_seconds) > 30) " + _OURS),
        hold="5m",
        summary="A worker of {{ $labels.name }} has been at the same run for {{ $value | humanizeDuration }}.",
    ),
    Alert(
        name="FairleadDefects",
        severity="warning",
        expr=(
            "sum by (namespace, job, controller) (increase(controller_runtime_reconcile_panics_total[$window]) "
            f"{_OURS}) > 0"
        ),
        window="15m",
        summary="The operator came upon a defect of its own; the runs concerned are tried again.",
    ),
    Alert(
        name="FairleadAdmissionUnchecked",
        severity="warning",
        expr=(
            "sum by (namespace, job, result) (increase(fairlead_admission_requests_total"
            "{result=~'timeout|error|unreadable'}[$window])) > 0"
        ),
        window="15m",
        summary="The webhook let definitions in unchecked: {{ $labels.result }}.",
    ),
    Alert(
        name="FairleadCertificateExpiring",
        severity="warning",
        expr=(
            "min by (namespace, job, instance) "
            "(fairlead_webhook_certificate_expiry_timestamp_seconds) - time() < 604800"
        ),
        hold="15m",
        summary="The certificate of the webhook expires within a week, has expired, or is missing.",
    ),
    Alert(
        name="FairleadArchiveUnavailable",
        severity="warning",
        # The gauge is the time since the first failure; that it holds, not that it is large, makes 300 seconds of it.
        expr="max by (namespace, job) (fairlead_archive_failing_seconds) > 0",
        hold="5m",
        summary="Nothing could be written to the archive for {{ $value | humanizeDuration }}: runs that are due stay.",
    ),
    Alert(
        name="FairleadEventsDropped",
        severity="info",
        expr=(
            "sum by (namespace, job, reason) (rate(fairlead_events_dropped_total{reason=~'queue_full|refused'}"
            "[$window])) > 0"
        ),
        window="10m",
        hold="15m",
        summary="Kubernetes Events are not recorded: {{ $labels.reason }}.",
    ),
    Alert(
        name="FairleadRunsFailing",
        severity="warning",
        expr=(
            "sum by (namespace, job) (rate(fairlead_runs_finished_total"
            "{outcome='failed', reason!~'Stopped|Cancelled|Terminated|Concurrency.*'}[$window])) / "
            "sum by (namespace, job) (rate(fairlead_runs_finished_total[$window])) > 0.5 and "
            "sum by (namespace, job) (increase(fairlead_runs_finished_total{outcome='failed'}[$window])) > 3"
        ),
        window="30m",
        summary="{{ $value | humanizePercentage }} of the runs that end fail.",
    ),
    Alert(
        name="FairleadRunsStalled",
        severity="warning",
        expr="sum by (namespace, job, reason) (fairlead_runs_stalled{reason!='OperatorBlocked'}) > 0",
        hold="15m",
        summary="{{ $value }} runs go on only if somebody helps: {{ $labels.reason }}.",
    ),
    Alert(
        name="FairleadInfrastructureFailures",
        severity="warning",
        expr=(
            "sum by (namespace, job) (rate(fairlead_node_attempts_total{class='infrastructure'}[$window])) / "
            "sum by (namespace, job) (rate(fairlead_node_attempts_total[$window])) > 0.1"
        ),
        window="15m",
        hold="5m",
        summary="{{ $value | humanizePercentage }} of the attempts at tasks end by a fault of the cluster.",
    ),
    Alert(
        name="FairleadTasksNotStarting",
        severity="warning",
        expr=(
            "sum by (namespace, job, reason) (fairlead_tasks_waiting{reason=~'ImagePull|ContainerConfig|Unschedulable|"
            "SchedulingGated|CrashLoopBackOff|WaitingForNode|NoStatus'}) > 0"
        ),
        hold="15m",
        summary="{{ $value }} tasks have a pod that does not start: {{ $labels.reason }}.",
    ),
    Alert(
        name="FairleadQuotaExceeded",
        severity="info",
        expr=(
            "sum by (namespace, job, reason) "
            "(fairlead_tasks_waiting{reason=~'QuotaExceeded|WaitingForServiceAccount|NamespaceTerminating'}) > 0"
        ),
        hold="30m",
        summary="{{ $value }} tasks wait for room in their namespace: {{ $labels.reason }}.",
    ),
)


def rules(pace: Pace | None = None, *, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """Return the content of a Prometheus rule file; at another `pace` for tests."""
    return {"groups": [{"name": GROUP, "rules": [_rule(alert, pace, runbooks) for alert in ALERTS]}]}


def _rule(alert: Alert, pace: Pace | None, runbooks: str) -> dict[str, Any]:
    window = pace.window if pace is not None else alert.window
    hold = pace.hold if pace is not None and alert.hold != "0s" else alert.hold
    return {
        "alert": alert.name,
        "expr": Template(alert.expr).substitute(window=window),
        "for": hold,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook_url": f"{runbooks}#{alert.name.lower()}"},
    }
