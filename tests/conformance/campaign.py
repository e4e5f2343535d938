"""Many sequences, a few at a time, and what came of them.

A sequence that disagrees is played once more, in a namespace of its own: a controller of the real cluster may have come
in between (the pod garbage collector looks every 20 seconds). Only what disagrees twice counts; the rest is told.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp
from e2e import dev_operator
from e2e.kubectl import Cluster
from tests.conformance.clean_up import clean_up_works
from tests.conformance.duel import Disagreement, Duel
from tests.conformance.generator import sequence
from tests.conformance.players import Real

from fairlead.kube.credentials import load_credentials, open_session

__all__ = ["Campaign", "connected", "real_server"]

_NUMBERS = count(1)


def real_server() -> Path:
    """The kubeconfig of the server to compare with; the dev cluster has the CRDs then, and no operator at work."""
    named = os.environ.get("FAIRLEAD_E2E_KUBECONFIG")
    if named:
        return Path(named)
    cluster = Cluster.current()
    dev_operator.make_way()
    cluster.install_crds()
    return cluster.kubeconfig


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with that server."""
    async with open_session(await load_credentials(kubeconfig=kubeconfig)) as session:
        yield session


class Campaign:
    """Plays the sequences of some seeds; stops early after `enough` disagreements."""

    def __init__(
        self,
        seeds: range,
        *,
        only: Collection[str] = (),
        workers: int = 4,
        enough: int = 20,
        progress: Callable[[int, list[Disagreement]], None] = lambda _done, _disagreed: None,
    ) -> None:
        self._seeds = iter(seeds)
        self._only = only
        self._workers = workers
        self._enough = enough
        self._progress = progress
        self._done = 0
        self.disagreements: list[Disagreement] = []
        self.passing: list[Disagreement] = []
        self.asked: Counter[tuple[str, str, bool]] = Counter()

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Play them all, once the clean-up of the real cluster works."""
        real = await _opened(session)
        try:
            await clean_up_works(real)
        finally:
            await real.close()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(session))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        real = await _opened(session)
        try:
            for seed in self._seeds:
                if len(self.disagreements) >= self._enough:
                    break
                duel = Duel(sequence(seed, real.namespace, self._only), real)
                if (parted := await duel.play()) is not None:
                    await real.close()
                    real = await _opened(session)
                    duel = Duel(sequence(seed, real.namespace, self._only), real)
                    again = await duel.play()
                    (self.passing if again is None else self.disagreements).append(again or parted)
                self.asked.update(duel.asked)
                self._done += 1
                self._progress(self._done, self.disagreements)
        finally:
            await real.close()

    def table(self) -> str:
        """The requests by verb and kind: how many agreed, of how many."""
        kinds = sorted({plural for _, plural, _ in self.asked})
        verbs = sorted({verb for verb, _, _ in self.asked})
        rows = [["", *verbs]]
        rows += [[kind, *(self._cell(verb, kind) for verb in verbs)] for kind in kinds]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        agreed = sum(number for (_, _, same), number in self.asked.items() if same)
        total = self.asked.total()
        lines.append(f"{agreed} of {total} requests agreed, in {self._done} sequences;")
        lines.append(f"{len(self.disagreements)} disagreed, {len(self.passing)} only the first time")
        return "\n".join(lines)

    def _cell(self, verb: str, kind: str) -> str:
        agreed, other = self.asked[verb, kind, True], self.asked[verb, kind, False]
        return f"{agreed}" if not other else f"{agreed}/{agreed + other}"


def _names() -> Iterator[str]:
    while True:
        yield f"fairlead-conformance-{os.getpid()}-{next(_NUMBERS)}"


async def _opened(session: aiohttp.ClientSession) -> Real:
    real = Real(session, next(_names()))
    await real.open()
    return real
