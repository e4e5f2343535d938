"""One sequence, played against both servers; where they first disagree is told as a story."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import orjson
from tests.conformance.bodies import Kind
from tests.conformance.generator import METADATA, Follow, Sequence
from tests.conformance.normal import Ordinals, comparable, comparable_event
from tests.conformance.players import Fake, Player, Real, Unfit
from tests.conformance.steps import Memory, Step

from fairlead.testing.apiserver import Request

__all__ = ["Disagreement", "Duel"]

Object = dict[str, Any]

_SETTLED_SECONDS = 5.0
_COLUMN = 78


@dataclass(frozen=True)
class Disagreement:
    """Where the servers parted."""

    seed: int
    told: list[str]
    real: Any
    fake: Any

    def __str__(self) -> str:
        lines = [f"seed {self.seed}", *self.told, "", f"{'THE REAL ONE':{_COLUMN}}   THE ONE IN MEMORY"]
        left, right = (_lines(each) for each in (self.real, self.fake))
        for one, other in zip_longest(left, right, fillvalue=""):
            mark = " " if one == other else "≠"
            lines.append(f"{one[:_COLUMN]:{_COLUMN}} {mark} {other[:_COLUMN]}".rstrip())
        return "\n".join(lines)


def _lines(value: Any) -> list[str]:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode().splitlines()


@dataclass
class _Side:
    player: Player
    memory: Memory = field(default_factory=Memory)
    ordinals: Ordinals = field(default_factory=Ordinals)
    start: dict[str, str] = field(default_factory=dict)


class Duel:
    """Plays one sequence. `asked` counts the requests by what they are and whether the answers agreed."""

    def __init__(self, sequence: Sequence, real: Real) -> None:
        self._sequence = sequence
        self._real = real
        self._kinds = list(dict.fromkeys(each.kind for each in sequence.watches))
        self.asked: Counter[tuple[str, str, bool]] = Counter()
        self._told: list[str] = []

    async def play(self) -> Disagreement | None:
        """Return where they disagree, or None."""
        fake = Fake(self._real.namespace)
        for kind in self._kinds:
            await self._real.clear(kind)
        real_side, fake_side = sides = (_Side(self._real), _Side(fake))
        for side in sides:
            for kind in self._kinds:
                listed = await self._list(side, kind)
                side.start[kind.resource.plural] = listed["metadata"]["resourceVersion"]
        cleaned = False
        for number, step in enumerate(self._sequence.steps, 1):
            said = [await self._answer(side, step) for side in sides]
            self._told.append(f"{number:3} {step}  → {said[0]['code']}")
            self.asked[step.what, step.plural, said[0] == said[1]] += 1
            if said[0] != said[1]:
                return self._parted(*said)
            if fake.settle():
                cleaned = True
                if parted := await self._settled(real_side, fake_side):
                    return parted
        for side in sides:
            side.ordinals.closed = cleaned
        for watch in self._sequence.watches:
            events = [await self._events(side, watch) for side in sides]
            self._told.append(f"    watch {watch.kind.resource.plural} after {watch.after} {watch.selector!r}")
            self.asked["watch", watch.kind.resource.plural, events[0] == events[1]] += 1
            if events[0] != events[1]:
                return self._parted(*events)
        return None

    def _parted(self, real: Any, fake: Any) -> Disagreement:
        return Disagreement(self._sequence.seed, self._told, real, fake)

    async def _answer(self, side: _Side, step: Step) -> Any:
        code, body = await side.player.send(step.request(side.memory))
        side.memory.note(step, body)
        return comparable(code, body, step.plural, side.ordinals)

    async def _settled(self, real: _Side, fake: _Side) -> Disagreement | None:
        """Wait until the real clean-up has come to the same end."""
        wanted = [await self._all(fake, kind) for kind in self._kinds]
        found: list[Any] = []
        for _ in range(100):
            found = [await self._all(real, kind) for kind in self._kinds]
            if found == wanted:
                return None
            await asyncio.sleep(_SETTLED_SECONDS / 100)
        self._told.append("    (after the clean-up)")
        return self._parted(found, wanted)

    async def _all(self, side: _Side, kind: Kind) -> Any:
        listed = await self._list(side, kind)
        for each in listed["items"]:
            each["metadata"].pop("resourceVersion")
        return comparable(200, listed, kind.resource.plural, side.ordinals)["items"]

    async def _list(self, side: _Side, kind: Kind) -> dict[str, Any]:
        path, headers = kind.resource.path(self._real.namespace), {"Accept": "application/json"}
        for _ in range(100):
            code, listed = await side.player.send(Request(method="GET", path=path, headers=headers))
            if code == 200:
                return dict(listed)
            await asyncio.sleep(0.2)
        raise Unfit(f"the list of {kind.resource.plural} is answered with {code}: {listed}")

    async def _events(self, side: _Side, watch: Follow) -> dict[str, list[Any]]:
        """The events, by object: in which order the clean-up comes to each is nobody's promise."""
        plural = watch.kind.resource.plural
        # After a clean-up from the start only: what it did may have come before or after any other version.
        known = side.memory.knows(f"{plural}/a") and not side.ordinals.closed
        after = side.memory.fill(watch.after) if known else "<start>"
        query = {
            "watch": "true",
            "resourceVersion": side.start[plural] if after == "<start>" else after,
            "timeoutSeconds": "10",
        }
        if watch.selector:
            query["labelSelector"] = watch.selector
        headers = {"Accept": METADATA if watch.metadata_only else "application/json"}
        found: dict[str, list[Any]] = {}
        for event in await side.player.follow(watch.kind.resource.path(self._real.namespace), query, headers):
            shown = comparable_event(event, plural, side.ordinals)
            found.setdefault(str(shown.get("metadata", {}).get("name")), []).append(shown)
        return found
