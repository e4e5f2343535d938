"""Whether a run ended as it had to, by its status: its phase, each task, and how often each was tried. Pure.

Attempts that a fault costs are of class Infrastructure and come on top of those that are expected; a fault says how
many of them a node may have. What is wrong with a status is a problem, and no attempt lost or repeated: `ledger` and
`tally` count those, by the audit log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from e2e.chaos.script import End, Planned

__all__ = ["Costs", "Findings", "judge", "judge_nodes", "no_cost"]

Object = Mapping[str, Any]

#: How many attempts a fault may have cost a node, by run and node.
Costs = Callable[[str, str], range]


def no_cost(run: str, node: str) -> range:
    """A fault that costs nobody an attempt."""
    return range(1)


@dataclass(slots=True)
class Findings:
    """What was found: objects of attempts by their kind, and what is not as it had to be."""

    recorded: dict[str, dict[str, datetime | None]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    #: What the fault has cost, by node.
    costs: Counter[str] = field(default_factory=Counter)

    def add(self, carrier: str, attempt: Object) -> None:
        """Take note of an attempt's object."""
        started = attempt.get("startTime")
        names = self.recorded.setdefault(carrier, {})
        names[attempt["podName"]] = datetime.fromisoformat(started) if started else None


def judge(
    planned: Planned,
    status: Object,
    entries: Mapping[str, Object],
    child: Callable[[str], tuple[Object, Mapping[str, Object]]],
    costs: Costs = no_cost,
) -> Findings:
    """Judge one run by its status and the entries of its tasks. `child(name)` returns both of a run that it made."""
    found = Findings()
    if status.get("phase") != planned.phase:
        found.problems.append(
            f"{planned.name} ended {status.get('phase')} ({status.get('message')}), not {planned.phase}"
        )
    if status.get("epoch", 1) != planned.epoch:
        found.problems.append(f"{planned.name} is in epoch {status.get('epoch', 1)}, not {planned.epoch}")
    judge_nodes(planned.name, planned.ends, entries, costs, found)
    for task, ends in planned.children.items():
        for node in planned.nodes_of(task):
            for attempt in entries.get(node, {}).get("attempts", ()):
                below, tasks = child(attempt["podName"])
                if below.get("phase") != "Succeeded":
                    found.problems.append(f"{attempt['podName']} ended {below.get('phase')}: {below.get('message')}")
                judge_nodes(attempt["podName"], ends, tasks, costs, found)
    return found


def judge_nodes(
    run: str, ends: Mapping[str, End], entries: Mapping[str, Object], costs: Costs, found: Findings
) -> None:
    """Judge the tasks and items of one run."""
    for node in sorted(set(entries) - set(ends)):
        found.problems.append(f"{run}: nobody knows of {node}")
    for node, end in ends.items():
        entry = entries.get(node, {"phase": "missing"})
        attempts = list(entry.get("attempts") or ())
        if entry["phase"] != end.phase:
            found.problems.append(f"{run}: {node} is {entry['phase']} ({entry.get('reason', '')}), not {end.phase}")
        if [each["number"] for each in attempts] != list(range(1, len(attempts) + 1)):
            found.problems.append(f"{run}: the attempts of {node} are not numbered one after the other")
        if end.carrier:
            _judge_attempts(run, node, end, attempts, costs, found)


def _judge_attempts(run: str, node: str, end: End, attempts: Iterable[Object], costs: Costs, found: Findings) -> None:
    counted, cost = 0, []
    for attempt in attempts:
        found.add(end.carrier, attempt)
        if attempt.get("class") == "Infrastructure":
            cost.append(attempt.get("reason", ""))
        else:
            counted += 1
    if counted != end.attempts:
        found.problems.append(f"{run}: {node} was tried {counted} times, not {end.attempts}")
    if cost:
        found.costs[node] += len(cost)
    allowed = costs(run, node)
    if len(cost) not in allowed:
        times = f"{allowed.start} to {allowed.stop - 1}" if len(allowed) > 1 else str(allowed.start)
        found.problems.append(f"{run}: {node} lost {len(cost)} attempts to the fault ({', '.join(cost)}), not {times}")
