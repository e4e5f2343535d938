"""Runs and errands as far as their carriers know them, and what those tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from fairlead.api.work import Bound
from fairlead.controllers.errands import Errand
from fairlead.controllers.pods import Owner
from fairlead.controllers.run import Run
from fairlead.engine.commands import StartAttempt
from fairlead.engine.events import AttemptSeen
from fairlead.engine.expressions import Declarations
from fairlead.engine.model import WorkKind
from fairlead.engine.state import Attempt, Outcome
from fairlead.expr.cel import CelEvaluator

EVALUATOR = CelEvaluator()


def expression(source: str, variable: str) -> Bound:
    return Bound(EVALUATOR.compile(source, Declarations(variables={variable: None})), {})


def a_run(uid: str = "u1", namespace: str = "ns", service_account: str = "loader") -> Run:
    """A run in which nothing has happened."""
    return Run(
        owner=Owner(api_version="v", kind="Workflow", name="daily", namespace=namespace, uid=uid),
        compiled=cast("Any", None),
        settings=cast("Any", None),
        generation=1,
        state=cast("Any", SimpleNamespace(nodes={}, recorded_revision=0, unsent={})),
        written={},
        version=1,
        service_account=service_account,
    )


def began(run: Run, node: str) -> Attempt:
    """Put an attempt of a node on the run's record."""
    attempt = Attempt(number=1, object_name=f"daily-{node}-1")
    of = SimpleNamespace(work=SimpleNamespace(kind=WorkKind.HTTP))
    run.state.nodes[node] = cast("Any", SimpleNamespace(attempts=[attempt], node=of))
    return attempt


def start(node: str, kind: WorkKind, work: Any, *, resumed: bool = False) -> StartAttempt:
    return StartAttempt(node=node, number=1, object_name=f"daily-{node}-1", kind=kind, work=work, resumed=resumed)


def errand(run: Run, node: str, kind: WorkKind, work: Any, *, resumed: bool = False) -> Errand:
    return Errand(run, start(node, kind, work, resumed=resumed), lambda _: None)


def seen(run: Run, node: str) -> list[AttemptSeen]:
    """What a run was told about a node."""
    return [fact for fact in run.inbox if isinstance(fact, AttemptSeen) and fact.node == node]


def waits(run: Run, node: str) -> list[str]:
    """The reasons that were given for not getting on, in order."""
    return [fact.reason for fact in seen(run, node) if fact.outcome is None]


def outcome(run: Run, node: str) -> Outcome | None:
    """How a node's attempt has ended, None while it has not."""
    found = [fact.outcome for fact in seen(run, node) if fact.outcome is not None]
    assert len(found) <= 1
    return found[0] if found else None
