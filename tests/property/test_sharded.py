"""Large runs come to the end that they should, though a crash leaves some of their shards older than others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from tests.property import sharded
from tests.property.scenarios import Scenario, scenario, scenarios
from tests.property.sharded import differences

from fairlead.controllers.ledger import Ledger, Shard

SEEDS = range(300)


@pytest.mark.parametrize("first", SEEDS[::25])
def test_the_engine_agrees_with_the_reference(first: int) -> None:
    for seed in range(first, first + 25):
        of = scenario(seed)
        assert differences(of) == [], f"\n{of}"


@given(of=scenarios())
@settings(max_examples=25)
def test_it_does_for_others(of: Scenario) -> None:
    assert differences(of) == [], f"\n{of}"


# Each safeguard is shown to be one: without it, some runs go wrong.


def everything_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sharded, "believable", lambda _, records, **__: list(records))


def an_action_is_not_undone(patch: pytest.MonkeyPatch) -> None:
    take = Ledger.take

    def without(ledger: Ledger, changed: Iterable[tuple[str, bytes]], *, action: str = "") -> None:
        take(ledger, changed)

    patch.setattr(Ledger, "take", without)


def shards_are_made_in_any_order(patch: pytest.MonkeyPatch) -> None:
    def stages(ledger: Ledger) -> Iterator[list[Shard]]:
        yield [shard for shard in ledger.shards if shard.is_dirty]

    patch.setattr(Ledger, "stages", stages)


@pytest.mark.parametrize(
    ("breaks", "seeds"),
    [
        pytest.param(everything_is_believed, [1989], id="what follows from nothing is believed"),
        pytest.param(an_action_is_not_undone, [689, 1314], id="actions are not undone"),
        pytest.param(shards_are_made_in_any_order, [82, 1824], id="shards are made in any order"),
    ],
)
def test_without_a_safeguard_runs_go_wrong(
    breaks: Callable[[Any], None], seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [differences(scenario(seed)) for seed in seeds] == [[] for _ in seeds]
    breaks(monkeypatch)
    assert any(differences(scenario(seed)) for seed in seeds)
