"""The graphs that are measured."""

from __future__ import annotations

import pytest
from e2e.bench.engines import workflow
from e2e.bench.shapes import SHAPES, Shape

from fairlead.api.compile import compile_workflow
from fairlead.expr.cel import CelEvaluator


@pytest.mark.parametrize(
    ("name", "pods", "edges"),
    [
        ("chain-20", 20, 19),
        ("wide-100", 102, 200),
        ("layers-10x10", 100, 900),
        ("fan-in-5000", 5001, 5000),
        ("many-200x5", 1000, 4),
        ("list-10000", 10_000, 0),
    ],
)
def test_they_have_so_many_pods_and_edges(name: str, pods: int, edges: int) -> None:
    shape = SHAPES[name]
    assert shape.pods == pods
    assert sum(len(before) for before in shape.parents().values()) == edges


@pytest.mark.parametrize("shape", [each for each in SHAPES.values() if each.pods <= 1000], ids=lambda shape: shape.name)
def test_as_workflows_they_have_the_same_parents(shape: Shape) -> None:
    spec = workflow("w", shape)["spec"]
    graph = compile_workflow(spec, evaluator=CelEvaluator(), name="w", namespace="default").graph
    assert {name: sorted(node.needs) for name, node in graph.nodes.items()} == {
        name: sorted(before) for name, before in shape.parents().items()
    }
