"""The twelve trigger rules as a truth table: for each, what every mix of its parents' ends leads to.

The expectation is written down a second time, from the words of the contract and over the whole multiset of ends, while
the engine counts one end after the other.
"""

import itertools
from collections.abc import Callable, Collection

import pytest
from tests.unit.engine.kit import Value, bench, failed, node, retries, succeeded

from fairlead.engine.model import TERMINAL, Node, Phase, TriggerRule
from fairlead.engine.state import NodeState
from fairlead.engine.triggers import Verdict, count_parent, decide

RUN, SKIP, UPSTREAM, WAIT = Verdict.RUN, Verdict.SKIP, Verdict.UPSTREAM_FAILED, Verdict.WAIT
OK, FAILED, UF, SKIPPED, CANCELLED = (
    Phase.SUCCEEDED,
    Phase.FAILED,
    Phase.UPSTREAM_FAILED,
    Phase.SKIPPED,
    Phase.CANCELLED,
)
Ends = Collection[Phase]


def bad(ends: Ends) -> bool:
    return any(end in (FAILED, UF, CANCELLED) for end in ends)


def none_succeeded(ends: Ends) -> Verdict:
    return SKIP if all(end is SKIPPED for end in ends) else UPSTREAM


#: What each rule says once all parents have ended.
FINALLY: dict[TriggerRule, Callable[[Ends], Verdict]] = {
    TriggerRule.ALL_SUCCEEDED: lambda e: UPSTREAM if bad(e) else SKIP if SKIPPED in e else RUN,
    TriggerRule.ALL_FAILED: lambda e: RUN if all(end in (FAILED, UF, CANCELLED) for end in e) else SKIP,
    TriggerRule.ALL_DONE: lambda e: RUN,
    TriggerRule.ALL_DONE_MIN_ONE_SUCCESS: lambda e: RUN if OK in e else none_succeeded(e),
    TriggerRule.ALL_SKIPPED: lambda e: RUN if all(end is SKIPPED for end in e) else SKIP,
    TriggerRule.ONE_FAILED: lambda e: RUN if bad(e) else SKIP,
    TriggerRule.ONE_SUCCESS: lambda e: RUN if OK in e else none_succeeded(e),
    TriggerRule.ONE_DONE: lambda e: RUN if any(end in (OK, FAILED, CANCELLED) for end in e) else SKIP,
    TriggerRule.NONE_FAILED: lambda e: UPSTREAM if bad(e) else RUN,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: lambda e: UPSTREAM if bad(e) else RUN if OK in e else SKIP,
    TriggerRule.NONE_SKIPPED: lambda e: SKIP if SKIPPED in e else RUN,
    TriggerRule.ALWAYS: lambda e: RUN,
}

#: Ends upon which a rule decides without waiting for the other parents.
AT_ONCE: dict[TriggerRule, set[Phase]] = {
    TriggerRule.ALL_SUCCEEDED: {FAILED, UF, CANCELLED},
    TriggerRule.ALL_FAILED: {OK, SKIPPED},
    TriggerRule.ALL_SKIPPED: {OK, FAILED, UF, CANCELLED},
    TriggerRule.ONE_FAILED: {FAILED, UF, CANCELLED},
    TriggerRule.ONE_SUCCESS: {OK},
    TriggerRule.ONE_DONE: {OK, FAILED, CANCELLED},
    TriggerRule.NONE_FAILED: {FAILED, UF, CANCELLED},
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: {FAILED, UF, CANCELLED},
    TriggerRule.NONE_SKIPPED: {SKIPPED},
    TriggerRule.ALWAYS: set(TERMINAL),
}

PARENTS = 3
IN_ORDER = sorted(TERMINAL)


def child(rule: TriggerRule, parents: int = PARENTS) -> NodeState:
    needs = tuple(f"p{i}" for i in range(parents))
    described: Node = node("child", *needs, trigger=rule)
    return NodeState(node=described, pending=parents)


def verdicts(rule: TriggerRule, ends: Ends) -> list[Verdict]:
    state = child(rule, len(ends))
    said = [decide(state)]
    for end in ends:
        count_parent(state, end)
        said.append(decide(state))
    return said


@pytest.mark.parametrize("rule", TriggerRule)
@pytest.mark.parametrize(
    "ends", list(itertools.combinations_with_replacement(IN_ORDER, PARENTS)), ids=lambda ends: "+".join(ends)
)
@pytest.mark.row("B1")
def test_the_verdict_is_that_of_the_table_in_every_order(rule: TriggerRule, ends: tuple[Phase, ...]) -> None:
    for order in set(itertools.permutations(ends)):
        assert verdicts(rule, order)[-1] is FINALLY[rule](ends)


@pytest.mark.parametrize("rule", TriggerRule)
@pytest.mark.parametrize("ends", list(itertools.product(IN_ORDER, repeat=2)), ids=lambda ends: "+".join(ends))
def test_a_verdict_is_never_taken_back(rule: TriggerRule, ends: tuple[Phase, ...]) -> None:
    decided = [verdict for verdict in verdicts(rule, ends) if verdict is not WAIT]
    assert len(set(decided)) == 1


@pytest.mark.parametrize("rule", TriggerRule)
@pytest.mark.parametrize("end", IN_ORDER)
def test_only_some_ends_decide_before_the_others(rule: TriggerRule, end: Phase) -> None:
    decided = verdicts(rule, (end, OK, OK))[1] is not WAIT
    assert decided == (end in AT_ONCE.get(rule, set()))


@pytest.mark.parametrize("rule", TriggerRule)
def test_before_any_parent_has_ended_only_always_decides(rule: TriggerRule) -> None:
    assert decide(child(rule)) is (RUN if rule is TriggerRule.ALWAYS else WAIT)


@pytest.mark.parametrize("rule", TriggerRule)
def test_without_parents_every_rule_runs(rule: TriggerRule) -> None:
    assert decide(child(rule, 0)) is RUN


@pytest.mark.parametrize("phase", set(Phase) - TERMINAL)
def test_only_an_end_is_counted(phase: Phase) -> None:
    with pytest.raises(ValueError, match="is not an end"):
        count_parent(child(TriggerRule.ALL_DONE), phase)


# In a run.


def test_always_starts_at_once_beside_its_parent() -> None:
    on = bench(node("a"), node("b", "a", trigger=TriggerRule.ALWAYS), begun=False)
    assert on.started() == ["a/1", "b/1"]


@pytest.mark.row("B1")
def test_a_skip_cascades() -> None:
    on = bench(node("a", when=Value(False)), node("b", "a"), node("c", "b"))
    assert on.phases() == {"a": "Skipped", "b": "Skipped", "c": "Skipped"}


def test_an_upstream_failure_names_its_cause() -> None:
    on = bench(node("a"), node("b"), node("c", "a", "b"))
    on.tell(failed("a"))
    assert on.phase("c") == "UpstreamFailed"
    assert on.state("c").message == "trigger AllSucceeded: a Failed"


def test_a_retried_failure_triggers_nothing() -> None:
    on = bench(node("a", retry=retries(1, seconds=60)), node("b", "a", trigger=TriggerRule.ONE_FAILED))
    assert on.started(failed("a")) == []
    assert on.phase("b") == "Waiting"


@pytest.mark.row("B1")
def test_one_success_does_not_wait_for_the_others() -> None:
    on = bench(node("a"), node("b"), node("c", "a", "b", trigger=TriggerRule.ONE_SUCCESS))
    assert on.started(succeeded("a")) == ["c/1"]
    assert on.started(failed("b")) == []
    assert on.phase("c") == "Starting"


@pytest.mark.row("fine:when")
def test_the_trigger_comes_before_when() -> None:
    on = bench(node("a", when=Value(False)), node("b", "a", when=Value(error="must not be evaluated")))
    assert on.phase("b") == "Skipped"
