"""A graph is a DAG with known names, or it is refused with the reason."""

import pytest
from tests.unit.engine.kit import Value, node

from fairlead.engine.graph import GraphError, build, downstream, find_cycle, layers

DIAMOND = [node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c")]


def test_keeps_the_order_of_declaration() -> None:
    graph = build([node("z"), node("a", "z"), node("m")])
    assert list(graph.nodes) == ["z", "a", "m"]
    assert graph.rank == {"z": 0, "a": 1, "m": 2}


def test_knows_the_children_of_every_node() -> None:
    assert build(DIAMOND).children == {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}


def test_a_parent_may_be_declared_after_its_child() -> None:
    assert build([node("b", "a"), node("a")]).children["a"] == ("b",)


def test_keeps_params_outputs_and_what_these_read_once() -> None:
    value = Value(1)
    graph = build(DIAMOND, params={"day": "x"}, outputs=[("o", value)], reads=["b", "a", "b"])
    assert (graph.params, graph.outputs, graph.reads) == ({"day": "x"}, (("o", value),), ("a", "b"))


@pytest.mark.parametrize(
    ("nodes", "message", "cycle"),
    [
        pytest.param([node("a"), node("a")], "two tasks are named 'a'", (), id="same name twice"),
        pytest.param([node("a", "b")], "task 'a' needs 'b', which does not exist", (), id="unknown parent"),
        pytest.param([node("a", "a")], "a → a", ("a", "a"), id="needs itself"),
        pytest.param([node("a", "b"), node("b", "a")], "a → b → a", ("a", "b", "a"), id="cycle of two"),
        pytest.param(
            [node("in"), node("a", "in", "c"), node("b", "a"), node("c", "b"), node("out", "c")],
            "a → c → b → a",
            ("a", "c", "b", "a"),
            id="cycle inside a larger graph",
        ),
    ],
)
def test_refuses(nodes: list, message: str, cycle: tuple[str, ...]) -> None:  # type: ignore[type-arg]
    with pytest.raises(GraphError, match=message) as caught:
        build(nodes)
    assert caught.value.cycle == cycle


def test_no_nodes_are_a_graph() -> None:
    assert (build([]).nodes, layers(build([]))) == ({}, [])


def test_a_chain_deeper_than_the_stack_is_checked() -> None:
    chain = [node("n0")] + [node(f"n{i}", f"n{i - 1}") for i in range(1, 5000)]
    assert len(layers(build(chain))) == 5000
    assert find_cycle({"a": ["b"], **{f"n{i}": [f"n{i + 1}"] for i in range(5000)}}) == ()


def test_a_node_stands_below_its_lowest_parent() -> None:
    graph = build([*DIAMOND, node("e", "a", "d"), node("f")])
    assert layers(graph) == [["a", "f"], ["b", "c"], ["d"], ["e"]]


@pytest.mark.parametrize(
    ("roots", "found"),
    [
        pytest.param(["a"], {"b", "c", "d"}, id="everything below"),
        pytest.param(["d"], set(), id="a leaf has nothing below it"),
        pytest.param(["b", "c"], {"d"}, id="several roots"),
        pytest.param(["a", "b"], {"b", "c", "d"}, id="a root below another"),
    ],
)
def test_downstream(roots: list[str], found: set[str]) -> None:
    assert downstream(build(DIAMOND), roots) == found
