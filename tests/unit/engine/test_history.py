"""Which runs that have ended are not kept: by their time to live, or as there are too many like them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.engine.history import NO_LIMITS, Cause, Ended, HistoryLimits, Obstacle, judge, surplus

T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def ended(uid: str, minute: int = 0, *, template: str = "", succeeded: bool = True, namespace: str = "ns") -> Ended:
    finished_at = T0 + timedelta(minutes=minute)
    return Ended(uid=uid, namespace=namespace, template=template, succeeded=succeeded, finished_at=finished_at)


def beyond(
    runs: list[Ended], namespace: HistoryLimits = NO_LIMITS, templates: dict[str, HistoryLimits] | None = None
) -> set[str]:
    found = surplus(runs, lambda _: namespace, lambda _, name: (templates or {}).get(name, NO_LIMITS))
    return set(found)


class TestSurplus:
    def test_without_limits_all_are_kept(self) -> None:
        assert beyond([ended("a"), ended("b", template="t")]) == set()

    def test_the_latest_are_kept(self) -> None:
        assert beyond([ended("old", 1), ended("new", 3), ended("mid", 2)], HistoryLimits(succeeded=2)) == {"old"}

    def test_of_those_that_ended_in_the_same_second_it_is_always_the_same_ones(self) -> None:
        runs = [ended("b"), ended("a"), ended("c")]
        assert beyond(runs, HistoryLimits(succeeded=1)) == beyond(runs[::-1], HistoryLimits(succeeded=1)) == {"a", "b"}

    def test_none_may_be_kept(self) -> None:
        assert beyond([ended("a")], HistoryLimits(succeeded=0)) == {"a"}

    def test_success_and_failure_are_counted_apart(self) -> None:
        runs = [ended("bad", 1, succeeded=False), ended("good", 2), ended("worse", 3, succeeded=False)]
        assert beyond(runs, HistoryLimits(succeeded=1, failed=1)) == {"bad"}

    def test_namespaces_are_counted_apart(self) -> None:
        runs = [ended("a", 1), ended("b", 2, namespace="other")]
        assert beyond(runs, HistoryLimits(succeeded=1)) == set()

    def test_a_template_has_limits_of_its_own(self) -> None:
        runs = [ended("a", 1, template="t"), ended("b", 2, template="t"), ended("c", 0), ended("d", 0, template="u")]
        assert beyond(runs, templates={"t": HistoryLimits(succeeded=1)}) == {"a"}

    def test_a_run_is_kept_only_within_both(self) -> None:
        runs = [ended("a", 1, template="t"), ended("b", 2, template="t"), ended("c", 3)]
        assert beyond(runs, HistoryLimits(succeeded=2), {"t": HistoryLimits(succeeded=5)}) == {"a"}

    @given(
        st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from(["", "t"])), max_size=20),
        st.none() | st.integers(0, 5),
        st.none() | st.integers(0, 5),
    )
    def test_what_is_kept_is_as_much_as_was_asked_for_and_later_than_what_is_not(
        self, made: list[tuple[int, bool, str]], succeeded: int | None, failed: int | None
    ) -> None:
        runs = [
            ended(f"{i:02}", minute, succeeded=ok, template=template) for i, (minute, ok, template) in enumerate(made)
        ]
        gone = beyond(runs, HistoryLimits(succeeded, failed))
        for ok, limit in ((True, succeeded), (False, failed)):
            alike = [run for run in runs if run.succeeded is ok]
            kept = [run for run in alike if run.uid not in gone]
            assert len(kept) == (len(alike) if limit is None else min(limit, len(alike)))
            left = [run for run in alike if run.uid in gone]
            assert all(one.finished_at <= other.finished_at for one in left for other in kept)


class TestJudge:
    @pytest.mark.parametrize(
        ("ttl", "is_surplus", "age", "seconds", "cause"),
        [
            pytest.param(None, False, 1000, None, None, id="kept for ever"),
            pytest.param(60, False, 10, 50.0, Cause.TTL, id="its time has not come"),
            pytest.param(60, False, 60, 0.0, Cause.TTL, id="its time has come"),
            pytest.param(0, False, 0, 0.0, Cause.TTL, id="not kept at all"),
            pytest.param(None, True, 0, 0.0, Cause.HISTORY, id="too many"),
            pytest.param(60, True, 10, 0.0, Cause.HISTORY, id="too many, before its time"),
            pytest.param(60, True, 70, -10.0, Cause.TTL, id="both"),
        ],
    )
    def test_when_a_run_is_due(
        self, ttl: int | None, is_surplus: bool, age: int, seconds: float | None, cause: Cause | None
    ) -> None:
        now = T0 + timedelta(seconds=age)
        verdict = judge(finished_at=T0, now=now, ttl_seconds=ttl, is_surplus=is_surplus)
        assert (verdict.seconds, verdict.cause) == (seconds, cause)
        assert verdict.deletes is (seconds is not None and seconds <= 0)

    @pytest.mark.parametrize("obstacle", Obstacle)
    def test_nothing_is_deleted_while_something_is_in_the_way(self, obstacle: Obstacle) -> None:
        verdict = judge(finished_at=T0, now=T0, ttl_seconds=0, is_surplus=True, obstacles=iter([obstacle]))
        assert verdict.is_due
        assert not verdict.deletes

    def test_what_is_in_the_way_is_not_looked_for_before_its_time(self) -> None:
        def never() -> Obstacle:
            raise AssertionError

        verdict = judge(finished_at=T0, now=T0, ttl_seconds=60, is_surplus=False, obstacles=(never() for _ in range(1)))
        assert verdict.seconds == 60
