from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from e2e.chaos.script import End, Planned
from e2e.chaos.tally import Tally, shares, tally

from fairlead.engine.names import attempt_name


def planned(children: dict[str, dict[str, End]] | None = None, **ends: End) -> Planned:
    return Planned("run", (), "Succeeded", ends, children=children or {})


def names(node: str, *numbers: int, run: str = "run", uid: str = "u") -> set[str]:
    return {attempt_name(run, uid, node, number) for number in numbers}


def counted(run: Planned, pods: Iterable[str] = (), workflows: Iterable[str] = (), **named: Any) -> Tally:
    there = {"pods": set(pods), "workflows": set(workflows)}
    return tally(shares(run, named.pop("uids", {"run": "u"}), there["workflows"], **named), there)


def test_as_many_objects_as_were_planned_are_well() -> None:
    run = planned(a=End(attempts=2), b=End("Skipped", 0), c=End(carrier=""))

    assert counted(run, names("a", 1, 2)) == Tally(0, 0)


def test_an_attempt_without_an_object_is_lost() -> None:
    told = ("run: by the log a had 1 pods, not 2",)

    assert counted(planned(a=End(attempts=2)), names("a", 1)) == Tally(1, 0, told)


def test_an_object_too_many_is_repeated() -> None:
    told = ("run: by the log a had 2 pods, not 1",)

    assert counted(planned(a=End()), names("a", 1, 2)) == Tally(0, 1, told)


def test_what_the_fault_costs_is_allowed_and_no_more() -> None:
    run = planned(a=End())

    assert counted(run, names("a", 1, 2), costs=lambda run, node: range(2)) == Tally(0, 0)
    assert counted(run, names("a", 1, 2, 3), costs=lambda run, node: range(2)).repeated == 1
    # The attempt that the fault took away has an object, too.
    assert counted(run, names("a", 1), costs=lambda run, node: range(1, 2)).lost == 1


def test_an_object_of_no_planned_attempt_is_repeated() -> None:
    assert counted(planned(), ["other"]) == Tally(0, 1, ("pod other is no attempt that was planned",))
    assert counted(planned(a=End()), names("a", 1, 500)).repeated == 1


def test_a_run_that_is_not_there_has_lost_everything() -> None:
    assert counted(planned(a=End(attempts=2)), uids={}).lost == 2


def test_the_runs_that_a_task_makes_have_their_own_share() -> None:
    run = planned({"s": {"x": End(attempts=2)}}, **{"s": End(attempts=0, carrier=""), "s[0]": End(carrier="workflows")})
    (child,) = names("s[0]", 1)
    uids = {"run": "u", child: "c"}

    assert counted(run, names("x", 1, 2, run=child, uid="c"), [child], uids=uids) == Tally(0, 0)
    assert counted(run, names("x", 1, run=child, uid="c"), [child], uids=uids).lost == 1
    assert counted(run, [], []).lost == 3
