"""WorkflowTemplates say in their own status whether they can run."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks

from fairlead.kube.resources import WORKFLOWTEMPLATES

pytestmark = looptime


def template(stage: Stage, spec: dict[str, Any], **more: Any) -> None:
    metadata = {"namespace": NAMESPACE, "name": "sales"}
    stage.api.put(WORKFLOWTEMPLATES, {"kind": "WorkflowTemplate", "metadata": metadata, "spec": spec, **more})


def valid(stage: Stage) -> dict[str, Any]:
    conditions = stage.api.of(WORKFLOWTEMPLATES)["sales"]["status"]["conditions"]
    [found] = [each for each in conditions if each["type"] == "Valid"]
    return dict(found)


async def judged(stage: Stage, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    await stage.begin()
    template(stage, spec, **more)
    await asyncio.sleep(2)
    return valid(stage)


async def test_a_template_that_can_run_is_valid(stage: Stage) -> None:
    found = await judged(stage, tasks("a") | {"params": [{"name": "day"}]})
    assert (found["status"], found["reason"], found["observedGeneration"]) == ("True", "Valid", 1)


async def test_one_that_cannot_says_everything_that_is_wrong_with_it(stage: Stage) -> None:
    found = await judged(stage, tasks("a", "b", needs=["nobody"]))
    assert (found["status"], found["reason"]) == ("False", "InvalidSpec")
    assert "spec.tasks[0].needs[0]: " in found["message"]
    assert "spec.tasks[1].needs[0]: " in found["message"]


async def test_one_that_is_corrected_is_judged_again(stage: Stage) -> None:
    await judged(stage, tasks("a", needs=["nobody"]))

    def correct(raw: dict[str, Any]) -> None:
        raw["spec"] = tasks("a")
        raw["metadata"]["generation"] += 1

    stage.api.edit(WORKFLOWTEMPLATES, "sales", correct)
    await asyncio.sleep(2)
    assert (valid(stage)["status"], valid(stage)["observedGeneration"]) == ("True", 2)


async def test_conditions_of_others_stay(stage: Stage) -> None:
    theirs = {"type": "Reviewed", "status": "True", "reason": "x", "message": ""}
    await judged(stage, tasks("a"), status={"conditions": [theirs]})
    assert theirs in stage.api.of(WORKFLOWTEMPLATES)["sales"]["status"]["conditions"]


async def test_each_is_judged_once_whoever_restarts(stage: Stage) -> None:
    await judged(stage, tasks("a"))
    await stage.restart()
    await asyncio.sleep(120)
    assert stage.api.count("patch", WORKFLOWTEMPLATES) == 1


async def test_a_change_while_it_is_judged_is_not_overwritten(stage: Stage) -> None:
    await stage.begin()
    writing = stage.api.hold("patch", WORKFLOWTEMPLATES)
    template(stage, tasks("a", needs=["nobody"]))
    await asyncio.sleep(1)

    def correct(raw: dict[str, Any]) -> None:
        raw["spec"] = tasks("a")
        raw["metadata"]["generation"] += 1

    stage.api.edit(WORKFLOWTEMPLATES, "sales", correct)
    writing.lift()
    await asyncio.sleep(5)
    assert (valid(stage)["status"], valid(stage)["observedGeneration"]) == ("True", 2)
