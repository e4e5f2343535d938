"""What is told of a measurement of Fairlead alone, and what is over its budget."""

from __future__ import annotations

from e2e.bench.standing import over, told

RESTART = {"restart_pods": 10_000, "restart_seconds": 6.0}
IDLE = {"idle_workflows": 10_000, "idle_cpu_percent": 0.5, "idle_rss_mb": 200}


def test_what_was_measured_is_told() -> None:
    assert told(RESTART | IDLE).splitlines() == [
        "restart with 10,000 pods: acts again after 6.00 s",
        "10,000 workflows that wait: 0.50 % of a CPU, 200 MB",
    ]
    assert told(IDLE).count("\n") == 0


def test_what_is_over_its_budget_is_told() -> None:
    assert over(RESTART | IDLE) == ["restart seconds: 6, at most 5"]
    assert over(RESTART, slack=1.5) == []
