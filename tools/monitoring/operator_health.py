"""The dashboard Operator health: is it there, does it hear the API server, does it get on. For whoever runs it."""

from __future__ import annotations

from .panels import Board, Panel, Query, Row, quantiles
from .queries import OURS, rate, total

__all__ = ["OPERATOR_HEALTH"]

OPERATOR_HEALTH = Board(
    file="operator-health",
    title="Fairlead / Operator health",
    about="Whether the operator is there, hears the API server, and gets on.",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    title="Replicas",
                    about="Operators that tell their metrics, by version.",
                    queries=[
                        Query(
                            f"count by (version, python) (fairlead_build_info{{{OURS}}})", "{{version}} on {{python}}"
                        )
                    ],
                    kind="number",
                ),
                Panel(
                    title="Checks that fail",
                    about="Of /readyz, over all replicas.",
                    queries=[Query(f"count(fairlead_ready{{{OURS}}}) - sum(fairlead_ready{{{OURS}}})")],
                    kind="number",
                ),
                Panel(
                    title="Groups of runs that are held",
                    about="All replicas together hold 16; the runs of one that nobody holds stand still.",
                    queries=[total("fairlead_bucket_groups")],
                    kind="number",
                ),
                Panel(
                    title="Started",
                    about="For how long the youngest replica has been running.",
                    queries=[Query(f"time() - max(process_start_time_seconds{{{OURS}}})")],
                    unit="s",
                    kind="number",
                ),
                Panel(
                    title="Requests that fail",
                    about="To the API server: refused for its own troubles, or without an answer.",
                    queries=[
                        Query(
                            f'sum(rate(fairlead_api_requests_total{{{OURS}, code=~"5..|429|<error>"}}'
                            "[$__rate_interval]) or vector(0)) / "
                            f"sum(rate(fairlead_api_requests_total{{{OURS}}}[$__rate_interval]))"
                        )
                    ],
                    unit="percentunit",
                    kind="number",
                ),
                Panel(
                    title="Defects within an hour",
                    about="Reconciliations that ended in an error of the operator's own.",
                    queries=[Query(f"sum(increase(controller_runtime_reconcile_panics_total{{{OURS}}}[1h]))")],
                    kind="number",
                ),
            ),
        ),
        Row(
            "Is it there",
            (
                Panel(
                    title="Checks behind /readyz",
                    about="1 while it holds on every replica.",
                    queries=[Query(f"min by (check) (fairlead_ready{{{OURS}}})", "{{check}}")],
                    main=True,
                ),
                Panel(
                    title="Groups held, by replica",
                    about="What changes hands at a start, an end or a crash.",
                    queries=[total("leader_election_master_status", "instance")],
                    stacked=True,
                ),
                Panel(
                    title="Groups taken over, a second",
                    about="From replicas that ended or died.",
                    queries=[rate("fairlead_bucket_groups_taken_over_total", "instance")],
                    unit="cps",
                ),
            ),
        ),
        Row(
            "Does it hear the API server",
            (
                Panel(
                    title="Silence of the watches",
                    about="Time since the API server last proved that a watch is alive; bookmarks come once a minute.",
                    queries=[Query(f"max by (resource) (fairlead_cache_staleness_seconds{{{OURS}}})", "{{resource}}")],
                    unit="s",
                    main=True,
                ),
                Panel(
                    title="Watches opened again, a second",
                    about="closed is ordinary; expired means that everything was read again.",
                    queries=[rate("fairlead_watch_restarts_total", "resource", "reason")],
                    unit="cps",
                ),
                Panel(
                    title="Requests by code, a second",
                    about="Under the name that dashboards of controllers know.",
                    queries=[rate("rest_client_requests_total", "code")],
                    unit="reqps",
                    main=True,
                ),
                Panel(
                    title="Time of requests",
                    about="The slowest in a hundred, by verb; of a watch it is the time to its first byte.",
                    queries=quantiles("fairlead_api_request_duration_seconds", "verb", which=(0.99,)),
                    unit="s",
                    main=True,
                ),
                Panel(
                    title="Requests under way",
                    about="And how many may be at once, which follows how fast the server answers; the rest waits.",
                    queries=[
                        total("fairlead_api_requests_in_flight"),
                        total("fairlead_api_requests_waiting"),
                        total("fairlead_api_requests_limit"),
                    ],
                ),
                Panel(
                    title="Events that were not recorded, a second",
                    about="refused: rights are missing. queue_full: too many. unreachable: no answer for a minute.",
                    queries=[rate("fairlead_events_dropped_total", "reason")],
                    unit="cps",
                ),
            ),
        ),
        Row(
            "Does it get on",
            (
                Panel(
                    title="Reconciliations, a second",
                    about="By controller and result.",
                    queries=[rate("controller_runtime_reconcile_total", "controller", "result")],
                    unit="cps",
                    main=True,
                ),
                Panel(
                    title="Time of reconciliations",
                    about="The slowest in a hundred.",
                    queries=quantiles("controller_runtime_reconcile_time_seconds", "controller", which=(0.99,)),
                    unit="s",
                ),
                Panel(
                    title="Errors, a second",
                    about="bug: a defect of the operator. transient: an outage. user: a definition that cannot be run.",
                    queries=[rate("fairlead_reconcile_errors_total", "controller", "family")],
                    unit="cps",
                ),
                Panel(
                    title="Errors, as controller-runtime counts them",
                    about="All, those that are not tried again, and those that should not be.",
                    queries=[
                        Query(rate(f"controller_runtime_{name}_total").expr, name)
                        for name in ("reconcile_errors", "terminal_reconcile_errors", "reconcile_panics")
                    ],
                    unit="cps",
                ),
                Panel(
                    title="Work in line",
                    about="Keys that wait for a worker, by queue.",
                    queries=[total("workqueue_depth", "name")],
                ),
                Panel(
                    title="Wait in line",
                    about="The longest in a hundred.",
                    queries=quantiles("workqueue_queue_duration_seconds", "name", which=(0.99,)),
                    unit="s",
                    main=True,
                ),
                Panel(
                    title="Work in a worker",
                    about="The longest in a hundred, of what is done.",
                    queries=quantiles("workqueue_work_duration_seconds", "name", which=(0.99,)),
                    unit="s",
                ),
                Panel(
                    title="Work that is not done yet",
                    about="In all, and what has taken longest. One that only grows is stuck.",
                    queries=[
                        Query(total("workqueue_unfinished_work_seconds", "name").expr, "{{name}}, all"),
                        Query(
                            f"max by (name) (workqueue_longest_running_processor_seconds{{{OURS}}})",
                            "{{name}}, longest",
                        ),
                    ],
                    unit="s",
                ),
                Panel(
                    title="Workers at work",
                    about="Of those that there are.",
                    queries=[
                        Query(total("controller_runtime_active_workers", "controller").expr, "{{controller}}"),
                        Query(
                            total("controller_runtime_max_concurrent_reconciles", "controller").expr,
                            "{{controller}}, at most",
                        ),
                    ],
                ),
                Panel(
                    title="Put in line and tried again, a second",
                    about="What is tried again has failed.",
                    queries=[
                        Query(rate("workqueue_adds_total", "name").expr, "{{name}}"),
                        Query(rate("workqueue_retries_total", "name").expr, "{{name}}, again"),
                    ],
                    unit="cps",
                ),
                Panel(
                    title="Time of decisions",
                    about="What the engine takes for one, of one run.",
                    queries=quantiles("fairlead_plan_duration_seconds"),
                    unit="s",
                ),
                Panel(
                    title="Time of answers to the webhook's questions",
                    about="After five seconds the API server lets a definition in unchecked.",
                    queries=quantiles("fairlead_admission_duration_seconds", "kind", which=(0.99,)),
                    unit="s",
                ),
            ),
        ),
        Row(
            "What is left of runs",
            (
                Panel(
                    title="Runs deleted, a second",
                    about="By what made them due: their time to live, or a history limit.",
                    queries=[rate("fairlead_runs_deleted_total", "cause")],
                    unit="cps",
                ),
                Panel(
                    title="Runs and logs archived, a second",
                    about="By what came of it. Nothing but errors means that the archive is away: runs wait for it.",
                    queries=[
                        Query(rate("fairlead_archive_runs_total", "result").expr, "runs, {{result}}"),
                        Query(rate("fairlead_archive_logs_total", "result").expr, "logs, {{result}}"),
                    ],
                    unit="cps",
                ),
                Panel(
                    title="Archive out of reach",
                    about="For how long nothing could be written to it; 0 while all is well, or there is none.",
                    queries=[Query(f"max(fairlead_archive_failing_seconds{{{OURS}}}) or vector(0)")],
                    unit="s",
                ),
                Panel(
                    title="Logs that are still to be kept",
                    about="Pods stay for them for a while.",
                    queries=[Query(f"sum(fairlead_archive_logs_waiting{{{OURS}}}) or vector(0)")],
                ),
                Panel(
                    title="Spans of traces, a second",
                    about="Dropped are those that the receiver did not take in time.",
                    queries=[rate("fairlead_trace_spans_total", "result")],
                    unit="cps",
                ),
                Panel(
                    title="Namespaces that are not served",
                    about="Of those that are served by name: something in them may not be read.",
                    queries=[Query(f"count(fairlead_namespace_served{{{OURS}}} == 0) or vector(0)")],
                ),
                Panel(
                    title="The webhook's certificate",
                    about="For how long it is good yet; nothing where there is no webhook.",
                    queries=[Query(f"min(fairlead_webhook_certificate_expiry_timestamp_seconds{{{OURS}}}) - time()")],
                    unit="s",
                ),
            ),
        ),
    ),
)
