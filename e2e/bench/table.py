"""From measurements to the table, the result on file, and the verdict. What plays is given to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from e2e.bench.shapes import SHAPES, SMALL_PLAYS

if TYPE_CHECKING:
    from e2e.bench.measure import Measured
    from e2e.bench.shapes import Shape

__all__ = ["document", "dropped", "judged", "merged", "over", "row", "table", "told", "unmeasured", "verdict"]

Object = dict[str, Any]
Rounds = Mapping[str, "Sequence[Measured]"]

#: The budgets: CPU a task and its growth from 100 to 10,000 tasks, memory, writes a task, and those of a run besides:
#: that it waits, that it has begun, and how it has ended; and one of its status a second. Of the three writes that a
#: task may take, the third deletes its pod, minutes later: it is not among those that are counted. The hundredth is for
#: shards: each has 400 tasks, and may be written four times for each of the others.
CPU_MS, FLATNESS, MEGABYTES, WRITES, WRITES_OF_A_RUN = 3.0, 1.3, 150.0, 2.01, 3.0

#: What a run of one task may take in all: its definition is read, checked and compiled, and told of at each of its
#: three writes, which no task shares with it.
CPU_MS_OF_A_RUN = 9.0

#: The most that each may be: seconds until the first create after a restart, percent of one CPU.
_MOST: Mapping[str, float] = {"restart_seconds": 5.0, "idle_cpu_percent": 1.0}

#: How many times as many tasks two replicas have to start as one.
_REPLICAS = 1.7

#: Where a ratio is over its limit, it may be so by as much over the floor's.
_OVER_FLOOR = 1.05


def judged(shape: Shape, play: Callable[[], Rounds], slack: float = 1.0) -> Object:
    """Return what was measured of a shape. If it is over a budget, it is played as often again, and all plays count.

    What is near its budget is over it at times by luck of the machine; with twice as many plays less often.
    """
    first = play()
    found = row(shape, first)
    if problems := verdict([found], slack):
        print(f"{'; '.join(problems)}: as many rounds again, and all count", file=sys.stderr, flush=True)
        second = play()
        found = row(shape, {engine: [*first[engine], *second[engine]] for engine in first})
    return found


def row(shape: Shape, rounds: Rounds) -> Object:
    """Return what was measured of a shape; ratios are medians over all plays, each against its own bare one."""
    ours, bare = rounds["fairlead"], rounds["bare"]
    found: Object = {
        "shape": shape.name,
        "pods": shape.pods,
        "runs": shape.copies,
        "rounds": len(ours) // shape.plays,
        "bare_seconds": _middle(each.seconds for each in bare),
        "seconds": _middle(each.seconds for each in ours),
        "ratio_vs_bare": _middle(o.time / b.time for o, b in zip(ours, bare, strict=True)),
        "cpu_ms_per_task": _least_cpu(ours, shape),
        "bare_cpu_ms_per_task": _least_cpu(bare, shape),
        "rss_mb": _middle(each.megabytes for each in ours),
        "api_writes_per_task": _middle(each.counted["writes"] / shape.pods for each in ours),
        "status_bytes_per_task": _middle(each.counted["status_bytes"] / shape.pods for each in ours),
    }
    if floor := rounds.get("floor"):
        found["floor_vs_bare"] = _middle(f.time / b.time for f, b in zip(floor, bare, strict=True))
    if hops := [hop for each in ours for hop in each.hops]:
        found["hop_p50_ms"], found["hop_p99_ms"] = _quantile(hops, 0.5) * 1000, _quantile(hops, 0.99) * 1000
        found["bare_hop_p50_ms"] = _quantile([hop for each in bare for hop in each.hops], 0.5) * 1000
    if small := rounds.get("small"):
        beside = _rounds(small, SMALL_PLAYS)
        found["cpu_growth"] = _middle(_growth(shape, *each) for each in zip(ours, beside, strict=True))
    if shape.limit is not None:
        found["limit"] = shape.limit
    return found


def _middle(values: Any) -> float:
    return round(median(values), 3)


def _least_cpu(played: Sequence[Measured], shape: Shape) -> float:
    """Return milliseconds of CPU time for a task, in the round that needed the least.

    It is what the same work costs; whatever else runs on the machine, or beside it, only adds to that. Small shapes
    are played several times in a round, which count as one: the least of nine would be less than that of three.
    """
    return round(min(fmean(each.cpu for each in one) for one in _rounds(played, shape.plays)) * 1000 / shape.pods, 3)


def _growth(shape: Shape, large: Measured, small: Sequence[Measured]) -> float:
    """Return the CPU time of a task, against that of a task of the small shape, played by the same process just before.

    Side by side, since the same work costs a third more when the machine is slow, and so it may be an hour later.
    """
    beside = fmean(each.cpu for each in small) / SHAPES[shape.small].pods
    return large.cpu / shape.pods / beside


def _rounds(played: Sequence[Measured], plays: int) -> list[Sequence[Measured]]:
    return [played[at : at + plays] for at in range(0, len(played), plays)]


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def merged(before: Object, now: Object) -> Object:
    """Return the results of two measurements as one, where the second has not measured a shape anew."""
    again = {row["shape"] for row in now["shapes"]}
    kept = [row for row in before.get("shapes", ()) if row["shape"] not in again]
    return {**now, "shapes": [*kept, *now["shapes"]], "standing": before.get("standing", {}) | now["standing"]}


def dropped(result: Object, name: str) -> Object:
    """Return a result without what is measured under a name: it could not be measured anew."""
    shapes = [row for row in result["shapes"] if row["shape"] != name]
    prefix = name.partition("-")[0] + "_"
    standing = {key: value for key, value in result["standing"].items() if not key.startswith(prefix)}
    return {**result, "shapes": shapes, "standing": standing}


def unmeasured(result: Object) -> list[str]:
    """Return what is missing in a result that would be the whole."""
    names = {row["shape"] for row in result["shapes"] if "cpu_growth" in row or not SHAPES[row["shape"]].small}
    standing = {"restart": "restart_seconds", "idle": "idle_cpu_percent", "replicas": "replicas_ratio"}
    return [name for name in SHAPES if name not in names] + [
        name for name, key in standing.items() if key not in result["standing"]
    ]


#: The columns of the table, and their units.
_HEADS = {
    "shape": "",
    "pods": "",
    "rounds": "",
    "bare_seconds": " s",
    "seconds": " s",
    "ratio_vs_bare": "×",
    "floor_vs_bare": "×",
    "hop_p50_ms": " ms",
    "cpu_ms_per_task": " ms",
    "cpu_growth": "×",
    "rss_mb": " MB",
    "api_writes_per_task": "",
    "status_bytes_per_task": "",
}


def document(result: Object) -> str:
    """Return the page of the documentation that shows a result."""
    about = {name: value for name, value in result["machine"].items() if name != "commit"}
    machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items())
    lines = [[head.replace("_", " ") for head in _HEADS], ["---"] * len(_HEADS)]
    lines += [[_shown(row.get(head), unit) for head, unit in _HEADS.items()] for row in result["shapes"]]
    return "\n".join(
        [
            "# The benchmark, measured",
            "",
            "<!-- Generated from docs/benchmark/latest.json by `make gen`. Do not edit. -->",
            "",
            f"Measured by `make bench` ({machine}): medians of the rounds, of replicas means; of CPU time the least.",
            "Seconds say something about that machine only; the ratios are measured side by side, in the same run.",
            "CPU growth is what a task costs, against one of a hundred in the same minutes and the same process.",
            "",
            *("| " + " | ".join(line) + " |" for line in lines),
            "",
            *(f"- {line}" for line in told(result["standing"]).splitlines()),
            "",
            "![Seconds against the size of a run](benchmark/makespan.png)",
            "![CPU time a task against the size of a run](benchmark/cpu.png)",
            "",
            *_judged([*verdict(result["shapes"]), *over(result["standing"])], unmeasured(result)),
            "",
        ]
    )


def _judged(problems: Sequence[str], missing: Sequence[str]) -> list[str]:
    if problems:
        return ["Over the budgets of [performance.md](performance.md):", "", *(f"- {each}" for each in problems)]
    if missing:
        return [f"No budget of [performance.md](performance.md) is exceeded. Not measured: {', '.join(missing)}."]
    return ["All budgets of [performance.md](performance.md) are met."]


def table(found: Sequence[Object]) -> str:
    """Return the table that people read."""
    heads = _HEADS
    lines = [[head.replace("_", " ") for head in heads]]
    lines += [[_shown(row.get(head), unit) for head, unit in heads.items()] for row in found]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _shown(value: Any, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}{unit}" if isinstance(value, float) else f"{value}{unit}"


def verdict(found: Sequence[Object], slack: float = 1.0) -> list[str]:
    """Return which budgets are not met; each may be used `slack` times."""
    problems = []
    for row in found:
        name = row["shape"]
        most = max(row.get("limit", 0.0), row.get("floor_vs_bare", 0.0) * _OVER_FLOOR) * slack
        if "limit" in row and row["ratio_vs_bare"] > most:
            problems.append(f"{name}: {row['ratio_vs_bare']:.2f}× the bare driver, at most {most:.2f}×")
        cpu = (CPU_MS if row["pods"] > row["runs"] else CPU_MS_OF_A_RUN) * slack
        if row["pods"] >= 100 and row["cpu_ms_per_task"] > cpu:
            problems.append(f"{name}: {row['cpu_ms_per_task']:.1f} ms of CPU a task, at most {cpu:g} ms")
        if row["runs"] == 1 and row["rss_mb"] > MEGABYTES * slack:
            problems.append(f"{name}: {row['rss_mb']:.0f} MB, at most {MEGABYTES * slack:g} MB")
        writes = (WRITES + (WRITES_OF_A_RUN * row["runs"] + row["seconds"]) / row["pods"]) * slack
        if row["pods"] >= 100 and row["api_writes_per_task"] > writes:
            problems.append(f"{name}: {row['api_writes_per_task']:.2f} writes a task, at most {writes:.2f}")
        if row.get("cpu_growth", 0.0) > FLATNESS * slack:
            growth = f"{row['cpu_growth']:.2f}× the CPU a task of {SHAPES[name].small}"
            problems.append(f"{name}: {growth}, at most {FLATNESS * slack:g}×")
    return problems


def told(found: Mapping[str, Any]) -> str:
    """Return the lines that people read."""
    lines = []
    if "restart_seconds" in found:
        lines.append(f"restart with {found['restart_pods']:,} pods: acts again after {found['restart_seconds']:.2f} s")
    if "idle_workflows" in found:
        used = f"{found['idle_cpu_percent']:.2f} % of a CPU, {found['idle_rss_mb']} MB"
        lines.append(f"{found['idle_workflows']:,} workflows that wait: {used}")
    if "replicas_ratio" in found:
        lines.append(
            f"replicas that may use {found['replicas_cpus']} CPU each: {found['replicas_pods']:,} pods take one "
            f"{found['replicas_one_seconds']:.1f} s and two {found['replicas_two_seconds']:.1f} s: "
            f"{found['replicas_ratio']:.2f} times as many at a time"
        )
    return "\n".join(lines)


def over(found: Mapping[str, Any], slack: float = 1.0) -> list[str]:
    """Return which budgets are not met; each may be used `slack` times."""
    problems = [
        f"{name.replace('_', ' ')}: {found[name]:g}, at most {most * slack:g}"
        for name, most in _MOST.items()
        if name in found and found[name] > most * slack
    ]
    if found.get("replicas_ratio", _REPLICAS) < _REPLICAS / slack:
        problems.append(f"two replicas: {found['replicas_ratio']:.2f} times what one does, at least {_REPLICAS:g}")
    return problems
