"""L1 and L2: runs that never end, or end wrongly, and objects that cannot be deleted."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_ENGINE = "tests/unit/engine"
_CONTROLLERS = "tests/unit/controllers"
_CLEANUP = "tests/unit/controllers/test_cleanup.py"
_WORLD = "tests/property/test_invariants_bite.py::test_the_engine_as_it_is"

MUTANTS = (
    Mutant(
        invariant="L1",
        name="uncounted-skips",
        broken="A parent that was skipped is not counted, so that its child waits for ever.",
        file="engine/triggers.py",
        old="    child.pending -= 1\n",
        new="    child.pending -= phase is not Phase.SKIPPED\n",
        caught_by=(
            f"{_ENGINE}/test_triggers.py::test_the_verdict_is_that_of_the_table_in_every_order",
            "tests/property/test_differential.py::test_the_engine_agrees_with_the_reference",
            _WORLD,
        ),
    ),
    Mutant(
        invariant="L1",
        name="lost-while-working",
        broken="A change that comes while a run is being worked on is lost.",
        file="controllers/queue.py",
        old="            self._again.add(key)\n",
        new="            pass\n",
        caught_by=(
            f"{_CONTROLLERS}/test_queue.py::test_a_key_that_is_added_while_it_is_worked_on_is_handled_once_more",
        ),
    ),
    Mutant(
        invariant="L1",
        name="lost-in-an-outage",
        broken="Facts that were noted are lost when the API server fails while they are gathered.",
        file="controllers/gather.py",
        old="            self._changed[run.uid] = kept | self._changed.get(run.uid, {})\n",
        new="            del kept\n",
        caught_by=(f"{_CONTROLLERS}/test_gather.py::test_nothing_is_lost_by_an_outage_while_facts_are_gathered",),
    ),
    Mutant(
        invariant="L1",
        name="handlers-handle-nothing",
        broken="A run fails although the failure of its task was handled.",
        file="engine/outcome.py",
        old="        and name not in forgiven\n",
        new="",
        caught_by=(
            f"{_ENGINE}/test_outcome.py::test_a_handler_that_succeeds_handles_its_failed_parent",
            "tests/property/test_differential.py::test_the_engine_agrees_with_the_reference",
        ),
    ),
    Mutant(
        invariant="L1",
        name="one-bad-write",
        broken="A run whose status met a bug of ours once is never written again.",
        file="controllers/writer.py",
        old="            await asyncio.sleep(_RETRY_SECONDS[-1])\n            self._lost(run)\n        finally:\n"
        "            run.write_due = max(run.write_due, loop.time() + _WHOLE.shortest)\n"
        "            run.writing = None\n",
        new="            return\n        else:\n            run.writing = None\n        finally:\n"
        "            run.write_due = max(run.write_due, loop.time() + _WHOLE.shortest)\n",
        caught_by=(f"{_CONTROLLERS}/test_writer.py::test_an_error_in_encoding_a_status_does_not_end_its_writing",),
    ),
    Mutant(
        invariant="L1",
        name="gone-unnoticed",
        broken="The pod of a live attempt that vanished while nobody watched is not missed.",
        file="controllers/gather.py",
        old="                missing[kind, key] = _Missing(state.name, attempt.number)\n",
        new="                continue\n",
        caught_by=(f"{_CONTROLLERS}/test_gather.py::test_a_pod_that_goes_while_no_operator_is_there_is_missed",),
    ),
    Mutant(
        invariant="L1",
        name="nothing-in-its-way",
        broken="A run that waits for what is not known of an older one is not told when that is not in its way.",
        file="controllers/concurrency.py",
        old="        if moved:\n",
        new="        if False:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_concurrency.py::test_whoever_was_behind_a_run_of_which_nothing_was_known_starts",
        ),
    ),
    Mutant(
        invariant="L2",
        name="held-by-the-deleted",
        broken="What a deleted run owns is never let go of.",
        file="controllers/cleanup.py",
        old="        for (kind, key), view in objects.items():\n            if view.held:\n"
        "                self._applier.release(kind, key, view.uid)\n        return _RECHECK_SECONDS\n",
        new="        return _RECHECK_SECONDS\n",
        caught_by=(f"{_CLEANUP}::test_what_could_not_be_released_is_looked_at_again",),
    ),
    Mutant(
        invariant="L2",
        name="released-once",
        broken="A release that failed for longer than it is retried is never tried again.",
        file="controllers/cleanup.py",
        old="                self._applier.release(kind, key, view.uid)\n        return _RECHECK_SECONDS\n",
        new="                self._applier.release(kind, key, view.uid)\n        return None\n",
        caught_by=(f"{_CLEANUP}::test_what_could_not_be_released_is_looked_at_again",),
    ),
    Mutant(
        invariant="L2",
        name="orphans-stay",
        broken="Pods that were orphaned while no operator was there are held for ever.",
        file="controllers/cleanup.py",
        old="            await self._release_ownerless(kind, key, uid, alive)\n",
        new="            pass\n",
        caught_by=(f"{_CLEANUP}::test_what_a_run_that_is_gone_has_orphaned_while_nobody_looked_is_released",),
    ),
    Mutant(
        invariant="L2",
        name="shards-stay",
        broken="The shards of a deleted run are held for ever.",
        file="controllers/cleanup.py",
        old="        if not await self._releaser.release_all(shards[0], uid, shards[1]):\n            return True\n",
        new="",
        caught_by=(f"{_CONTROLLERS}/test_shard_release.py::test_they_go_with_their_run",),
    ),
    Mutant(
        invariant="L2",
        name="shards-of-a-key",
        broken="Each replica takes the shards of a run with a key that is gone for another one's, and they stay.",
        file="controllers/shard_release.py",
        old="                    self._note(meta)\n",
        new="",
        caught_by=(
            f"{_CONTROLLERS}/test_shard_release.py::test_those_of_a_run_that_had_a_key_are_found_by_its_holder",
        ),
    ),
    Mutant(
        invariant="L2",
        name="namespace-stays",
        broken="A run whose namespace is being deleted insists on writing a new shard, and holds its pods meanwhile.",
        file="controllers/shards.py",
        old="                    self._leave(run.uid)\n                    return False\n",
        new="                    pass\n",
        caught_by=(f"{_CONTROLLERS}/test_shard_release.py::test_a_namespace_that_goes_while_a_shard_is_due_can_go",),
    ),
)
