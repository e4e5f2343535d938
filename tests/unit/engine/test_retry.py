"""Which budget a failure is charged to, and how long the next attempt waits."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.engine.kit import Value, asked, at, bench, failed, node, retries

from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import StatusRecorded
from fairlead.engine.model import Backoff, FailureClass, Jitter, RetryPolicy, RetryRule
from fairlead.engine.retry import RetryDecision, backoff_seconds, decide_retry
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


def test_full_jitter_is_the_same_in_every_process() -> None:
    assert backoff_seconds(Backoff(jitter=Jitter.FULL), 1, "uid/a/1") == pytest.approx(9.719891973)


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


# Rules: by exit code, reason or expression, each with a budget of its own.


def after(policy: RetryPolicy, *ends: tuple[FailureClass, str, int | None]) -> RetryDecision:
    """What follows after attempts that failed like that (class, reason, exit code), the last one now."""
    attempts = [
        Attempt(number=i, object_name=f"o{i}", failure_class=class_, reason=reason, exit_code=code, finished_at=at(i))
        for i, (class_, reason, code) in enumerate(ends, start=1)
    ]
    on = bench(node("a", retry=policy), begun=False)
    state = on.run.nodes["a"]
    state.attempts = attempts
    return decide_retry(on.graph, on.run, state, attempts[-1])


EXIT_75 = (USER, "ExitCode", 75)
EXIT_1 = (USER, "ExitCode", 1)
OOM = (USER, "OOMKilled", 137)
PULL = (CONFIG, "ImagePull", None)
EVICTED = (INFRA, "EvictionByEvictionAPI", 137)


@pytest.mark.row("B5")
@pytest.mark.parametrize(
    ("rule", "ends", "expected"),
    [
        pytest.param({"exit_codes": {75}, "limit": 1}, [EXIT_75], True, id="an exit code"),
        pytest.param({"exit_codes": {75}, "limit": 1}, [EXIT_75, EXIT_75], False, id="up to the rule's limit"),
        pytest.param({"exit_codes": {75}, "limit": 1}, [EXIT_1], False, id="what does not match is not retried"),
        pytest.param({"exit_codes": {137}, "limit": 1}, [EVICTED], True, id="an eviction has its own budget"),
        pytest.param({"reasons": {"OOMKilled"}, "limit": 1}, [OOM], True, id="a reason"),
        pytest.param({"reasons": {"TimedOut"}, "limit": 1}, [(TIMEOUT, "TimedOut", 137)], True, id="a time-out"),
        pytest.param({"reasons": {"ImagePull"}, "limit": 1}, [(CONFIG, "ImagePull", None)], True, id="configuration"),
        pytest.param(
            {"when": Value(lambda scope: "busy" in scope["attempt"]["message"]), "limit": 1},
            [EXIT_1],
            False,
            id="an expression that is false",
        ),
        pytest.param(
            {"when": Value(lambda scope: scope["attempt"]["exitCode"] == 1), "limit": 1},
            [EXIT_1],
            True,
            id="an expression that is true",
        ),
        pytest.param({"when": Value(error="no"), "limit": 1}, [EXIT_1], False, id="one that cannot be evaluated"),
        pytest.param(
            {"when": Value(True), "limit": 1}, [(CONFIG, "ImagePull", None)], False, id="of the task's own only"
        ),
    ],
)
def test_rules(rule: dict[str, Any], ends: list[tuple[FailureClass, str, int | None]], expected: bool) -> None:
    for key in ("exit_codes", "reasons"):
        if key in rule:
            rule = {**rule, key: frozenset(rule[key])}
    assert after(RetryPolicy(rules=(RetryRule(**rule),)), *ends).again is expected


@pytest.mark.row("B5")
def test_the_first_rule_that_matches_counts_and_the_others_are_not_charged() -> None:
    rules = (RetryRule(exit_codes=frozenset({75}), limit=1), RetryRule(reasons=frozenset({"ExitCode"}), limit=2))
    policy = RetryPolicy(limit=1, rules=rules)
    assert after(policy, EXIT_75, EXIT_1, EXIT_1).again
    assert not after(policy, EXIT_75, EXIT_1, EXIT_1, EXIT_1).again
    assert not after(policy, EXIT_1, EXIT_75, EXIT_75).again


def test_what_no_rule_matches_has_the_policy_s_budget_for_itself() -> None:
    policy = RetryPolicy(limit=1, rules=(RetryRule(exit_codes=frozenset({75}), limit=3),))
    assert after(policy, EXIT_75, EXIT_75, EXIT_1).again


def test_a_rule_has_a_back_off_of_its_own() -> None:
    slow = RetryRule(exit_codes=frozenset({75}), limit=3, backoff=Backoff(initial_seconds=100, factor=1))
    assert after(RetryPolicy(limit=1, rules=(slow,)), EXIT_75).delay == timedelta(seconds=100)
    assert after(RetryPolicy(limit=1, rules=(slow,)), EXIT_1).delay == timedelta(seconds=10)


@pytest.mark.row("B5")
def test_after_a_failure_the_next_attempt_may_have_more_resources() -> None:
    more = {"limits": {"memory": "2Gi"}}
    rule = RetryRule(reasons=frozenset({"OOMKilled"}), limit=1, resources=more)
    policy = RetryPolicy(limit=1, rules=(rule,), backoff=Backoff(initial_seconds=0))
    on = bench(node("a", retry=policy), begun=False)
    [first] = on.orders()
    [second] = on.orders(failed("a", reason="OOMKilled"), after=2)[-1:]
    [third] = on.orders(failed("a", 2, end=3), after=4)[-1:]
    assert [each.resources for each in (first, second, third) if isinstance(each, StartAttempt)] == [None, more, more]


def test_the_next_epoch_begins_with_the_task_s_own_resources() -> None:
    rule = RetryRule(reasons=frozenset({"OOMKilled"}), limit=0, resources={"limits": {}})
    on = bench(node("a", retry=RetryPolicy(rules=(rule,))))
    on.tell(failed("a", reason="OOMKilled"))
    on.recorded()
    on.tell(asked("Retry"))
    [start] = [c for c in on.tell(StatusRecorded(revision=on.run.revision)).commands if isinstance(c, StartAttempt)]
    assert (start.number, start.resources) == (2, None)


def test_an_exit_code_may_mean_skipped() -> None:
    on = bench(node("a", skip_exit_codes=frozenset({1})), node("b", "a"))
    on.tell(failed("a"))
    assert (on.phase("a"), on.state("a").reason, on.phase("b")) == ("Skipped", "SkipExitCode", "Skipped")
    assert on.state("a").attempts[0].exit_code == 1


def test_whether_a_rule_matches_is_asked_once_for_each_attempt() -> None:
    asked_for: list[int] = []
    rule = RetryRule(when=Value(lambda scope: asked_for.append(scope["attempt"]["number"])))
    on = bench(node("a", retry=RetryPolicy(limit=9, backoff=Backoff(initial_seconds=0), rules=(rule,))))
    for number in (1, 2, 3):
        on.tell(failed("a", number))
        on.recorded()
    assert asked_for == [1, 2, 3]
