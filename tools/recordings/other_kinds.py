"""WorkflowTemplates and WorkflowActions in every state: each scene ends when the object is as its first line says."""

from __future__ import annotations

from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWTEMPLATES, Resource

from .runs import failed, running
from .stage import RUN, TASKS, TEMPLATE, Stage, task

__all__ = ["ACTIONS", "TEMPLATES"]

# -- templates


async def template_created(stage: Stage) -> Resource:
    """No operator has seen it."""
    stage.template(tasks=TASKS)
    return WORKFLOWTEMPLATES


async def template_valid(stage: Stage) -> Resource:
    """Runs of it can start."""
    kinds = {"day": "string", "rows": "integer", "share": "number", "full": "boolean"}
    defaults = [{"name": "regions", "type": "array", "default": ["eu", "us"]}]
    stage.template(params=[*({"name": name, "type": kind} for name, kind in kinds.items()), *defaults], tasks=TASKS)
    stage.start()
    await stage.until(lambda: stage.says("Valid", "True", WORKFLOWTEMPLATES, TEMPLATE))
    return WORKFLOWTEMPLATES


async def template_with_list(stage: Stage) -> Resource:
    """Runs of it can start, if they are given a list."""
    stage.template(params=[{"name": "regions", "type": "array"}], tasks=TASKS)
    stage.start()
    await stage.until(lambda: stage.says("Valid", "True", WORKFLOWTEMPLATES, TEMPLATE))
    return WORKFLOWTEMPLATES


async def template_invalid(stage: Stage) -> Resource:
    """No run of it could start."""
    stage.template(tasks=[task("extract"), task("report", "extrat")])
    stage.start()
    await stage.until(lambda: stage.says("Valid", "False", WORKFLOWTEMPLATES, TEMPLATE))
    return WORKFLOWTEMPLATES


async def template_mended(stage: Stage) -> Resource:
    """No run of it could start, and its spec was changed while no operator was there."""
    await template_invalid(stage)
    stage.cluster.hosts[0].crash()
    assert stage.cluster.patch(WORKFLOWTEMPLATES, TEMPLATE, {"spec": {"tasks": TASKS}}).code == 200
    return WORKFLOWTEMPLATES


async def action_created(stage: Stage) -> Resource:
    """No operator has seen it."""
    stage.workflow(tasks=TASKS)
    stage.ask("Retry")
    return WORKFLOWACTIONS


async def action_done(stage: Stage) -> Resource:
    """It was accepted and carried out."""
    await failed(stage)
    stage.ask("Retry")
    await stage.until(lambda: stage.says("Completed", "True", WORKFLOWACTIONS, f"{RUN}-retry"))
    return WORKFLOWACTIONS


async def action_refused(stage: Stage) -> Resource:
    """The run does not do it."""
    await running(stage)
    stage.ask("Retry")
    await stage.until(lambda: stage.says("Completed", "True", WORKFLOWACTIONS, f"{RUN}-retry"))
    return WORKFLOWACTIONS


async def action_stale(stage: Stage) -> Resource:
    """Its run is another one by now."""
    await running(stage)
    stage.ask("Retry", uid="11111111-2222-3333-4444-555555555555")
    await stage.until(lambda: stage.says("Completed", "True", WORKFLOWACTIONS, f"{RUN}-retry"))
    return WORKFLOWACTIONS


TEMPLATES = (template_created, template_valid, template_with_list, template_invalid, template_mended)
ACTIONS = (action_created, action_done, action_refused, action_stale)
