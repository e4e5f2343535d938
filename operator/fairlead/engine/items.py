"""The items of a `forEach` task: its list, who of them may start, and what the task comes to.

A task's list is evaluated once, when its trigger has fired, from facts that are durable: after a restart it comes out
the same, so it is not stored. Each item (or batch) is a node of its own, `m[3]`, with attempts of its own. At most
`maxParallel` of them are in line or live at a time; once more have failed than is tolerated no further one starts.

The cost of an item's end does not depend on how many there are; only the list's beginning and its end are O(items).
"""

from __future__ import annotations

import json
from hashlib import sha256

from fairlead.engine import capacity
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Graph, Json, Phase, Settings, Tolerance
from fairlead.engine.passes import Pass, end_node, enqueue
from fairlead.engine.scopes import scope_of
from fairlead.engine.state import Items, NodeState, RunState

__all__ = ["ListError", "digest_of", "evaluate_list", "item_name", "lay_out", "limit_of", "outputs_of", "settle"]


class ListError(Exception):
    """A list that cannot be worked on; `reason` is what the task fails with."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def item_name(task: str, index: int) -> str:
    """Return the name of an item's node."""
    return f"{task}[{index}]"


def evaluate_list(graph: Graph, run: RunState, state: NodeState) -> list[Json]:
    """Return what each node of a task works on: its items, or lists of them where there are batches.

    Raises :class:`ListError`.
    """
    spec = state.node.for_each
    assert spec is not None
    try:
        found = spec.items.evaluate(scope_of(graph, run, state))
    except ExpressionError as error:
        raise ListError("ExpressionError", f"forEach.in: {error.message}") from error
    if not isinstance(found, list):
        raise ListError("ExpressionError", f"forEach.in: the value must be a list, it is {_shown(found)}")
    if len(found) > spec.limit:
        raise ListError(
            "TooManyItems",
            f"forEach.in has {len(found)} items, at most {spec.limit} are allowed; hand on fewer and larger ones",
        )
    if spec.batch_size is not None:
        found = [found[start : start + spec.batch_size] for start in range(0, len(found), spec.batch_size)]
    if len(run.nodes) + len(found) > capacity.NODES:
        raise ListError("TooManyItems", f"this run would have more than {capacity.NODES} tasks and items; divide it")
    return found


def digest_of(values: list[Json]) -> str:
    """Return a digest by which a later epoch tells whether a list is still the same."""
    text = json.dumps(values, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def lay_out(run: RunState, state: NodeState, values: list[Json], digest: str) -> None:
    """Make a Waiting node of each value. O(items)."""
    run.counts[state.phase] -= 1  # its items are counted in its place
    states = [
        NodeState(node=state.node, name=item_name(state.name, index), parent=state, index=index, item=value)
        for index, value in enumerate(values)
    ]
    run.counts[Phase.WAITING] += len(states)
    run.nodes.update((each.name, each) for each in states)
    state.items = Items(states=states, digest=digest)


def settle(p: Pass, state: NodeState) -> None:
    """Let the items in for which there is room, or end the task when they have ended. O(1), but at the two ends."""
    items = state.items
    if items is None or state.is_over:
        return
    tolerated, _ = _tolerated(state, p.settings)
    if items.exceeded or items.ended.get(Phase.FAILED, 0) > tolerated:
        _close(p, state, items)
    else:
        items.returned.clear()
        _admit(p, state, items)
    if sum(items.ended.values()) == len(items.states):
        _finish(p, state, items)


def _close(p: Pass, state: NodeState, items: Items) -> None:
    """Let nothing more start. What runs may finish. O(items) once, then only those that would be tried again."""
    candidates, items.returned = items.returned, []
    if not items.exceeded:
        items.exceeded, candidates = True, items.states
        p.run.touch(state)
    for item in [each for each in candidates if not each.is_over and each.current is None]:
        message = "too many other items have failed"
        end_node(p, item, Phase.CANCELLED, reason="ToleranceExceeded", message=message)


def _admit(p: Pass, state: NodeState, items: Items) -> None:
    limit = limit_of(state, p.settings)
    while items.admitted < len(items.states) and (limit is None or items.open < limit):
        item = items.states[items.admitted]
        items.admitted += 1
        if item.phase is Phase.WAITING:
            _let_in(p, item)


def limit_of(state: NodeState, settings: Settings) -> int | None:
    """Return how many items of a task may be in line or live at a time; None: all of them."""
    assert state.node.for_each is not None
    override = settings.overrides.get(state.name)
    if override is not None and override.max_parallel is not None:
        return override.max_parallel
    return state.node.for_each.max_parallel


def _let_in(p: Pass, item: NodeState) -> None:
    spec = item.node.for_each
    assert spec is not None
    if p.stops(item):
        end_node(p, item, Phase.CANCELLED, reason=p.run.stopping)
        return
    try:
        wanted = spec.when is None or spec.when.evaluate(p.scope(item))
    except ExpressionError as error:
        end_node(p, item, Phase.FAILED, reason="ExpressionError", message=f"forEach.when: {error.message}")
        return
    if wanted is True:
        enqueue(p, item)
    elif wanted is False:
        end_node(p, item, Phase.SKIPPED, reason="WhenFalse", message="its condition `forEach.when` is false")
    else:
        message = f"forEach.when: the value must be true or false, it is {_shown(wanted)}"
        end_node(p, item, Phase.FAILED, reason="ExpressionError", message=message)


def _tolerated(state: NodeState, settings: Settings) -> tuple[float, str]:
    """Return how many items may fail, and that in the user's words."""
    assert state.node.for_each is not None
    assert state.items is not None
    override = settings.overrides.get(state.name)
    own = state.node.for_each.tolerance
    tolerance: Tolerance = override.tolerance if override is not None and override.tolerance is not None else own
    if tolerance.percent is not None:
        return tolerance.percent * len(state.items.states) / 100, f"{tolerance.percent:g} %"
    return tolerance.count or 0, str(tolerance.count or 0)


def _finish(p: Pass, state: NodeState, items: Items) -> None:
    ended = items.ended
    failed = ended.get(Phase.FAILED, 0)
    at = max((item.completed_at for item in items.states if item.completed_at is not None), default=p.now)
    if items.exceeded:
        first = next(item for item in items.states if item.phase is Phase.FAILED)
        _, tolerated = _tolerated(state, p.settings)
        message = f"{failed} of {len(items.states)} items failed, {tolerated} tolerated; {first.name}: "
        message += f"{first.reason}: {first.message}"
        end_node(p, state, Phase.FAILED, reason="ItemsFailed", message=message, at=at)
    elif ended.get(Phase.CANCELLED, 0):
        cancelled = next(item for item in items.states if item.phase is Phase.CANCELLED)
        message = f"{ended[Phase.CANCELLED]} of {len(items.states)} items were cancelled"
        end_node(p, state, Phase.CANCELLED, reason=cancelled.reason, message=message, at=at)
    elif ended.get(Phase.SKIPPED, 0) == len(items.states):
        end_node(p, state, Phase.SKIPPED, reason="ItemsSkipped", message="all its items were skipped", at=at)
    else:
        state.outputs = outputs_of(state)
        message = f"{failed} of {len(items.states)} items failed, which is tolerated" if failed else ""
        end_node(p, state, Phase.SUCCEEDED, message=message, at=at)


def outputs_of(state: NodeState) -> dict[str, Json]:
    """Return the outputs of a task with items: a list in their order for each output, null for those without it."""
    assert state.items is not None
    names = [declared.name for declared in state.node.outputs]
    return {name: [item.outputs.get(name) for item in state.items.states] for name in names}


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
