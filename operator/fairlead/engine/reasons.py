"""Why is a node not running? Computed from the state when somebody asks, never stored, so it cannot be stale."""

from __future__ import annotations

from fairlead.engine.model import TERMINAL, Phase, Settings
from fairlead.engine.state import NodeState, RunState

__all__ = ["why"]

_NAMES_SHOWN = 5


def why(run: RunState, settings: Settings, state: NodeState) -> tuple[str, str]:
    """Return a machine reason and a message for people; `("", "")` for a node that runs undisturbed or succeeded."""
    match state.phase:
        case Phase.WAITING:
            return "WaitingForTasks", _names([name for name in state.node.needs if not _over(run, name)])
        case Phase.QUEUED:
            if state.reason:
                return state.reason, state.message
            if not run.is_proven:
                return "WaitingForRecord", "an end that no object shows any more is written to the status first"
            if settings.suspend:
                return "Suspended", "spec.suspend is true"
            return "WaitingForParallelism", f"{run.live}/{settings.parallelism} running"
        case Phase.BACKOFF:
            until = "" if state.not_before is None else f"{state.not_before:%Y-%m-%dT%H:%M:%SZ}"
            return "Backoff", f"next attempt at {until}; the last one: {state.reason}: {state.message}"
        case _:
            return state.reason, state.message


def _over(run: RunState, name: str) -> bool:
    return run.nodes[name].phase in TERMINAL


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
