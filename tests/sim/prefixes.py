"""Every small graph, and a kill of the operator before and after each single one of its writes: `make sim` plays all.

The run without a kill is the measure: with one, each task has to end the same way, after as many attempts, and each
pod may have been created once. All graphs of up to four tasks are taken once, whatever their tasks are called, with
tasks that succeed, fail, or fail first; and with the ends of what runs side by side in the one order and in the other.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

from fairlead.api import labels
from fairlead.kube.resources import WORKFLOWS
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.invariants import Watchman
from fairlead.testing.loop import Stalled, run
from fairlead.testing.network import FairWeather, Passage
from fairlead.testing.nodes import Act

__all__ = ["Case", "cases", "check"]

#: Pairs of parent and child; tasks are numbers, and parents come first.
Graph: TypeAlias = frozenset[tuple[int, int]]

#: The exit codes of a task's attempts, in turn.
SUCCEEDS, FAILS, FAILS_FIRST = (0,), (1, 1), (1, 0)

_ENDS = (SUCCEEDS, FAILS, FAILS_FIRST)
_LIMIT_SECONDS = 400.0


@dataclass(frozen=True)
class Case:
    """One graph, how its tasks end, and whether what began later ends earlier."""

    size: int
    edges: Graph
    ends: tuple[tuple[int, ...], ...]
    reverse: bool = False

    def __str__(self) -> str:
        drawn = " ".join(f"{parent}→{child}" for parent, child in sorted(self.edges)) or "no edges"
        return f"{self.size} tasks, {drawn}, exit codes {list(self.ends)}{', in reverse' if self.reverse else ''}"


@dataclass(frozen=True)
class End:
    """What a run has come to: the phase and the number of attempts of each task, and which pods were created."""

    phases: Mapping[str, tuple[str, int]]
    pods: Sequence[str]
    writes: int
    violations: Sequence[str]


def graphs(size: int) -> Iterator[Graph]:
    """Yield each acyclic graph of so many tasks once."""
    known: set[Graph] = set()
    pairs = list(itertools.combinations(range(size), 2))
    for chosen in itertools.product((False, True), repeat=len(pairs)):
        edges = frozenset(pair for pair, there in zip(pairs, chosen, strict=True) if there)
        twins = {
            frozenset((order[parent], order[child]) for parent, child in edges)
            for order in itertools.permutations(range(size))
        }
        if not twins & known:
            known.add(edges)
            yield edges


def cases(most: int) -> Iterator[Case]:
    """Yield the cases of up to so many tasks; of four, at most one does not succeed."""
    for size in range(1, most + 1):
        for edges in graphs(size):
            for ends in itertools.product(_ENDS, repeat=size):
                if size > 3 and sum(each is not SUCCEEDS for each in ends) > 1:
                    continue
                yield Case(size, edges, ends)
                if 1 < size < 4:
                    yield Case(size, edges, ends, reverse=True)


class _Killer(FairWeather):
    """Kills the operator at one of its writes, before it leaves or after it was applied."""

    def __init__(self, at: int, *, before: bool) -> None:
        self.cluster: Cluster | None = None
        self.writes = 0
        self._at = at
        self._before = before

    def passage(self, sender: str, request: Request) -> Passage:
        if request.method == "GET" or "/events" in request.path:
            return Passage()
        self.writes += 1
        if self.writes != self._at:
            return Passage()
        assert self.cluster is not None
        loop, host = asyncio.get_running_loop(), self.cluster.hosts[0]
        loop.call_later(0.003, host.crash, context=self.cluster.context)
        loop.call_later(1.0, host.start, context=self.cluster.context)
        return Passage(lost=True) if self._before else Passage(unanswered=True)


def play(case: Case, at: int = 0, *, before: bool = False) -> End:
    """Play a case, with a kill at one of the writes if `at` is its number."""
    return run(_play(case, _Killer(at, before=before)), stall_at=10_000)


async def _play(case: Case, weather: _Killer) -> End:
    def program(pod: Mapping[str, Any]) -> Act:
        task = int(pod["metadata"]["annotations"][labels.NODE][1:])
        number = int(pod["metadata"]["name"].rpartition("-")[2])
        rank = case.size - task if case.reverse else task + 1
        return Act(seconds=float(rank), exit_code=case.ends[task][min(number, len(case.ends[task])) - 1])

    cluster = weather.cluster = Cluster(program, weather=weather)
    watchman = Watchman(cluster)
    tasks = [
        {
            "name": f"t{task}",
            "needs": [f"t{parent}" for parent, child in sorted(case.edges) if child == task],
            "retry": {"limit": 1, "backoff": {"initialSeconds": 1}},
            "container": {"image": "i"},
        }
        for task in range(case.size)
    ]
    cluster.put(WORKFLOWS, {"metadata": {"name": "r"}, "spec": {"tasks": tasks}}, "default")
    cluster.host().start()
    ended = await cluster.until(lambda: cluster.finished("r"), _LIMIT_SECONDS)
    await asyncio.sleep(5)
    status = cluster.get(WORKFLOWS, "r").get("status", {})
    created = [each for each in cluster.server.journal if (each.verb, each.resource) == ("create", "pods")]
    await cluster.close()
    return End(
        {each["name"]: (each["phase"], len(each.get("attempts", ()))) for each in status.get("tasks", ())},
        sorted(each.key.name.rpartition("-")[0].split("-")[1] + each.key.name[-2:] for each in created),
        weather.writes,
        [*(f"{each.invariant}: {each.text}" for each in watchman.violations), *([] if ended else ["L1: no end"])],
    )


def check(case: Case) -> tuple[int, list[str]]:
    """Play a case with a kill before and after each write; return how many runs that were, and what was wrong."""
    measure = play(case)
    problems = [f"{case}: without a kill: {each}" for each in measure.violations]
    number = 0
    for number in range(1, measure.writes + 1):
        for before in (True, False):
            when = f"{case}: killed {'before' if before else 'after'} write {number}"
            try:
                end = play(case, number, before=before)
            except Stalled as error:
                problems.append(f"{when}: {error}")
                continue
            problems += [f"{when}: {each}" for each in end.violations]
            if end.phases != measure.phases:
                problems.append(f"{when}: ended {end.phases}, not {measure.phases}")
            if end.pods != measure.pods:
                problems.append(f"{when}: created {end.pods}, not {measure.pods}")
    return 1 + 2 * number, problems


def _check_quietly(case: Case) -> tuple[int, list[str]]:
    logging.disable(logging.CRITICAL)
    return check(case)


def main() -> int:
    """Play all cases."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.prefixes", description=__doc__)
    parser.add_argument("--most", type=int, default=4, choices=range(1, 5), help="tasks of the largest graphs (4)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    chosen = parser.parse_args()
    began = time.monotonic()
    every = list(cases(chosen.most))
    runs = wrong = 0
    with ProcessPoolExecutor(max_workers=chosen.jobs) as workers:
        for number, (played, problems) in enumerate(workers.map(_check_quietly, every, chunksize=4), start=1):
            runs += played
            wrong += len(problems)
            for problem in problems[:3]:
                print(problem, flush=True)
            if number % max(1, len(every) // 10) == 0:
                took = time.monotonic() - began
                print(f"{number:5} of {len(every)} cases, {took:.0f} s, {wrong} wrong", file=sys.stderr, flush=True)
    print(f"{len(every)} graphs with their ends, {runs:,} runs with a kill before or after one write; {wrong} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
