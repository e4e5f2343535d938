"""What is counted of an attempt that has ended: what it is told as, and how long it took."""

from __future__ import annotations

import pytest
from tests.unit.engine.kit import at

from fairlead.engine.model import FailureClass, WorkKind
from fairlead.engine.state import Attempt, EndedAttempt, Result


def attempt(failure_class: FailureClass | None = None, **times: float) -> Attempt:
    moments = {f"{name}_at": at(seconds) for name, seconds in times.items()}
    return Attempt(number=1, object_name="a", failure_class=failure_class, **moments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "failure_class", "told"),
    [
        (Result.SUCCEEDED, None, "Succeeded"),
        (Result.SKIPPED, None, "Skipped"),
        (Result.CANCELLED, None, "Cancelled"),
        (Result.FAILED, FailureClass.INFRASTRUCTURE, "Infrastructure"),
        (Result.FAILED, None, "User"),
    ],
)
def test_it_is_told_by_its_result_or_the_class_of_its_failure(
    result: Result, failure_class: FailureClass | None, told: str
) -> None:
    assert EndedAttempt.of(attempt(failure_class, finished=9), WorkKind.POD, result).told == told


def test_its_times() -> None:
    ended = EndedAttempt.of(attempt(started=1, running=4, finished=10), WorkKind.POD, Result.SUCCEEDED)
    assert (ended.starting_seconds, ended.running_seconds) == (3, 6)


def test_one_that_never_ran_has_none() -> None:
    ended = EndedAttempt.of(attempt(started=1, finished=10), WorkKind.POD, Result.SUCCEEDED)
    assert (ended.starting_seconds, ended.running_seconds) == (None, None)


def test_clocks_that_disagree_make_no_negative_time() -> None:
    ended = EndedAttempt.of(attempt(started=5, running=4, finished=3), WorkKind.POD, Result.SUCCEEDED)
    assert (ended.starting_seconds, ended.running_seconds) == (0, 0)
