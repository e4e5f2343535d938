"""From the spec of a Workflow to what the engine runs: a graph and its settings.

Everything that a schema cannot say is checked here: names that do not exist, values of the wrong type,
expressions that do not compile, cycles. Every problem is reported at once, with the path of its field, before
any pod exists. The same step runs in the operator, in `fairlead lint` and in `fairlead run --local`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api.problems import InvalidSpec, Problem
from fairlead.engine.expressions import Evaluator
from fairlead.engine.model import Graph, Settings

__all__ = ["Compiled", "InvalidSpec", "Problem", "compile_settings", "compile_workflow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A definition that can run.

    `graph.params` has the value of every parameter; each `Node.work.evaluate(scope)` yields a
    :class:`fairlead.api.work.RenderedWork`. `warnings` are advice (such as an edge implied by a reference)
    that lint prints and the operator publishes as an event.
    """

    name: str
    namespace: str
    graph: Graph
    settings: Settings
    ttl_seconds_after_finished: int | None = None
    warnings: tuple[Problem, ...] = ()


def compile_workflow(spec: Mapping[str, Any], *, evaluator: Evaluator, name: str, namespace: str) -> Compiled:
    """Check a Workflow's spec (plain JSON) and turn it into a graph.

    Raises :class:`InvalidSpec` with every problem found. Never changes `spec`.
    """
    raise NotImplementedError


def compile_settings(spec: Mapping[str, Any]) -> Settings:
    """Return the part of a spec that may change while the run is going on, without compiling the rest.

    Expects a spec that the schema accepts; raises :class:`InvalidSpec` when these fields have wrong types.
    """
    raise NotImplementedError
