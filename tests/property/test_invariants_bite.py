"""Each invariant is shown to catch something: an engine that is broken in one place does not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from tests.property.script import DONE, EVICTED, FAILS, Fixed, Task
from tests.property.world import World, wander

from fairlead.engine import ends, observe, plan, restore, retry, transitions, triggers
from fairlead.engine.model import FailureClass, Graph, Phase, TriggerRule
from fairlead.engine.names import attempt_name
from fairlead.engine.passes import Pass
from fairlead.engine.state import Attempt, NodeState, RunState
from fairlead.engine.triggers import Verdict

RUNS = 300

Break = Callable[[pytest.MonkeyPatch], None]


def random_world(random: Random) -> World:
    rules = list(TriggerRule)
    names = [f"t{i}" for i in range(random.randint(1, 8))]
    tasks = [
        Task(
            name=name,
            needs=random.sample(names[:i], min(i, random.randrange(4))),
            trigger=random.choice([TriggerRule.ALL_SUCCEEDED, *rules]),
            when=random.choice([None, None, None, Fixed(True), Fixed(False)]),
            limit=random.randrange(3),
            infrastructure_limit=random.randrange(3),
            ends=random.choices([DONE, DONE, FAILS, EVICTED], k=random.randint(1, 4)),
        )
        for i, name in enumerate(names)
    ]
    return World(tasks, random.choice([None, 1, 2, 3]))


def complaint() -> str:
    """Wander through worlds until something is wrong; return what."""
    for seed in range(RUNS):
        random = Random(seed)
        try:
            wander(random_world(random), random)
        except (AssertionError, transitions.IllegalMove) as error:
            return f"{type(error).__name__}: {error}"
    return ""


def started_without_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunState, "is_proven", property(lambda _: True))
    patch.setattr(World, "remove", World.steal)


def skip_before_the_others(patch: pytest.MonkeyPatch) -> None:
    def hasty(state: NodeState) -> Verdict:
        rule = state.node.trigger
        return Verdict.SKIP if rule is TriggerRule.ALL_SUCCEEDED and state.skipped else triggers_decide(state)

    triggers_decide = triggers.decide
    patch.setattr(triggers, "decide", hasty)


def released_at_once(patch: pytest.MonkeyPatch) -> None:
    def hasty(p: Pass, state: NodeState, attempt: object) -> None:
        p.commands.append(ends.release(state, attempt))  # type: ignore[arg-type]

    patch.setattr(ends, "keep_until_recorded", hasty)


def unlimited(patch: pytest.MonkeyPatch) -> None:
    def charged(*given: Any) -> retry.RetryDecision:
        return replace(decide(*given), again=True)

    decide = retry.decide_retry
    patch.setattr(ends, "decide_retry", charged)


def impatient(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retry, "backoff_seconds", lambda *_: 0.0)  # the world has a name of its own for the right one


def forgetful_back_off(patch: pytest.MonkeyPatch) -> None:
    again = retry.RetryDecision(again=True)
    patch.setattr(restore, "decide_retry", lambda *_: again)


def starting_holds_no_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "ACTIVE", frozenset({Phase.RUNNING}))


def deaf_to_suspend(patch: pytest.MonkeyPatch) -> None:
    def grant(p: Pass) -> bool:
        kept, p.settings = p.settings, replace(p.settings, suspend=False)
        try:
            return original(p)
        finally:
            p.settings = kept

    original = plan._grant
    patch.setattr(plan, "_grant", grant)


def restless(patch: pytest.MonkeyPatch) -> None:
    def seen(p: Pass, *rest: object) -> None:
        original(p, *rest)  # type: ignore[arg-type]
        p.run.revision += 1

    original = observe._attempt_seen
    patch.setattr(observe, "_attempt_seen", seen)


def uncounted_skips(patch: pytest.MonkeyPatch) -> None:
    def count(child: NodeState, phase: Phase) -> None:
        if phase is not Phase.SKIPPED:
            original(child, phase)

    original = triggers.count_parent
    patch.setattr(triggers, "count_parent", count)


def uncharged_infrastructure(patch: pytest.MonkeyPatch) -> None:
    def charged(graph: Graph, run: RunState, state: NodeState, attempt: Attempt) -> retry.RetryDecision:
        for each in state.attempts:
            if each.failure_class is FailureClass.INFRASTRUCTURE:
                each.failure_class = FailureClass.USER
        return original(graph, run, state, attempt)

    original = retry.decide_retry
    patch.setattr(ends, "decide_retry", charged)


def numbers_from_one_again(patch: pytest.MonkeyPatch) -> None:
    original = attempt_name
    patch.setattr(plan, "attempt_name", lambda run, uid, node, number: original(run, uid, node, 1 + number % 2))
    patch.setattr(observe, "_is_ours", lambda *_: True)


def adopts_nothing(patch: pytest.MonkeyPatch) -> None:
    def ignore(p: Pass, seen: object) -> None:
        state = p.run.nodes[seen.node]  # type: ignore[attr-defined]
        if observe._known(state, seen.number) is not None:  # type: ignore[attr-defined]
            original(p, seen)  # type: ignore[arg-type]

    original = observe._attempt_seen
    patch.setattr(observe, "_attempt_seen", ignore)


def test_the_engine_as_it_is() -> None:
    assert complaint() == ""


@pytest.mark.parametrize(
    ("broken", "invariants"),
    [
        pytest.param(adopts_nothing, ("S1", "S6", "S2"), id="live pods are not adopted after a crash"),
        pytest.param(numbers_from_one_again, ("S1", "S4", "L1"), id="two attempts share a name"),
        pytest.param(started_without_record, ("S2",), id="what only memory knows is built upon"),
        pytest.param(skip_before_the_others, ("S2", "S3", "L1"), id="a verdict depends on the order"),
        pytest.param(released_at_once, ("S4",), id="released before it is recorded"),
        pytest.param(unlimited, ("S5", "L1"), id="retries without a limit"),
        pytest.param(uncharged_infrastructure, ("S4", "S5", "L1"), id="infrastructure is charged to the user"),
        pytest.param(impatient, ("S5",), id="no back-off"),
        pytest.param(forgetful_back_off, ("S5",), id="back-off is forgotten in a crash"),
        pytest.param(starting_holds_no_slot, ("S6",), id="slots are not counted"),
        pytest.param(deaf_to_suspend, ("S7",), id="suspend is not heard"),
        pytest.param(restless, ("S10", "L1"), id="every fact is news"),
        pytest.param(uncounted_skips, ("L1",), id="an end is not counted"),
    ],
)
def test_a_broken_engine_is_found_out(
    broken: Break, invariants: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert complaint().startswith(tuple(f"AssertionError: {name}" for name in invariants))
