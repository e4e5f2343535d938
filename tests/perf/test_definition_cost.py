"""What a definition costs to compile, for each task or each edge, does not grow with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.perf.counting import LARGE, RATIO, SMALL, calls

from fairlead.api.compile import compile_workflow
from fairlead.expr.cel import CelEvaluator

Spec = dict[str, Any]


def task(name: str, *needs: str, **more: Any) -> Spec:
    return {"name": name, "container": {"image": "i", "command": ["true"]}, "needs": list(needs), **more}


def chain(size: int) -> list[Spec]:
    return [task(f"n{i}", *([f"n{i - 1}"] if i else [])) for i in range(size)]


def wide(size: int) -> list[Spec]:
    return [task("first"), *(task(f"n{i}", "first", group="middle") for i in range(size)), task("last", "middle")]


def fan_in(size: int) -> list[Spec]:
    return [*(task(f"n{i}") for i in range(size)), task("last", *(f"n{i}" for i in range(size)))]


def with_outputs(size: int) -> list[Spec]:
    """Each reads what the one before it has written."""
    outputs = [{"name": "rows", "type": "integer"}]
    first = task("n0", outputs=outputs)
    return [
        first,
        *(
            task(f"n{i}", outputs=outputs)
            | {"container": {"image": "i", "args": [f"${{tasks.n{i - 1}.outputs.rows + 1}}"]}}
            for i in range(1, size)
        ),
    ]


def cost(shape: Callable[[int], list[Spec]], size: int) -> float:
    spec, evaluator = {"tasks": shape(size)}, CelEvaluator()
    compile_workflow(
        {"tasks": shape(3)}, evaluator=evaluator, name="w", namespace="ns"
    )  # what is done once, and for all
    return calls(lambda: compile_workflow(spec, evaluator=evaluator, name="w", namespace="ns")) / size


@pytest.mark.parametrize("shape", [chain, wide, fan_in, with_outputs])
def test_cost_of_a_task(shape: Callable[[int], list[Spec]]) -> None:
    assert cost(shape, LARGE // 4) <= RATIO * cost(shape, SMALL // 4)
