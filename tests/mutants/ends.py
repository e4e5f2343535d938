"""S4 and S5: ends that are lost or counted twice, and budgets."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_ENGINE = "tests/unit/engine"
_CONTROLLERS = "tests/unit/controllers"
_WORLD = "tests/property/test_invariants_bite.py::test_the_engine_as_it_is"

MUTANTS = (
    Mutant(
        invariant="S4",
        name="released-at-once",
        broken="A pod is let go of as soon as its end is seen.",
        file="engine/ends.py",
        old="    if recorded:\n",
        new="    if True:\n",
        caught_by=(
            f"{_ENGINE}/test_observe.py::test_nothing_is_released_before_its_end_is_recorded",
            f"{_CONTROLLERS}/test_writer.py::test_a_pod_is_held_while_its_end_cannot_be_written",
            _WORLD,
        ),
    ),
    Mutant(
        invariant="S4",
        name="told-before-written",
        broken="The engine is told that a status is on record before it is written.",
        file="controllers/writer.py",
        old="            snapshot = self._snapshot(run)\n",
        new="            snapshot = self._snapshot(run)\n"
        "            run.inbox.append(StatusRecorded(revision=snapshot.revision))\n"
        "            self._notify(run.uid)\n",
        caught_by=(
            f"{_CONTROLLERS}/test_writer.py::test_a_pod_is_held_while_its_end_cannot_be_written",
            f"{_CONTROLLERS}/test_shards.py::test_it_is_held_while_its_shard_is_not_written",
        ),
    ),
    Mutant(
        invariant="S4",
        name="more-than-was-written",
        broken="What became known while a status was being written counts as written with it.",
        file="controllers/writer.py",
        old="                run.inbox.append(StatusRecorded(revision=snapshot.revision))\n",
        new="                run.inbox.append(StatusRecorded(revision=run.state.revision))\n",
        caught_by=(f"{_CONTROLLERS}/test_writer.py::test_an_end_that_comes_during_a_write_belongs_to_the_next",),
    ),
    Mutant(
        invariant="S4",
        name="shards-not-waited-for",
        broken="Writing the shards of a large run is begun, and not waited for.",
        file="controllers/writer.py",
        old="            if not await self._shards.write(run):\n",
        new="            self._written = asyncio.ensure_future(self._shards.write(run))\n            if run.closed:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_shards.py::test_it_is_held_while_its_shard_is_not_written",
            f"{_CONTROLLERS}/test_shards.py::test_all_are_held_while_one_of_the_shards_is_not_written",
        ),
    ),
    Mutant(
        invariant="S4",
        name="deleted-before-its-record",
        broken="Retention deletes a pod whose end is not on record yet.",
        file="controllers/retention.py",
        old="        if not on_record:\n",
        new="        if False:\n",
        caught_by=(f"{_CONTROLLERS}/test_retention.py::test_what_is_not_on_record_is_not_deleted",),
    ),
    Mutant(
        invariant="S4",
        name="deleted-while-held",
        broken="Retention deletes a pod that is still held for its outcome.",
        file="controllers/retention.py",
        old="    return not view.held and view.deleting_at is None and _outcome(view) is not None\n",
        new="    return view.deleting_at is None and _outcome(view) is not None\n",
        caught_by=(f"{_CONTROLLERS}/test_retention.py::test_what_is_held_is_not_deleted",),
    ),
    Mutant(
        invariant="S4",
        name="counted-twice",
        broken="An attempt that is seen again after its end is counted again.",
        file="engine/observe.py",
        old="            # Its end is known already. Seen again after a crash",
        new="            if seen.outcome is not None:\n                record_end(p, state, attempt, seen.outcome)\n"
        "            # Its end is known already. Seen again after a crash",
        caught_by=(f"{_ENGINE}/test_observe.py::test_each_attempt_is_counted_once",),
    ),
    Mutant(
        invariant="S5",
        name="one-too-many",
        broken="One attempt more than the budget allows.",
        file="engine/retry.py",
        old="    if failures > limit:\n",
        new="    if failures > limit + 1:\n",
        caught_by=(f"{_ENGINE}/test_retry.py::test_budgets", _WORLD),
    ),
    Mutant(
        invariant="S5",
        name="charged-to-the-user",
        broken="Failures of the infrastructure use up the user's retries.",
        file="engine/retry.py",
        old="        charged, limit = {FailureClass.USER, FailureClass.TIMEOUT}, policy.limit\n",
        new="        charged, limit = set(FailureClass), policy.limit\n",
        caught_by=(f"{_ENGINE}/test_retry.py::test_budgets",),
    ),
    Mutant(
        invariant="S5",
        name="impatient-after-a-crash",
        broken="A restarted controller does not wait for the rest of a back-off.",
        file="engine/restore.py",
        old="    state.not_before = last.finished_at + delay\n",
        new="    state.not_before = last.finished_at\n",
        caught_by=(f"{_ENGINE}/test_restore.py::test_back_off_goes_on_from_the_recorded_end", _WORLD),
    ),
    Mutant(
        invariant="S5",
        name="budget-begins-anew",
        broken="A restarted controller forgets the attempts that have failed.",
        file="engine/restore.py",
        old="    state.epoch_start = sum(1 for attempt in state.attempts if attempt.epoch < run.epoch)\n",
        new="    state.epoch_start = len(state.attempts)\n",
        caught_by=(f"{_ENGINE}/test_restore.py::test_the_budget_goes_on",),
    ),
)
