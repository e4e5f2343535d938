"""S15 and S16: what is recorded fits, says everything that counts, and is read by other releases."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_ENGINE = "tests/unit/engine"
_CONTROLLERS = "tests/unit/controllers"
_STATUS = "tests/unit/controllers/test_status.py"

MUTANTS = (
    Mutant(
        invariant="S15",
        name="long-messages",
        broken="The messages of many attempts are recorded in full, so that a status outgrows its object.",
        file="engine/capacity.py",
        old="    return max(_LEAST, min(MESSAGE_CHARACTERS, _ALL_MESSAGES // max(1, tasks)))\n",
        new="    return MESSAGE_CHARACTERS\n",
        caught_by=(
            f"{_STATUS}::test_a_status_of_many_attempts_with_long_messages_can_be_stored",
            f"{_ENGINE}/test_capacity.py::test_messages_are_shorter_where_there_are_many",
        ),
    ),
    Mutant(
        invariant="S15",
        name="shards-without-a-limit",
        broken="A shard grows with its entries, whatever its size.",
        file="controllers/ledger.py",
        old="            if shard.size + len(entry) - len(known) > LIMIT_BYTES and len(shard.names) > 1:\n",
        new="            if False:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_ledger.py::test_no_shard_reaches_a_megabyte",
            "tests/sim/test_beside.py::test_what_is_on_record_fits",
        ),
    ),
    Mutant(
        invariant="S15",
        name="outputs-without-a-limit",
        broken="The outputs of all tasks together may become more than can be recorded.",
        file="engine/ends.py",
        old="    if run.output_bytes + size > capacity.OUTPUT_BYTES:\n",
        new="    if False:\n",
        caught_by=(f"{_ENGINE}/test_capacity.py::test_outputs_of_all_tasks_together_are_limited",),
    ),
    Mutant(
        invariant="S15",
        name="forgets-old-attempts",
        broken="Only the last attempts of a task are recorded.",
        file="controllers/records.py",
        old="    attempts = [_attempt(each, characters) for each in state.attempts if _is_known(state, each)]\n",
        new="    attempts = [_attempt(each, characters) for each in state.attempts[-1:] if _is_known(state, each)]\n",
        caught_by=(
            f"{_STATUS}::test_a_task_that_failed_shows_every_attempt",
            f"{_STATUS}::test_nothing_that_is_over_is_forgotten",
        ),
    ),
    Mutant(
        invariant="S15",
        name="forgets-a-mover",
        broken="A shard sheds an entry that has moved before that is written where it has moved to.",
        file="controllers/ledger.py",
        old="        yield [shard for shard in dirty if shard.uid and not shard.sheds]\n",
        new="        yield [shard for shard in dirty if shard.uid]\n",
        caught_by=(f"{_CONTROLLERS}/test_ledger.py::test_what_moves_is_written_there_before_it_is_taken_out_here",),
    ),
    Mutant(
        invariant="S16",
        name="drops-what-it-does-not-know",
        broken="Members of the status that only a newer release knows are removed.",
        file="controllers/status.py",
        old="    gone = [key for key in before if key not in after and key in _OUR_MEMBERS]\n",
        new="    gone = [key for key in before if key not in after]\n",
        caught_by=(f"{_STATUS}::test_a_member_of_a_newer_release_stays",),
    ),
    Mutant(
        invariant="S16",
        name="drops-parts-of-entries",
        broken="Members of a task's entry that only a newer release knows are left out when it is written again.",
        file="controllers/records.py",
        old="            more=_unknown(each, _OF_A_NODE),\n",
        new="",
        caught_by=(
            f"{_CONTROLLERS}/test_records.py::test_what_only_a_newer_release_knows_is_kept",
            f"{_CONTROLLERS}/test_workflow.py::test_what_a_newer_operator_has_recorded_outlives_an_older_one",
        ),
    ),
    Mutant(
        invariant="S16",
        name="stop-of-an-older-release",
        broken="A stop that an older release recorded by its effects only is not gone on with.",
        file="engine/restore.py",
        old="record.reason in STOPS and run.epoch == 1 and not run.stop_recorded:\n",
        new="False:\n",
        caught_by=(f"{_ENGINE}/test_restore.py::test_a_stop_of_which_only_the_effects_are_on_record_goes_on",),
    ),
    Mutant(
        invariant="S16",
        name="attempts-without-an-epoch",
        broken="An attempt that says nothing of its epoch, as the first ones do, is taken for one of another epoch.",
        file="controllers/records.py",
        old='        epoch=shown.get("epoch", 1),\n',
        new='        epoch=shown.get("epoch", 0),\n',
        caught_by=(f"{_STATUS}::test_nothing_that_is_over_is_forgotten",),
    ),
)
