"""How a run ends, once every task has.

The rule (product.md, "The run's outcome"): a run fails if and only if some task failed and nothing handled it, whatever
the leaves are. `finally` never turns failure into success; its own failure counts only where it is `required`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.engine import capacity
from fairlead.engine.commands import EventType
from fairlead.engine.endings import RUN_DEADLINE
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Graph, Phase
from fairlead.engine.passes import Pass, note
from fairlead.engine.state import NodeState, RunOutcome, RunState
from fairlead.engine.stops import STOPS
from fairlead.engine.wording import shorten

__all__ = ["finish", "handled"]


@dataclass(frozen=True, slots=True)
class _Verdict:
    succeeded: bool
    reason: str
    message: str
    cancelled: bool = False


def finish(p: Pass) -> None:
    """End the run if every task has ended."""
    run = p.run
    if run.open_main or run.open_final:
        return
    verdict = _verdict(p)
    run.outcome = RunOutcome(
        succeeded=verdict.succeeded,
        reason=verdict.reason,
        message=shorten(verdict.message),
        finished_at=p.now,
        cancelled=verdict.cancelled,
    )
    run.revision += 1
    text = verdict.message if verdict.succeeded else f"{verdict.reason}: {verdict.message}"
    name = "Succeeded" if verdict.succeeded else "Cancelled" if verdict.cancelled else "Failed"
    note(p, EventType.NORMAL if verdict.succeeded else EventType.WARNING, name, text, "end")


def _verdict(p: Pass) -> _Verdict:
    run, graph = p.run, p.graph
    tasks = [run.nodes[name] for name in graph.nodes]
    cancelled = next((state for state in tasks if _was_cut_off(state)), None)
    if cancelled is not None:
        return _cancelled(run, graph, run.stopping or cancelled.reason)
    failures = unhandled(graph, run)
    if failures:
        return _Verdict(succeeded=False, reason="TaskFailed", message=_failures(failures))
    final = [s for s in tasks if s.node.final and s.node.required and s.phase not in (Phase.SUCCEEDED, Phase.SKIPPED)]
    if final:
        return _Verdict(succeeded=False, reason="FinallyFailed", message=_failures(final))
    return _with_outputs(p)


def _was_cut_off(state: NodeState) -> bool:
    """Tell whether a task was cancelled; in `finally`, only by somebody who wanted that to end, too."""
    return state.phase is Phase.CANCELLED and (not state.node.final or state.reason in STOPS)


def _cancelled(run: RunState, graph: Graph, cause: str) -> _Verdict:
    # A deadline is nobody's decision: the run has failed by it.
    by_user = cause in STOPS and cause != RUN_DEADLINE
    reason, why = _CANCELLED_BECAUSE.get(cause, (cause, cause))
    return _Verdict(succeeded=False, reason=reason, message=f"{why}; {_summary(run, graph)}", cancelled=by_user)


#: The reason of the run and the words for people, by the reason for which its tasks were cancelled.
_CANCELLED_BECAUSE = {
    RUN_DEADLINE: ("DeadlineExceeded", "the run took longer than its deadlineSeconds"),
    "Stopped": ("Stopped", "the run was stopped"),
    "Cancelled": ("Cancelled", "the run was cancelled"),
    "Terminated": ("Terminated", "the run was terminated"),
}


def unhandled(graph: Graph, run: RunState) -> list[NodeState]:
    """Return the tasks before `finally` that failed, and that nothing makes up for. O(nodes + edges)."""
    forgiven = handled(graph, run)
    return [
        state
        for name in graph.nodes
        if (state := run.nodes[name]).phase is Phase.FAILED
        and not state.node.final
        and not state.node.continue_on_failure
        and name not in forgiven
    ]


def handled(graph: Graph, run: RunState) -> set[str]:
    """Return the failed tasks whose failure a handler that succeeded has taken on.

    A handler answers for its failed parents, and for the root causes of those that did not run because of one.
    O(nodes + edges).
    """
    found: set[str] = set()
    handlers = [node for name, node in graph.nodes.items() if node.handles and run.nodes[name].phase is Phase.SUCCEEDED]
    stack, seen = [parent for node in handlers for parent in node.needs], set()
    while stack:
        parent = stack.pop()
        if parent in seen:
            continue
        seen.add(parent)
        match run.nodes[parent].phase:
            case Phase.FAILED:
                found.add(parent)
            case Phase.UPSTREAM_FAILED:
                stack.extend(graph.nodes[parent].needs)
            case _:
                pass
    return found


def _with_outputs(p: Pass) -> _Verdict:
    """Succeed, if the run's own results can be evaluated and kept."""
    try:
        scope = p.scope(None)
        outputs = {name: value.evaluate(scope) for name, value in p.graph.outputs}
    except ExpressionError as error:
        return _Verdict(succeeded=False, reason="ExpressionError", message=error.message)
    if capacity.size_of(outputs) > capacity.RESULT_BYTES:
        message = f"spec.outputs are larger than {capacity.RESULT_BYTES} bytes: output an address instead"
        return _Verdict(succeeded=False, reason="OutputTooLarge", message=message)
    p.run.outputs = outputs
    return _Verdict(succeeded=True, reason="Succeeded", message=_summary(p.run, p.graph))


def _summary(run: RunState, graph: Graph) -> str:
    counts: dict[Phase, int] = dict.fromkeys(Phase, 0)
    for name in graph.nodes:
        counts[run.nodes[name].phase] += 1
    counted = [f"{count} {phase.value}" for phase, count in counts.items() if count]
    return f"{len(graph.nodes)} task{'s' * (len(graph.nodes) != 1)}: " + ", ".join(counted)


def _failures(failed: list[NodeState]) -> str:
    first = failed[0]
    text = f"task {first.name!r} failed: {first.reason}: {first.message}"
    return text if len(failed) == 1 else f"{text} (and {len(failed) - 1} more tasks failed)"
