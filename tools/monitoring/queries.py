"""The sorts of questions that panels ask: how many, how fast, which part."""

from __future__ import annotations

from .panels import Query

__all__ = ["OURS", "rate", "ratio", "total"]

#: The metrics of the operators that were chosen.
OURS = 'job=~"$job"'


def total(metric: str, *labels: str, where: str = "", scope: str = OURS) -> Query:
    """Return the sum of a gauge, for each value of `labels`, over the series with `scope` and `where`."""
    matchers = f"{scope}, {where}" if where else scope
    by = f" by ({', '.join(labels)})" if labels else ""
    return Query(f"sum{by} ({metric}{{{matchers}}})", " ".join(f"{{{{{label}}}}}" for label in labels))


def rate(metric: str, *labels: str, where: str = "", scope: str = OURS) -> Query:
    """Return by how much a counter grows in a second; likewise."""
    matchers = f"{scope}, {where}" if where else scope
    by = f" by ({', '.join(labels)})" if labels else ""
    expr = f"sum{by} (rate({metric}{{{matchers}}}[$__rate_interval]))"
    return Query(expr, " ".join(f"{{{{{label}}}}}" for label in labels))


def ratio(part: Query, whole: Query, legend: str = "") -> Query:
    """Return which part of a whole something is, or how much of it there is for each of another."""
    return Query(f"{part.expr} / {whole.expr}", legend)
