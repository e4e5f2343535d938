"""Scenarios with whatever hypothesis thinks of: one step of one of those who take part at a time, and then the end.

What fails is made as short as it can be, which a seed alone does not allow.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.property.differential import compare_to_the_end
from tests.property.memory import small_shards
from tests.property.player import Player
from tests.property.scenarios import Scenario, scenarios

CHANCE = st.integers(0, 2**16).map(Random)


class AnythingMayHappen(RuleBasedStateMachine):
    """A scenario and its player. All that is random is drawn anew for each step."""

    @initialize(of=scenarios())
    def begin(self, of: Scenario) -> None:
        self.shards = small_shards()
        self.shards.__enter__()
        self.player = Player(replace(of, crashes=max(of.crashes, 1)))

    @rule(chance=CHANCE)
    def users(self, chance: Random) -> None:
        self.player.random = chance
        self.player.users()

    @rule(chance=CHANCE)
    def carry_out(self, chance: Random) -> None:
        self.player.random = chance
        self.player.carry_out()

    @rule(chance=CHANCE)
    def advance(self, chance: Random) -> None:
        self.player.random = chance
        self.player.advance()

    @rule(chance=CHANCE)
    def look(self, chance: Random) -> None:
        self.player.random = chance
        self.player.look()

    @rule(chance=CHANCE)
    def write(self, chance: Random) -> None:
        self.player.random = chance
        self.player.write()

    @precondition(lambda self: self.player.may_crash)
    @rule(chance=CHANCE)
    def crash(self, chance: Random) -> None:
        self.player.random = chance
        self.player.crash()

    @rule(chance=CHANCE)
    def pass_time(self, chance: Random) -> None:
        self.player.random = chance
        self.player.pass_time()

    def teardown(self) -> None:
        if hasattr(self, "player"):
            try:
                self.player.random = Random(0)
                assert compare_to_the_end(self.player) == [], f"\n{self.player.scenario}"
            finally:
                self.shards.__exit__(None, None, None)


TestAnythingMayHappen = AnythingMayHappen.TestCase
TestAnythingMayHappen.settings = settings(stateful_step_count=40, max_examples=150)
