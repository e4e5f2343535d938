from __future__ import annotations

from e2e.chaos.table import Row, table, verdict


def test_what_was_survived_is_summed_up() -> None:
    rows = [Row("killed", times=100, runs=9, attempts=1234), Row("evicted", times=3, runs=1, attempts=10)]

    told = table(rows).splitlines()

    assert " ".join(told[0].split()) == "fault times runs attempts no record lost repeated restarts seconds"
    assert told[1].split() == ["killed", "100", "9", "1,234", "0", "0", "0", "0", "0"]
    assert told[-5:-3] == ["faults survived: 103 of 103", "attempts: 1,244"]
    assert told[-2:] == ["lost: 0", "repeated: 0"]
    assert verdict(rows) == 0


def test_attempts_without_a_record_are_none_of_those_of_which_none_was_lost() -> None:
    told = table([Row("namespace-deleted", times=2, runs=1, attempts=50, unrecorded=1200)]).splitlines()

    assert told[1].split()[3:5] == ["50", "1,200"]
    assert told[-4:-2] == ["attempts: 50", "attempts whose record was deleted, looked at for repetition only: 1,200"]


def test_a_problem_fails_its_fault_and_the_whole() -> None:
    rows = [Row("killed", times=2), Row("evicted", times=3, problems=["something"])]

    told = table(rows)

    assert "faults survived: 2 of 5" in told
    assert "evicted: something" in told
    assert told.splitlines()[2].endswith("FAILED")
    assert verdict(rows) == 1


def test_what_was_lost_or_repeated_fails_the_whole() -> None:
    assert verdict([Row("killed", times=1, lost=1)]) == 1
    assert verdict([Row("killed", times=1, repeated=1)]) == 1


def test_a_fault_that_never_struck_proves_nothing() -> None:
    assert verdict([Row("killed")]) == 1
    assert verdict([]) == 1
