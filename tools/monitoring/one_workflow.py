"""The dashboard One workflow: the runs of one template. For its authors."""

from __future__ import annotations

from .panels import Board, Panel, Row, Variable, quantiles
from .queries import OURS, rate, ratio, total

__all__ = ["ONE_WORKFLOW"]

_T = f'{OURS}, namespace=~"$namespace", template=~"$template"'

ONE_WORKFLOW = Board(
    file="one-workflow",
    title="Fairlead / One workflow",
    about="The runs of one WorkflowTemplate. Needs `--template-metrics` (the chart's metrics.templates).",
    variables=(
        Variable(
            "namespace",
            "Namespace",
            'label_values(fairlead_template_runs_active{job=~"$job"}, namespace)',
        ),
        Variable(
            "template",
            "Template",
            'label_values({__name__=~"fairlead_template_runs_active|fairlead_template_runs_finished_total", '
            'job=~"$job", namespace=~"$namespace"}, template)',
        ),
    ),
    rows=(
        Row(
            "Runs",
            (
                Panel(
                    title="Runs under way",
                    about="Runs of the template that have begun and have not ended.",
                    queries=[total("fairlead_template_runs_active", "template", scope=_T)],
                    main=True,
                ),
                Panel(
                    title="Runs that end, a second",
                    about="By outcome.",
                    queries=[rate("fairlead_template_runs_finished_total", "template", "outcome", scope=_T)],
                    unit="cps",
                    main=True,
                ),
                Panel(
                    title="How long a run takes",
                    about="From start to end, suspended time included.",
                    queries=quantiles(
                        "fairlead_template_run_duration_seconds",
                        "template",
                        which=(0.5, 0.95),
                        where='namespace=~"$namespace", template=~"$template"',
                    ),
                    unit="s",
                    main=True,
                ),
            ),
        ),
        Row(
            "Tasks",
            (
                Panel(
                    title="Tasks by phase",
                    about="Tasks and items of its runs under way.",
                    queries=[total("fairlead_template_tasks", "phase", scope=_T)],
                    stacked=True,
                    main=True,
                ),
                Panel(
                    title="Why tasks do not run",
                    about="As in the fleet, of its runs only.",
                    queries=[total("fairlead_template_tasks_waiting", "reason", scope=_T)],
                    stacked=True,
                    main=True,
                ),
                Panel(
                    title="Attempts that end, a second",
                    about="Succeeded, or the class of their failure.",
                    queries=[rate("fairlead_template_attempts_total", "class", scope=_T)],
                    unit="cps",
                    main=True,
                ),
                Panel(
                    title="Where the time goes",
                    about="Attempts that run at once, on average, by how they ended: what failed was in vain.",
                    queries=[rate("fairlead_template_attempt_seconds_total", "class", scope=_T)],
                ),
                Panel(
                    title="Attempts a success",
                    about="How many attempts it takes for one that succeeds; 1 is best.",
                    queries=[
                        ratio(
                            rate("fairlead_template_attempts_total", scope=_T),
                            rate("fairlead_template_attempts_total", where='class="succeeded"', scope=_T),
                        )
                    ],
                ),
            ),
        ),
    ),
)
