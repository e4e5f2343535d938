"""S1 to S3: pods that are created twice, too early, or after the end."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_ENGINE = "tests/unit/engine"
_CONTROLLERS = "tests/unit/controllers"
_WORLD = "tests/property/test_invariants_bite.py::test_the_engine_as_it_is"

MUTANTS = (
    Mutant(
        invariant="S1",
        name="adopts-nothing",
        broken="A controller that starts afresh ignores the attempts that it finds, and starts them again.",
        file="engine/observe.py",
        old="        attempt = _adopt(p, state, seen)\n",
        new="        return\n",
        caught_by=(f"{_ENGINE}/test_observe.py::test_an_attempt_is_adopted_from_any_phase_without_one", _WORLD),
    ),
    Mutant(
        invariant="S1",
        name="names-by-time",
        broken="The name of an attempt's object depends on when it is asked for: a repeat creates a second one.",
        file="engine/plan.py",
        old="    object_name = attempt_name(run.name, run.uid, state.name, number)\n",
        new="    object_name = attempt_name(run.name, f'{run.uid}{p.now}', state.name, number)\n",
        caught_by=(f"{_ENGINE}/test_plan.py::test_a_start_says_everything_that_is_needed",),
    ),
    Mutant(
        invariant="S1",
        name="somebody-elses",
        broken="An object of somebody else under the name of our attempt is taken for ours.",
        file="controllers/start.py",
        old="        if view.owner_uid != run.uid:\n            return name_conflict(",
        new="        if False:\n            return name_conflict(",
        caught_by=(f"{_CONTROLLERS}/test_start.py::test_a_pod_of_somebody_else_under_our_name_is_a_conflict",),
    ),
    Mutant(
        invariant="S1",
        name="answer-lost",
        broken="A create whose answer was lost counts as refused, although its object exists.",
        file="controllers/start.py",
        old="                uncertain = uncertain or error.maybe_applied\n",
        new="                uncertain = False\n",
        caught_by=(
            f"{_CONTROLLERS}/test_resource_task.py::test_one_whose_answer_is_lost_is_found_although_its_run_is_suspended_meanwhile",
        ),
    ),
    Mutant(
        invariant="S1",
        name="created-once-more",
        broken="A create whose answer was lost is repeated although its pod was seen, and may be gone again.",
        file="controllers/start.py",
        old="        if attempts[start.number - 1].created:\n",
        new="        if False:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_start.py::test_a_create_whose_answer_was_lost_is_not_repeated_once_its_pod_was_seen",
        ),
    ),
    Mutant(
        invariant="S1",
        name="number-used-twice",
        broken="An attempt of another operator that came too late is not put on record, so a later one gets its name.",
        file="engine/observe.py",
        old="            state.attempts.extend(_superseded(p, len(state.attempts), seen))\n",
        new="",
        caught_by=(f"{_ENGINE}/test_observe.py::test_the_numbers_of_a_later_epoch_go_on_after_a_stray",),
    ),
    Mutant(
        invariant="S2",
        name="memory-is-enough",
        broken="A child is started from an end that only memory knows.",
        file="engine/state.py",
        old="        return self.unproven_revision <= self.recorded_revision\n",
        new="        return True\n",
        caught_by=(
            f"{_ENGINE}/test_observe.py::test_an_end_that_no_object_shows_is_recorded_before_anything_starts",
            f"{_ENGINE}/test_podless.py::test_its_end_is_recorded_before_anything_starts_from_it",
            f"{_CONTROLLERS}/test_resource_task.py::test_what_follows_starts_only_when_the_end_is_on_record",
        ),
    ),
    Mutant(
        invariant="S2",
        name="witness-gone",
        broken="An end whose pod vanishes before the record counts as proven.",
        file="engine/observe.py",
        old="    attempt.held = False\n    if attempt.finished_at is not None:\n",
        new="    attempt.held = False\n    if attempt.finished_at is not None:\n        return\n    if False:\n",
        caught_by=(f"{_ENGINE}/test_observe.py::test_an_end_whose_witness_vanishes_is_recorded_before_a_child_starts",),
    ),
    Mutant(
        invariant="S2",
        name="one-parent-is-enough",
        broken="A task starts when the first of its parents has succeeded.",
        file="engine/triggers.py",
        old="            return Verdict.SKIP if done and skipped else wait_or_run\n",
        new="            return Verdict.SKIP if done and skipped else Verdict.RUN if good else wait_or_run\n",
        caught_by=(
            f"{_ENGINE}/test_triggers.py::test_only_some_ends_decide_before_the_others",
            f"{_ENGINE}/test_plan.py::test_a_child_starts_in_the_same_call_that_learns_of_its_last_parents_end",
        ),
    ),
    Mutant(
        invariant="S2",
        name="pods-of-a-job",
        broken="A child starts from how a Job has ended, which only its pods tell, and nobody holds those.",
        file="engine/ends.py",
        old="    is_witnessed = attempt.held and state.node.work.kind is not WorkKind.JOB\n",
        new="    is_witnessed = attempt.held\n",
        caught_by=(f"{_ENGINE}/test_observe.py::test_the_end_of_a_job_is_recorded_before_anything_starts_from_it",),
    ),
    Mutant(
        invariant="S2",
        name="sent-before-its-record",
        broken="A request that must not be sent twice is sent before its start is on record.",
        file="engine/podless.py",
        old="Unsent(p.run.revision)",
        new="Unsent(-1)",
        caught_by=(
            f"{_ENGINE}/test_podless.py::test_it_is_begun_only_once_its_start_is_on_record",
            f"{_CONTROLLERS}/test_podless.py::TestRequests::test_its_start_is_on_record_before_it_is_sent",
        ),
    ),
    Mutant(
        invariant="S3",
        name="ends-are-left",
        broken="The table lets a task that has ended be put in line again.",
        file="engine/transitions.py",
        old="    **{phase: frozenset() for phase in TERMINAL},\n",
        new="    **{phase: frozenset({Phase.QUEUED}) for phase in TERMINAL},\n",
        caught_by=(
            f"{_ENGINE}/test_transitions.py::test_terminal_is_final",
            f"{_ENGINE}/test_transitions.py::test_a_move_is_legal_or_leaves_everything_as_it_was",
        ),
    ),
    Mutant(
        invariant="S3",
        name="second-thoughts",
        broken="What is heard of an attempt after its end is recorded anew.",
        file="engine/observe.py",
        old="        if attempt.reason == LOST and seen.outcome is not None:\n",
        new="        if seen.outcome is not None:\n",
        caught_by=(f"{_ENGINE}/test_observe.py::test_each_attempt_is_counted_once",),
    ),
    Mutant(
        invariant="S3",
        name="over-and-on",
        broken="A run that is over goes on drawing conclusions.",
        file="engine/plan.py",
        old='    """Draw every conclusion from what is known by now, and start what may be."""\n'
        "    run = p.run\n    if run.outcome is not None:\n        return\n",
        new='    """Draw every conclusion from what is known by now, and start what may be."""\n    run = p.run\n',
        caught_by=(f"{_ENGINE}/test_plan.py::test_a_run_that_is_over_stays_over",),
    ),
    Mutant(
        invariant="S3",
        name="retry-in-place",
        broken="A retry by the user runs tasks again in the same epoch.",
        file="engine/epochs.py",
        old="        epoch=run.epoch + 1,\n",
        new="        epoch=run.epoch,\n",
        caught_by=(
            f"{_ENGINE}/test_actions.py::test_the_budget_counts_within_the_epoch",
            f"{_ENGINE}/test_actions.py::test_retry_runs_what_failed_and_what_did_not_run_because_of_it",
        ),
    ),
)
