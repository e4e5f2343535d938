"""The dashboard Capacity and cost: what is full, what a task costs, and what was in vain. For whoever pays."""

from __future__ import annotations

from .panels import Board, Panel, Query, Row, quantiles
from .queries import OURS, rate, ratio, total

__all__ = ["CAPACITY"]

_ATTEMPTS = rate("fairlead_node_attempts_total")
_WRITES = rate("fairlead_api_requests_total", where='verb=~"create|update|patch|delete", resource!="events"')


def _per_attempt(cost: Query, legend: str) -> Query:
    return ratio(cost, _ATTEMPTS, legend)


CAPACITY = Board(
    file="capacity-and-cost",
    title="Fairlead / Capacity and cost",
    about="What is full, what a task costs, and what was in vain.",
    rows=(
        Row(
            "The cluster's part",
            (
                Panel(
                    title="Slots",
                    about="Attempts under way that count against a limit, and tasks that wait for one of them to end.",
                    queries=[total("fairlead_task_slots", "state")],
                    main=True,
                ),
                Panel(
                    title="Where the time goes",
                    about="Attempts that run at once, on average, by how they ended: what failed was in vain.",
                    queries=[rate("fairlead_attempt_duration_seconds_sum", "class")],
                    main=True,
                ),
                Panel(
                    title="Time in vain",
                    about="The part of the time of attempts that did not lead to a success.",
                    queries=[
                        ratio(
                            rate("fairlead_attempt_duration_seconds_sum", where='class!="succeeded"'),
                            rate("fairlead_attempt_duration_seconds_sum"),
                        )
                    ],
                    unit="percentunit",
                ),
                Panel(
                    title="How long attempts run",
                    about="By how they ended.",
                    queries=quantiles("fairlead_attempt_duration_seconds", "class", which=(0.5, 0.95)),
                    unit="s",
                ),
                Panel(
                    title="How long they take to start",
                    about="From the creation of the object until its main container runs: scheduling, images, volumes.",
                    queries=quantiles("fairlead_attempt_startup_seconds", "kind", which=(0.5, 0.95)),
                    unit="s",
                    main=True,
                ),
                Panel(
                    title="Attempts that end, a second",
                    about="Of all kinds.",
                    queries=[_ATTEMPTS],
                    unit="cps",
                ),
            ),
        ),
        Row(
            "The API server's part",
            (
                Panel(
                    title="Requests, a second",
                    about="By verb and resource.",
                    queries=[rate("fairlead_api_requests_total", "verb", "resource")],
                    unit="reqps",
                ),
                Panel(
                    title="Writes an attempt",
                    about="A create, a release and a clean-up are three; status is shared by many.",
                    queries=[_per_attempt(_WRITES, "writes")],
                    main=True,
                ),
                Panel(
                    title="Bytes sent",
                    about="Of request bodies, by resource.",
                    queries=[rate("fairlead_api_sent_bytes_total", "resource")],
                    unit="Bps",
                ),
                Panel(
                    title="Writes of status, a second",
                    about="The summary on the Workflow, and shards of large runs.",
                    queries=[rate("fairlead_status_writes_total", "object")],
                    unit="cps",
                ),
                Panel(
                    title="Bytes of status",
                    about="The summary on the Workflow, and shards of large runs.",
                    queries=[rate("fairlead_status_written_bytes_total", "object")],
                    unit="Bps",
                    main=True,
                ),
            ),
        ),
        Row(
            "The operator's part",
            (
                Panel(
                    title="CPU",
                    about="Of each replica. It is one process: near 1 it is full, and another replica helps.",
                    queries=[rate("process_cpu_seconds_total", "instance")],
                    main=True,
                ),
                Panel(
                    title="CPU an attempt",
                    about="What one attempt costs the operators.",
                    queries=[_per_attempt(rate("process_cpu_seconds_total"), "CPU")],
                    unit="s",
                ),
                Panel(
                    title="Memory",
                    about="Resident, of each replica.",
                    queries=[
                        Query(f"sum by (instance) (process_resident_memory_bytes{{{OURS}}})", "{{instance}}"),
                    ],
                    unit="bytes",
                    main=True,
                ),
                Panel(
                    title="Objects in memory",
                    about="Of what is watched, by resource.",
                    queries=[total("fairlead_cache_objects", "resource")],
                ),
                Panel(
                    title="Open files",
                    about="Connections among them, and how many there may be.",
                    queries=[
                        Query(total("process_open_fds", "instance").expr, "{{instance}}"),
                        Query(f"min(process_max_fds{{{OURS}}})", "at most"),
                    ],
                ),
            ),
        ),
    ),
)
