"""The dashboard Fleet: what runs, what fails, what waits and why. For whoever has workflows."""

from __future__ import annotations

from .panels import Board, Panel, Query, Row, quantiles
from .queries import OURS, rate, total

__all__ = ["FLEET"]

FLEET = Board(
    file="fleet",
    title="Fairlead / Fleet",
    about="What runs, what fails, what waits and why.",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    title="Runs under way",
                    about="Runs that have begun and have not ended.",
                    queries=[total("fairlead_runs", where='phase=~"Running|Suspended"')],
                    kind="number",
                ),
                Panel(
                    title="Runs that wait to begin",
                    about="Workflows without a start on record. Below: for what they wait.",
                    queries=[total("fairlead_runs_waiting")],
                    kind="number",
                ),
                Panel(
                    title="Runs that need help",
                    about="Unfinished runs that go on only if somebody does something.",
                    queries=[total("fairlead_runs_stalled")],
                    kind="number",
                ),
                Panel(
                    title="Tasks running",
                    about="Tasks and items whose main container runs, or what stands for it.",
                    queries=[total("fairlead_tasks", where='phase="Running"')],
                    kind="number",
                ),
                Panel(
                    title="Failed within an hour",
                    about="Runs that ended without success, those that were stopped included.",
                    queries=[
                        Query(f'sum(increase(fairlead_runs_finished_total{{{OURS}, outcome="failed"}}[1h]))'),
                    ],
                    kind="number",
                ),
                Panel(
                    title="Success within an hour",
                    about="The part of the runs that ended which succeeded.",
                    queries=[
                        Query(
                            f'sum(increase(fairlead_runs_finished_total{{{OURS}, outcome="succeeded"}}[1h])) / '
                            f"sum(increase(fairlead_runs_finished_total{{{OURS}}}[1h]))"
                        ),
                    ],
                    unit="percentunit",
                    kind="number",
                ),
            ),
        ),
        Row(
            "Runs",
            (
                Panel(
                    title="Runs by phase",
                    about="All Workflows that are there, also those that have ended and were not cleaned up yet.",
                    queries=[total("fairlead_runs", "phase")],
                    stacked=True,
                    main=True,
                ),
                Panel(
                    title="Runs that end, a second",
                    about="By outcome and the reason of the condition Succeeded.",
                    queries=[rate("fairlead_runs_finished_total", "outcome", "reason")],
                    unit="cps",
                    main=True,
                ),
                Panel(
                    title="How long runs take",
                    about="From start to end, suspended time included.",
                    queries=quantiles("fairlead_run_duration_seconds", "outcome", which=(0.5, 0.95)),
                    unit="s",
                ),
                Panel(
                    title="Why runs do not begin",
                    about="New: nobody has looked at it yet. WaitingForConcurrencyKey: another run has the key.",
                    queries=[total("fairlead_runs_waiting", "reason")],
                    stacked=True,
                ),
                Panel(
                    title="Why runs need help",
                    about="The reason of their condition Stalled; `kubectl describe workflow` has the message.",
                    queries=[total("fairlead_runs_stalled", "reason")],
                    stacked=True,
                ),
                Panel(
                    title="From creation to start",
                    about="How long after it was applied a run's start is on record.",
                    queries=quantiles("fairlead_run_start_delay_seconds", which=(0.5, 0.95)),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Tasks",
            (
                Panel(
                    title="Tasks by phase",
                    about="Tasks and items of the runs under way.",
                    queries=[total("fairlead_tasks", "phase")],
                    stacked=True,
                    main=True,
                ),
                Panel(
                    title="Why tasks do not run",
                    about="Those that wait for other tasks are the graph's own doing; the others may need somebody.",
                    queries=[total("fairlead_tasks_waiting", "reason", where='reason!="WaitingForTasks"')],
                    stacked=True,
                    main=True,
                ),
                Panel(
                    title="Attempts that end, a second",
                    about="Succeeded, or the class of their failure, which says whose budget it is charged to.",
                    queries=[rate("fairlead_node_attempts_total", "class")],
                    unit="cps",
                    main=True,
                ),
                Panel(
                    title="From one task to the next",
                    about="From seeing a task's last dependency end to sending the create of its pod.",
                    queries=quantiles("fairlead_hop_duration_seconds"),
                    unit="s",
                    main=True,
                ),
                Panel(
                    title="Requests on runs",
                    about="Stop, retry, approve and so on, by what became of them.",
                    queries=[rate("fairlead_actions_total", "action", "result")],
                    unit="cps",
                ),
                Panel(
                    title="Definitions that were asked about",
                    about="By the API server, before it stores them. What timed out or could not be read was let in.",
                    queries=[rate("fairlead_admission_requests_total", "kind", "result")],
                    unit="cps",
                ),
            ),
        ),
    ),
)
