"""Facts about attempts: twice, late, out of order, about strangers. The state ends up as if they had come once."""

import pytest
from tests.unit.engine.kit import (
    Bench,
    FakeWork,
    asked,
    at,
    bench,
    failed,
    gone,
    name_of,
    node,
    refused,
    retries,
    seen,
    succeeded,
)

from fairlead.engine.commands import EndAttempt, ReleaseAttempt
from fairlead.engine.events import Event, StatusRecorded
from fairlead.engine.model import Clocks, FailureClass, Phase, Settings, TriggerRule, WorkKind
from fairlead.engine.plan import Plan

INFRA = FailureClass.INFRASTRUCTURE
QUIET = Plan((), None)


# How far an attempt has got.


@pytest.mark.parametrize(
    ("facts", "phase"),
    [
        pytest.param([], "Starting", id="asked for"),
        pytest.param([seen("a")], "Starting", id="created"),
        pytest.param([seen("a", reason="Unschedulable", message="no node")], "Starting", id="unschedulable"),
        pytest.param([seen("a", running=5)], "Running", id="running"),
        pytest.param([seen("a", running=5), seen("a")], "Running", id="running, then an older fact"),
        pytest.param([succeeded("a", running=5)], "Succeeded", id="succeeded"),
        pytest.param([succeeded("a")], "Succeeded", id="succeeded, without ever having been seen to run"),
        pytest.param([succeeded("a"), seen("a", running=5)], "Succeeded", id="succeeded, then an older fact"),
        pytest.param([succeeded("a"), failed("a")], "Succeeded", id="the first end counts"),
        pytest.param([failed("a"), succeeded("a")], "Failed", id="the first end counts, the other way round"),
        pytest.param([succeeded("a"), gone("a")], "Succeeded", id="succeeded, then gone"),
        pytest.param([seen("a"), gone("a")], "Failed", id="gone"),
    ],
)
def test_phases(facts: list[Event], phase: str) -> None:
    on = bench(node("a", retry=retries()))
    for fact in facts:
        on.tell(fact)
    assert on.phase("a") == phase


def test_an_attempt_keeps_what_was_observed() -> None:
    on = bench(node("a"))
    on.tell(seen("a", started=2, node_name="n1"))
    on.tell(succeeded("a", started=2, running=5, end=9, node_name="n1"))
    (attempt,) = on.state("a").attempts
    assert (attempt.started_at, attempt.running_at, attempt.finished_at) == (at(2), at(5), at(9))
    assert (attempt.node_name, attempt.exit_code, attempt.object_name) == ("n1", 0, name_of("a"))
    assert on.state("a").completed_at == at(9)


def test_a_reason_for_not_running_is_shown_and_goes_away() -> None:
    on = bench(node("a"))
    on.tell(seen("a", reason="Unschedulable", message="0/1 nodes"))
    assert (on.state("a").reason, on.state("a").message) == ("Unschedulable", "0/1 nodes")
    on.tell(seen("a", running=5))
    assert (on.state("a").reason, on.state("a").message) == ("", "")


def test_a_late_fact_takes_nothing_back() -> None:
    on = bench(node("a"))
    on.tell(seen("a", running=5, node_name="n1", main_ended_at=at(8)))
    on.tell(seen("a", reason="ImagePull", stuck_since=at(0)))
    attempt = on.state("a").attempts[0]
    assert (attempt.node_name, attempt.main_ended_at, attempt.stuck_since) == ("n1", at(8), None)


# The same again: nothing follows, and no status is to be written (invariant S10).


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(seen("a"), id="created"),
        pytest.param(seen("a", reason="Unschedulable", message="m" * 5000), id="unschedulable, with a long message"),
        pytest.param(seen("a", reason="ImagePull", message="m", stuck_since=at(0)), id="stuck"),
        pytest.param(seen("a", running=5, node_name="n1"), id="running"),
        pytest.param(seen("a", running=5, main_ended_at=at(6)), id="only sidecars are left"),
        pytest.param(seen("a", running=5, ending="TimedOut", deleting=True), id="on its way out"),
        pytest.param(succeeded("a"), id="succeeded, not recorded"),
        pytest.param(succeeded("a", held=False), id="succeeded, not held"),
        pytest.param(failed("a"), id="failed"),
        pytest.param(failed("a", failure_class=INFRA), id="failed, with another attempt to come"),
    ],
)
def test_the_same_fact_again_is_no_news(fact: Event) -> None:
    limits = Clocks(run_seconds=100, deadline_seconds=200)
    on = bench(
        node("a", retry=retries(infrastructure=1, seconds=60), clocks=limits),
        node("b", "a", trigger=TriggerRule.ALL_DONE),
    )
    on.tell(fact, after=6)
    revision, timers, ended = on.run.revision, list(on.run.timers), on.phases()
    for _ in range(3):
        assert on.tell(fact).commands == ()
    assert (on.run.revision, on.run.timers, on.phases()) == (revision, timers, ended)


@pytest.mark.parametrize("fact", [refused("a", until=5), gone("a")], ids=["refused", "gone"])
def test_a_fact_about_an_attempt_that_is_over_is_no_news(fact: Event) -> None:
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"), seen("b"))
    revision = on.run.revision
    assert on.tell(fact).commands == ()
    assert on.run.revision == revision


def test_each_attempt_is_counted_once() -> None:
    on = bench(node("a", retry=retries(infrastructure=3)))
    first = on.tell(failed("a", 1, INFRA), failed("a", 1, INFRA), gone("a"), after=1)
    assert [each.told for each in first.ended] == [INFRA]
    assert on.tell(failed("a", 1, INFRA)).ended == ()
    on.tell(StatusRecorded(revision=on.run.revision))  # no object shows the end any more: it is recorded first
    assert [a.number for a in on.state("a").attempts] == [1, 2]


# Refusals of the API server.


def test_a_refusal_that_may_pass_waits_and_uses_no_attempt() -> None:
    on = bench(node("a"))
    assert on.started(refused("a", until=5, reason="QuotaExceeded")) == []
    assert (on.phase("a"), on.state("a").reason, on.run.live) == ("Queued", "QuotaExceeded", 0)
    assert on.tell(after=4).wake_at == at(5)
    assert on.started(after=5) == ["a/1"]
    assert (on.state("a").reason, on.run.live) == ("", 1)


def test_a_refusal_in_the_past_is_tried_again_at_once() -> None:
    on = bench(node("a"))
    assert on.started(refused("a", until=-1)) == ["a/1"]


def test_while_creates_are_refused_one_start_asks_for_all() -> None:
    on = bench(node("a"), node("b"), node("c"), settings=Settings(parallelism=1))
    assert on.started(refused("a", until=60)) == []
    assert on.started(after=59) == []
    assert on.started(after=60) == ["a/1"]
    assert on.started(refused("a", until=120)) == []
    assert on.started(after=120) == ["a/1"]
    assert on.started(seen("a"), after=121) == []
    assert on.started(succeeded("a", end=122, held=True), after=122) == ["b/1"]


def test_once_a_create_is_taken_again_all_that_wait_follow() -> None:
    on = bench(node("a"), node("b"), node("c"))
    on.tell(refused("a", until=60), refused("b", until=60), refused("c", until=60))
    assert on.started(after=60) == ["a/1"]
    assert on.started(seen("a"), after=61) == ["b/1", "c/1"]


def test_a_final_refusal_fails_the_node_in_the_servers_words() -> None:
    on = bench(node("a", retry=retries(5, 5)))
    planned = on.tell(refused("a", reason="ObjectRefused"))
    assert (on.phase("a"), on.state("a").reason, on.state("a").message) == (
        "Failed",
        "ObjectRefused",
        "the server said no",
    )
    assert [each.told for each in planned.ended] == [FailureClass.CONFIGURATION]


def test_a_refusal_that_comes_after_the_object_was_seen_is_wrong() -> None:
    on = bench(node("a"))
    on.tell(seen("a"))
    on.tell(refused("a"))
    assert on.phase("a") == "Starting"


def test_an_object_seen_after_a_refusal_is_adopted() -> None:
    # The answer to the create was lost, or somebody else's create won.
    on = bench(node("a"))
    on.tell(refused("a", until=60))
    assert on.started(seen("a", running=1)) == []
    assert (on.phase("a"), on.run.live) == ("Running", 1)
    assert on.started(after=60) == []


def test_a_refusal_of_an_attempt_that_was_to_be_ended_cancels() -> None:
    on = bench(node("a"), settings=Settings(deadline_seconds=10))
    on.tell(after=10)
    assert on.phase("a") == "Starting"
    on.tell(refused("a", until=11))
    assert (on.phase("a"), on.state("a").reason) == ("Cancelled", "RunDeadlineExceeded")
    assert on.run.live == 0


# Objects that vanish.


def test_a_vanished_object_is_a_failure_of_the_infrastructure() -> None:
    on = bench(node("a", retry=retries()))
    on.tell(seen("a", running=1))
    on.tell(gone("a", when=9))
    assert (on.phase("a"), on.state("a").reason) == ("Failed", "ObjectGone")
    assert on.state("a").attempts[0].failure_class is INFRA


@pytest.mark.parametrize(
    ("ending", "phase", "reason"),
    [
        pytest.param("TimedOut", "Failed", "TimedOut", id="after a time-out"),
        pytest.param("RunDeadlineExceeded", "Cancelled", "RunDeadlineExceeded", id="after a cancellation"),
        pytest.param("ImagePull", "Failed", "ImagePull", id="after an image that could not be had"),
        pytest.param("Completed", "Failed", "ObjectGone", id="while its sidecars were being ended"),
    ],
)
def test_an_object_that_vanishes_after_we_asked_for_its_end(ending: str, phase: str, reason: str) -> None:
    on = bench(node("a", retry=retries()))
    on.tell(seen("a", ending=ending, deleting=True))
    on.tell(gone("a"))
    assert (on.phase("a"), on.state("a").reason) == (phase, reason)


def test_what_is_gone_before_it_was_seen_is_asked_for_again() -> None:
    on = bench(node("a"))
    assert on.started(gone("a")) == ["a/1"]
    assert (len(on.state("a").attempts), on.run.live) == (1, 1)


# What only this state knows has to be recorded before anything follows from it (invariant S2).


@pytest.mark.parametrize(
    ("before", "end", "follows"),
    [
        pytest.param([seen("a")], gone("a"), ["b/1", "c/1"], id="gone"),
        pytest.param([], refused("a"), ["b/1", "c/1"], id="refused for good"),
    ],
)
def test_an_end_that_no_object_shows_is_recorded_before_anything_starts(
    before: list[Event], end: Event, follows: list[str]
) -> None:
    on = bench(
        node("a", retry=retries()),
        node("b", "a", trigger=TriggerRule.ONE_FAILED),
        node("c"),
        settings=Settings(parallelism=1),
    )
    on.tell(*before)
    on.settings = Settings()
    assert on.started(end) == []
    revision = on.state("a").attempts[0].revision
    assert on.started(StatusRecorded(revision=revision - 1)) == []
    assert on.started(StatusRecorded(revision=revision)) == follows


def test_the_next_attempt_after_one_that_is_gone_waits_for_the_record() -> None:
    on = bench(node("a", retry=retries(infrastructure=1)))
    on.tell(seen("a", running=1))
    assert on.started(gone("a", when=9), after=9) == []
    assert on.started(StatusRecorded(revision=on.run.revision)) == ["a/2"]
    assert on.state("a").attempts[0].reason == "ObjectGone"


# Strangers.


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(seen("nobody"), id="a node that the graph does not have"),
        pytest.param(gone("nobody"), id="gone, of a node that the graph does not have"),
        pytest.param(refused("nobody"), id="refused, of a node that the graph does not have"),
        pytest.param(gone("a", 7), id="gone, of an attempt that nobody started"),
        pytest.param(refused("a", 7), id="refused, of an attempt that nobody started"),
        pytest.param(succeeded("a", object_name="mine"), id="our labels on somebody's pod"),
        pytest.param(succeeded("a", 7, object_name=name_of("a")), id="a number that is not that of the name"),
        pytest.param(seen("a", 0, object_name=name_of("a")), id="no number"),
        pytest.param(seen("a", -1, object_name=name_of("a", -1)), id="a negative number"),
    ],
)
def test_facts_about_strangers_are_left_alone(fact: Event) -> None:
    on = bench(node("a"))
    revision = on.run.revision
    assert on.tell(fact) == QUIET
    assert (on.run.revision, on.phase("a"), len(on.state("a").attempts)) == (revision, "Starting", 1)


def test_a_live_stray_of_a_node_that_is_over_is_ended() -> None:
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"))
    assert on.orders(seen("a", 2)) == []
    (command,) = (each for each in on.orders(on.record()) if isinstance(each, EndAttempt))
    assert (command.object_name, command.reason) == (name_of("a", 2), "Superseded")


def test_a_stray_is_left_alone_until_it_is_on_record_that_it_does_not_count() -> None:
    """It may be of an epoch that another controller has begun; then our record is not accepted (S12)."""
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"))
    on.recorded()
    known = on.run.recorded_revision
    assert on.orders(seen("a", 2)) == on.orders(seen("a", 2, running=1)) == []
    assert on.orders(StatusRecorded(revision=known)) == []
    assert on.ended(on.record()) == [("a/2", "Superseded")]
    assert on.ended(on.record()) == []


def test_a_stray_that_is_on_record_is_ended_after_a_restart() -> None:
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"), seen("a", 2))
    on.recorded()
    assert on.restarted().ended(seen("a", 2)) == [("a/2", "Superseded")]


@pytest.mark.parametrize(
    ("fact", "orders"),
    [
        pytest.param(seen("a", 2, deleting=True), [], id="on its way out: nothing"),
        pytest.param(succeeded("a", 2), ["a/2"], id="ended and held: released"),
        pytest.param(succeeded("a", 2, held=False), [], id="ended and not held: nothing"),
    ],
)
def test_other_strays(fact: Event, orders: list[str]) -> None:
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"))
    on.recorded()
    on.tell(fact)
    assert on.released(on.record()) == orders
    assert on.phase("a") == "Succeeded"
    assert [each.reason for each in on.state("a").attempts] == ["", "Superseded"]


def test_the_numbers_of_a_later_epoch_go_on_after_a_stray() -> None:
    """Else the same attempt would be created twice: its pod may be gone by then."""
    on = bench(node("a"))
    on.tell(failed("a"))
    on.tell(seen("a", 2))
    on.tell(asked("Retry"), after=10)
    assert on.recorded() == ["a/3"]


# A controller that starts afresh finds attempts that it does not know.


def fresh(on: Bench) -> Bench:
    return on.restarted([])


@pytest.mark.parametrize("started", [Phase.WAITING, Phase.QUEUED, Phase.BACKOFF], ids=lambda phase: phase.value)
def test_an_attempt_is_adopted_from_any_phase_without_one(started: Phase) -> None:
    on = bench(node("first"), node("a", "first", retry=retries(1, seconds=60)), begun=started is Phase.WAITING)
    number = 1
    if started is Phase.QUEUED:
        on.tell(succeeded("first"))
        on.tell(refused("a", until=60))
    if started is Phase.BACKOFF:
        on.tell(succeeded("first"))
        on.tell(failed("a"))
        number = 2
    assert on.phase("a") == started.value
    assert on.orders(seen("a", number, running=1)) == []
    assert (on.phase("a"), on.state("a").not_before) == ("Running", None)


def test_attempts_before_the_adopted_one_are_lost_to_the_infrastructure() -> None:
    on = bench(node("a", retry=retries(infrastructure=2)), begun=False)
    on.tell(seen("a", 3, started=30))
    assert [(a.number, a.reason, a.failure_class) for a in on.state("a").attempts] == [
        (1, "Lost", INFRA),
        (2, "Lost", INFRA),
        (3, "", None),
    ]


def test_a_lost_attempt_that_turns_up_gets_its_true_end_and_is_released_once_that_is_recorded() -> None:
    on = bench(node("a", retry=retries(1, 5)), begun=False)
    on.tell(seen("a", 2, started=30))
    planned = on.tell(failed("a", 1, end=20))
    assert planned.commands == ()
    assert [each.told for each in planned.ended] == [FailureClass.USER]
    assert (on.state("a").attempts[0].reason, on.phase("a")) == ("ExitCode", "Starting")
    assert on.released(StatusRecorded(revision=on.run.revision)) == ["a/1"]
    # The user's budget is used up by these two.
    on.tell(failed("a", 2, end=40), after=40)
    assert on.phase("a") == "Failed"


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]], ids=str)
def test_a_history_is_adopted_in_any_order(order: list[int]) -> None:
    history = [failed("a", 1, INFRA, end=10), failed("a", 2, end=20), seen("a", 3, running=25)]
    on = bench(node("a", retry=retries(1, 1, seconds=1)), begun=False)
    assert on.orders(*(history[i] for i in order), after=26) == []
    assert [(a.number, a.failure_class) for a in on.state("a").attempts] == [
        (1, INFRA),
        (2, FailureClass.USER),
        (3, None),
    ]
    assert (on.phase("a"), on.run.live, on.state("a").attempts[2].running_at) == ("Running", 1, at(25))


@pytest.mark.parametrize(
    "late", [gone("a", when=30), failed("a", 1, end=20), succeeded("a", end=20)], ids=["gone", "failed", "succeeded"]
)
def test_the_end_of_an_older_attempt_does_not_decide(late: Event) -> None:
    # A controller started attempt 2 and died before it had recorded the end of attempt 1.
    on = bench(node("a", retry=retries(5, 5)))
    on.tell(seen("a", running=1))
    on = on.restarted()
    on.tell(StatusRecorded(revision=10**9))
    assert on.orders(seen("a", 2, running=30), after=31) == []
    assert on.released(late) == ([] if late == gone("a", when=30) else ["a/1"])
    assert (on.phase("a"), on.run.live) == ("Running", 1)
    assert on.started(after=3600) == []
    on.tell(succeeded("a", 2, end=40, running=30))
    assert on.phase("a") == "Succeeded"


# Releasing what is held (invariant S4).


def test_the_end_of_a_job_is_recorded_before_anything_starts_from_it() -> None:
    """It is held, but its pods, which tell how it has ended, are not."""
    on = bench(node("job", work=FakeWork({}, kind=WorkKind.JOB)), node("next", "job"))
    assert on.started(succeeded("job")) == []
    assert on.recorded() == ["next/1"]


def test_nothing_is_released_before_its_end_is_recorded() -> None:
    on = bench(node("a"), node("b", "a"))
    assert on.released(succeeded("a")) == []
    revision = on.state("a").attempts[0].revision
    assert on.released(StatusRecorded(revision=revision - 1)) == []
    assert on.released(StatusRecorded(revision=revision)) == ["a/1"]
    assert on.released(StatusRecorded(revision=revision)) == []


def test_an_older_record_than_the_last_one_changes_nothing() -> None:
    on = bench(node("a"), node("b"))
    on.tell(StatusRecorded(revision=1000))
    on.tell(StatusRecorded(revision=0))
    assert on.run.recorded_revision == 1000


def test_ends_are_released_as_far_as_they_are_recorded() -> None:
    on = bench(node("a"), node("b"), node("c"))
    on.tell(succeeded("b"))
    revision = on.run.revision
    on.tell(succeeded("a"))
    assert on.released(StatusRecorded(revision=revision)) == ["b/1"]
    assert on.released(StatusRecorded(revision=on.run.revision)) == ["a/1"]


@pytest.mark.parametrize("end", [failed("a", 1, INFRA), succeeded("a")], ids=["failed", "succeeded"])
def test_what_is_not_held_is_not_released(end: Event) -> None:
    on = bench(node("a", retry=retries(infrastructure=1)), node("b"))
    on.tell(end)
    on.tell(gone("a"))
    assert on.released(StatusRecorded(revision=on.run.revision)) == []


def test_a_failed_attempt_is_released_although_its_node_goes_on() -> None:
    on = bench(node("a", retry=retries(1)))
    on.tell(failed("a"))
    assert on.released(StatusRecorded(revision=on.run.revision)) == ["a/1"]


def test_what_is_still_held_after_a_restart_is_released_when_seen() -> None:
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"))
    on = on.restarted()
    (command,) = on.orders(succeeded("a"), seen("b"))
    assert isinstance(command, ReleaseAttempt)
    assert command.object_name == name_of("a")


def test_an_end_that_the_record_does_not_know_is_not_released_after_a_restart() -> None:
    on = bench(node("a"), node("b"))
    on.tell(seen("a"))
    on = on.restarted()
    assert on.released(succeeded("a"), seen("b")) == []
    assert on.phase("a") == "Succeeded"


def test_releases_go_on_after_the_end_of_the_run() -> None:
    on = bench(node("a"))
    on.tell(succeeded("a"))
    assert on.run.outcome is not None
    assert on.released(StatusRecorded(revision=on.run.revision)) == ["a/1"]


# What anybody could claim.


@pytest.mark.parametrize(
    ("number", "believed"),
    [(2, True), (5, True), (6, False), (3_000_000, False)],
    ids=["the next", "as many lost as the budgets allow", "one more", "absurd"],
)
def test_an_attempt_that_the_budgets_do_not_allow_is_ignored(number: int, believed: bool) -> None:
    on = bench(node("a", retry=retries(2, infrastructure=1)))
    orders = on.orders(seen("a", number))
    assert len(on.state("a").attempts) == (number if believed else 1)
    assert orders == []


@pytest.mark.parametrize("outcome", [True, False], ids=["ended", "live"])
def test_nor_is_its_object_touched_once_its_node_is_over(outcome: bool) -> None:
    on = bench(node("a"), node("b"))
    on.tell(succeeded("a"))
    stray = succeeded("a", 3_000_000) if outcome else seen("a", 3_000_000)
    assert on.orders(stray) == []


# An end without a witness (invariant S2).


def test_an_end_whose_object_is_not_held_is_recorded_before_a_child_starts() -> None:
    on = bench(node("a"), node("b", "a"))
    assert on.started(succeeded("a", held=False)) == []
    assert on.started(StatusRecorded(revision=on.run.revision)) == ["b/1"]


def test_an_end_whose_witness_vanishes_is_recorded_before_a_child_starts() -> None:
    on = bench(node("a"), node("b"), node("c", "a", "b"))
    on.tell(succeeded("a"), seen("b"))
    on.tell(gone("a"))
    assert on.started(succeeded("b")) == []
    assert on.started(StatusRecorded(revision=on.run.revision)) == ["c/1"]


def test_so_is_one_whose_finalizer_somebody_takes_off() -> None:
    on = bench(node("a"), node("b"), node("c", "a", "b"))
    on.tell(succeeded("a"), seen("b"))
    on.tell(succeeded("a", held=False))
    assert on.started(succeeded("b")) == []


def test_an_end_that_is_recorded_needs_no_witness() -> None:
    on = bench(node("a"), node("b"), node("c", "a", "b"))
    on.tell(succeeded("a"), seen("b"))
    on.tell(StatusRecorded(revision=on.run.revision))
    on.tell(gone("a"))
    assert on.started(succeeded("b")) == ["c/1"]
