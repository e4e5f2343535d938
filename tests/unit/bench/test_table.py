"""From measurements to the verdict."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.bench.measure import Measured
from e2e.bench.shapes import SHAPES
from e2e.bench.table import judged, row, table, verdict


def measured(seconds: float, **more: Any) -> Measured:
    counted = {"writes": more.pop("writes", 0.0), "status_bytes": 0.0}
    return Measured(seconds, more.pop("cpu", 0.1), more.pop("megabytes", 80.0), more.pop("hops", ()), counted)


def wide(ours: float, **more: Any) -> list[dict[str, Any]]:
    shape = SHAPES["wide-1000"]
    floor = more.pop("floor", 10.0)
    found = {"bare": [measured(10.0)], "floor": [measured(floor)], "fairlead": [measured(ours, **more)]}
    return [row(shape, found)]


def test_ratios_are_medians_of_each_round_against_its_own_bare_run() -> None:
    shape = SHAPES["wide-1000"]
    bare, ours = (10.0, 20.0, 10.0), (11.0, 24.0, 90.0)
    found = {"bare": [measured(each) for each in bare], "fairlead": [measured(each) for each in ours]}
    assert row(shape, found)["ratio_vs_bare"] == 1.2


def test_the_cpu_of_a_task_is_that_of_the_round_with_the_least_whose_plays_are_one() -> None:
    shape = SHAPES["layers-10x10"]
    plays = [measured(1, cpu=each) for each in (0.1, 0.3, 0.2, 0.15, 0.2, 0.1, 0.4, 0.4, 0.05)]
    found = row(shape, {"bare": plays, "fairlead": plays})
    assert (shape.plays, found["rounds"], found["cpu_ms_per_task"]) == (3, 3, 1.5)


def test_a_chain_is_compared_by_its_hops() -> None:
    shape = SHAPES["chain-20"]
    found = {"bare": [measured(9, hops=(0.01, 0.03))], "fairlead": [measured(1, hops=(0.03, 0.03))]}
    one = row(shape, found)
    assert (one["ratio_vs_bare"], one["hop_p50_ms"]) == (1.5, 30)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param(wide(12.9), [], id="within its limit"),
        pytest.param(wide(13.1), ["wide-1000: 1.31× the bare driver, at most 1.30×"], id="over it"),
        pytest.param(wide(14.1, floor=13.5), [], id="over it, and near the floor"),
        pytest.param(wide(14.3, floor=13.5), ["wide-1000: 1.43× the bare driver, at most 1.42×"], id="over both"),
        pytest.param(wide(11, cpu=3.2), ["wide-1000: 3.2 ms of CPU a task, at most 3 ms"], id="CPU"),
        pytest.param(wide(11, megabytes=151), ["wide-1000: 151 MB, at most 150 MB"], id="memory"),
        pytest.param(wide(11, writes=2200), ["wide-1000: 2.20 writes a task, at most 2.02"], id="writes"),
    ],
)
def test_what_is_over_its_budget_is_told(found: list[dict[str, Any]], told: list[str]) -> None:
    assert verdict(found) == told


def test_a_run_may_write_more_than_its_tasks() -> None:
    (one,) = wide(11)
    assert verdict([one | {"shape": "many", "runs": 501, "api_writes_per_task": 3.5}]) == []
    assert verdict([one | {"shape": "many", "runs": 501, "api_writes_per_task": 3.6}]) == [
        "many: 3.60 writes a task, at most 3.52"
    ]


def test_a_run_of_one_task_has_a_budget_of_its_own() -> None:
    (one,) = wide(11)
    alone = one | {"shape": "alone", "runs": one["pods"], "api_writes_per_task": 5}
    assert verdict([alone | {"cpu_ms_per_task": 8.9}]) == []
    assert verdict([alone | {"cpu_ms_per_task": 9.1}]) == ["alone: 9.1 ms of CPU a task, at most 9 ms"]


def test_the_cpu_of_a_task_must_not_grow_with_their_number() -> None:
    large, small = SHAPES["chain-10000"], SHAPES["chain-100"]
    beside = [measured(1, cpu=cpu * small.pods) for cpu in (0.5, 1.0, 1.0, 1.0, 1.5, *[2.0] * 5, *[1.0] * 5)]
    ours = [measured(9, cpu=cpu * large.pods) for cpu in (1.4, 2.6, 1.4)]
    found = row(large, {"bare": ours, "fairlead": ours, "small": beside})
    assert found["cpu_growth"] == 1.4  # of 1.4, 1.3 and 1.4
    growth = "chain-10000: 1.40× the CPU a task of chain-100, at most 1.3×"
    assert growth in verdict([found])
    assert growth not in verdict([found | {"cpu_growth": 1.3}])


def test_what_is_over_its_budget_is_played_as_often_again_and_all_plays_count() -> None:
    shape = SHAPES["wide-1000"]
    times = iter([[14.0, 14.0, 11.0], [11.0, 12.0, 12.0]])

    def play() -> dict[str, list[Measured]]:
        return {"bare": [measured(10.0)] * 3, "fairlead": [measured(each) for each in next(times)]}

    found = judged(shape, play)
    assert (found["ratio_vs_bare"], found["rounds"], verdict([found])) == (1.2, 3, [])
    times = iter([[12.0, 12.0, 14.0]])
    assert judged(shape, play)["ratio_vs_bare"] == 1.2


def test_what_is_over_its_budget_by_all_plays_is_over_it() -> None:
    shape = SHAPES["wide-1000"]
    found = judged(shape, lambda: {"bare": [measured(10.0)] * 2, "fairlead": [measured(14.0)] * 2})
    assert verdict([found]) == ["wide-1000: 1.40× the bare driver, at most 1.30×"]


def test_the_table_has_a_line_for_each_shape() -> None:
    head, line = table(wide(12.5)).splitlines()
    assert "ratio vs bare" in head
    assert "wide-1000" in line
    assert "1.25×" in line
