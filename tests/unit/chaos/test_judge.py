from __future__ import annotations

from typing import Any

from e2e.chaos.judge import Findings, judge
from e2e.chaos.script import End, Planned

Object = dict[str, Any]

START = "2026-01-02T03:04:05Z"


def attempt(name: str, number: int, **fields: Any) -> Object:
    return {"number": number, "podName": f"{name}-{number}", "startTime": START, **fields}


def entry(name: str, attempts: int = 1, phase: str = "Succeeded") -> Object:
    return {"name": name, "phase": phase, "attempts": [attempt(name, number + 1) for number in range(attempts)]}


def judged(planned: Planned, *entries: Object, status: Object | None = None, **named: Any) -> Findings:
    told = {each["name"]: each for each in entries}
    children = named.pop("children", {})
    return judge(planned, {"phase": "Succeeded"} if status is None else status, told, children.get, **named)


def a_run(**ends: End) -> Planned:
    return Planned("run", (), "Succeeded", ends)


def test_a_run_that_ended_as_planned_has_no_problem() -> None:
    found = judged(a_run(a=End(attempts=2), b=End("Skipped", 0)), entry("a", 2), entry("b", 0, "Skipped"))

    assert found.problems == []
    assert set(found.recorded["pods"]) == {"a-1", "a-2"}


def test_another_end_is_told() -> None:
    found = judged(a_run(a=End()), entry("a"), status={"phase": "Failed", "message": "no", "epoch": 2})

    assert found.problems == ["run ended Failed (no), not Succeeded", "run is in epoch 2, not 1"]


def test_a_task_that_is_missing_is_told() -> None:
    found = judged(a_run(a=End(attempts=2)))

    assert found.problems == ["run: a is missing (), not Succeeded", "run: a was tried 0 times, not 2"]


def test_an_attempt_too_many_is_told() -> None:
    found = judged(a_run(a=End()), entry("a", 2))

    assert found.problems == ["run: a was tried 2 times, not 1"]


def test_a_task_that_nobody_planned_is_told() -> None:
    assert judged(a_run(a=End()), entry("a"), entry("z")).problems == ["run: nobody knows of z"]


def test_a_gap_in_the_numbers_is_told() -> None:
    gap = {"name": "a", "phase": "Succeeded", "attempts": [attempt("a", 2)]}

    assert judged(a_run(a=End()), gap).problems == ["run: the attempts of a are not numbered one after the other"]


def test_what_a_fault_costs_comes_on_top_and_has_its_limits() -> None:
    lost = attempt("a", 1) | {"class": "Infrastructure", "reason": "PodDeleted"}
    both = {"name": "a", "phase": "Succeeded", "attempts": [lost, attempt("a", 2)]}

    allowed = judged(a_run(a=End()), both, costs=lambda run, node: range(1, 2))
    assert (allowed.problems, allowed.costs["a"]) == ([], 1)
    assert set(allowed.recorded["pods"]) == {"a-1", "a-2"}
    assert judged(a_run(a=End()), both).problems == ["run: a lost 1 attempts to the fault (PodDeleted), not 0"]
    none = judged(a_run(a=End()), entry("a"), costs=lambda run, node: range(1, 3))
    assert none.problems == ["run: a lost 0 attempts to the fault (), not 1 to 2"]


def test_a_task_without_an_object_has_no_attempts_to_be_counted() -> None:
    found = judged(a_run(a=End(carrier="")), entry("a"))

    assert (found.problems, found.recorded) == ([], {})


def test_the_runs_of_a_task_are_judged_like_itself() -> None:
    ends = {"s": End(attempts=0, carrier=""), "s[0]": End(carrier="workflows")}
    planned = Planned("run", (), "Succeeded", ends, children={"s": {"x": End()}})
    parent = [{"name": "s", "phase": "Succeeded"}, entry("s[0]")]

    good = judged(planned, *parent, children={"s[0]-1": ({"phase": "Succeeded"}, {"x": entry("x")})})
    assert good.problems == []
    assert {kind: set(names) for kind, names in good.recorded.items()} == {"workflows": {"s[0]-1"}, "pods": {"x-1"}}
    bad = judged(planned, *parent, children={"s[0]-1": ({"phase": "Failed", "message": "m"}, {})})
    assert bad.problems[0] == "s[0]-1 ended Failed: m"
    assert "s[0]-1: x was tried 0 times, not 1" in bad.problems
