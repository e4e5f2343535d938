"""L3 to L5: a watch that falls silent, an object that nobody foresaw, and time that passes without an event."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_ENGINE = "tests/unit/engine"
_CONTROLLERS = "tests/unit/controllers"
_INFORMER = "tests/unit/kube/test_informer.py"
_RUNTIME = "tests/unit/controllers/test_runtime.py"

MUTANTS = (
    Mutant(
        invariant="L3",
        name="waits-for-ever",
        broken="A watch without a single byte is waited on for ever.",
        file="kube/connection.py",
        old="        if left <= 0:\n",
        new="        if left <= 0 and self._whole:\n",
        caught_by=(f"{_INFORMER}::TestSilence::test_a_silent_watch_is_given_up_and_resumed",),
    ),
    Mutant(
        invariant="L3",
        name="ends-with-its-error",
        broken="A watch that broke is not opened again.",
        file="kube/informer.py",
        old="            await self._pause(reason, retry_after)\n",
        new="            await self._pause(reason, retry_after)\n            if reason is RestartReason.SILENT:\n"
        "                await asyncio.Event().wait()\n",
        caught_by=(f"{_INFORMER}::TestSilence::test_a_silent_watch_is_given_up_and_resumed",),
    ),
    Mutant(
        invariant="L3",
        name="history-not-listed-again",
        broken="After a gap in the history the watch goes on, without the list that shows what was missed.",
        file="kube/informer.py",
        old='                reason = RestartReason.EXPIRED\n                self._resume = ""\n',
        new="                reason = RestartReason.EXPIRED\n                self._resume = str(self._seen)\n",
        caught_by=(f"{_INFORMER}::TestExpiredHistory::test_410_lists_again_and_finds_what_was_missed",),
    ),
    Mutant(
        invariant="L3",
        name="probe-stays-green",
        broken="The readiness probe does not mind that nothing has been heard for minutes.",
        file="controllers/vitals.py",
        old='or _too_long(informer.staleness(), _DEAF_SECONDS, "nothing heard from the API server")',
        new='or ""',
        caught_by=(f"{_RUNTIME}::test_a_watch_that_has_not_been_heard_for_long_makes_it_unready",),
    ),
    Mutant(
        invariant="L3",
        name="hangs-alive",
        broken="The liveness probe does not mind that the loop of a watch hangs.",
        file="controllers/vitals.py",
        old='_too_long(informer.idle(), _HUNG_SECONDS, "the watch loop has not come round")',
        new='""',
        caught_by=(f"{_RUNTIME}::test_a_watch_whose_loop_hangs_makes_it_dead",),
    ),
    Mutant(
        invariant="L4",
        name="poison-ends-a-worker",
        broken="A bug that one run meets ends the worker, and the queue with it.",
        file="controllers/queue.py",
        old="        except Exception as error:\n",
        new="        except ApiError as error:\n",
        caught_by=(f"{_CONTROLLERS}/test_queue.py::test_a_failing_key_holds_up_no_other",),
    ),
    Mutant(
        invariant="L4",
        name="poison-holds-a-worker",
        broken="A worker waits with a failing run until it is tried again.",
        file="controllers/queue.py",
        old="            self._observer.queue_retried(self._name)\n",
        new="            self._observer.queue_retried(self._name)\n            await asyncio.sleep(0.5)\n",
        caught_by=(f"{_CONTROLLERS}/test_queue.py::test_a_failing_key_holds_up_no_other",),
    ),
    Mutant(
        invariant="L4",
        name="poison-in-a-watch",
        broken="An object that cannot be understood ends the watch of all others.",
        file="kube/informer.py",
        old="        except Exception:  # one object that nobody foresaw must not stop the others\n",
        new="        except orjson.JSONDecodeError:\n",
        caught_by=(f"{_INFORMER}::TestPoison::test_an_object_that_cannot_be_projected_stops_no_other",),
    ),
    Mutant(
        invariant="L4",
        name="poison-in-a-list",
        broken="An object of a list that cannot be understood counts as deleted.",
        file="kube/informer.py",
        old="                    fresh[key] = self._entry(key, obj)\n",
        new="                    entry = self._entry(key, obj)\n                    if entry is not None:\n"
        "                        fresh[key] = entry\n",
        caught_by=(f"{_INFORMER}::TestPoison::test_poison_in_a_list_is_no_deletion",),
    ),
    Mutant(
        invariant="L4",
        name="poison-in-the-sweep",
        broken="The sweep ends at the first Workflow that cannot be read.",
        file="controllers/cleanup.py",
        old='            await self.reread(metadata["uid"], ObjectKey(metadata["namespace"], metadata["name"]))\n'
        "        except ApiError as error:\n",
        new='            await self.reread(metadata["uid"], ObjectKey(metadata["namespace"], metadata["name"]))\n'
        "        except NotFound as error:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_cleanup.py::test_a_workflow_that_cannot_be_read_hides_no_other_from_the_sweep",
        ),
    ),
    Mutant(
        invariant="L5",
        name="sleeps-until-an-event",
        broken="The controller does not look at a run again when the engine asks it to.",
        file="controllers/workflow.py",
        old="        if planned.wake_at is not None:\n",
        new="        if False:\n",
        caught_by=(f"{_CONTROLLERS}/test_workflow.py::test_a_time_limit_passes_without_any_event",),
    ),
    Mutant(
        invariant="L5",
        name="no-alarm",
        broken="The engine forgets to ask for it.",
        file="engine/plan.py",
        old="    due = [timer[0] for timer in run.timers[:1]]\n",
        new="    due: list[datetime] = []\n",
        caught_by=(
            f"{_ENGINE}/test_clocks.py::test_an_attempt_is_ended_when_it_has_run_too_long",
            f"{_CONTROLLERS}/test_workflow.py::test_a_time_limit_passes_without_any_event",
        ),
    ),
    Mutant(
        invariant="L5",
        name="no-alarm-for-the-run",
        broken="The deadline of the run is looked at only when something else happens.",
        file="engine/plan.py",
        old="    if deadline is not None and deadline > p.now and (run.is_finalizing or not run.stopping):\n",
        new="    if deadline is not None and deadline > p.now and run.is_finalizing:\n",
        caught_by=(f"{_ENGINE}/test_clocks.py::test_the_deadline_of_the_run_cancels_all_that_has_not_ended",),
    ),
    Mutant(
        invariant="L5",
        name="rings-for-ever",
        broken="A deadline that has passed is looked at again and again, without a pause.",
        file="engine/plan.py",
        old="    if deadline is not None and deadline > p.now and (run.is_finalizing or not run.stopping):\n",
        new="    if deadline is not None and (run.is_finalizing or not run.stopping):\n",
        caught_by=(
            (
                f"{_ENGINE}/test_finally.py::"
                "test_once_its_deadline_has_passed_nothing_is_looked_at_again_until_what_runs_has_ended"
            ),
        ),
    ),
    Mutant(
        invariant="L5",
        name="put-off",
        broken="A later request to look at a run puts off an earlier one.",
        file="controllers/queue.py",
        old="        if pending.due <= due:\n            return\n",
        new="",
        caught_by=(f"{_CONTROLLERS}/test_queue.py::test_the_earliest_of_several_requests_counts",),
    ),
    Mutant(
        invariant="L5",
        name="back-off-without-end",
        broken="After a restart nobody looks at a task again whose back-off has passed.",
        file="engine/restore.py",
        old="    state.not_before = last.finished_at + delay\n    arm(run, state.name, state.not_before)\n",
        new="    state.not_before = last.finished_at + delay\n",
        caught_by=(f"{_ENGINE}/test_restore.py::test_back_off_goes_on_from_the_recorded_end",),
    ),
)
