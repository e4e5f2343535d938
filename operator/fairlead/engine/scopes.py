"""What the expressions of a node see: parameters, the run, the tasks it reads, and its own place in a list or loop."""

from __future__ import annotations

from fairlead.engine.model import TERMINAL, Graph, Json, Phase, Scope
from fairlead.engine.state import NodeState, RunState
from fairlead.engine.wording import timestamp

__all__ = ["attempt_scope", "scope_of", "summary_of"]

_NAMES_SHOWN = 100


def scope_of(graph: Graph, run: RunState, state: NodeState | None) -> Scope:
    """Return what the expressions of a node (or, for None, the run's own outputs) see. O(tasks read)."""
    reads = graph.reads if state is None else state.node.reads
    scope: dict[str, Json] = {
        "params": graph.params,
        "run": {
            "name": run.name,
            "namespace": run.namespace,
            "uid": run.uid,
            "attempt": run.epoch,
            "startTime": timestamp(run.started_at),
        },
        "tasks": {name: {"phase": run.nodes[name].phase.value, "outputs": run.nodes[name].outputs} for name in reads},
    }
    if state is None:
        return scope
    if state.node.final:
        scope["run"]["summary"] = _summary(graph, run)
    if state.index is not None and state.node.for_each is not None:
        scope["item"] = scope[state.node.for_each.variable] = state.item
        scope["index"] = state.index
    if state.node.repeat is not None:
        scope["iteration"] = state.iteration
        scope["previous"] = state.outputs
    return scope


def attempt_scope(graph: Graph, run: RunState, state: NodeState, number: int) -> Scope:
    """Return what the condition of a retry rule sees of a failed attempt, beside the node's own scope."""
    attempt = state.attempts[number - 1]
    failed = {
        "number": attempt.number,
        "exitCode": attempt.exit_code,
        "class": attempt.failure_class.value if attempt.failure_class else "",
        "reason": attempt.reason,
        "message": attempt.message,
    }
    return {**scope_of(graph, run, state), "attempt": failed}


def _summary(graph: Graph, run: RunState) -> dict[str, Json]:
    """Return `run.summary` for a node of `finally`: what it tells has ended by then, so it is counted once."""
    if not run.is_finalizing:
        return summary_of(graph, run)
    if run.summary is None or run.summary["stopped"] != run.stopping:
        run.summary = summary_of(graph, run)
    return run.summary


def summary_of(graph: Graph, run: RunState) -> dict[str, Json]:
    """Return `run.summary`: how the tasks before `finally` have ended. O(tasks).

    `failed` names the tasks that failed, the first hundred; `stopped` is why the run was stopped, "" when it was not.
    """
    counts = dict.fromkeys(sorted(phase.value for phase in TERMINAL), 0)
    failed = []
    for name in graph.nodes:
        state = run.nodes[name]
        if state.node.final:
            continue
        if state.phase in TERMINAL:
            counts[state.phase.value] += 1
        if state.phase is Phase.FAILED:
            failed.append(name)
    return {
        "total": len(graph.nodes) - len(graph.final),
        "counts": counts,
        "failed": failed[:_NAMES_SHOWN],
        "stopped": run.stopping,
    }
