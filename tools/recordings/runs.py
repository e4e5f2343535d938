"""Workflows in every state: each scene ends when the run is as its first line says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fairlead.kube.resources import TASKSTATUSSHARDS, WORKFLOWS, Resource
from fairlead.testing.apiserver import Answer, Request

from .stage import RUN, TASKS, TEMPLATE, Stage, task

__all__ = ["SCENES", "failed", "running"]

# -- not begun


async def created(stage: Stage) -> Resource:
    """No operator has seen it."""
    stage.workflow(tasks=TASKS)
    return WORKFLOWS


async def waits_for_template(stage: Stage) -> Resource:
    """Its template is not there."""
    stage.workflow(templateRef={"name": TEMPLATE})
    stage.start()
    await stage.blocked()
    return WORKFLOWS


async def waits_for_key(stage: Stage) -> Resource:
    """Another run holds its concurrencyKey."""
    await _behind(stage, "Queue")
    await stage.until(lambda: stage.says("Finished", "False"))
    return WORKFLOWS


async def stopped_in_line(stage: Stage) -> Resource:
    """It was stopped while it waited for its concurrencyKey."""
    await _behind(stage, "Queue")
    await stage.until(lambda: stage.says("Finished", "False"))
    stage.ask("Stop", mode="Cancel")
    await stage.finished()
    return WORKFLOWS


async def refused_by_key(stage: Stage) -> Resource:
    """Another run holds its concurrencyKey, and it does not wait."""
    await _behind(stage, "Refuse")
    await stage.finished()
    return WORKFLOWS


async def replaced_by_key(stage: Stage) -> Resource:
    """A newer run with its concurrencyKey took its place before it began."""
    await _behind(stage, "Replace", held="Queue")
    stage.workflow("newer", tasks=TASKS, concurrencyKey={"key": "sales", "onConflict": "Replace"})
    await stage.finished()
    return WORKFLOWS


async def _behind(stage: Stage, on_conflict: str, held: str = "Queue") -> None:
    stage.workflow(
        "older",
        tasks=[task("long", pod={"terminationGracePeriodSeconds": 600})],
        concurrencyKey={"key": "sales", "onConflict": held},
    )
    stage.start()
    await stage.running("older")
    stage.workflow(tasks=TASKS, concurrencyKey={"key": "sales", "onConflict": on_conflict})


async def invalid(stage: Stage) -> Resource:
    """Its definition is refused."""
    stage.workflow(tasks=[task("extract"), task("report", "extrat")])
    stage.start()
    await stage.finished()
    return WORKFLOWS


# -- under way


async def running(stage: Stage) -> Resource:
    """Its first task runs."""
    stage.workflow(tasks=[task("long"), task("report", "long")])
    stage.start()
    await stage.running()
    return WORKFLOWS


async def running_in_shards(stage: Stage) -> Resource:
    """It has so many tasks that they are not listed in it."""
    stage.workflow(tasks=[task("long", forEach={"in": list(range(250)), "as": "item"})])
    stage.start()
    await stage.until(lambda: "shards" in stage.read().get("status", {}))
    return WORKFLOWS


async def backing_off(stage: Stage) -> Resource:
    """A task has failed and is tried again later."""
    stage.workflow(tasks=[task("bad", retry={"limit": 3, "backoff": {"initialSeconds": 300}})])
    stage.start()
    await stage.until(lambda: stage.read().get("status", {}).get("counts", {}).get("backoff", 0) > 0)
    return WORKFLOWS


async def waits_for_approval(stage: Stage) -> Resource:
    """A task waits for somebody's approval."""
    stage.workflow(
        tasks=[task("extract"), {"name": "sign-off", "needs": ["extract"], "approval": {"message": "Publish?"}}]
    )
    stage.start()
    await stage.until(
        lambda: any(each.get("reason") == "WaitingForApproval" for each in stage.read()["status"].get("tasks", ()))
    )
    return WORKFLOWS


async def waits_for_two_approvals(stage: Stage) -> Resource:
    """Two tasks wait for somebody's approval."""
    stage.workflow(tasks=[{"name": name, "approval": {"message": f"{name}?"}} for name in ("legal", "finance")])
    stage.start()
    await stage.until(
        lambda: sum(each.get("reason") == "WaitingForApproval" for each in stage.read()["status"].get("tasks", ())) == 2
    )
    return WORKFLOWS


async def suspended(stage: Stage) -> Resource:
    """Somebody suspended it while it ran."""
    await running(stage)
    stage.change(suspend=True)
    await stage.until(lambda: stage.says("Suspended"))
    return WORKFLOWS


async def created_suspended(stage: Stage) -> Resource:
    """It was suspended from the beginning."""
    stage.workflow(tasks=TASKS, suspend=True)
    stage.start()
    await stage.until(lambda: stage.says("Suspended"))
    return WORKFLOWS


async def changed(stage: Stage) -> Resource:
    """Its spec was changed while no operator was there."""
    await running(stage)
    stage.cluster.hosts[0].crash()
    stage.change(parallelism=1)
    return WORKFLOWS


async def stopping(stage: Stage) -> Resource:
    """It is being stopped, and what runs may finish."""
    await running(stage)
    stage.ask("Stop", mode="Graceful")
    await stage.until(lambda: "stop" in stage.read()["status"])
    return WORKFLOWS


async def retried(stage: Stage) -> Resource:
    """It had failed, and somebody had it run again."""
    await failed(stage)
    stage.ask("Retry")
    await stage.until(lambda: stage.says("Finished", "False"))
    return WORKFLOWS


async def operator_blocked(stage: Stage) -> Resource:
    """The operator lacks the rights to go on."""

    def forbidden(request: Request, obj: Mapping[str, Any]) -> Answer | None:
        if obj.get("kind") != "Pod" or request.method != "POST":
            return None
        message = (
            'pods is forbidden: User "fairlead" cannot create resource "pods" in API group "" '
            'in the namespace "default"'
        )
        return Answer(
            code=403,
            body={"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": message, "code": 403},
        )

    stage.cluster.server.admit = forbidden
    stage.workflow(tasks=TASKS)
    stage.start()
    await stage.blocked()
    return WORKFLOWS


async def shard_missing(stage: Stage) -> Resource:
    """Somebody removed a part of its record."""
    await running_in_shards(stage)
    stage.cluster.hosts[0].crash()
    [shard] = [each["metadata"]["name"] for each in stage.cluster.list(TASKSTATUSSHARDS)][:1]
    stage.cluster.patch(TASKSTATUSSHARDS, shard, {"metadata": {"finalizers": None}})
    stage.cluster.delete(TASKSTATUSSHARDS, shard)
    stage.start()
    await stage.blocked()
    return WORKFLOWS


async def deleted(stage: Stage) -> Resource:
    """It has succeeded, and is being deleted once its pods are gone."""
    await succeeded(stage)
    stage.cluster.server.collect = None  # nobody takes the pods away
    stage.cluster.delete(WORKFLOWS, RUN, propagationPolicy="Foreground")
    return WORKFLOWS


# -- over


async def succeeded(stage: Stage) -> Resource:
    """All of it has succeeded."""
    stage.workflow(tasks=TASKS)
    stage.start()
    await stage.finished()
    return WORKFLOWS


async def succeeded_with_failure(stage: Stage) -> Resource:
    """A task has failed that may fail."""
    stage.workflow(tasks=[task("bad", onFailure="Continue"), task("report")])
    stage.start()
    await stage.finished()
    return WORKFLOWS


async def succeeded_then_changed(stage: Stage) -> Resource:
    """Its spec was changed after its end."""
    await succeeded(stage)
    stage.change(suspend=True)
    await asyncio.sleep(120)
    return WORKFLOWS


async def failed(stage: Stage) -> Resource:
    """A task has failed."""
    stage.workflow(tasks=[task("bad"), task("report", "bad")])
    stage.start()
    await stage.finished()
    return WORKFLOWS


async def deadline_exceeded(stage: Stage) -> Resource:
    """It took longer than it may."""
    stage.workflow(tasks=[task("long")], deadlineSeconds=60)
    stage.start()
    await stage.finished()
    return WORKFLOWS


async def cancelled(stage: Stage) -> Resource:
    """Somebody cancelled it."""
    await running(stage)
    stage.ask("Stop", mode="Cancel")
    await stage.finished()
    return WORKFLOWS


SCENES = (
    created,
    waits_for_template,
    waits_for_key,
    stopped_in_line,
    refused_by_key,
    replaced_by_key,
    invalid,
    running,
    running_in_shards,
    backing_off,
    waits_for_approval,
    waits_for_two_approvals,
    suspended,
    created_suspended,
    changed,
    stopping,
    retried,
    operator_blocked,
    shard_missing,
    deleted,
    succeeded,
    succeeded_with_failure,
    succeeded_then_changed,
    failed,
    deadline_exceeded,
    cancelled,
)
