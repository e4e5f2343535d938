"""Large runs come to the end that they should, though a crash leaves some of their shards older than others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.property.differential import differences
from tests.property.scenarios import scenario

from fairlead.controllers import reading
from fairlead.controllers.ledger import Ledger, Shard


def wrong(seed: int) -> bool:
    """Whether a scenario goes wrong when it is played as a large run, with many crashes."""
    found, _ = differences(replace(scenario(seed), large=True, crashes=15))
    return bool(found)


def test_large_runs_come_to_the_end_that_they_should() -> None:
    assert [seed for seed in range(150) if wrong(seed)] == []


# Each safeguard is shown to be one: without it, some runs go wrong.


def everything_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reading, "believable", lambda _, records, **__: list(records))


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
        pytest.param(everything_is_believed, [51, 97], id="what follows from nothing is believed"),
        pytest.param(an_action_is_not_undone, [98, 167], id="actions are not undone"),
        pytest.param(shards_are_made_in_any_order, [73, 95], id="shards are made in any order"),
    ],
)
def test_without_a_safeguard_runs_go_wrong(
    breaks: Callable[[Any], None], seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any(map(wrong, seeds))
    breaks(monkeypatch)
    assert any(map(wrong, seeds))
