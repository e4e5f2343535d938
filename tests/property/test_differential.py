"""The engine agrees with the reference interpreter. A few of the scenarios; `make differential` plays 20,000."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.property.differential import differences
from tests.property.features import FEATURES
from tests.property.scenarios import Scenario, scenario, scenarios

#: A quarter of the features are rarer than this many scenarios show.
SEEDS = range(300)


@pytest.mark.parametrize("first", SEEDS[::25])
def test_the_engine_agrees_with_the_reference(first: int) -> None:
    for seed in range(first, first + 25):
        of = scenario(seed)
        found, _ = differences(of)
        assert found == [], f"\n{of}"


@given(of=scenarios())
@settings(max_examples=25)
def test_it_does_for_others(of: Scenario) -> None:
    assert differences(of)[0] == [], f"\n{of}"


def test_a_seed_gives_the_same_scenario_and_the_same_play() -> None:
    assert str(scenario(7)) == str(scenario(7))
    assert differences(scenario(7)) == differences(scenario(7))


def test_most_features_are_used_by_these_already() -> None:
    used = {feature for seed in SEEDS for feature in differences(scenario(seed))[1]}
    assert len(used) > 0.9 * len(FEATURES)
