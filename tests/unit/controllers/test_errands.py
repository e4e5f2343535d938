"""Attempts without an object outlive what memory has of their run, and no longer than anybody may ask for them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.controllers.errand_kit import a_run, began, outcome, seen, start, waits

from fairlead.controllers.errands import Errand, Errands
from fairlead.controllers.refusals import OPERATOR_FORBIDDEN
from fairlead.controllers.run import Run
from fairlead.engine.commands import EndAttempt, StartAttempt
from fairlead.engine.model import WorkKind
from fairlead.engine.state import Outcome, Result, Unsent

DONE = Outcome(result=Result.SUCCEEDED, finished_at=datetime(2026, 11, 22, tzinfo=UTC), values={"a": 1})
END = EndAttempt(node="call", number=1, object_name="daily-call-1", kind=WorkKind.HTTP, reason="TimedOut")
CALL = start("call", WorkKind.HTTP, None)
OTHER = start("other", WorkKind.HTTP, None)


class Carrier:
    def __init__(self) -> None:
        self.begun: list[Errand] = []
        self.cancelled: list[Errand] = []
        self.withdrawn: list[Errand] = []
        self.unrepeatable = True

    def begin(self, errand: Errand) -> None:
        self.begun.append(errand)

    def cancel(self, errand: Errand) -> None:
        self.cancelled.append(errand)

    def is_unrepeatable(self, start: StartAttempt) -> bool:
        return self.unrepeatable and not start.resumed

    def withdraw(self, errand: Errand) -> None:
        self.withdrawn.append(errand)

    async def settle(self, seconds: float) -> None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def notified() -> list[str]:
    return []


@pytest.fixture
def errands(carrier: Carrier, notified: list[str]) -> Errands:
    return Errands({WorkKind.HTTP: carrier}, notified.append)


def test_what_comes_of_it_is_a_fact_of_its_run(errands: Errands, carrier: Carrier, notified: list[str]) -> None:
    run = a_run()
    errands.start(run, CALL)
    [errand] = carrier.begun
    errand.waits("ApiUnavailable", "away")
    errand.ends(DONE)
    assert waits(run, "call") == ["ApiUnavailable"]
    assert outcome(run, "call") == DONE
    assert {(fact.number, fact.object_name, fact.held) for fact in seen(run, "call")} == {(1, "daily-call-1", False)}
    assert notified == ["u1", "u1"]


def test_nothing_is_told_twice(errands: Errands, carrier: Carrier) -> None:
    run = a_run()
    errands.start(run, CALL)
    [errand] = carrier.begun
    for _ in range(3):
        errand.waits("Forbidden", "no")
    errand.ends(DONE)
    errand.ends(DONE)
    errand.waits("Forbidden", "late")
    assert len(run.inbox) == 2


def test_it_is_begun_once_however_often_it_is_asked_for(errands: Errands, carrier: Carrier) -> None:
    run = a_run()
    errands.start(run, CALL)
    errands.start(run, CALL)
    assert len(carrier.begun) == 1


def test_the_end_of_one_that_the_engine_gave_up(errands: Errands, carrier: Carrier) -> None:
    run = a_run()
    errands.start(run, CALL)
    errands.end(run, END)
    errands.end(run, END)
    assert (carrier.cancelled, len(errands)) == (carrier.begun, 0)


class TestRunsThatAreReadAgain:
    """Their memory is dropped while the request is under way; the engine then asks for it as `resumed`."""

    def test_it_goes_on(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        errands.start(before, CALL)
        before.closed = True
        errands.start(after, start("call", WorkKind.HTTP, None, resumed=True))
        carrier.begun[0].ends(DONE)
        assert len(carrier.begun) == 1
        assert (before.inbox, outcome(after, "call")) == ([], DONE)

    def test_what_came_in_between_is_told(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        errands.start(before, CALL)
        before.closed = True
        carrier.begun[0].ends(DONE)
        errands.start(after, CALL)
        assert outcome(after, "call") == DONE

    def test_what_was_told_and_never_recorded_is_told_again(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        errands.start(before, CALL)
        carrier.begun[0].ends(DONE)
        before.closed = True
        errands.start(after, CALL)
        assert outcome(after, "call") == DONE

    def test_so_is_why_it_waits(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        errands.start(before, CALL)
        carrier.begun[0].waits("Forbidden", "no")
        before.closed = True
        errands.start(after, CALL)
        assert waits(after, "call") == ["Forbidden"]


def about_to_send(run: Run, *, resumed: bool = False) -> None:
    """The start of the request is being put on record."""
    began(run, "call")
    run.state.unsent["call", 1] = Unsent(0, resumed=resumed)


class TestWhatWasNotSent:
    """The start is on record before the request is sent: to whoever reads only that, it may have been."""

    def test_is_sent_by_whoever_knows_that(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        about_to_send(before)
        errands.remember(before)
        errands.start(after, start("call", WorkKind.HTTP, None, resumed=True))
        assert not carrier.begun[0].start.resumed

    def test_is_known_for_one_start_only(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        about_to_send(before)
        errands.remember(before)
        for _ in range(2):
            errands.start(after, start("call", WorkKind.HTTP, None, resumed=True))
            errands.end(after, END)  # and its end is not on record yet when the run is read again
        assert [errand.start.resumed for errand in carrier.begun] == [False, True]

    @pytest.mark.parametrize("forgotten", [True, False])
    def test_what_is_in_doubt_stays_so(self, errands: Errands, carrier: Carrier, forgotten: bool) -> None:
        before, after = a_run(), a_run()
        about_to_send(before, resumed=not forgotten)
        errands.remember(before)
        assert set(errands.runs) == ({"u1"} if forgotten else set())
        errands.forget("u1")
        errands.start(after, start("call", WorkKind.HTTP, None, resumed=True))
        assert carrier.begun[0].start.resumed


class TestHandingOver:
    """A run is somebody else's only when nothing of it would be in doubt for that."""

    def test_what_can_be_repeated_is_in_nobodys_way(self, errands: Errands, carrier: Carrier) -> None:
        carrier.unrepeatable = False
        run = a_run()
        errands.start(run, CALL)
        assert errands.finish("u1", run)
        assert errands.finish("u2", None)
        assert carrier.withdrawn == []

    def test_until_the_end_of_what_cannot_is_on_record(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        attempt = began(run, "call")
        errands.start(run, CALL)
        assert not errands.finish("u1", run)
        assert carrier.withdrawn == carrier.begun
        carrier.begun[0].ends(DONE)
        assert not errands.finish("u1", run)
        attempt.finished_at, attempt.revision = DONE.finished_at, 7
        assert not errands.finish("u1", run)
        run.state.recorded_revision = 7
        assert not errands.finish("u1", None)  # it is being read again
        assert errands.finish("u1", run)
        assert len(carrier.withdrawn) == 1

    def test_as_long_as_something_is_about_to_be_sent(self, errands: Errands) -> None:
        run = a_run()
        about_to_send(run)
        assert not errands.finish("u1", run)
        errands.remember(run)
        assert not errands.finish("u1", None)
        run.state.unsent.clear()
        assert errands.finish("u1", run)


class TestHowLongItIsKept:
    def test_until_its_end_is_on_record(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        attempt = began(run, "call")
        errands.start(run, CALL)
        carrier.begun[0].ends(DONE)
        errands.resync(run)
        assert len(errands) == 1  # not even planned for
        attempt.finished_at, attempt.revision = DONE.finished_at, 7
        errands.resync(run)
        assert len(errands) == 1  # not recorded
        run.state.recorded_revision = 7
        errands.resync(run)
        assert len(errands) == 0

    def test_also_that_of_a_run_that_was_read_again(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        errands.start(before, CALL)
        carrier.begun[0].ends(DONE)
        before.closed = True
        attempt = began(after, "call")
        attempt.finished_at = DONE.finished_at
        errands.resync(after)
        assert len(errands) == 0

    def test_one_under_way_is_kept(self, errands: Errands) -> None:
        run = a_run()
        began(run, "call")
        errands.start(run, CALL)
        errands.resync(run)
        assert len(errands) == 1

    def test_no_longer_than_its_run(self, errands: Errands, carrier: Carrier) -> None:
        run, other = a_run("u1"), a_run("u2")
        errands.start(run, CALL)
        errands.start(other, CALL)
        errands.forget("u1")
        errands.forget("u1")
        assert carrier.cancelled == [carrier.begun[0]]
        assert len(errands) == 1


class TestStalledRuns:
    """A run is stalled while the operator lacks a right for one of its errands."""

    @staticmethod
    def forbidden(errands: Errands, carrier: Carrier, run: Run, *starts: StartAttempt) -> None:
        """Errands that all lack the same right."""
        for each in starts:
            errands.start(run, each)
            carrier.begun[-1].waits(OPERATOR_FORBIDDEN, "cannot impersonate")
        assert run.stalled == "the operator may not go on: cannot impersonate"

    def test_until_it_gets_on(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        self.forbidden(errands, carrier, run, CALL)
        carrier.begun[0].waits("", "")
        assert run.stalled == ""

    def test_until_it_waits_for_something_else(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        self.forbidden(errands, carrier, run, CALL)
        carrier.begun[0].waits("ApiUnavailable", "away")
        assert run.stalled == ""

    @pytest.mark.parametrize("first", [0, 1])
    def test_until_the_last_one_gets_on(self, errands: Errands, carrier: Carrier, first: int) -> None:
        run = a_run()
        self.forbidden(errands, carrier, run, CALL, OTHER)
        carrier.begun[first].waits("", "")
        assert "cannot impersonate" in run.stalled
        carrier.begun[1 - first].waits("", "")
        assert run.stalled == ""

    def test_one_that_never_lacked_it_changes_nothing(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        self.forbidden(errands, carrier, run, CALL)
        errands.start(run, OTHER)
        carrier.begun[1].waits("ApiUnavailable", "away")
        carrier.begun[1].waits("", "")
        carrier.begun[1].ends(DONE)
        assert "cannot impersonate" in run.stalled

    def test_not_by_one_that_is_given_up(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        self.forbidden(errands, carrier, run, CALL)
        errands.end(run, END)
        assert run.stalled == ""

    def test_but_by_the_others_when_one_is_given_up(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        self.forbidden(errands, carrier, run, CALL, OTHER)
        errands.end(run, END)
        assert "cannot impersonate" in run.stalled
        carrier.begun[1].ends(DONE)
        assert run.stalled == ""

    def test_not_by_one_that_ends(self, errands: Errands, carrier: Carrier) -> None:
        run = a_run()
        self.forbidden(errands, carrier, run, CALL)
        carrier.begun[0].ends(DONE)
        assert run.stalled == ""
        assert outcome(run, "call") == DONE

    def test_also_when_it_is_read_again(self, errands: Errands, carrier: Carrier) -> None:
        before, after = a_run(), a_run()
        self.forbidden(errands, carrier, before, CALL)
        before.closed = True
        errands.start(after, CALL)
        assert "cannot impersonate" in after.stalled
        carrier.begun[0].waits("", "")
        assert after.stalled == ""

    @pytest.mark.parametrize("over", [False, True])
    def test_not_when_it_has_got_on_before_it_is_read_again(
        self, errands: Errands, carrier: Carrier, over: bool
    ) -> None:
        before, after = a_run(), a_run()
        self.forbidden(errands, carrier, before, CALL)
        before.closed = True
        if over:
            carrier.begun[0].ends(DONE)
        else:
            carrier.begun[0].waits("", "")
        errands.start(after, CALL)
        assert after.stalled == ""
