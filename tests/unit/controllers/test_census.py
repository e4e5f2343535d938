"""What the metrics tell about runs and tasks when they are read: what runs, what waits and why, and for whom."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import pytest
from tests.perf.counting import calls
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead import controllers
from fairlead.api.problems import Problem
from fairlead.controllers.census import _RUN_STALLS, _TASK_WAITS
from fairlead.controllers.reading import ShardsMissing
from fairlead.controllers.run import Run
from fairlead.controllers.status import encode, refused_status, unready_status
from fairlead.controllers.store import Workflow
from fairlead.kube.resources import WORKFLOWS, WORKFLOWTEMPLATES
from fairlead.kube.transport import JsonObject

pytestmark = looptime


def value(stage: Stage, name: str, **labels: str) -> float | None:
    return stage.operator.metrics.registry.get_sample_value(name, labels)


def nonzero(stage: Stage, name: str, label: str) -> dict[str, float]:
    """The values of a gauge by one of its labels, but for those that are 0."""
    families = {family.name: family for family in stage.operator.metrics.registry.collect()}
    return {sample.labels[label]: sample.value for sample in families[name].samples if sample.value}


def chain(*names: str, **spec: Any) -> JsonObject:
    """Tasks one after the other."""
    found = []
    for name, before in zip(names, ("", *names), strict=False):
        found += tasks(name, **({"needs": [before]} if before else {}))["tasks"]
    return {"tasks": found, **spec}


async def test_a_run_is_counted_by_its_phase_from_the_first_to_the_last(stage: Stage) -> None:
    await stage.begin()
    assert nonzero(stage, "fairlead_runs", "phase") == {}
    assert value(stage, "fairlead_runs", phase="Running") == 0
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    assert nonzero(stage, "fairlead_runs", "phase") == {"Running": 1}
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    assert nonzero(stage, "fairlead_runs", "phase") == {"Succeeded": 1}
    stage.api.drop(WORKFLOWS, "daily")
    await asyncio.sleep(1)
    assert nonzero(stage, "fairlead_runs", "phase") == {}


async def test_tasks_are_counted_by_phase_and_by_what_they_wait_for(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**chain("a", "b"), "tasks": [*chain("a", "b")["tasks"], *tasks("c", "d")["tasks"]], "parallelism": 2})
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(1)
    assert nonzero(stage, "fairlead_tasks", "phase") == {"Running": 1, "Starting": 1, "Waiting": 1, "Queued": 1}
    assert nonzero(stage, "fairlead_tasks_waiting", "reason") == {
        "Starting": 1,
        "WaitingForTasks": 1,
        "WaitingForParallelism": 1,
    }
    assert nonzero(stage, "fairlead_task_slots", "state") == {"held": 2, "waiting": 1}


async def test_what_was_suspended_and_what_has_ended_is_counted_no_more(stage: Stage) -> None:
    await stage.begin()
    stage.apply(chain("a", "b", suspend=True))
    await asyncio.sleep(1)
    assert nonzero(stage, "fairlead_tasks_waiting", "reason") == {"Suspended": 1, "WaitingForTasks": 1}
    stage.respec(suspend=False)
    for task in ("a", "b"):
        await asyncio.sleep(2)
        stage.ends(stage.pod(task))
    await asyncio.sleep(2)
    assert nonzero(stage, "fairlead_tasks_waiting", "reason") == {}
    assert nonzero(stage, "fairlead_tasks", "phase") == {}


async def test_a_run_without_its_template_waits_and_needs_help(stage: Stage) -> None:
    await stage.begin()
    stage.apply({"templateRef": {"name": "nightly"}})
    await asyncio.sleep(1)
    assert nonzero(stage, "fairlead_runs_waiting", "reason") == {"TemplateNotFound": 1}
    assert nonzero(stage, "fairlead_runs_stalled", "reason") == {"TemplateNotFound": 1}


NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Told(TypedDict):
    generation: int
    now: datetime


def stalls(run: Run) -> dict[str, JsonObject]:
    """A status of each kind that says `Stalled` of a run that is not over, as the operator writes it."""
    problem = Problem("spec", "is wrong")
    workflow = Workflow.of(
        {
            "metadata": {"namespace": NAMESPACE, "name": "daily", "uid": "u-1", "resourceVersion": "1"},
            "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
        }
    )
    begun, told = workflow.status, Told(generation=1, now=NOW)
    return {
        "TemplateNotFound": unready_status(problem, reason="TemplateNotFound", previous={}, **told),
        "InvalidSpec": refused_status([problem], previous=begun, **told),
        "ShardMissing": ShardsMissing(["daily-0"]).status(workflow, NOW),
        "OperatorBlocked": encode(run.state, run.settings, previous=begun, stalled="may not", **told),
    }


@pytest.mark.parametrize("reason", sorted(_RUN_STALLS))
async def test_each_reason_to_stall_has_a_series_of_its_own(stage: Stage, reason: str) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    written = stalls(stage.run())
    assert written.keys() == _RUN_STALLS
    stage.operator.store.put(stage.api.edit(WORKFLOWS, "daily", lambda raw: raw.update(status=written[reason])))
    assert nonzero(stage, "fairlead_runs_stalled", "reason") == {reason: 1}


def test_there_are_no_other_reasons_to_stall() -> None:
    sources = "\n".join(path.read_text() for path in Path(controllers.__file__).parent.glob("*.py"))
    written = re.findall(r'stalled_status\([^,()]+, "(\w+)"|"Stalled": \("True", "(\w+)"', sources)
    assert written, "the pattern finds nothing any more"
    assert {first or second for first, second in written} <= _RUN_STALLS


async def test_words_that_nobody_here_has_said_make_no_series(stage: Stage) -> None:
    """Whoever may write a status, or a pod's, must not be able to make up labels."""
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)

    def change(raw: JsonObject) -> None:
        raw["status"]["phase"] = "Dancing"
        for each in raw["status"]["conditions"]:
            if each["type"] == "Stalled":
                each |= {"status": "True", "reason": "Bored"}

    stage.operator.store.put(stage.api.edit(WORKFLOWS, "daily", change))
    assert nonzero(stage, "fairlead_runs", "phase") == {"Other": 1}
    assert nonzero(stage, "fairlead_runs_stalled", "reason") == {"Other": 1}
    state = stage.run().state
    state.nodes["a"].reason = "Moonstruck"
    state.touch(state.nodes["a"])
    assert nonzero(stage, "fairlead_tasks_waiting", "reason") == {"Other": 1}


async def test_what_this_replica_does_not_hold_is_another_ones_to_count(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    assert sum(nonzero(stage, "leader_election_master_status", "name").values()) == 16
    assert value(stage, "fairlead_bucket_groups") == 16
    stage.operator.holdings.groups = frozenset()
    assert nonzero(stage, "fairlead_runs", "phase") == {}
    assert nonzero(stage, "leader_election_master_status", "name") == {}
    assert value(stage, "fairlead_bucket_groups") == 0


async def test_runs_of_a_template_are_counted_apart_where_that_was_asked_for(stage: Stage) -> None:
    await stage.begin()
    stage.operator.metrics.templates.most = 1
    for name in ("sales", "stock"):
        metadata = {"namespace": NAMESPACE, "name": name}
        stage.api.put(WORKFLOWTEMPLATES, {"kind": "WorkflowTemplate", "metadata": metadata, "spec": tasks("a", "b")})
        stage.apply({"templateRef": {"name": name}}, name=f"{name}-1")
        await asyncio.sleep(1)
    stage.apply(tasks("a"), name="of-no-template")
    await asyncio.sleep(1)
    sales = {"namespace": NAMESPACE, "template": "sales"}
    assert value(stage, "fairlead_template_runs_active", **sales) == 1
    assert value(stage, "fairlead_template_tasks", **sales, phase="Starting") == 2
    assert value(stage, "fairlead_template_tasks_waiting", **sales, reason="Starting") == 2
    for pod in list(stage.pods()):
        stage.runs(pod)
        stage.ends(pod)
    await asyncio.sleep(2)
    assert value(stage, "fairlead_template_runs_finished_total", **sales, outcome="succeeded") == 1
    assert value(stage, "fairlead_template_attempts_total", **sales, **{"class": "succeeded"}) == 2
    assert value(stage, "fairlead_template_runs_active", **sales) is None
    assert value(stage, "fairlead_runs_finished_total", outcome="succeeded", reason="Succeeded") == 3
    assert "stock" not in stage.operator.metrics.render()[0].decode()


async def test_a_run_and_its_attempts_are_counted_with_their_times(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(3)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(5)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(2)
    assert value(stage, "fairlead_run_start_delay_seconds_count") == 1
    assert value(stage, "fairlead_run_duration_seconds_count", outcome="succeeded") == 1
    assert value(stage, "fairlead_node_attempts_total", **{"class": "succeeded"}) == 1
    assert value(stage, "fairlead_attempt_duration_seconds_sum", **{"class": "succeeded"}) == 5
    assert value(stage, "fairlead_attempt_startup_seconds_sum", kind="Pod") == 3


async def test_an_attempt_that_was_stopped_has_not_succeeded(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks("a"), "deadlineSeconds": 5})
    await asyncio.sleep(1)
    stage.runs(stage.pod("a"))
    await asyncio.sleep(10)
    stage.ends(stage.pod("a"), code=143)
    await asyncio.sleep(2)
    assert value(stage, "fairlead_node_attempts_total", **{"class": "succeeded"}) == 0
    assert value(stage, "fairlead_node_attempts_total", **{"class": "cancelled"}) == 1


async def test_a_run_that_has_not_changed_is_not_looked_at_again(stage: Stage) -> None:
    await stage.begin()
    stage.apply({**tasks(*(f"t{number}" for number in range(200))), "suspend": True})
    await asyncio.sleep(2)
    census = stage.operator.census
    assert census.tasks_waiting()["Suspended",] == 200
    again = calls(census.tasks_waiting)
    stage.respec(parallelism=5)
    await asyncio.sleep(1)
    assert calls(census.tasks_waiting) > again + 50
    assert again < 100


def test_what_keeps_tasks_is_known_by_name() -> None:
    """Reasons that are written in the engine and the controllers, and may be those of a task that does not run."""
    assert {"Unschedulable", "ImagePull", "QuotaExceeded", "OperatorForbidden", "WaitingForParallelism"} <= _TASK_WAITS
