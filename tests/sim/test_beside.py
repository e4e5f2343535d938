"""What some plots have besides: a Secret that is not to be told, little room for what is on record, time limits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count, islice
from random import Random

import orjson
import pytest
from tests.sim.campaign import judge
from tests.sim.plot import Plot, plot
from tests.sim.vault import CANARIES, Vault

from fairlead.api import labels
from fairlead.kube.resources import TASKSTATUSSHARDS
from fairlead.testing.apiserver import Change


def some(wanted: Callable[[Plot], bool], number: int = 4) -> list[int]:
    """Return the first seeds whose plots have something."""
    return list(islice((seed for seed in count() if wanted(plot(seed))), number))


@pytest.mark.parametrize("seed", some(lambda each: each.secret))
def test_no_secret_is_told(seed: int) -> None:
    verdict, simulation = judge(plot(seed))
    assert verdict.problems == []
    written = (change.after for change in simulation.cluster.server.journal)
    assert any(b"[secret]" in orjson.dumps(each) for each in written)  # it was sent, and came back


@pytest.mark.parametrize("seed", some(lambda each: each.room is not None))
def test_what_is_on_record_fits(seed: int) -> None:
    verdict, simulation = judge(plot(seed))
    assert verdict.problems == []
    assert len(simulation.cluster.list(TASKSTATUSSHARDS)) > 1


@pytest.mark.parametrize("killed", [False, True])
def test_time_limits_act_when_they_are_due(killed: bool) -> None:
    for seed in some(lambda each: each.clocks and each.killed is killed, 2):
        assert judge(plot(seed))[0].problems == []


def test_a_pod_that_ends_well_although_it_was_to_go_has_succeeded() -> None:
    well = 0
    for seed in some(lambda each: each.gentle is not None, 16):
        verdict, simulation = judge(plot(seed))
        assert verdict.problems == []
        well += sum(map(ended_well, simulation.cluster.server.journal))
    assert well > 1


def ended_well(change: Change) -> bool:
    """Tell whether a change is that a pod of ours succeeds that is to go."""
    metadata, phases = (
        change.after.get("metadata", {}),
        [each.get("status", {}) for each in (change.before, change.after)],
    )
    ours = change.resource == "pods" and labels.FINALIZER in metadata.get("finalizers", ())
    return (
        ours and "deletionTimestamp" in metadata and [each.get("phase") for each in phases] == ["Running", "Succeeded"]
    )


def test_at_rest_next_to_nothing_is_done() -> None:
    for seed in some(lambda each: not each.clocks and not each.secret, 3):
        assert judge(plot(seed))[0].problems == []


def test_who_listens_hears_what_is_logged_and_leaves_everything_as_it_was() -> None:
    package, vault = logging.getLogger("fairlead"), Vault(Random(1))
    before = (package.level, package.propagate, list(package.handlers), logging.root.manager.disable)
    vault.open()
    logging.getLogger("fairlead.any").debug("sent %s", {"Authorization": f"Bearer {CANARIES[0]}"})
    vault.close()
    assert vault.told == ["the log of fairlead.any tells it: sent %s"]
    assert (package.level, package.propagate, list(package.handlers), logging.root.manager.disable) == before
