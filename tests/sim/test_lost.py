"""Who loses more pods to others than it may has to fail; nobody else is excused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from tests.property.scenarios import Scenario
from tests.property.script import DONE, Sum, Task
from tests.sim import simulation
from tests.sim.campaign import Verdict, judge
from tests.sim.lost import CHILD_LIMIT, spent_children, succeeded_pods
from tests.sim.plot import EDITION, Plot
from tests.sim.simulation import Simulation
from tests.sim.states import State

from fairlead.api import defaults, labels
from fairlead.engine.model import RetryPolicy, WorkKind
from fairlead.kube.resources import ObjectKey
from fairlead.testing.apiserver import Change
from fairlead.testing.faults import Fault

CHILD = ("t0", 1)

#: A sub-workflow is all that there is, and each pod that it has is evicted, whenever that may be.
SPENT = Plot(
    seed=1,
    scenario=Scenario(
        seed=1,
        tasks=[Task(name=CHILD[0], kind=WorkKind.WORKFLOW, value=Sum(base=1), infrastructure_limit=0, ends=[DONE])],
    ),
    lead=Fault.EVICTED,
    state=State.CHILD,
    others=(),
    edition=EDITION,
)


def judged() -> tuple[Verdict, Simulation]:
    """Judge it, with mishaps as often as it takes: oftener than the shortest pod needs to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "_MOMENTS", (0.2, 0.2, 0.2))
        patch.setattr(simulation, "_STEPS", 100_000)
        return judge(SPENT)


@cache
def played() -> tuple[list[str], Simulation]:
    verdict, seen = judged()
    return verdict.problems, seen


def lost() -> set[str]:
    _, seen = played()
    return seen.harm.touched - succeeded_pods(seen.cluster.server.journal)


def spent(journal: list[Change], lost: set[str]) -> set[tuple[str, int]]:
    return spent_children(journal, played()[1].uid, lost)


def pods_of(journal: list[Change]) -> list[Change]:
    """Return the creates of the pods of the sub-workflow that has lost them all."""
    child = next(each.uid for each in journal if each.resource == "workflows" and node_of(each.after) == CHILD[0])
    made = [each for each in journal if (each.verb, each.resource) == ("create", "pods")]
    return [each for each in made if each.after["metadata"]["labels"].get(labels.RUN_UID) == child]


def node_of(raw: Mapping[str, Any]) -> str:
    return str((raw.get("metadata", {}).get("annotations") or {}).get(labels.NODE, ""))


def test_a_sub_workflow_that_loses_each_pod_that_it_may_have_fails() -> None:
    problems, seen = played()
    assert problems == []
    assert seen.run.nodes[CHILD[0]].reason == "SubworkflowFailed"
    journal = seen.cluster.server.journal
    assert len(pods_of(journal)) == CHILD_LIMIT + 1
    assert spent(journal, lost()) == {CHILD}


def test_not_if_one_of_them_was_nobodys_or_ended_well() -> None:
    journal = played()[1].cluster.server.journal
    for pod in pods_of(journal):
        assert spent(journal, lost() - {pod.key.name}) == set()


def test_not_if_it_has_had_fewer_or_more() -> None:
    journal = played()[1].cluster.server.journal
    last = pods_of(journal)[-1]
    more = replace(last, key=ObjectKey(last.key.namespace, "one-more"))
    assert spent([each for each in journal if each is not last], lost()) == set()
    assert spent([*journal, more], lost() | {"one-more"}) == set()


def test_what_is_tried_again_is_another_attempt_with_a_budget_of_its_own() -> None:
    journal = played()[1].cluster.server.journal
    pods = pods_of(journal)
    child = next(each for each in reversed(journal) if each.resource == "workflows" and node_of(each.after) == CHILD[0])
    metadata = child.after["metadata"]
    note = {labels.CARRIES: json.dumps({"attempt": 2, "epoch": 2, "since": "2026-11-22T08:00:00Z"})}
    noted = {**child.after, "metadata": {**metadata, "annotations": {**metadata["annotations"], **note}}}
    again = [replace(pod, key=ObjectKey(pod.key.namespace, f"{pod.key.name}-again")) for pod in pods]
    names = {pod.key.name for pod in again}
    story = [*journal, replace(child, after=noted), *again]
    assert spent(story, lost() | names) == {CHILD, (CHILD[0], 2)}
    assert spent(story, lost()) == {CHILD}
    assert spent(story[:-1], lost() | names) == {CHILD}


def test_an_operator_that_gives_up_too_early_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "_ENGINE_RETRY", RetryPolicy(infrastructure_limit=CHILD_LIMIT - 1))
    problems = judged()[0].problems
    assert any(problem.startswith(f"{CHILD[0]} is Failed SubworkflowFailed") for problem in problems)
