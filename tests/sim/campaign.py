"""Plays plots, judges them, and counts what they have shown: `make sim SEEDS=n`, or one seed with its trace.

A run is right when it comes to the end that the reference interpreter says, when no invariant was broken on the way,
and when at rest nothing is written any more and nothing is left behind. The campaign is right when every run is, and
when every fault has struck often enough in every state of a run in which it can. So the last seeds of a campaign are
those that lead where this is not so yet.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest import mock

import orjson
from tests.property.differential import compare_to_the_end
from tests.property.memory import small_shards
from tests.sim.asked import undone
from tests.sim.plot import EDITION, IMPOSSIBLE, Plot, cells, plot, seeds_of
from tests.sim.saved import SAVED, Saved
from tests.sim.simulation import NAME, Simulation
from tests.sim.sizes import little_room, oversized
from tests.sim.states import State
from tests.sim.trace import trace

from fairlead.controllers import writer
from fairlead.testing.faults import Fault

__all__ = ["Verdict", "digest", "judge"]

Hits = Counter[tuple[Fault, State]]

#: How often each fault has to strike in each state, in a campaign of so many seeds.
LEAST, OF_SEEDS = 20, 2000

_CHUNK = 20

#: After how many it is told how far the campaign is.
_TOLD = 100


@dataclass
class Verdict:
    """What one simulated run has shown: its problems, what struck when, and the changes and seconds that it took."""

    played: Saved
    problems: list[str]
    hits: Hits = field(default_factory=Counter)
    changes: int = 0
    seconds: float = 0


def judge(of: Plot) -> tuple[Verdict, Simulation]:
    """Play a plot to its end and judge it."""
    with _on_record(of):
        simulation = Simulation(of)
        try:
            problems = compare_to_the_end(simulation)
            problems += undone(simulation, NAME)
            problems += simulation.rest()
            if of.room is not None:
                problems += oversized(simulation.cluster.server.journal, of.room)
            if simulation.vault is not None:
                problems += simulation.vault.problems(simulation.cluster)
        except Exception as error:  # whatever breaks here, the run was not right
            problems = [f"{type(error).__name__}: {error}"]
        finally:
            seconds = simulation.runner.get_loop().time()
            simulation.close()
    return Verdict(
        Saved(of.seed, of.edition), problems, simulation.hits, len(simulation.cluster.server.journal), seconds
    ), simulation


def digest(simulation: Simulation) -> str:
    """Return what tells two stories apart: of everything that was stored, in its order."""
    told = hashlib.sha256()
    for change in simulation.cluster.server.journal:
        told.update(orjson.dumps([change.moment, change.verb, change.after, change.actor], option=orjson.OPT_SORT_KEYS))
    return told.hexdigest()[:16]


@contextmanager
def _on_record(of: Plot) -> Iterator[None]:
    """Let a large run be kept in many small shards, and let others outgrow their Workflow."""
    with ExitStack() as stack:
        if of.scenario.large:
            stack.enter_context(small_shards())
            stack.enter_context(mock.patch.object(writer, "INLINE_NODES", 0))
        if of.room is not None:
            stack.enter_context(little_room(of.room))
        yield


def _judge_all(seeds: Sequence[Saved]) -> list[Verdict]:
    logging.disable(logging.CRITICAL)  # the operator complains of everything that is done to it
    return [judge(plot(*seed))[0] for seed in seeds]


class Campaign:
    """Plays seeds, and counts. `first` is the first one."""

    def __init__(self, first: int, count: int) -> None:
        self.first = first
        self.count = count
        self.hits: Hits = Counter()
        self.wrong: list[str] = []
        self.played: set[Saved] = set()
        self._told = 0
        self._changes = 0
        self._hours = 0.0
        self._began = time.monotonic()

    def run(self, jobs: int) -> None:
        """Play some of the seeds in a row, and then those that lead where faults have struck least."""
        in_a_row = self.first + self.count * 4 // 10
        with ProcessPoolExecutor(max_workers=jobs) as workers:
            self._play(workers, [*map(_of_now, range(self.first, in_a_row)), *SAVED])
            rest = {cell: seeds_of(*cell, in_a_row) for cell in cells()}
            while (left := self.count + len(SAVED) - len(self.played)) > 0:
                rarest = sorted(cells(), key=lambda cell: self.hits[cell])[: min(left, _CHUNK * jobs)]
                self._play(workers, [_of_now(next(rest[cell])) for cell in rarest])

    def _play(self, workers: ProcessPoolExecutor, seeds: Sequence[Saved]) -> None:
        chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
        for verdicts in workers.map(_judge_all, chunks):
            for verdict in verdicts:
                self._note(verdict)
            done, wrong = len(self.played), len(self.wrong)
            if done // _TOLD > self._told or done >= self.count + len(SAVED):
                took, self._told = time.monotonic() - self._began, done // _TOLD
                print(f"{done:6} of {self.count}, {took:.0f} s, {wrong} wrong", file=sys.stderr, flush=True)

    def _note(self, verdict: Verdict) -> None:
        self.played.add(verdict.played)
        self.hits.update(verdict.hits)
        self._changes += verdict.changes
        self._hours += verdict.seconds / 3600
        if verdict.problems:
            seed, edition = verdict.played
            self.wrong.append(f"{seed}" if edition == EDITION else f"{seed} of edition {edition}")
            print(f"seed {self.wrong[-1]}: " + "; ".join(verdict.problems[:3]), flush=True)

    def report(self) -> bool:
        """Print the matrix; return whether all is well."""
        least = LEAST if self.count >= OF_SEEDS else 0  # fewer say too little about what is rare
        rare = [cell for cell in cells() if self.hits[cell] < least]
        print("\n".join(_matrix(self.hits)))
        runs, struck = len(self.played), self.hits.total()
        print(
            f"\n{runs} runs, {self._hours:,.0f} simulated hours, {self._changes:,} stored changes, {struck:,} strikes"
        )
        print(f"{len(self.wrong)} wrong" + (": seeds " + ", ".join(self.wrong[:50]) if self.wrong else ""))
        if rare:
            told = ", ".join(f"{fault.value} × {state.value} ({self.hits[fault, state]})" for fault, state in rare[:40])
            print(f"{len(rare)} of {len(cells())} combinations struck fewer than {least} times: {told}")
        return not self.wrong and not rare


def _of_now(seed: int) -> Saved:
    return Saved(seed, EDITION)


def _matrix(hits: Hits) -> Iterator[str]:
    width = max(len(fault.value) for fault in Fault)
    heads = [state.value.split()[-1][:8] for state in State]
    yield " " * width + "".join(head.rjust(9) for head in heads)
    for fault in Fault:
        counts = ["–" if (fault, state) in IMPOSSIBLE else str(hits[fault, state]) for state in State]
        yield fault.value.ljust(width) + "".join(count.rjust(9) for count in counts)


def _replay(seed: int, edition: int) -> int:
    logging.disable(logging.CRITICAL)
    of = plot(seed, edition)
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
    parser.add_argument("--edition", type=int, default=EDITION, help=f"what that seed means ({EDITION}: as of now)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    if chosen.seeds < 1:
        parser.error("--seeds: there has to be one at least")
    if chosen.jobs < 1:
        parser.error("--jobs: there has to be one at least")
    if chosen.first < 0 or (chosen.seed or 0) < 0:
        parser.error("seeds are numbers from 0 on")
    if chosen.seed is not None:
        return _replay(chosen.seed, chosen.edition)
    campaign = Campaign(chosen.first, chosen.seeds)
    campaign.run(chosen.jobs)
    return not campaign.report()


if __name__ == "__main__":
    sys.exit(main())
