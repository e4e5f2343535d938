"""Runs of templates: each keeps to the template as it was when the run began, or waits for one that is not there."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead.controllers.definitions import revision_name
from fairlead.kube.errors import ServerError
from fairlead.kube.resources import CONTROLLERREVISIONS, WORKFLOWACTIONS, WORKFLOWS, WORKFLOWTEMPLATES

pytestmark = looptime


def template(stage: Stage, spec: dict[str, Any], name: str = "sales") -> None:
    metadata = {"namespace": NAMESPACE, "name": name}
    stage.api.put(WORKFLOWTEMPLATES, {"kind": "WorkflowTemplate", "metadata": metadata, "spec": spec})


def edit(stage: Stage, **spec: Any) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["spec"] |= spec
        raw["metadata"]["generation"] += 1

    stage.api.edit(WORKFLOWTEMPLATES, "sales", change)


def revisions(stage: Stage) -> dict[str, dict[str, Any]]:
    return stage.api.of(CONTROLLERREVISIONS)


def run(stage: Stage, **more: Any) -> str:
    return stage.apply({"templateRef": {"name": "sales"}, **more})


async def begun(stage: Stage) -> str:
    """A run of a template. Returns its UID."""
    await stage.begin()
    template(stage, tasks("a", "b"))
    uid = run(stage)
    await asyncio.sleep(2)
    return uid


def ask(stage: Stage, name: str = "again", created: str = "2026-11-22T08:01:00Z", **spec: Any) -> None:
    spec |= {"workflowName": "daily", "workflowUID": stage.uid(), "requestedBy": {"username": "ann"}}
    metadata = {"namespace": NAMESPACE, "name": name, "creationTimestamp": created}
    stage.api.put(WORKFLOWACTIONS, {"kind": "WorkflowAction", "metadata": metadata, "spec": spec})


def answer(stage: Stage) -> tuple[str, str]:
    conditions = stage.api.of(WORKFLOWACTIONS)["again"]["status"]["conditions"]
    accepted = next(each for each in conditions if each["type"] == "Accepted")
    return accepted["status"], accepted["reason"]


# -- beginning


@pytest.mark.row("A2")
async def test_a_run_of_a_template_runs_its_tasks(stage: Stage) -> None:
    await begun(stage)
    assert sorted(stage.pods()) == sorted([stage.pod("a"), stage.pod("b")])


@pytest.mark.row("A3")
@pytest.mark.row("fine:pinning")
async def test_what_it_runs_is_kept_in_an_object_that_it_owns_and_recorded_with_its_start(stage: Stage) -> None:
    uid = await begun(stage)
    [(name, kept)] = revisions(stage).items()
    assert name == revision_name(uid, tasks("a", "b"))
    assert kept["data"] == tasks("a", "b")
    assert kept["metadata"]["ownerReferences"][0]["uid"] == uid
    assert stage.status()["definition"] == {"template": "sales", "revision": name, "generation": 1}


@pytest.mark.row("A2")
async def test_a_run_with_tasks_of_its_own_keeps_nothing(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(2)
    assert revisions(stage) == {}
    assert "definition" not in stage.status()


async def test_what_the_run_says_itself_counts_more_than_the_template(stage: Stage) -> None:
    await stage.begin()
    template(stage, tasks("a", "b") | {"parallelism": 2})
    run(stage, parallelism=1)
    await asyncio.sleep(2)
    assert len(stage.pods()) == 1
    stage.respec(parallelism=2)
    await asyncio.sleep(2)
    assert len(stage.pods()) == 2


async def test_limits_of_the_template_count_where_the_run_says_nothing(stage: Stage) -> None:
    await stage.begin()
    template(stage, tasks("a", "b") | {"parallelism": 1})
    run(stage)
    await asyncio.sleep(2)
    stage.respec(suspend=False)
    await asyncio.sleep(2)
    assert len(stage.pods()) == 1


async def test_a_run_is_deleted_after_the_time_that_its_template_says(stage: Stage) -> None:
    await stage.begin()
    template(stage, tasks("a") | {"ttlSecondsAfterFinished": 30})
    run(stage)
    await asyncio.sleep(2)
    stage.ends(stage.pod("a"))
    await asyncio.sleep(20)
    assert "daily" in stage.api.of(WORKFLOWS)
    await asyncio.sleep(20)
    assert "daily" not in stage.api.of(WORKFLOWS)


# -- a template that is not there, or not right


async def test_a_template_that_is_missing_is_waited_for(stage: Stage) -> None:
    await stage.begin()
    run(stage)
    await asyncio.sleep(5)
    assert stage.status()["phase"] == "Pending"
    stalled = stage.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "TemplateNotFound")
    assert stalled["message"].startswith("spec.templateRef.name: ")
    assert stage.condition("Finished")["status"] == "False"
    template(stage, tasks("a"))
    await asyncio.sleep(2)
    assert stage.condition("Stalled")["status"] == "False"
    assert list(stage.pods()) == [stage.pod("a")]


async def test_a_template_of_which_no_watch_tells_is_found_all_the_same(stage: Stage) -> None:
    await stage.begin()
    run(stage)
    await asyncio.sleep(5)
    stage.operator.templates._appeared = lambda _: None
    template(stage, tasks("a"))
    await asyncio.sleep(65)
    assert list(stage.pods()) == [stage.pod("a")]


async def test_waiting_costs_one_write(stage: Stage) -> None:
    await stage.begin()
    run(stage)
    await asyncio.sleep(600)
    assert stage.api.count("patch", WORKFLOWS) == 1


async def test_a_restarted_operator_waits_on(stage: Stage) -> None:
    await stage.begin()
    run(stage)
    await asyncio.sleep(5)
    await stage.restart()
    await asyncio.sleep(2)
    template(stage, tasks("a"))
    await asyncio.sleep(2)
    assert list(stage.pods()) == [stage.pod("a")]


@pytest.mark.parametrize(("mode", "reason"), [("Graceful", "Stopped"), ("Cancel", "Cancelled")])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_run_that_waits_for_its_template_can_be_stopped(
    stage: Stage, mode: str, reason: str, restarted: bool
) -> None:
    await stage.begin()
    run(stage)
    await asyncio.sleep(5)
    if restarted:
        await stage.restart()
        await asyncio.sleep(5)
    stage.watch_is_late()
    ask(stage, action="Stop", mode=mode)
    await asyncio.sleep(5)
    assert answer(stage) == ("True", "Accepted")
    assert stage.status()["phase"] == "Cancelled"
    finished = stage.condition("Finished")
    assert (finished["status"], finished["reason"]) == ("True", reason)
    assert [each["name"] for each in stage.status()["actions"]] == ["again"]
    template(stage, tasks("a"))
    await asyncio.sleep(65)
    assert stage.pods() == {}
    assert stage.status()["phase"] == "Cancelled"


async def test_what_else_is_asked_of_one_that_waits_is_refused(stage: Stage) -> None:
    await stage.begin()
    run(stage)
    await asyncio.sleep(5)
    ask(stage, action="Approve", tasks=["a"])
    await asyncio.sleep(5)
    assert answer(stage) == ("False", "NotStarted")
    assert stage.status()["phase"] == "Pending"
    template(stage, tasks("a"))
    await asyncio.sleep(2)
    assert list(stage.pods()) == [stage.pod("a")]


async def test_a_template_that_cannot_run_is_told_at_the_field_that_names_it(stage: Stage) -> None:
    await stage.begin()
    template(stage, tasks("a", needs=["nobody"]))
    run(stage)
    await asyncio.sleep(2)
    verdict = stage.condition("Succeeded")
    assert (verdict["status"], verdict["reason"]) == ("False", "InvalidSpec")
    assert "spec.templateRef: WorkflowTemplate 'sales': spec.tasks[0].needs[0]" in verdict["message"]


async def test_one_that_has_other_faults_as_well_does_not_wait(stage: Stage) -> None:
    await stage.begin()
    run(stage, nonsense=True)
    await asyncio.sleep(2)
    assert stage.condition("Finished")["status"] == "True"
    assert "spec.templateRef.name" in stage.condition("Succeeded")["message"]


# -- keeping to it


@pytest.mark.parametrize("deleted", [False, True], ids=["edited", "deleted"])
@pytest.mark.row("A3")
@pytest.mark.row("fine:pinning")
async def test_a_template_that_changes_changes_no_run(stage: Stage, deleted: bool) -> None:
    await begun(stage)
    await stage.crash()
    if deleted:
        stage.api.drop(WORKFLOWTEMPLATES, "sales")
    else:
        edit(stage, **tasks("c"))
    await stage.restart()
    await asyncio.sleep(2)
    for pod in list(stage.pods()):
        stage.ends(pod)
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Succeeded", "b": "Succeeded"}
    assert stage.status()["definition"]["generation"] == 1


async def test_a_start_that_is_cut_off_keeps_one_definition(stage: Stage) -> None:
    await stage.begin()
    template(stage, tasks("a"))
    stage.api.fail(ServerError(500, "InternalError", "x"), "create", CONTROLLERREVISIONS, times=1, applied=True)
    run(stage)
    await asyncio.sleep(0.1)
    await stage.restart()
    await asyncio.sleep(3)
    assert len(revisions(stage)) == 1
    assert list(stage.pods()) == [stage.pod("a")]


async def test_a_definition_that_is_gone_stops_nothing_that_runs_and_is_told(stage: Stage) -> None:
    await begun(stage)
    await stage.crash()
    stage.api.drop(CONTROLLERREVISIONS, next(iter(revisions(stage))))
    await stage.restart()
    await asyncio.sleep(3)
    stalled = stage.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "ControllerRevision" in stalled["message"]
    assert stage.phases() == {"a": "Starting", "b": "Starting"}


async def test_a_definition_that_somebody_puts_in_place_of_ours_is_not_believed(stage: Stage) -> None:
    await begun(stage)
    await stage.crash()
    [(name, kept)] = revisions(stage).items()
    forged = deepcopy(kept)
    forged["data"] = tasks("evil")
    for mine in ("uid", "resourceVersion"):
        del forged["metadata"][mine]
    stage.api.drop(CONTROLLERREVISIONS, name)
    stage.api.put(CONTROLLERREVISIONS, forged)
    await stage.restart()
    await asyncio.sleep(3)
    assert stage.condition("Stalled")["reason"] == "InvalidSpec"
    assert "evil" not in "".join(stage.pods())


async def test_nor_is_one_that_is_there_before_the_run_begins(stage: Stage) -> None:
    await stage.begin()
    template(stage, tasks("a"))
    uid = run(stage, suspend=True)
    metadata = {"namespace": NAMESPACE, "name": revision_name(uid, tasks("a"))}
    stage.api.put(CONTROLLERREVISIONS, {"metadata": metadata, "data": tasks("evil")})
    await asyncio.sleep(3)
    assert "remove it" in stage.condition("Succeeded")["message"]


# -- running again, by which definition


async def failed(stage: Stage) -> None:
    """A run of which `a` has succeeded and `b` has failed, by a template that has been changed since."""
    await begun(stage)
    stage.ends(stage.pod("a"))
    stage.ends(stage.pod("b"), code=1)
    await asyncio.sleep(3)
    edit(stage, **tasks("a", "b", "c"))


async def test_a_retry_goes_on_by_the_definition_that_the_run_began_with(stage: Stage) -> None:
    await failed(stage)
    ask(stage, action="Retry")
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}
    assert stage.status()["definition"]["generation"] == 1


@pytest.mark.row("fine:pinning")
@pytest.mark.row("G1")
async def test_or_by_the_newest_if_that_is_asked_for(stage: Stage) -> None:
    await failed(stage)
    ask(stage, action="Retry", revision="Latest")
    await asyncio.sleep(3)
    assert answer(stage) == ("True", "Accepted")
    assert stage.phases() == {"a": "Succeeded", "b": "Starting", "c": "Starting"}
    assert stage.status()["definition"] == {
        "template": "sales",
        "revision": revision_name(stage.uid(), tasks("a", "b", "c")),
        "generation": 2,
    }
    assert stage.api.count("create", CONTROLLERREVISIONS) == 2


async def test_it_keeps_to_that_one_then(stage: Stage) -> None:
    await failed(stage)
    ask(stage, action="Retry", revision="Latest")
    await asyncio.sleep(3)
    await stage.crash()
    edit(stage, **tasks("z"))
    await stage.restart()
    for pod in (stage.pod("b", 2), stage.pod("c")):
        stage.ends(pod)
    await asyncio.sleep(3)
    assert stage.phases() == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}


async def test_a_task_that_the_newest_has_no_more_is_left_out(stage: Stage) -> None:
    await failed(stage)
    edit(stage, **tasks("b"))
    ask(stage, action="Retry", revision="Latest")
    await asyncio.sleep(3)
    assert stage.phases() == {"b": "Starting"}


async def test_a_request_that_is_refused_changes_no_definition(stage: Stage) -> None:
    await failed(stage)
    ask(stage, action="Retry", revision="Latest", tasks=["a"])
    await asyncio.sleep(3)
    assert answer(stage) == ("False", "NothingToRetry")
    assert stage.phases() == {"a": "Succeeded", "b": "Failed"}
    assert stage.status()["definition"]["generation"] == 1


async def test_of_several_requests_each_goes_by_the_definition_that_it_asks_for(stage: Stage) -> None:
    await failed(stage)
    ask(stage, "one", action="Retry", revision="Latest", tasks=["a"])
    ask(stage, "again", "2026-11-22T08:02:00Z", action="Retry")
    await asyncio.sleep(3)
    assert answer(stage) == ("True", "Accepted")
    assert stage.phases() == {"a": "Succeeded", "b": "Starting"}
    assert stage.status()["definition"]["generation"] == 1


@pytest.mark.parametrize(("gone", "reason"), [(True, "TemplateNotFound"), (False, "InvalidSpec")])
async def test_a_newest_definition_that_cannot_run_refuses_the_request(stage: Stage, gone: bool, reason: str) -> None:
    await failed(stage)
    if gone:
        stage.api.drop(WORKFLOWTEMPLATES, "sales")
    else:
        edit(stage, **tasks("a", needs=["nobody"]))
    ask(stage, action="Retry", revision="Latest")
    await asyncio.sleep(3)
    assert answer(stage) == ("False", reason)
    assert stage.phases() == {"a": "Succeeded", "b": "Failed"}
