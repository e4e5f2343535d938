"""Building and validating the DAG of a run.

Only :func:`build` makes a :class:`Graph`, so that whoever holds one may rely on what it checked: names are
unique, every parent exists, and there is no cycle. Field paths of a definition are not known here: `api/compile.py`
reports unknown names with theirs before it calls this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from fairlead.engine.model import Evaluable, Graph, Json, Node

__all__ = ["GraphError", "build", "downstream", "find_cycle", "in_order", "layers"]


class GraphError(ValueError):
    """Nodes that do not form a DAG. `cycle` is the offending path (first name repeated last), or empty."""

    def __init__(self, message: str, cycle: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.cycle = cycle


def build(
    nodes: Sequence[Node],
    *,
    params: Mapping[str, Json] | None = None,
    outputs: Sequence[tuple[str, Evaluable]] = (),
    reads: Iterable[str] = (),
    final_deadline_seconds: int = 600,
) -> Graph:
    """Return the validated graph of `nodes`, kept in the given order. O(nodes + edges).

    Raises :class:`GraphError` for a name used twice, a parent that does not exist, a cycle, or an edge between
    `finally` and the rest.
    """
    by_name: dict[str, Node] = {}
    for node in nodes:
        if node.name in by_name:
            raise GraphError(f"two tasks are named {node.name!r}")
        by_name[node.name] = node
    rank = {name: position for position, name in enumerate(by_name)}
    children = _children(by_name, rank)
    cycle = find_cycle({node.name: node.needs for node in nodes})
    if cycle:
        raise GraphError("the tasks form a cycle: " + " → ".join(cycle), cycle)
    return Graph(
        nodes=by_name,
        children=children,
        rank=rank,
        params=dict(params or {}),
        outputs=tuple(outputs),
        reads=tuple(sorted(set(reads))),
        final=tuple(node.name for node in nodes if node.final),
        final_deadline_seconds=final_deadline_seconds,
    )


def _children(nodes: Mapping[str, Node], rank: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Return the children of each node, in the order of the nodes.

    Those that need the same are taken together, as the hundred of a layer are that all need the hundred before them:
    their parents share one tuple.
    """
    siblings: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for node in nodes.values():
        siblings.setdefault((node.needs, node.final), []).append(node.name)
    found: dict[str, list[tuple[str, ...]]] = {}
    for (needs, final), names in siblings.items():
        together = tuple(names)
        for parent in needs:
            if parent not in nodes:
                raise GraphError(f"task {names[0]!r} needs {parent!r}, which does not exist")
            if nodes[parent].final != final:
                raise GraphError(f"task {names[0]!r} needs {parent!r}: `finally` comes after all other tasks as it is")
            found.setdefault(parent, []).append(together)
    return {name: _joined(found.get(name, ()), rank) for name in nodes}


def _joined(families: Sequence[tuple[str, ...]], rank: Mapping[str, int]) -> tuple[str, ...]:
    if len(families) == 1:
        return families[0]
    return tuple(sorted(chain.from_iterable(families), key=rank.__getitem__))


def find_cycle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return one cycle as `(a, b, …, a)` where each needs the next, or `()`.

    Iterative, since a chain of 10,000 tasks is deeper than Python's stack. Parents that are not keys are ignored.
    """
    done: set[str] = set()
    for root in needs:
        if root in done:
            continue
        path: list[str] = [root]
        on_path = {root}
        iterators = [iter(needs[root])]
        while iterators:
            for parent in iterators[-1]:
                if parent in on_path:
                    return (*path[path.index(parent) :], parent)
                if parent in needs and parent not in done:
                    path.append(parent)
                    on_path.add(parent)
                    iterators.append(iter(needs[parent]))
                    break
            else:
                iterators.pop()
                name = path.pop()
                on_path.discard(name)
                done.add(name)
    return ()


def layers(graph: Graph) -> list[list[str]]:
    """Return the names by distance from the roots: a node stands one layer below its lowest parent."""
    depth: dict[str, int] = {}
    for name in in_order(graph):
        depth[name] = 1 + max((depth[parent] for parent in graph.nodes[name].needs), default=-1)
    result: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for name in graph.nodes:
        result[depth[name]].append(name)
    return result


def in_order(graph: Graph) -> list[str]:
    """Return all names so that each comes after its parents, those of `finally` last. O(nodes + edges)."""
    waiting = {name: len(node.needs) for name, node in graph.nodes.items()}
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:  # grows while it is walked
        for child in graph.children[name]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return sorted(ready, key=lambda name: graph.nodes[name].final)  # stable: what is in order stays so


def downstream(graph: Graph, roots: Iterable[str]) -> set[str]:
    """Return the names of everything that directly or indirectly needs one of `roots`, without the roots themselves."""
    found: set[str] = set()
    stack = [child for root in roots for child in graph.children[root]]
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(graph.children[name])
    return found
