"""Attempts without an object outlive what memory has of their run, and no longer than anybody may ask for them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.controllers.errand_kit import a_run, began, outcome, seen, start, waits

from fairlead.controllers.errands import Errand, Errands
from fairlead.controllers.refusals import OPERATOR_FORBIDDEN
from fairlead.engine.commands import EndAttempt
from fairlead.engine.model import WorkKind
from fairlead.engine.state import Outcome, Result

DONE = Outcome(result=Result.SUCCEEDED, finished_at=datetime(2026, 11, 22, tzinfo=UTC), values={"a": 1})
END = EndAttempt(node="call", number=1, object_name="daily-call-1", kind=WorkKind.HTTP, reason="TimedOut")
CALL = start("call", WorkKind.HTTP, None)


class Carrier:
    def __init__(self) -> None:
        self.begun: list[Errand] = []
        self.cancelled: list[Errand] = []

    def begin(self, errand: Errand) -> None:
        self.begun.append(errand)

    def cancel(self, errand: Errand) -> None:
        self.cancelled.append(errand)

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


def test_a_run_is_stalled_while_the_operator_lacks_a_right(errands: Errands, carrier: Carrier) -> None:
    run = a_run()
    errands.start(run, CALL)
    carrier.begun[0].waits(OPERATOR_FORBIDDEN, "cannot impersonate")
    assert "cannot impersonate" in run.stalled
    carrier.begun[0].waits("", "")
    assert run.stalled == ""
