"""What a dashboard is made of here, as data, and how Grafana's own builders turn it into JSON.

A panel is a question about the metrics of `fairlead.telemetry.specs`, with a sentence for whoever reads it. Nothing of
Grafana's is written by hand: `grafana-foundation-sdk` knows its schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort

__all__ = ["Board", "Panel", "Query", "Row", "Variable", "quantiles", "to_json"]

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

#: Columns of Grafana's grid, and how many a panel of each sort takes.
_WIDTHS = {"series": 8, "number": 4}
_HEIGHTS = {"series": 8, "number": 4}


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: series over time, or a number. `unit` is Grafana's name of it; `main` is drawn in the docs, too."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: Literal["series", "number"] = "series"
    stacked: bool = False
    main: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Variable:
    """Something to choose from above the dashboard, by what `query` finds."""

    name: str
    label: str
    query: str
    all_values: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard. `file` is its name in the repository, and its address in Grafana."""

    file: str
    title: str
    about: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()

    @property
    def panels(self) -> list[Panel]:
        """All its panels."""
        return [panel for row in self.rows for panel in row.panels]


_JOB = Variable("job", "Job", "label_values(fairlead_build_info, job)")


def quantiles(metric: str, *labels: str, which: Sequence[float] = (0.5, 0.99), where: str = "") -> list[Query]:
    """Return the quantiles of a histogram, over all replicas, for each value of `labels`."""
    matchers = f'job=~"$job"{", " if where else ""}{where}'
    names = " ".join(f"{{{{{label}}}}}" for label in labels)
    return [
        Query(
            f"histogram_quantile({quantile}, sum by ({', '.join((*labels, 'le'))}) "
            f"(rate({metric}_bucket{{{matchers}}}[$__rate_interval])))",
            f"{names} p{quantile * 100:.0f}".strip(),
        )
        for quantile in which
    ]


def to_json(board: Board) -> str:
    """Return a dashboard as Grafana reads it."""
    made = (
        builders.Dashboard(board.title)
        .uid(f"fairlead-{board.file}")
        .description(board.about)
        .tags(["fairlead"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in (_JOB, *board.variables):
        made = made.with_variable(_variable(variable))
    number = 0
    for row in board.rows:
        made = made.with_row(builders.Row(row.title).id(number := number + 1))
        for panel in row.panels:
            drawn = _series(panel) if panel.kind == "series" else _number(panel)
            made = made.with_panel(drawn.id(number := number + 1))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _variable(variable: Variable) -> builders.QueryVariable:
    made = (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(_SOURCE)
        .query(variable.query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    if variable.all_values:
        made = made.multi(True).include_all(True).all_value(".*")
    return made


def _series(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if panel.stacked else 5)
        .legend(
            VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .calcs([])
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .span(_WIDTHS["series"])
        .height(_HEIGHTS["series"])
    )
    if panel.stacked:
        made = made.stacking(StackingConfig().mode(StackingMode.NORMAL))
    for ref, query in zip(ascii_uppercase, panel.queries, strict=False):
        made = made.with_target(_target(query).ref_id(ref))
    return made


def _number(panel: Panel) -> stat.Panel:
    made = (
        stat.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .orientation(VizOrientation.AUTO)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .span(_WIDTHS["number"])
        .height(_HEIGHTS["number"])
    )
    for ref, query in zip(ascii_uppercase, panel.queries, strict=False):
        made = made.with_target(_target(query).ref_id(ref))
    return made


def _target(query: Query) -> prometheus.Dataquery:
    made = prometheus.Dataquery().datasource(_SOURCE).expr(query.expr).range()
    return made.legend_format(query.legend) if query.legend else made
