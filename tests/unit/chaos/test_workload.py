from __future__ import annotations

import shutil
import subprocess

import pytest
from e2e.chaos.rights import chart_rules
from e2e.chaos.schedule import lives, random_of
from e2e.chaos.script import Planned, ends_by_attempt
from e2e.chaos.workload import MANY, large, layers, mixed, victims

from fairlead.api.compile import compile_workflow
from fairlead.expr.cel import CelEvaluator

RUNS = [*mixed(), large("long", last=30), layers("calm", 3, flaky=False), victims("victims", 3)]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_run_is_a_valid_workflow_whose_tasks_all_have_a_planned_end(run: Planned) -> None:
    document = run.documents[-1]

    compiled = compile_workflow(document["spec"], evaluator=CelEvaluator(), name=run.name, namespace="n")

    assert set(compiled.graph.nodes) == {node for node in run.ends if "[" not in node}


def test_the_mixed_workload_has_two_hundred_tasks_of_all_kinds() -> None:
    runs = mixed()
    ends = [each for run in runs for each in (run.ends, *run.children.values())]
    nodes = [(node, end) for each in ends for node, end in each.items() if not node.startswith("t")]

    assert len(nodes) >= 200
    assert {end.carrier for _, end in nodes} == {"pods", "jobs", "workflows", ""}
    assert {end.phase for _, end in nodes} == {"Succeeded", "Failed", "UpstreamFailed", "Cancelled"}
    assert {run.request.fields["action"] for run in runs if run.request} == {"Retry", "Stop"}
    assert len(next(run for run in runs if run.name == "large").ends) > MANY


def test_names_of_two_workloads_do_not_meet() -> None:
    assert not {run.name for run in mixed()} & {run.name for run in mixed("-2")}


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a shell")
@pytest.mark.parametrize(("attempt", "code"), [("1", 3), ("2", 0), ("3", 4), ("4", 0)])
def test_an_attempt_ends_as_written(attempt: str, code: int) -> None:
    script = ends_by_attempt((3, 0, 4))

    assert subprocess.run(["sh", "-c", script], env={"FAIRLEAD_ATTEMPT": attempt}, check=False).returncode == code


def test_the_same_seed_gives_the_same_times_and_another_fault_others() -> None:
    times = lives(random_of(1, "killed"), 100, 5)

    assert times == lives(random_of(1, "killed"), 100, 5)
    assert times != lives(random_of(1, "evicted"), 100, 5)
    assert times != lives(random_of(2, "killed"), 100, 5)
    assert all(0 < each.seconds <= 5 for each in times)
    assert 5 <= sum(not each.once_ready for each in times) <= 35


def test_the_rules_of_the_chart_are_read_without_helm() -> None:
    rules = chart_rules()

    assert {"apiGroups": ["fairlead.dev"], "resources": ["workflows/status"], "verbs": ["patch"]} in rules
    assert any(rule["verbs"] == ["impersonate"] for rule in rules)
