"""The reference interpreter itself, against tables written by hand from the words of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from tests.property import again
from tests.property.reference import Story, Told, interpret, succeeds
from tests.property.script import (
    DONE,
    EVICTED,
    FAILS,
    REFUSED,
    Broken,
    Each,
    End,
    Ended,
    ExitedWith,
    Fixed,
    Odd,
    Reached,
    Repeat,
    Round,
    Rule,
    Sum,
    Tally,
    Task,
    Upto,
    Way,
)

from fairlead.engine.model import Phase, TriggerRule, WorkKind

OOM = End(Way.EXIT, 137, "OOMKilled")
LETTERS = {"S": Phase.SUCCEEDED, "F": Phase.FAILED, "K": Phase.SKIPPED, "U": Phase.UPSTREAM_FAILED}


def phases(story: Story) -> dict[str, str]:
    return {name: told.phase.value for name, told in story.items()}


def alone(**more: Any) -> Told:
    """What becomes of one task."""
    return interpret([Task(name="a", **more)])["a"]


# Trigger rules: what becomes of a task whose two parents have ended as in the head: R, it runs; K, it is skipped.

HEAD = "SS SF SK SU FF FK FU KK KU UU"
TABLE = {
    "AllSucceeded": "R  U  K  U  U  U  U  K  U  U",
    "AllFailed": "K  K  K  K  R  K  R  K  K  R",
    "AllDone": "R  R  R  R  R  R  R  R  R  R",
    "AllDoneMinOneSuccess": "R  R  R  R  U  U  U  K  U  U",
    "AllSkipped": "K  K  K  K  K  K  K  R  K  K",
    "OneFailed": "K  R  K  R  R  R  R  K  R  R",
    "OneSuccess": "R  R  R  R  U  U  U  K  U  U",
    "OneDone": "R  R  R  R  R  R  R  K  K  K",
    "NoneFailed": "R  U  R  U  U  U  U  R  U  U",
    "NoneFailedMinOneSuccess": "R  U  R  U  U  U  U  K  U  U",
    "NoneSkipped": "R  R  K  R  R  K  R  K  K  R",
    "Always": "R  R  R  R  R  R  R  R  R  R",
}


def parent(name: str, letter: str) -> list[Task]:
    """A task that ends as the letter says."""
    if letter == "U":
        return [Task(name=f"{name}0", ends=[FAILS]), Task(name=name, needs=[f"{name}0"])]
    when = Fixed(False) if letter == "K" else None
    return [Task(name=name, when=when, ends=[FAILS if letter == "F" else DONE])]


@pytest.mark.parametrize("rule", TriggerRule)
def test_trigger_rules(rule: TriggerRule) -> None:
    found = []
    for both in HEAD.split():
        tasks = [*parent("p", both[0]), *parent("q", both[1]), Task(name="c", needs=["p", "q"], trigger=rule)]
        story = interpret(tasks)
        assert [story["p"].phase, story["q"].phase] == [LETTERS[letter] for letter in both]
        found.append({"Succeeded": "R", "Skipped": "K", "UpstreamFailed": "U"}[story["c"].phase.value])
    assert "  ".join(found) == TABLE[rule.value]


def test_every_rule_is_in_the_table() -> None:
    assert set(TABLE) == {rule.value for rule in TriggerRule}


# Attempts and budgets: how attempts end, with which policy, and "phase attempts reason".

TWICE, KILLED_ONCE = {"limit": 2}, Rule(reasons=["OOMKilled"], limit=1)
LATE, SLOW_TO_START, OUTLASTS, STARVES = map(End, (Way.TOO_LONG, Way.NEVER_STARTS, Way.OUTLASTS, Way.STARVES))
REJECTED, LAPSES, SILENT = map(End, (Way.REJECTED, Way.LAPSES, Way.SILENT))
APPROVAL = {"kind": WorkKind.APPROVAL, "limit": 9}
ON_TIMEOUT = {"limit": 1, "on_timeout": True}

ATTEMPTS: dict[str, tuple[Sequence[End], Mapping[str, Any], str]] = {
    "success": ([DONE], {}, "Succeeded 1"),
    "no retries by default": ([FAILS, DONE], {}, "Failed 1 ExitCode"),
    "within the limit": ([FAILS, FAILS, DONE], TWICE, "Succeeded 3"),
    "the last end is repeated": ([FAILS], TWICE, "Failed 3 ExitCode"),
    "infrastructure is not charged to the user": ([EVICTED, EVICTED, DONE], {}, "Succeeded 3"),
    "infrastructure has a limit": ([EVICTED], {"infrastructure_limit": 1}, "Failed 2 Evicted"),
    "each has its own": ([FAILS, EVICTED, DONE], {"limit": 1, "infrastructure_limit": 1}, "Succeeded 3"),
    "configuration is final": ([REFUSED, DONE], TWICE, "Failed 1 ObjectRefused"),
    "time-outs are final": ([LATE, DONE], TWICE, "Failed 1 TimedOut"),
    "unless they are to be retried": ([LATE, DONE], ON_TIMEOUT, "Succeeded 2"),
    "at the user's cost": ([LATE, FAILS, DONE], ON_TIMEOUT, "Failed 2 ExitCode"),
    "the same for the start": ([SLOW_TO_START], ON_TIMEOUT, "Failed 2 StartTimeout"),
    "but not for the deadline": ([OUTLASTS], ON_TIMEOUT, "Failed 1 DeadlineExceeded"),
    "never begun": ([STARVES], ON_TIMEOUT, "Failed 0 QueueTimeout"),
    "skip codes": ([End(Way.EXIT, 42), DONE], {"limit": 2, "skip_codes": [42]}, "Skipped 1 SkipExitCode"),
    "a rule's limit": ([OOM], {"rules": [KILLED_ONCE]}, "Failed 2 OOMKilled"),
    "is its own": ([OOM, FAILS, DONE], {"limit": 1, "rules": [KILLED_ONCE]}, "Succeeded 3"),
    "may be none": ([OOM, DONE], {"limit": 1, "rules": [Rule(reasons=["OOMKilled"], limit=0)]}, "Failed 1 OOMKilled"),
    "or the policy's": ([OOM, DONE], {"limit": 1, "rules": [Rule(exit_codes=[137])]}, "Succeeded 2"),
    "a condition": ([End(Way.EXIT, 3), DONE], {"rules": [Rule(when=ExitedWith(3), limit=1)]}, "Succeeded 2"),
    "that does not hold": ([FAILS, DONE], {"rules": [Rule(when=ExitedWith(3), limit=1)]}, "Failed 1 ExitCode"),
    "not about infrastructure": ([EVICTED, DONE], {"rules": [Rule(when=Fixed(True), limit=0)]}, "Succeeded 2"),
    "unless it is named": ([EVICTED, DONE], {"rules": [Rule(reasons=["Evicted"], limit=0)]}, "Failed 1 Evicted"),
    "the first rule counts": ([OOM], {"rules": [KILLED_ONCE, Rule(exit_codes=[137], limit=9)]}, "Failed 2 OOMKilled"),
    "a rejection is final": ([REJECTED], APPROVAL, "Failed 1 Rejected"),
    "nobody approves": ([LAPSES], APPROVAL, "Failed 1 ApprovalTimeout"),
    "which may do": ([LAPSES], {**APPROVAL, "lapse_approves": True}, "Succeeded 1"),
    "a silent callback": ([SILENT, DONE], {**ON_TIMEOUT, "kind": WorkKind.WAIT}, "Succeeded 2"),
}


@pytest.mark.parametrize("row", ATTEMPTS.values(), ids=ATTEMPTS)
def test_attempts(row: tuple[Sequence[End], Mapping[str, Any], str]) -> None:
    ends, policy, expected = row
    told = alone(ends=ends, **policy)
    assert f"{told.phase.value} {told.attempts} {told.reason}".strip() == expected


# What a task puts out that computes 3.

X, X7, WRONG = {"declared": {"x": None}}, {"declared": {"x": 7}}, [End(writes={"x": "three"})]
OUTPUTS: dict[str, tuple[Mapping[str, Any], str, Mapping[str, Any]]] = {
    "what it computes": (X, "Succeeded", {"x": 3}),
    "nothing that is not declared": ({}, "Succeeded", {}),
    "missing": ({**X, "ends": [End(writes={})]}, "Failed OutputMissing", {}),
    "a default": ({**X7, "ends": [End(writes={})]}, "Succeeded", {"x": 7}),
    "of a wrong type": ({**X7, "ends": WRONG}, "Failed OutputInvalid", {}),
    "tried again": ({**X7, "ends": [*WRONG, DONE], "limit": 1}, "Succeeded", {"x": 3}),
    "nothing of a failure": ({**X7, "ends": [FAILS]}, "Failed ExitCode", {}),
    "unless it counts as a success": ({**X7, "ends": [FAILS], "proceeds": True}, "Failed ExitCode", {"x": 7}),
    "set": ({**X, "kind": WorkKind.SET}, "Succeeded", {"x": 3}),
    "nothing to compute": ({**X, "value": Broken()}, "Failed ExpressionError", {}),
}


@pytest.mark.parametrize("row", OUTPUTS.values(), ids=OUTPUTS)
def test_outputs(row: tuple[Mapping[str, Any], str, Mapping[str, Any]]) -> None:
    task, expected, outputs = row
    told = alone(**{"value": Sum(3), **task})
    assert (f"{told.phase.value} {told.reason}".strip(), told.outputs) == (expected, outputs)


@pytest.mark.parametrize(
    ("when", "phase"),
    [(Fixed(True), "Succeeded"), (Fixed(False), "Skipped"), (Fixed("yes"), "Failed"), (Broken(), "Failed")],
)
def test_when(when: Any, phase: str) -> None:
    assert alone(when=when).phase.value == phase


def test_what_parents_put_out_is_seen() -> None:
    first = Task(name="a", value=Sum(4), declared={"x": None})
    second = Task(name="b", needs=["a"], value=Sum(1, ["a"]), declared={"x": None}, when=Ended("a", Phase.SUCCEEDED))
    assert interpret([first, second])["b"].outputs == {"x": 5}


# Lists whose items put out `10 * item + index`; the second item's attempts fail where that is said.

BAD = [[DONE], [FAILS]]
LISTS: dict[str, tuple[Each, Sequence[Sequence[End]], str, str, Mapping[str, Any]]] = {
    "item and index are seen": (Each(Fixed([1, 2])), [], "Succeeded", "SS", {"x": [10, 21]}),
    "empty": (Each(Fixed([])), [], "Skipped", "", {}),
    "no list": (Each(Fixed("no")), [], "Failed", "", {}),
    "no value": (Each(Broken()), [], "Failed", "", {}),
    "too many": (Each(Fixed([1, 2, 3]), limit=2), [], "Failed", "", {}),
    "all skipped": (Each(Fixed([1, 2]), when=Fixed(False)), [], "Skipped", "KK", {}),
    "some skipped": (Each(Fixed([1, 1]), when=Odd(Sum(1))), [], "Succeeded", "SK", {"x": [10, None]}),
    "nothing is tolerated by default": (Each(Fixed([1, 2])), BAD, "Failed", "SF", {}),
    "one is tolerated": (Each(Fixed([1, 2]), count=1), BAD, "Succeeded", "SF", {"x": [10, None]}),
    "half of them are": (Each(Fixed([1, 2]), percent=50), BAD, "Succeeded", "SF", {"x": [10, None]}),
    "more than tolerated": (Each(Fixed([1, 2]), percent=49), BAD, "Failed", "SF", {}),
    "a batch is an item": (Each(Fixed([1, 2, 3]), batch_size=2), [], "Succeeded", "SS", {"x": [30, 31]}),
    "for the tolerance, too": (Each(Fixed([1, 2, 3]), batch_size=2, percent=40), BAD, "Failed", "SF", {}),
}


@pytest.mark.parametrize("row", LISTS.values(), ids=LISTS)
def test_lists(row: tuple[Each, Sequence[Sequence[End]], str, str, Mapping[str, Any]]) -> None:
    each, item_ends, phase, items, outputs = row
    task = Task(name="m", each=each, value=Sum(), declared={"x": None}, item_ends=item_ends)
    story = interpret([task])
    found = [story[f"m[{index}]"].phase for index in range(len(story) - 1)]
    assert (story["m"].phase.value, story["m"].outputs) == (phase, outputs)
    assert found == [LETTERS[letter] for letter in items]


def test_each_item_has_its_own_attempts() -> None:
    task = Task(name="m", each=Each(Fixed([1, 2])), limit=1, item_ends=[[FAILS, DONE], [DONE]])
    story = interpret([task])
    assert [story[name].attempts for name in ("m", "m[0]", "m[1]")] == [0, 2, 1]


def test_a_list_comes_from_what_parents_put_out() -> None:
    tasks = [
        Task(name="a", value=Sum(3), declared={"x": None}),
        Task(name="m", needs=["a"], each=Each(Upto(Sum(0, ["a"]), 5)), value=Sum(), declared={"x": None}),
        Task(name="sum", needs=["m"], value=Sum(0, ["m"]), declared={"x": None}),
    ]
    assert interpret(tasks)["sum"].outputs == {"x": 10 + 21 + 32}


def test_the_defaults_of_a_list_that_failed_fill_its_gaps() -> None:
    task = Task(
        name="m", each=Each(Fixed([1, 2])), value=Sum(), declared={"x": 7}, proceeds=True, item_ends=[[DONE], [FAILS]]
    )
    assert interpret([task])["m"].outputs == {"x": [10, 7]}


# Loops whose rounds put out `100 * iteration` and what the round before has put out.

AGAIN: dict[str, tuple[Repeat, Mapping[str, Any], str, int, Mapping[str, Any]]] = {
    "each round sees the one before": (Repeat(Round(3), 5), {}, "Succeeded", 3, {"x": 100 + 200 + 300}),
    "at least once": (Repeat(Fixed(True), 5), {}, "Succeeded", 1, {"x": 100}),
    "until its outputs will do": (Repeat(Reached(300), 5), {}, "Succeeded", 2, {"x": 300}),
    "at most so often": (Repeat(Round(4), 3), {}, "Failed", 3, {}),
    "a condition that is none": (Repeat(Fixed("yes"), 3), {}, "Failed", 1, {}),
    "each round has its budget": (
        Repeat(Round(2), 3),
        {"ends": [FAILS, DONE] * 2, "limit": 1},
        "Succeeded",
        4,
        {"x": 300},
    ),
    "a round fails": (Repeat(Round(2), 3), {"ends": [DONE, FAILS]}, "Failed", 2, {}),
}


@pytest.mark.parametrize("row", AGAIN.values(), ids=AGAIN)
def test_loops(row: tuple[Repeat, Mapping[str, Any], str, int, Mapping[str, Any]]) -> None:
    repeat, task, phase, attempts, outputs = row
    told = alone(repeat=repeat, value=Sum(), declared={"x": None}, **task)
    assert (told.phase.value, told.attempts, told.outputs) == (phase, attempts, outputs)


# The outcome of a run in which `bad` fails.


def failing(*more: Task, **task: Any) -> list[Task]:
    return [Task(name="bad", ends=[FAILS], **task), *more]


def handler(*needs: str, **more: Any) -> Task:
    return Task(name="h", needs=needs, trigger=TriggerRule.ONE_FAILED, handles=True, **more)


def final(name: str = "f", *needs: str, **more: Any) -> Task:
    return Task(name=name, needs=needs, final=True, **more)


OUTCOMES: dict[str, tuple[Sequence[Task], bool]] = {
    "skips do no harm": ([Task(name="a"), Task(name="b", when=Fixed(False))], True),
    "a failure": (failing(), False),
    "whatever the leaves are": (failing(Task(name="c", needs=["bad"], trigger=TriggerRule.ALL_DONE)), False),
    "onFailure: Continue": (failing(proceeds=True), True),
    "handled": (failing(handler("bad")), True),
    "the handler fails": (failing(handler("bad", ends=[FAILS])), False),
    "the handler is skipped": (failing(handler("bad", when=Fixed(False))), False),
    "root causes are handled": (failing(Task(name="mid", needs=["bad"]), handler("mid")), True),
    "but no others": (failing(Task(name="too", ends=[FAILS]), handler("bad")), False),
    "finally's failure": ([Task(name="a"), final(ends=[FAILS])], True),
    "if it is required": ([Task(name="a"), final(ends=[FAILS], required=True)], False),
    "or cannot be done": ([final("e", ends=[FAILS]), final("f", "e", required=True)], False),
    "finally's success saves nothing": (failing(final()), False),
}


@pytest.mark.parametrize("row", OUTCOMES.values(), ids=OUTCOMES)
def test_the_outcome(row: tuple[Sequence[Task], bool]) -> None:
    tasks, well = row
    assert succeeds(tasks, interpret(tasks)) is well


def test_children_of_a_failure_that_counts_as_a_success() -> None:
    tasks = failing(Task(name="c", needs=["bad"]), handler("bad"), proceeds=True)
    assert phases(interpret(tasks)) == {"bad": "Failed", "c": "Succeeded", "h": "Skipped"}


def test_finally_comes_last_and_sees_how_it_went() -> None:
    tasks = [final(value=Tally(), declared={"x": None}), *failing(Task(name="c", needs=["bad"]))]
    assert interpret(tasks)["f"].outputs == {"x": 102}


def test_what_is_known_is_kept() -> None:
    tasks = [Task(name="a"), Task(name="b", needs=["a"])]
    assert phases(interpret(tasks, kept={"a": Told(Phase.CANCELLED)})) == {"a": "Cancelled", "b": "UpstreamFailed"}


# Another epoch.

CHAIN = [
    Task(name="good"),
    Task(name="bad", ends=[FAILS, DONE]),
    Task(name="after", needs=["bad"]),
    Task(name="skipped", needs=["bad"], when=Fixed(False), trigger=TriggerRule.ALL_DONE),
    Task(name="alone", when=Fixed(False)),
    Task(name="last", final=True),
]


def test_a_retry_leaves_what_went_well() -> None:
    first = interpret(CHAIN)
    kept, before = again.retry(CHAIN, first, first)
    assert set(kept) == {"good", "alone"}
    story = interpret(CHAIN, kept=kept, before=before)
    assert {name: told.attempts for name, told in story.items()} == {
        "good": 1, "bad": 2, "after": 1, "skipped": 0, "alone": 0, "last": 2,
    }  # fmt: skip
    assert succeeds(CHAIN, story)


def test_a_retry_of_one_task_leaves_the_others_that_went_wrong() -> None:
    tasks = [*CHAIN, Task(name="too", ends=[FAILS])]
    first = interpret(tasks)
    assert set(again.retry_one(tasks, first, first, "bad")[0]) == {"good", "alone", "too"}


def test_clearing_a_task_runs_all_that_comes_after_it() -> None:
    first = interpret(CHAIN)
    assert set(again.clear(CHAIN, first, first, "bad")[0]) == {"good", "alone"}
    assert set(again.clear(CHAIN, first, first, "good")[0]) == {"bad", "after", "skipped", "alone"}


def test_a_mark_is_kept_and_what_did_not_go_well_after_it_is_not() -> None:
    first = interpret(CHAIN)
    kept, _ = again.mark(CHAIN, first, first, "bad", Told(Phase.SUCCEEDED))
    assert phases(kept) == {"good": "Succeeded", "bad": "Succeeded", "alone": "Skipped"}


LIST = [Task(name="m", each=Each(Fixed([1, 2])), item_ends=[[DONE], [FAILS, DONE]])]


@pytest.mark.parametrize(
    ("of", "attempts", "phase"),
    [
        (lambda first: again.retry(LIST, first, first), [1, 2], "Succeeded"),
        (lambda first: again.clear(LIST, first, first, "m"), [2, 2], "Succeeded"),
        (lambda first: again.clear(LIST, first, first, "m[0]"), [2, 1], "Failed"),
        (lambda first: again.mark(LIST, first, first, "m[1]", Told(Phase.SKIPPED, attempts=1)), [1, 1], "Succeeded"),
    ],
    ids=["retry", "clear", "clear an item", "mark an item"],
)
def test_lists_in_another_epoch(of: Callable[[Story], again.Past], attempts: Sequence[int], phase: str) -> None:
    kept, before = of(interpret(LIST))
    story = interpret(LIST, kept=kept, before=before)
    assert [story[name].attempts for name in ("m[0]", "m[1]")] == attempts
    assert story["m"].phase.value == phase


def test_a_retry_runs_all_items_of_another_list() -> None:
    tasks = [
        Task(name="n", value=Sum(2), declared={"x": 1}, proceeds=True, ends=[FAILS, DONE]),
        Task(name="m", needs=["n"], each=Each(Upto(Sum(0, ["n"]), 5)), item_ends=[[FAILS, DONE]]),
    ]
    first = interpret(tasks)
    kept, before = again.retry(tasks, first, first)
    story = interpret(tasks, kept=kept, before=before)
    assert {name: told.attempts for name, told in story.items()} == {"n": 2, "m": 0, "m[0]": 2, "m[1]": 1}
    assert phases(story) == {"n": "Succeeded", "m": "Failed", "m[0]": "Succeeded", "m[1]": "Failed"}


def test_a_list_that_goes_on_is_not_asked_once_more_whether_it_wants_to() -> None:
    tasks = [
        Task(name="n", ends=[FAILS], proceeds=True),
        Task(name="m", needs=["n"], when=Ended("n", Phase.FAILED), each=Each(Fixed([1, 2]))),
    ]
    first = interpret(tasks)
    marked = {**first, "n": Told(Phase.SUCCEEDED)}
    kept, before = again.clear(tasks, marked, marked, "m[0]")
    assert interpret(tasks, kept=kept, before=before)["m"].phase is Phase.SUCCEEDED
    kept, before = again.clear(tasks, marked, marked, "m")
    assert interpret(tasks, kept=kept, before=before)["m"].phase is Phase.SKIPPED
