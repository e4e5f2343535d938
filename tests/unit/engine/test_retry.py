"""Which budget a failure is charged to, and how long the next attempt waits."""

from datetime import timedelta

import pytest
from tests.unit.engine.kit import bench, failed, node, retries

from fairlead.engine.model import Backoff, FailureClass, Jitter, RetryPolicy
from fairlead.engine.retry import backoff_seconds, decide_retry
from fairlead.engine.state import Attempt, NodeState

USER, INFRA, CONFIG, TIMEOUT = (
    FailureClass.USER,
    FailureClass.INFRASTRUCTURE,
    FailureClass.CONFIGURATION,
    FailureClass.TIMEOUT,
)


def again(policy: RetryPolicy, *classes: FailureClass | None, reason: str = "") -> bool:
    """Whether there is another attempt after attempts that failed with these classes, the last one now."""
    attempts = [
        Attempt(number=i, object_name=f"o{i}", failure_class=class_, reason=reason)
        for i, class_ in enumerate(classes, start=1)
    ]
    on = bench(node("a", retry=policy), begun=False)
    state = NodeState(node=node("a", retry=policy), attempts=attempts)
    return decide_retry(on.graph, on.run, state, attempts[-1]).again


@pytest.mark.parametrize(
    ("policy", "classes", "expected"),
    [
        pytest.param(RetryPolicy(), [USER], False, id="by default a user's failure is final"),
        pytest.param(RetryPolicy(), [INFRA] * 5, True, id="by default the fifth infrastructure failure is not"),
        pytest.param(RetryPolicy(), [INFRA] * 6, False, id="by default the sixth infrastructure failure is final"),
        pytest.param(retries(2), [USER, USER], True, id="limit 2: after the second failure"),
        pytest.param(retries(2), [USER, USER, USER], False, id="limit 2: not after the third"),
        pytest.param(retries(1, 1), [INFRA, USER], True, id="infrastructure is not charged to the user"),
        pytest.param(retries(1, 1), [USER, INFRA], True, id="the user is not charged to infrastructure"),
        pytest.param(retries(1, 1), [INFRA, USER, INFRA], False, id="infrastructure is over its limit"),
        pytest.param(retries(1, 1), [USER, INFRA, USER], False, id="the user is over its limit"),
        pytest.param(retries(5, 5), [CONFIG], False, id="configuration is final"),
        pytest.param(retries(5), [TIMEOUT], False, id="a time-out is final"),
        pytest.param(retries(1, on_timeout=True), [TIMEOUT], True, id="unless onTimeout"),
        pytest.param(retries(1, on_timeout=True), [USER, TIMEOUT], False, id="a time-out is charged to the user"),
        pytest.param(retries(1, on_timeout=True), [TIMEOUT, USER], False, id="and the other way round"),
        pytest.param(retries(5, 5), [None], False, id="what did not fail is not tried again"),
        pytest.param(retries(0, 0), [INFRA], False, id="no infrastructure budget"),
    ],
)
def test_budgets(policy: RetryPolicy, classes: list[FailureClass | None], expected: bool) -> None:
    assert again(policy, *classes) is expected


@pytest.mark.parametrize(
    "reason", ["ApprovalTimeout", "DeadlineExceeded", "ExpressionError", "OutcomeUnknown", "Rejected"]
)
def test_some_reasons_are_final_whatever_the_budget(reason: str) -> None:
    assert not again(retries(5, 5, on_timeout=True), TIMEOUT, reason=reason)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (7, 300), (5000, 300)]
)
def test_delays_grow_up_to_the_maximum(failures: int, seconds: float) -> None:
    assert backoff_seconds(Backoff(), failures, "seed") == seconds


def test_a_factor_of_one_keeps_the_delay() -> None:
    assert backoff_seconds(Backoff(initial_seconds=7, factor=1), 40, "seed") == 7


def test_the_greatest_policy_that_the_api_allows_does_not_overflow() -> None:
    backoff = Backoff(initial_seconds=86_400, factor=100, max_seconds=604_800)
    assert backoff_seconds(backoff, 2048, "seed") == 604_800


def test_full_jitter_is_between_zero_and_the_delay_and_repeatable() -> None:
    backoff = Backoff(jitter=Jitter.FULL)
    delays = [backoff_seconds(backoff, 1, f"uid/a/{number}") for number in range(200)]
    assert delays == [backoff_seconds(backoff, 1, f"uid/a/{number}") for number in range(200)]
    assert all(0 <= delay < 10 for delay in delays)
    assert len(set(delays)) == 200
    assert 4 < sum(delays) / 200 < 6


def test_jitter_is_seeded_by_run_node_and_attempt() -> None:
    policy = RetryPolicy(limit=9, backoff=Backoff(jitter=Jitter.FULL))

    def delay(uid: str, name: str, number: int) -> timedelta:
        attempt = Attempt(number=number, object_name="o", failure_class=USER)
        on = bench(node(name, retry=policy), begun=False)
        on.run.uid = uid
        state = NodeState(node=node(name, retry=policy), attempts=[attempt])
        return decide_retry(on.graph, on.run, state, attempt).delay

    assert len({delay("u1", "a", 1), delay("u2", "a", 1), delay("u1", "b", 1), delay("u1", "a", 2)}) == 4


def test_each_class_has_a_back_off_of_its_own() -> None:
    on = bench(node("a", retry=RetryPolicy(limit=9, infrastructure_limit=9, backoff=Backoff(initial_seconds=10))))
    waits = []
    for number, class_ in enumerate((USER, USER, INFRA, USER), start=1):
        on.tell(failed("a", number, class_, end=on.seconds))
        before, on.seconds = on.seconds, (on.state("a").not_before - failed("a").started_at).total_seconds()  # type: ignore[operator]
        waits.append(on.seconds - before)
        on.tell()
    assert waits == [10, 20, 10, 40]
