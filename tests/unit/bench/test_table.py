"""From measurements to the verdict."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.bench.measure import Measured
from e2e.bench.shapes import SHAPES
from e2e.bench.table import rows, table, verdict


def measured(seconds: float, **more: Any) -> Measured:
    counted = {"writes": more.pop("writes", 0.0), "status_bytes": 0.0}
    return Measured(seconds, more.pop("cpu", 0.1), more.pop("megabytes", 80.0), more.pop("hops", ()), counted)


def wide(ours: float, **more: Any) -> list[dict[str, Any]]:
    shape = SHAPES["wide-1000"]
    floor = more.pop("floor", 10.0)
    found = {"bare": [measured(10.0)], "floor": [measured(floor)], "fairlead": [measured(ours, **more)]}
    return rows([shape], {shape.name: found})


def test_ratios_are_medians_of_each_round_against_its_own_bare_run() -> None:
    shape = SHAPES["wide-1000"]
    bare, ours = (10.0, 20.0, 10.0), (11.0, 24.0, 90.0)
    found = {"bare": [measured(each) for each in bare], "fairlead": [measured(each) for each in ours]}
    assert rows([shape], {shape.name: found})[0]["ratio_vs_bare"] == 1.2


def test_the_cpu_of_a_task_is_that_of_the_round_with_the_least_whose_plays_are_one() -> None:
    shape = SHAPES["layers-10x10"]
    plays = [measured(1, cpu=each) for each in (0.1, 0.3, 0.2, 0.15, 0.2, 0.1, 0.4, 0.4, 0.05)]
    (row,) = rows([shape], {shape.name: {"bare": plays, "fairlead": plays}})
    assert (shape.plays, row["rounds"], row["cpu_ms_per_task"]) == (3, 3, 1.5)


def test_a_chain_is_compared_by_its_hops() -> None:
    shape = SHAPES["chain-20"]
    found = {"bare": [measured(9, hops=(0.01, 0.03))], "fairlead": [measured(1, hops=(0.03, 0.03))]}
    (row,) = rows([shape], {shape.name: found})
    assert (row["ratio_vs_bare"], row["hop_p50_ms"]) == (1.5, 30)


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
    (row,) = wide(11)
    assert verdict([row | {"shape": "many", "runs": 501, "api_writes_per_task": 3.5}]) == []
    assert verdict([row | {"shape": "many", "runs": 501, "api_writes_per_task": 3.6}]) == [
        "many: 3.60 writes a task, at most 3.52"
    ]


def test_a_run_of_one_task_has_a_budget_of_its_own() -> None:
    (row,) = wide(11)
    alone = row | {"shape": "alone", "runs": row["pods"], "api_writes_per_task": 5}
    assert verdict([alone | {"cpu_ms_per_task": 8.9}]) == []
    assert verdict([alone | {"cpu_ms_per_task": 9.1}]) == ["alone: 9.1 ms of CPU a task, at most 9 ms"]


def test_the_cpu_of_a_task_must_not_grow_with_their_number() -> None:
    found = wide(11) + wide(11)
    found[0] |= {"shape": "wide-100", "cpu_ms_per_task": 1.0}
    found[1] |= {"shape": "wide-10000", "cpu_ms_per_task": 1.4}
    assert verdict(found) == ["wide-10000: 1.40× the CPU a task of wide-100, at most 1.3×"]


def test_the_table_has_a_line_for_each_shape() -> None:
    head, line = table(wide(12.5)).splitlines()
    assert "ratio vs bare" in head
    assert "wide-1000" in line
    assert "1.25×" in line
