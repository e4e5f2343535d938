"""The differential test is shown to catch something: an engine that is broken in one place does not agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.property.differential import differences
from tests.property.scenarios import scenario

from fairlead.controllers import reading
from fairlead.engine import clocks, ends, epochs, items, outcome, passes, plan, podless, restore, retry, scopes, stops
from fairlead.engine.state import RunState, Unsent

SEEDS = range(600)

Break = Callable[[pytest.MonkeyPatch], None]


def patched(module: Any, name: str, make: Callable[[Any], Any]) -> Break:
    """Replace a function by what `make` makes of it."""
    return lambda patch: patch.setattr(module, name, make(getattr(module, name)))


def less_tolerance(original: Any) -> Any:
    return lambda *args: (original(*args)[0] - 1, original(*args)[1])


def sent_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(podless, "Unsent", lambda revision, **more: Unsent(-1, **more))


def early_finally(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunState, "is_finalizing", property(lambda run: run.open_main <= 1))


def no_previous_round(original: Any) -> Any:
    return lambda *args: {key: value for key, value in original(*args).items() if key != "previous"} | {"previous": {}}


def stop_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reading, "recorded_stop", lambda _: ("", None))
    patch.setattr(restore, "STOPS", frozenset())  # by which it is guessed


BREAKS: dict[str, Break] = {
    "one failure fewer is tolerated": patched(items, "_tolerated", less_tolerance),
    "maxParallel is not kept": patched(items, "limit_of", lambda _: lambda *_: None),
    "the index of an item is one too high": patched(
        items, "NodeState", lambda of: lambda **more: of(**{**more, "index": more["index"] + 1})
    ),
    "a budget is for all rounds together": patched(
        retry, "_this_round", lambda _: lambda state: state.attempts[state.epoch_start :]
    ),
    "a round does not see the one before": patched(passes, "scope_of", no_previous_round),
    "no retry rule matches": patched(retry, "_matches", lambda _: lambda *_: False),
    "no rule changes the resources": patched(plan, "next_resources", lambda _: lambda *_: None),
    "a stop does not end what runs": patched(stops, "cancel", lambda _: lambda *_: None),
    "handlers handle nothing": patched(outcome, "handled", lambda _: lambda *_: set()),
    "what counts as a success hands on nothing": patched(passes, "default_outputs", lambda _: lambda _: {}),
    "finally does not wait for the last": early_finally,
    "finally is told nothing of failures": patched(
        scopes, "summary_of", lambda of: lambda *args: of(*args) | {"counts": {}}
    ),
    "what has no object is begun before that is on record": sent_at_once,
    "a graceful stop ends what runs": patched(stops, "_stop_gracefully", lambda _: stops.cancel),
    "a stop is forgotten in a restart": stop_forgotten,
    "requests are forgotten in a restart": patched(reading, "recorded_actions", lambda _: lambda _: ()),
    "the epoch is forgotten in a restart": patched(reading, "recorded_epoch", lambda _: lambda _: (1, None)),
    "numbers of attempts begin anew in an epoch": patched(
        epochs, "_waiting", lambda of: lambda record: replace(of(record), attempts=())
    ),
    "all items run again in an epoch": patched(
        epochs, "_Again", lambda of: lambda **more: of(**{**more, "tasks": {*more["tasks"], *more["reopened"]}})
    ),
    "approvals never lapse": patched(podless, "time_out", lambda _: lambda *_: None),
    "silence is no failure": patched(clocks, "_check_podless", lambda _: lambda *_: False),
    "lists are not laid out in a restart": patched(restore, "_restore_lists", lambda _: lambda *_: None),
    "a skip code is a failure": patched(
        ends, "Result", lambda of: type("Result", (), {**of.__members__, "SKIPPED": of.FAILED})
    ),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_a_broken_engine_is_found_out(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    assert any(differences(scenario(seed))[0] for seed in SEEDS)
