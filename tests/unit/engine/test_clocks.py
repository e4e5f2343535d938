"""Time limits: each counts from a recorded fact, ends with its own reason, and survives a restart."""

import pytest
from tests.unit.engine.kit import Bench, at, bench, failed, gone, name_of, node, refused, retries, seen, succeeded

from fairlead.engine.commands import EndAttempt, RecordEvent
from fairlead.engine.deadlines import SIDECAR_SECONDS, STUCK_SECONDS
from fairlead.engine.events import Event
from fairlead.engine.model import Clocks, FailureClass, Phase, Settings
from fairlead.engine.reasons import why
from fairlead.engine.state import Outcome, Result

MINUTE = Clocks(run_seconds=60)
HOUR = Clocks(deadline_seconds=3600)


def cancelled(task: str, reason: str, end: float) -> Event:
    return seen(task, outcome=Outcome(result=Result.CANCELLED, finished_at=at(end), reason=reason))


# timeoutSeconds: one attempt's run.


def test_an_attempt_is_ended_when_it_has_run_too_long() -> None:
    on = bench(node("a", clocks=MINUTE))
    planned = on.tell(seen("a", running=30), after=31)
    assert planned.wake_at == at(90)
    assert on.ended(after=89.9) == []
    assert on.ended(after=90) == [("a/1", "TimedOut")]
    assert on.phase("a") == "Running"


def test_it_is_asked_for_its_end_once() -> None:
    on = bench(node("a", clocks=MINUTE))
    on.tell(seen("a", running=30), after=90)
    assert on.ended(seen("a", running=30, ending="TimedOut", deleting=True), after=200) == []


def test_it_is_asked_again_while_nothing_shows_that_it_is_being_deleted() -> None:
    # A controller crashed between writing the reason on the object and deleting it.
    on = bench(node("a", clocks=MINUTE))
    assert on.ended(seen("a", running=30, ending="TimedOut"), after=31) == [("a/1", "TimedOut")]


def test_time_before_the_main_container_runs_does_not_count() -> None:
    on = bench(node("a", clocks=MINUTE))
    on.tell(seen("a"))
    assert on.ended(after=10_000) == []


def test_each_attempt_has_a_time_of_its_own() -> None:
    on = bench(node("a", clocks=MINUTE, retry=retries(1)))
    on.tell(seen("a", running=0))
    on.tell(failed("a", end=50), after=50)
    on.tell(seen("a", 2, started=51, running=55), after=55)
    assert on.ended(after=100) == []
    assert on.ended(after=115) == [("a/2", "TimedOut")]


def test_success_after_the_time_was_up_is_success() -> None:
    on = bench(node("a", clocks=MINUTE))
    on.tell(seen("a", running=0), after=60)
    on.tell(succeeded("a", end=60, ending="TimedOut", deleting=True), after=61)
    assert on.phase("a") == "Succeeded"


@pytest.mark.parametrize(("on_timeout", "started"), [(False, []), (True, ["a/2"])], ids=["by default", "onTimeout"])
def test_a_timed_out_attempt_is_tried_again_if_told(on_timeout: bool, started: list[str]) -> None:
    on = bench(node("a", clocks=MINUTE, retry=retries(1, on_timeout=on_timeout)))
    on.tell(seen("a", running=0), after=60)
    ended = failed("a", 1, FailureClass.TIMEOUT, reason="TimedOut", end=60)
    assert on.started(ended, after=60) == started


def test_a_restart_does_not_extend_it() -> None:
    on = bench(node("a", clocks=MINUTE))
    on.tell(seen("a", running=0), after=1)
    on = on.restarted()
    on.tell(seen("a", running=0), after=59)
    assert on.ended(after=60) == [("a/1", "TimedOut")]


def test_a_time_that_ran_out_while_nobody_looked_is_noticed_at_first_sight() -> None:
    on = bench(node("a", clocks=MINUTE))
    assert on.ended(seen("a", running=0), after=600) == [("a/1", "TimedOut")]


# deadlineSeconds of a task: all attempts together.


def test_all_attempts_together_have_a_deadline() -> None:
    on = bench(node("a", clocks=HOUR, retry=retries(9, seconds=100)))
    on.tell(seen("a", started=0, running=0))
    on.tell(failed("a", end=3000), after=3000)
    assert on.started(after=3100) == ["a/2"]
    on.tell(seen("a", 2, started=3100, running=3100))
    assert on.ended(after=3600) == [("a/2", "DeadlineExceeded")]
    on.tell(failed("a", 2, FailureClass.TIMEOUT, reason="DeadlineExceeded", end=3601), after=3601)
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "DeadlineExceeded")


def test_time_before_the_first_attempt_does_not_count() -> None:
    on = bench(node("first"), node("a", "first", clocks=HOUR))
    assert on.started(succeeded("first"), after=10_000) == ["a/1"]
    on.tell(seen("a", started=10_000))
    assert on.ended(after=13_599) == []
    assert on.ended(after=13_600) == [("a/1", "DeadlineExceeded")]


@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize("watched", [False, True], ids=["first seen when it had ended", "seen while it ran"])
def test_the_deadline_passes_while_a_node_waits_for_its_next_attempt(restarted: bool, watched: bool) -> None:
    on = bench(node("a", clocks=HOUR, retry=retries(9, seconds=10_000)))
    if watched:
        on.tell(seen("a", started=0), after=1)
    on.tell(failed("a", end=5), after=5)
    on = on.restarted() if restarted else on
    assert on.tell(after=6).wake_at == at(3600)
    assert on.started(after=3600) == []
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_the_deadline_passes_while_a_node_waits_for_a_slot(restarted: bool) -> None:
    on = bench(node("b"), node("a", clocks=HOUR, retry=retries(9)), settings=Settings(parallelism=1))
    on.tell(failed("b"))  # `a` gets the slot
    on.tell(seen("a"))
    on.settings = Settings(suspend=True)
    on.tell(failed("a", end=5), after=5)
    on = on.restarted() if restarted else on
    on.tell(after=6)
    assert on.phase("a") == "Queued"
    on.tell(after=3600)
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "DeadlineExceeded")


def test_the_deadline_passes_while_an_attempt_is_only_asked_for() -> None:
    on = bench(node("a", clocks=HOUR, retry=retries(9)))
    on.tell(failed("a", end=5), after=5)
    assert on.phase("a") == "Starting"
    on.tell(after=3600)
    on.tell(refused("a", 2, until=3700))
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "DeadlineExceeded")


# Attempts that will not start by themselves, and sidecars that will not end.


@pytest.mark.parametrize("reason", ["ImagePull", "ContainerConfig"])
def test_an_attempt_that_is_stuck_is_given_time_and_then_ended(reason: str) -> None:
    on = bench(node("a"))
    on.tell(seen("a", reason=reason, stuck_since=at(1000)), after=1001)
    assert on.ended(after=1000 + STUCK_SECONDS - 1) == []
    assert on.ended(after=1000 + STUCK_SECONDS) == [("a/1", reason)]


def test_an_attempt_that_gets_unstuck_goes_on() -> None:
    on = bench(node("a"))
    on.tell(seen("a", reason="ImagePull", stuck_since=at(0)))
    on.tell(seen("a", running=200), after=200)
    assert on.ended(after=STUCK_SECONDS) == []


def test_sidecars_may_go_on_for_a_while_after_the_main_container() -> None:
    on = bench(node("a", clocks=Clocks(run_seconds=60, deadline_seconds=60)))
    on.tell(seen("a", running=0, main_ended_at=at(50)), after=51)
    assert on.ended(after=79) == []
    assert on.ended(after=50 + SIDECAR_SECONDS) == [("a/1", "Completed")]


# deadlineSeconds of the run.


def limited(*, suspend: bool = False) -> Bench:
    graph = [node("a"), node("b"), node("c", "b"), node("d", retry=retries(9, seconds=10_000))]
    return bench(*graph, settings=Settings(deadline_seconds=100, suspend=suspend))


def test_the_deadline_of_the_run_cancels_all_that_has_not_ended() -> None:
    on = limited()
    on.tell(succeeded("a"), seen("b"), failed("d"), after=5)
    assert on.tell(after=99).wake_at == at(100)
    assert on.ended(after=100) == [("b/1", "RunDeadlineExceeded")]
    assert on.phases() == {"a": "Succeeded", "b": "Starting", "c": "Cancelled", "d": "Cancelled"}
    assert on.run.outcome is None


def test_the_run_is_over_once_its_last_attempt_is() -> None:
    on = limited()
    on.tell(succeeded("a"), seen("b"), failed("d"), after=5)
    on.tell(after=100)
    on.tell(cancelled("b", "RunDeadlineExceeded", 101), after=101)
    assert on.run.outcome is not None
    assert (on.run.outcome.succeeded, on.run.outcome.reason) == (False, "DeadlineExceeded")


@pytest.mark.parametrize(
    ("end", "phase"),
    [
        pytest.param(failed("b", end=101), "Cancelled", id="failed, with attempts left"),
        pytest.param(succeeded("b", end=101), "Succeeded", id="succeeded in the last moment"),
        pytest.param(gone("b", when=101), "Cancelled", id="gone"),
    ],
)
def test_no_attempt_follows_the_deadline_of_the_run(end: Event, phase: str) -> None:
    on = bench(node("b", retry=retries(9, 9)), settings=Settings(deadline_seconds=100))
    on.tell(seen("b"), after=100)
    assert on.started(end, after=101) == []
    assert on.phase("b") == phase


def test_an_attempt_that_appears_after_the_deadline_is_ended() -> None:
    on = bench(node("b"), settings=Settings(deadline_seconds=100))
    assert on.ended(after=100) == []  # it is not known to exist
    assert on.ended(seen("b", started=99)) == [("b/1", "RunDeadlineExceeded")]


def test_a_longer_deadline_may_be_set_while_the_run_goes_on() -> None:
    on = limited()
    on.settings = Settings(deadline_seconds=200)
    assert on.tell(after=100).wake_at == at(200)
    assert on.run.counts[Phase.CANCELLED] == 0


def test_a_restart_does_not_extend_the_deadline_of_the_run() -> None:
    on = limited()
    on.tell(seen("b"), after=5)
    on = on.restarted()
    assert on.ended(seen("b"), after=100) == [("b/1", "RunDeadlineExceeded")]


# Suspending.


def test_nothing_is_started_while_suspended_and_everything_afterwards() -> None:
    on = bench(node("a"), node("b", "a"), settings=Settings(suspend=True))
    assert on.phases() == {"a": "Queued", "b": "Waiting"}
    on.settings = Settings()
    assert on.started(after=60) == ["a/1"]


def test_what_runs_goes_on_while_suspended() -> None:
    on = bench(node("a"), node("b", "a"))
    on.settings = Settings(suspend=True)
    assert on.orders(seen("a", running=1)) == []
    assert on.started(succeeded("a")) == []
    assert on.phases() == {"a": "Succeeded", "b": "Queued"}


def test_back_off_keeps_its_absolute_time() -> None:
    on = bench(node("a", retry=retries(1, seconds=100)))
    on.settings = Settings(suspend=True)
    on.tell(failed("a", end=1), after=1)
    assert on.started(after=500) == []
    assert on.phase("a") == "Queued"
    on.settings = Settings()
    assert on.started(after=501) == ["a/2"]


def test_the_clock_of_the_run_stands_still_while_suspended() -> None:
    on = limited()
    on.tell(after=40)
    on.settings = Settings(deadline_seconds=100, suspend=True)
    assert on.tell(after=50).wake_at is None
    on.tell(after=5000)
    assert on.run.counts[Phase.CANCELLED] == 0
    on.settings = Settings(deadline_seconds=100)
    assert on.tell(after=5050).wake_at == at(5100)
    on.settings = Settings(deadline_seconds=100, suspend=True)
    on.tell(after=5060)
    on.settings = Settings(deadline_seconds=100)
    assert on.tell(after=5070).wake_at == at(5110)
    on.tell(after=5110)
    assert on.state("a").attempts[0].ending == "RunDeadlineExceeded"


def test_a_clock_that_goes_back_does_not_shorten_the_deadline() -> None:
    on = limited(suspend=True)
    on.settings = Settings(deadline_seconds=100)
    on.tell(after=-50)
    assert on.run.suspended_seconds == 0


def test_attempts_time_out_while_suspended() -> None:
    on = bench(node("a", clocks=MINUTE))
    on.tell(seen("a", running=0))
    on.settings = Settings(suspend=True)
    assert on.ended(after=60) == [("a/1", "TimedOut")]


def test_suspending_and_resuming_are_told_once() -> None:
    on = bench(node("a"))
    reasons = []
    for settings in (Settings(suspend=True), Settings(suspend=True), Settings(), Settings()):
        on.settings = settings
        reasons += [command.reason for command in on.tell().commands if isinstance(command, RecordEvent)]
    assert reasons == ["Suspended", "Resumed"]


# Timers.


def test_facts_that_are_told_again_do_not_pile_up_timers() -> None:
    on = bench(node("a", clocks=Clocks(run_seconds=60, deadline_seconds=3600)))
    for second in range(50):
        on.tell(seen("a", running=0), after=second)
    assert len(on.run.timers) == 2


def test_a_timer_that_is_no_longer_true_does_nothing() -> None:
    on = bench(node("a", clocks=MINUTE), node("b"))
    on.tell(seen("a", running=0))
    on.tell(succeeded("a", end=10), after=10)
    assert on.tell(after=60).commands == ()
    assert on.run.timers == []


def test_a_run_that_waits_for_nothing_but_facts_sets_no_alarm() -> None:
    on = bench(node("a"))
    assert on.tell(seen("a", running=0)).wake_at is None


@pytest.mark.parametrize("running", [-400, 0, 30], ids=["far behind", "as ours", "later than its pod"])
def test_a_node_whose_clock_is_behind_does_not_shorten_the_time_of_an_attempt(running: float) -> None:
    on = bench(node("a", clocks=MINUTE))
    begins = max(running, 0)
    assert on.ended(seen("a", started=0, running=running), after=begins + 59) == []
    assert on.ended(after=begins + 60) == [("a/1", "TimedOut")]


# Each clock counts its own time.


@pytest.mark.row("B8")
def test_queue_time_has_a_limit_of_its_own() -> None:
    on = bench(node("a"), node("b", clocks=Clocks(queue_seconds=30)), settings=Settings(parallelism=1))
    on.tell(seen("a", running=1), after=29)
    assert on.phase("b") == "Queued"
    on.tell(after=30)
    assert (on.phase("b"), on.state("b").reason) == ("Failed", "QueueTimeout")
    assert on.state("b").attempts == []


@pytest.mark.row("B8")
def test_queue_time_is_not_run_time() -> None:
    clocks = Clocks(queue_seconds=100, run_seconds=30, deadline_seconds=40)
    on = bench(node("a"), node("b", clocks=clocks), settings=Settings(parallelism=1))
    on.tell(succeeded("a", end=90), after=90)
    on.tell(seen("b", started=90, running=91), after=91)
    assert on.ended(after=120) == []
    assert on.ended(after=121) == [("b/1", "TimedOut")]


def test_waiting_for_tasks_is_not_queue_time() -> None:
    on = bench(node("a"), node("b", "a", clocks=Clocks(queue_seconds=30)))
    on.tell(seen("a", running=1), after=500)
    assert on.phase("b") == "Waiting"


def test_nor_is_time_in_suspension() -> None:
    on = bench(node("b", clocks=Clocks(queue_seconds=30)), settings=Settings(suspend=True))
    on.tell(after=500)
    assert on.phase("b") == "Queued"
    on.settings = Settings()
    assert on.started(after=501) == ["b/1"]


def test_queue_time_survives_a_restart() -> None:
    on = bench(node("a"), node("b", clocks=Clocks(queue_seconds=30)), settings=Settings(parallelism=1))
    on.tell(seen("a", running=1), after=10)
    again = on.restarted()
    again.tell(seen("a", running=1), after=29)
    assert again.phase("b") == "Queued"
    again.tell(after=30)
    assert again.state("b").reason == "QueueTimeout"


@pytest.mark.row("B8")
def test_an_attempt_that_does_not_begin_to_run_is_ended() -> None:
    on = bench(node("a", clocks=Clocks(start_seconds=60)))
    on.tell(seen("a", reason="Unschedulable", message="0/3 nodes"), after=1)
    assert on.ended(after=59) == []
    assert on.ended(after=60) == [("a/1", "StartTimeout")]


def test_one_that_hangs_in_its_image_is_an_error_of_configuration() -> None:
    on = bench(node("a", clocks=Clocks(start_seconds=60)))
    on.tell(seen("a", reason="ImagePull", message="no such image", stuck_since=at(5)), after=6)
    assert on.ended(after=60) == [("a/1", "ImagePull")]


def test_one_that_runs_has_begun() -> None:
    on = bench(node("a", clocks=Clocks(start_seconds=60)))
    on.tell(seen("a", running=50), after=51)
    assert on.ended(after=100) == []


# A node that does not answer.


@pytest.mark.row("fine:guarantee")
def test_a_pod_on_a_node_that_does_not_answer_holds_the_next_attempt() -> None:
    on = bench(node("a", retry=retries(0, 5)))
    on.tell(seen("a", running=1, node_name="n1", deleting=True, deleting_at=at(30)), after=10)
    assert on.started(after=1000) == []
    assert why(on.run, on.settings, on.state("a")) == (
        "WaitingForNode",
        f"{name_of('a')} was deleted; its node 'n1' does not say that it ended",
    )


@pytest.mark.row("fine:guarantee")
def test_unless_the_task_says_for_how_long() -> None:
    on = bench(node("a", retry=retries(0, 5), replace_lost_after_seconds=120))
    on.tell(seen("a", running=1, node_name="n1", deleting=True, deleting_at=at(30)), after=10)
    assert on.ended(after=149) == []
    [end] = on.orders(after=150)
    assert isinstance(end, EndAttempt)
    assert (end.reason, end.force) == ("NodeLost", True)
    assert on.orders(after=151) == []
    lost = failed("a", failure_class=FailureClass.INFRASTRUCTURE, reason="NodeLost", ending="NodeLost", end=152)
    assert on.started(lost, after=152) == ["a/2"]


def test_an_end_that_does_not_wait_for_the_node_is_asked_for_until_it_is_seen() -> None:
    on = bench(node("a", retry=retries(0, 5), replace_lost_after_seconds=120))
    on.tell(seen("a", running=1, node_name="n1", deleting=True, deleting_at=at(30)), after=10)
    assert on.ended(after=150) == [("a/1", "NodeLost")]
    assert on.ended(seen("a", running=1, node_name="n1", deleting=True, deleting_at=at(30)), after=200) == []
    assert on.tell(after=201).wake_at == at(210)
    [end] = on.orders(after=210)
    assert isinstance(end, EndAttempt)
    assert end.force


def test_a_pod_that_goes_in_time_is_nothing_special() -> None:
    on = bench(node("a", retry=retries(0, 5)))
    on.tell(seen("a", running=1, node_name="n1", deleting=True, deleting_at=at(30)), after=10)
    on.tell(gone("a", when=31), after=31)
    assert on.recorded(after=31) == ["a/2"]
