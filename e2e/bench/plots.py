"""Charts of a result: makespan, and CPU time a task, against the size of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

__all__ = ["draw"]

_FAMILIES = {
    "wide": ("wide-100", "wide-1000", "wide-5000", "wide-10000"),
    "layers": ("layers-10x10", "layers-10x100", "layers-100x100"),
    "chain": ("chain-20", "chain-100", "chain-1000", "chain-10000"),
}


def draw(found: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write the charts as PNG files; those of a quick measurement have nothing to show. Returns which were written."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    by_shape = {row["shape"]: row for row in found}
    written = []
    for name, field, bare, label in (
        ("makespan", "seconds", "bare_seconds", "seconds from submission to end"),
        ("cpu", "cpu_ms_per_task", "bare_cpu_ms_per_task", "ms of CPU time a task"),
    ):
        figure, axes = plt.subplots(figsize=(7, 4.5))
        for color, (family, shapes) in enumerate(_FAMILIES.items()):
            rows = [by_shape[shape] for shape in shapes if shape in by_shape]
            if len(rows) > 1:
                sizes = [row["pods"] for row in rows]
                axes.plot(sizes, [row[field] for row in rows], "o-", color=f"C{color}", label=f"{family}, Fairlead")
                axes.plot(sizes, [row[bare] for row in rows], "o:", color=f"C{color}", label=f"{family}, bare driver")
        if axes.lines:
            axes.set(xscale="log", xlabel="tasks", ylabel=label, yscale="log" if field == "seconds" else "linear")
            axes.set_ylim(bottom=None if field == "seconds" else 0)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8)
            written.append(folder / f"{name}.png")
            figure.savefig(written[-1], dpi=120, bbox_inches="tight")
        plt.close(figure)
    return written
