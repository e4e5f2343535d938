"""Charts of what Prometheus answered: the main panels of each dashboard, over the whole test.

They are charts of data, not pictures of Grafana.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path
from typing import Any

import matplotlib as mpl
from tools.monitoring.panels import Board, Panel

from e2e.observe.prometheus import Series

__all__ = ["Span", "draw"]

#: A stretch of time, in seconds since the epoch, and what was going on.
Span = tuple[float, float, str]

_MOST_SERIES = 10

#: Prometheus was asked for each second; what is further apart has nothing in between.
_GAP_SECONDS = 1.5


def draw(board: Board, ask: Callable[[str], list[Series]], begin: float, spans: Sequence[Span], folder: Path) -> Path:
    """Write the main panels of a dashboard into one PNG file. Returns its path."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    panels = [panel for panel in board.panels if panel.main]
    columns = 3
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(15, 3.8 * rows), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel, ask, begin, spans)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle(f"{board.title}: charts of what Prometheus answered during `make e2e-observe`", fontsize=11)
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    path = folder / f"{board.file}.png"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)
    return path


def _draw_panel(
    axes: Any, panel: Panel, ask: Callable[[str], list[Series]], begin: float, spans: Sequence[Span]
) -> None:
    found = [(_name(query.legend, each.labels), each) for query in panel.queries for each in ask(query.expr)]
    found.sort(key=lambda pair: -max(value for _, value in pair[1].points))
    for name, series in found[:_MOST_SERIES]:
        times, values = zip(*_with_gaps(series.points), strict=True)
        axes.plot([at - begin for at in times], values, linewidth=1, label=name or panel.title)
    for start, end, what in spans:
        axes.axvspan(start - begin, end - begin, alpha=0.08, color="C3")
        axes.text(start - begin, 1.0, what, transform=axes.get_xaxis_transform(), fontsize=6, rotation=30, va="bottom")
    axes.set_title(panel.title, fontsize=9, pad=24)
    axes.set_xlabel("seconds", fontsize=7)
    axes.set_ylabel({"short": "", "cps": "a second", "reqps": "a second"}.get(panel.unit, panel.unit), fontsize=7)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if found:
        axes.legend(fontsize=6, loc="best", framealpha=0.6)


def _with_gaps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points with a break where Prometheus had no answer: a line through it would be made up."""
    found: list[tuple[float, float]] = []
    for at, value in points:
        if found and at - found[-1][0] > _GAP_SECONDS:
            found.append((at, nan))
        found.append((at, value))
    return found


def _name(legend: str, labels: dict[str, str]) -> str:
    """Return what Grafana would call a series."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend).strip()
