"""Whatever goes wrong, a run comes to the end it should. A few simulated ones; `make sim` plays 2,000."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.property.scenarios import scenario
from tests.sim.campaign import digest, judge
from tests.sim.plot import EDITION, IMPOSSIBLE, Plot, cells, plot
from tests.sim.saved import SAVED, Saved
from tests.sim.states import State

from fairlead.testing.faults import Fault
from fairlead.testing.mishaps import MISHAPS
from fairlead.testing.storm import CHANCES


@pytest.mark.parametrize("first", range(0, 60, 12))
def test_runs_come_to_their_right_end_under_faults(first: int) -> None:
    for seed in range(first, first + 12):
        verdict, _ = judge(plot(seed))
        assert verdict.problems == [], f"python -m tests.sim.campaign --seed {seed}"


@pytest.mark.parametrize("saved", SAVED, ids=str)
def test_what_was_found_once_is_not_found_again(saved: Saved) -> None:
    assert judge(plot(*saved))[0].problems == [], SAVED[saved]


@pytest.mark.parametrize("seed", [3, 6, 9, 14, 35, 41])
def test_one_that_was_held_up_writes_nothing_that_counts(seed: int) -> None:
    """S12: an operator is held up past its lease, another one takes over, and the first wakes up.

    In each of these scenarios it would write something then, if it did not look at its deadline.
    """
    of = Plot(seed, scenario(seed), Fault.PAUSED, State.RUNS, (), edition=EDITION, leases=True)
    assert judge(of)[0].problems == []


def test_every_fault_can_be_let_loose_and_every_state_is_led_into() -> None:
    assert set(Fault) == {*MISHAPS, *CHANCES}
    assert not set(MISHAPS) & set(CHANCES)
    led = {(each.lead, each.state) for each in map(plot, range(2 * len(cells())))}
    assert led == set(cells())
    assert not led & IMPOSSIBLE
    assert {state for _, state in led} == set(State)


def test_a_seed_is_always_the_same_story() -> None:
    assert digest(judge(plot(3))[1]) == digest(judge(plot(3))[1])


def test_in_every_process_too() -> None:
    """S11: nothing depends on the order of sets, which is another one in each process."""
    command = [sys.executable, "-m", "tests.sim.campaign", "--seed", "3"]
    told = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1
