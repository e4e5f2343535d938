"""Plays plots, judges them, and counts what they have shown: `make sim SEEDS=n`, or one seed with its trace.

A run is right when it comes to the end that the reference interpreter says, when no invariant was broken on the way,
and when at rest nothing is written any more and nothing is left behind. The campaign is right when every run is, and
when every fault has struck often enough in every state of a run in which it can.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import orjson
from tests.property.differential import compare_to_the_end
from tests.property.memory import small_shards
from tests.sim.plot import IMPOSSIBLE, Plot, cells, plot
from tests.sim.saved import SAVED
from tests.sim.simulation import Simulation
from tests.sim.states import State
from tests.sim.trace import trace

from fairlead.controllers import writer
from fairlead.testing.faults import Fault

__all__ = ["Verdict", "digest", "judge"]

Hits = Counter[tuple[Fault, State]]

#: How often each fault has to strike in each state, in a campaign of so many seeds.
LEAST, OF_SEEDS = 20, 2000

_CHUNK = 20


@dataclass
class Verdict:
    """What one simulated run has shown: its problems, what struck when, and the changes and seconds that it took."""

    seed: int
    problems: list[str]
    hits: Hits = field(default_factory=Counter)
    changes: int = 0
    seconds: float = 0


def judge(of: Plot) -> tuple[Verdict, Simulation]:
    """Play a plot to its end and judge it."""
    with _shards(large=of.scenario.large):
        simulation = Simulation(of)
        try:
            problems = compare_to_the_end(simulation)
            problems += [f"{each.invariant}: {each.text}" for each in simulation.rest()]
        except Exception as error:  # whatever breaks here, the run was not right
            problems = [f"{type(error).__name__}: {error}"]
        finally:
            seconds = simulation.runner.get_loop().time()
            simulation.close()
    return Verdict(of.seed, problems, simulation.hits, len(simulation.cluster.server.journal), seconds), simulation


def digest(simulation: Simulation) -> str:
    """Return what tells two stories apart: of everything that was stored, in its order."""
    told = hashlib.sha256()
    for change in simulation.cluster.server.journal:
        told.update(orjson.dumps([change.moment, change.verb, change.after, change.actor], option=orjson.OPT_SORT_KEYS))
    return told.hexdigest()[:16]


@contextmanager
def _shards(*, large: bool) -> Iterator[None]:
    """Let a large run be kept in many small shards."""
    if not large:
        yield
        return
    with small_shards(), mock.patch.object(writer, "INLINE_NODES", 0):
        yield


def _judge_all(seeds: Sequence[int]) -> list[Verdict]:
    logging.disable(logging.CRITICAL)  # the operator complains of everything that is done to it
    return [judge(plot(seed))[0] for seed in seeds]


def _campaign(seeds: Sequence[int], jobs: int) -> int:
    began = time.monotonic()
    hits: Hits = Counter()
    wrong: list[int] = []
    done = changes = 0
    hours = 0.0
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    with ProcessPoolExecutor(max_workers=jobs) as workers:
        for verdicts in workers.map(_judge_all, chunks):
            for verdict in verdicts:
                hits.update(verdict.hits)
                changes += verdict.changes
                hours += verdict.seconds / 3600
                if verdict.problems:
                    wrong.append(verdict.seed)
                    print(f"seed {verdict.seed}: " + "; ".join(verdict.problems[:3]), flush=True)
            done += len(verdicts)
            if done % max(_CHUNK, len(seeds) // 20 // _CHUNK * _CHUNK) == 0 or done == len(seeds):
                took = time.monotonic() - began
                print(f"{done:6} of {len(seeds)}, {took:.0f} s, {len(wrong)} wrong", file=sys.stderr, flush=True)
    least = LEAST if len(seeds) >= OF_SEEDS else 0  # fewer say too little about what is rare
    rare = [cell for cell in cells() if hits[cell] < least]
    print("\n".join(_matrix(hits)))
    struck = sum(hits.values())
    print(f"\n{len(seeds)} runs, {hours:,.0f} simulated hours, {changes:,} stored changes, {struck:,} strikes")
    print(f"{len(wrong)} wrong" + (f": seeds {wrong[:50]}" if wrong else ""))
    if rare:
        told = ", ".join(f"{fault.value} × {state.value} ({hits[fault, state]})" for fault, state in rare[:40])
        print(f"{len(rare)} of {len(cells())} combinations struck fewer than {least} times: {told}")
    return bool(wrong or rare)


def _matrix(hits: Hits) -> Iterator[str]:
    width = max(len(fault.value) for fault in Fault)
    heads = [state.value.split()[-1][:8] for state in State]
    yield " " * width + "".join(head.rjust(9) for head in heads)
    for fault in Fault:
        counts = ["–" if (fault, state) in IMPOSSIBLE else str(hits[fault, state]) for state in State]
        yield fault.value.ljust(width) + "".join(count.rjust(9) for count in counts)


def _replay(seed: int) -> int:
    logging.disable(logging.CRITICAL)
    of = plot(seed)
    print(of.scenario)
    others = ", ".join(fault.value for fault in of.others)
    print(f"  {of.lead.value}, while it is in the state “{of.state.value}”" + (f"; and {others}" if others else ""))
    verdict, simulation = judge(of)
    print("\n".join(trace(simulation)))
    print(f"digest {digest(simulation)}")
    print("\n".join(f"! {each}" for each in verdict.problems) or "it is right")
    return bool(verdict.problems)


def main(arguments: Iterable[str] | None = None) -> int:
    """Play many seeds, or one."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.campaign", description=__doc__)
    parser.add_argument("--seeds", type=int, default=OF_SEEDS, help=f"how many ({OF_SEEDS})")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0); the saved ones are always played")
    parser.add_argument("--seed", type=int, help="only this one, with its trace")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    if chosen.seeds < 1:
        parser.error("--seeds: there has to be one at least")
    if chosen.seed is not None:
        return _replay(chosen.seed)
    played = range(chosen.first, chosen.first + chosen.seeds)
    return _campaign([*played, *(seed for seed in SAVED if seed not in played)], chosen.jobs)


if __name__ == "__main__":
    sys.exit(main())
