"""S6 and S7: limits on what runs at once, and the user's wish that nothing more begins."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_ENGINE = "tests/unit/engine"
_CONTROLLERS = "tests/unit/controllers"
_WORLD = "tests/property/test_invariants_bite.py::test_the_engine_as_it_is"

MUTANTS = (
    Mutant(
        invariant="S6",
        name="starting-holds-no-slot",
        broken="A task whose pod does not run yet takes no slot.",
        file="engine/transitions.py",
        old="    begun = (phase in ACTIVE) - (before in ACTIVE)\n",
        new="    begun = (phase is Phase.RUNNING) - (before is Phase.RUNNING)\n",
        caught_by=(
            f"{_ENGINE}/test_transitions.py::test_a_move_counts_live_attempts",
            f"{_ENGINE}/test_plan.py::test_no_more_attempts_than_the_limit",
            _WORLD,
        ),
    ),
    Mutant(
        invariant="S6",
        name="slots-leak",
        broken="A task that waits for its next attempt keeps the slot of the one before.",
        file="engine/transitions.py",
        old="        run.live += begun\n",
        new="        run.live += 0 if phase is Phase.BACKOFF else begun\n",
        caught_by=(f"{_ENGINE}/test_plan.py::test_a_node_in_back_off_holds_no_slot_and_goes_before_later_ones",),
    ),
    Mutant(
        invariant="S6",
        name="one-item-too-many",
        broken="A list has one item more under way than its `maxParallel`.",
        file="engine/items.py",
        old="(limit is None or items.open < limit)",
        new="(limit is None or items.open <= limit)",
        caught_by=(f"{_ENGINE}/test_items.py::test_at_most_max_parallel_items_are_in_line_or_live",),
    ),
    Mutant(
        invariant="S6",
        name="two-with-one-key",
        broken="A run that was let through and is not on record yet holds no `concurrencyKey`.",
        file="controllers/concurrency.py",
        old=" | self._passing.get(place.group, set())\n",
        new="\n",
        caught_by=(f"{_CONTROLLERS}/test_concurrency.py::test_two_at_once_do_not_both_pass",),
    ),
    Mutant(
        invariant="S7",
        name="deaf-to-suspend",
        broken="The engine goes on starting tasks of a suspended run.",
        file="engine/plan.py",
        old="    return not p.settings.suspend and not p.run.stopping\n",
        new="    return not p.run.stopping\n",
        caught_by=(
            f"{_ENGINE}/test_clocks.py::test_nothing_is_started_while_suspended_and_everything_afterwards",
            _WORLD,
        ),
    ),
    Mutant(
        invariant="S7",
        name="deaf-to-stop",
        broken="What fails after a stop is tried again.",
        file="engine/ends.py",
        old="    if p.stops(state):\n        end_node(",
        new="    if False:\n        end_node(",
        caught_by=(f"{_ENGINE}/test_actions.py::test_nothing_is_tried_again_after_a_stop",),
    ),
    Mutant(
        invariant="S7",
        name="last-look-left-out",
        broken="A create that waited for its turn leaves although the run was suspended meanwhile.",
        file="controllers/start.py",
        old='        if workflow.spec.get("suspend") and not run.state.is_finalizing:\n',
        new="        if False:\n",
        caught_by=(f"{_CONTROLLERS}/test_start.py::test_what_the_store_knows_stops_a_create_that_was_planned_before",),
    ),
    Mutant(
        invariant="S7",
        name="looked-too-early",
        broken="Whether a create is still wanted is asked before it waits for a slot, not after.",
        file="kube/transport.py",
        old="        def check() -> None:\n            if before_send is not None:\n                before_send()\n",
        new="        if before_send is not None:\n            before_send()\n\n        def check() -> None:\n",
        caught_by=(
            "tests/unit/kube/test_transport.py::TestInFlight::test_before_send_sees_the_world_after_the_wait",
            "tests/unit/kube/test_transport.py::TestInFlight::test_before_send_runs_before_a_retry_as_well",
        ),
    ),
    Mutant(
        invariant="S7",
        name="looked-before-the-connection",
        broken="Whether a create is still wanted is asked before a connection is made for it, not after.",
        file="kube/transport.py",
        old="body, headers, limit, check)\n",
        new="body, headers, limit, lambda: None)\n",
        caught_by=(
            "tests/unit/kube/test_transport.py::TestInFlight::test_before_send_is_asked_after_a_connection_was_made",
        ),
    ),
    Mutant(
        invariant="S7",
        name="stopped-all-the-same",
        broken="A create that waited for its turn leaves although the run was stopped gracefully meanwhile.",
        file="controllers/start.py",
        old="        if run.state.stopping and (not state.node.final or run.state.stop_mode is StopMode.TERMINATE):\n",
        new="        if False:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_start.py::test_a_create_that_waits_while_its_run_is_stopped_gracefully_never_leaves",
        ),
    ),
    Mutant(
        invariant="S7",
        name="cancelled-all-the-same",
        broken="A create leaves although its attempt was cancelled meanwhile.",
        file="controllers/start.py",
        old="        if len(attempts) < start.number or attempts[start.number - 1].ending:\n",
        new="        if len(attempts) < start.number:\n",
        caught_by=(f"{_CONTROLLERS}/test_start.py::test_a_create_that_waits_while_its_task_is_cancelled_never_leaves",),
    ),
)
