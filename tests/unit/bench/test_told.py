"""What is told of a measurement of Fairlead alone, and what is over its budget."""

from __future__ import annotations

from e2e.bench.shapes import SHAPES
from e2e.bench.table import document, dropped, merged, over, told, unmeasured

RESTART = {"restart_pods": 10_000, "restart_seconds": 6.0}
REPLICAS = {
    "replicas_pods": 1000,
    "replicas_cpus": 0.15,
    "replicas_one_seconds": 24.0,
    "replicas_two_seconds": 15.0,
    "replicas_ratio": 1.6,
}
IDLE = {"idle_workflows": 10_000, "idle_cpu_percent": 0.5, "idle_rss_mb": 200}


def test_what_was_measured_is_told() -> None:
    assert told(RESTART | IDLE).splitlines() == [
        "restart with 10,000 pods: acts again after 6.00 s",
        "10,000 workflows that wait: 0.50 % of a CPU, 200 MB",
    ]
    assert told(IDLE).count("\n") == 0
    assert told(REPLICAS) == (
        "replicas that may use 0.15 CPU each: 1,000 pods take one 24.0 s and two 15.0 s: 1.60 times as many at a time"
    )


def test_what_is_over_its_budget_is_told() -> None:
    assert over(RESTART | IDLE) == ["restart seconds: 6, at most 5"]
    assert over(RESTART, slack=1.5) == []
    assert over(REPLICAS) == ["two replicas: 1.60 times what one does, at least 1.7"]
    assert over(REPLICAS, slack=1.1) == over(REPLICAS | {"replicas_ratio": 1.7}) == []


def test_results_of_two_measurements_become_one() -> None:
    before = {
        "machine": {"cores": 8},
        "shapes": [{"shape": "a", "pods": 1}, {"shape": "b", "pods": 2}],
        "standing": IDLE,
    }
    now = {"machine": {"cores": 2}, "shapes": [{"shape": "b", "pods": 3}], "standing": RESTART}
    assert merged(before, now) == {
        "machine": {"cores": 2},
        "shapes": [{"shape": "a", "pods": 1}, {"shape": "b", "pods": 3}],
        "standing": IDLE | RESTART,
    }


def test_the_page_says_what_is_over_its_budget() -> None:
    shape = {"shape": "wide-100", "pods": 102, "runs": 1, "rounds": 3, "cpu_ms_per_task": 9.0, "rss_mb": 90.0}
    shape |= {"ratio_vs_bare": 1.5, "api_writes_per_task": 2.0, "seconds": 1.0}
    page = document({"machine": {"memory_gb": 24}, "shapes": [shape], "standing": RESTART})
    assert "| wide-100 | 102 | 3 | – | 1.00 s | 1.50× |" in page
    assert "(memory gb 24)" in page
    assert page.splitlines()[-2:] == [
        "- wide-100: 9.0 ms of CPU a task, at most 3 ms",
        "- restart seconds: 6, at most 5",
    ]


def test_all_budgets_are_met_only_where_all_was_measured() -> None:
    shape = {"pods": 1, "runs": 1, "rounds": 3, "cpu_ms_per_task": 1.0, "rss_mb": 90.0, "seconds": 1.0}
    shapes = [
        shape | {"shape": name, "ratio_vs_bare": 1.0, "api_writes_per_task": 2.0, "cpu_growth": 1.1} for name in SHAPES
    ]
    standing = {"restart_seconds": 2.0, "restart_pods": 1} | IDLE | REPLICAS | {"replicas_ratio": 1.8}
    whole = {"machine": {}, "shapes": shapes, "standing": standing}
    assert unmeasured(whole) == []
    assert document(whole).endswith("All budgets of [performance.md](performance.md) are met.\n")
    shapes[4] = {key: value for key, value in shapes[4].items() if key != "cpu_growth"}
    assert unmeasured(whole) == ["wide-10000"]
    shapes[4] |= {"cpu_growth": 1.1}
    part = dropped(dropped(whole, "wide-100"), "idle-10000")
    assert unmeasured(part) == ["wide-100", "idle"]
    assert document(part).endswith("is exceeded. Not measured: wide-100, idle.\n")
