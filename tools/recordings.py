"""Objects of our kinds in every state that GitOps tools may meet them in, as the operator leaves them.

Each scene is the shipped operator at work in a cluster in memory (`fairlead.testing`), until an object is as its name
says; the object is kept as YAML. Health checks, actions and kstatus are judged by these, so none is written by hand.
Time is virtual and chance is seeded: the same code records the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from fairlead.api import labels
from fairlead.kube.resources import TASKSTATUSSHARDS, WORKFLOWACTIONS, WORKFLOWS, WORKFLOWTEMPLATES, Resource
from fairlead.testing.apiserver import Answer, Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run
from fairlead.testing.nodes import Act

__all__ = ["RECORDED", "recordings", "to_yaml"]

_Object = dict[str, Any]

_NAME = "daily-sales"
_TEMPLATE = "sales"

#: Not of the state: versions grow with every request, also with those that only a newer operator sends.
_DROPPED = ("resourceVersion",)


@dataclass(frozen=True, slots=True)
class Stage:
    """A cluster with one operator, which may not be at work yet, and what people do there."""

    cluster: Cluster

    def workflow(self, name: str = _NAME, **spec: Any) -> _Object:
        """Create a Workflow."""
        return self.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": spec}, "default")

    def template(self, **spec: Any) -> _Object:
        """Create the WorkflowTemplate."""
        return self.cluster.put(WORKFLOWTEMPLATES, {"metadata": {"name": _TEMPLATE}, "spec": spec}, "default")

    def start(self) -> None:
        """Let the operator begin its work."""
        self.cluster.host().start()

    def ask(self, action: str, uid: str = "", **fields: Any) -> _Object:
        """Ask something of the run."""
        about = uid or self.cluster.get(WORKFLOWS, _NAME)["metadata"]["uid"]
        spec = {"workflowName": _NAME, "workflowUID": about, "action": action, "requestedBy": {"username": "ann"}}
        body = {"metadata": {"name": f"{_NAME}-{action.lower()}"}, "spec": {**spec, **fields}}
        return self.cluster.put(WORKFLOWACTIONS, body, "default")

    def change(self, **spec: Any) -> None:
        """Change fields of the run's spec."""
        assert self.cluster.patch(WORKFLOWS, _NAME, {"spec": spec}).code == 200, "the change is allowed"

    def read(self, resource: Resource = WORKFLOWS, name: str = _NAME) -> _Object:
        """Return an object as it is now."""
        return self.cluster.get(resource, name)

    def says(self, kind: str, value: str = "True", resource: Resource = WORKFLOWS, name: str = _NAME) -> bool:
        """Tell whether a condition of an object has a value."""
        conditions = self.read(resource, name).get("status", {}).get("conditions", ())
        return any((each["type"], each["status"]) == (kind, value) for each in conditions)

    async def until(self, reached: Callable[[], bool], seconds: float = 600) -> None:
        """Wait until something is so."""
        assert await self.cluster.until(reached, seconds), "the scene comes to its point"

    async def running(self, name: str = _NAME) -> None:
        """Wait until something of a run is at work."""
        await self.until(lambda: self.read(WORKFLOWS, name).get("status", {}).get("counts", {}).get("running", 0) > 0)

    async def finished(self) -> None:
        """Wait until the run is over."""
        await self.until(lambda: self.says("Finished"))

    async def blocked(self) -> None:
        """Wait until the run says that it is stalled."""
        await self.until(lambda: self.says("Stalled"))


Scene = Callable[[Stage], Awaitable[Resource]]


def _task(name: str, *needs: str, **fields: Any) -> _Object:
    fields.setdefault("container", {"image": "busybox:1.36"})
    return {"name": name, **({"needs": list(needs)} if needs else {}), **fields}


_TASKS = [_task("extract"), _task("report", "extract")]


def _act(pod: Mapping[str, Any]) -> Act:
    """What pods do: those of tasks called `bad…` fail, those of `long…` run until they are ended."""
    task = pod["metadata"]["labels"].get(labels.TASK, "")
    return Act(seconds=None if task.startswith("long") else 5, exit_code=3 if task.startswith("bad") else 0)


# -- Workflows: not begun


async def created(stage: Stage) -> Resource:
    """No operator has seen it."""
    stage.workflow(tasks=_TASKS)
    return WORKFLOWS


async def waits_for_template(stage: Stage) -> Resource:
    """Its template is not there."""
    stage.workflow(templateRef={"name": _TEMPLATE})
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
    stage.workflow("newer", tasks=_TASKS, concurrencyKey={"key": "sales", "onConflict": "Replace"})
    await stage.finished()
    return WORKFLOWS


async def _behind(stage: Stage, on_conflict: str, held: str = "Queue") -> None:
    stage.workflow(
        "older",
        tasks=[_task("long", pod={"terminationGracePeriodSeconds": 600})],
        concurrencyKey={"key": "sales", "onConflict": held},
    )
    stage.start()
    await stage.running("older")
    stage.workflow(tasks=_TASKS, concurrencyKey={"key": "sales", "onConflict": on_conflict})


async def invalid(stage: Stage) -> Resource:
    """Its definition is refused."""
    stage.workflow(tasks=[_task("extract"), _task("report", "extrat")])
    stage.start()
    await stage.finished()
    return WORKFLOWS


# -- Workflows: under way


async def running(stage: Stage) -> Resource:
    """Its first task runs."""
    stage.workflow(tasks=[_task("long"), _task("report", "long")])
    stage.start()
    await stage.running()
    return WORKFLOWS


async def running_in_shards(stage: Stage) -> Resource:
    """It has so many tasks that they are not listed in it."""
    stage.workflow(tasks=[_task("long", forEach={"in": list(range(250)), "as": "n"})])
    stage.start()
    await stage.until(lambda: "shards" in stage.read().get("status", {}))
    return WORKFLOWS


async def backing_off(stage: Stage) -> Resource:
    """A task has failed and is tried again later."""
    stage.workflow(tasks=[_task("bad", retry={"limit": 3, "backoff": {"initialSeconds": 300}})])
    stage.start()
    await stage.until(lambda: stage.read().get("status", {}).get("counts", {}).get("backoff", 0) > 0)
    return WORKFLOWS


async def waits_for_approval(stage: Stage) -> Resource:
    """A task waits for somebody's approval."""
    stage.workflow(
        tasks=[_task("extract"), {"name": "sign-off", "needs": ["extract"], "approval": {"message": "Publish?"}}]
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
    stage.workflow(tasks=_TASKS, suspend=True)
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
    stage.workflow(tasks=_TASKS)
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
    stage.cluster.delete(WORKFLOWS, _NAME, propagationPolicy="Foreground")
    return WORKFLOWS


# -- Workflows: over


async def succeeded(stage: Stage) -> Resource:
    """All of it has succeeded."""
    stage.workflow(tasks=_TASKS)
    stage.start()
    await stage.finished()
    return WORKFLOWS


async def succeeded_with_failure(stage: Stage) -> Resource:
    """A task has failed that may fail."""
    stage.workflow(tasks=[_task("bad", onFailure="Continue"), _task("report")])
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
    stage.workflow(tasks=[_task("bad"), _task("report", "bad")])
    stage.start()
    await stage.finished()
    return WORKFLOWS


async def deadline_exceeded(stage: Stage) -> Resource:
    """It took longer than it may."""
    stage.workflow(tasks=[_task("long")], deadlineSeconds=60)
    stage.start()
    await stage.finished()
    return WORKFLOWS


async def cancelled(stage: Stage) -> Resource:
    """Somebody cancelled it."""
    await running(stage)
    stage.ask("Stop", mode="Cancel")
    await stage.finished()
    return WORKFLOWS


# -- the other kinds


async def template_created(stage: Stage) -> Resource:
    """No operator has seen it."""
    stage.template(tasks=_TASKS)
    return WORKFLOWTEMPLATES


async def template_valid(stage: Stage) -> Resource:
    """Runs of it can start."""
    kinds = {"day": "string", "rows": "integer", "share": "number", "full": "boolean"}
    defaults = [{"name": "regions", "type": "array", "default": ["eu", "us"]}]
    stage.template(params=[*({"name": name, "type": kind} for name, kind in kinds.items()), *defaults], tasks=_TASKS)
    stage.start()
    await stage.until(lambda: stage.says("Valid", "True", WORKFLOWTEMPLATES, _TEMPLATE))
    return WORKFLOWTEMPLATES


async def template_with_list(stage: Stage) -> Resource:
    """Runs of it can start, if they are given a list."""
    stage.template(params=[{"name": "regions", "type": "array"}], tasks=_TASKS)
    stage.start()
    await stage.until(lambda: stage.says("Valid", "True", WORKFLOWTEMPLATES, _TEMPLATE))
    return WORKFLOWTEMPLATES


async def template_invalid(stage: Stage) -> Resource:
    """No run of it could start."""
    stage.template(tasks=[_task("extract"), _task("report", "extrat")])
    stage.start()
    await stage.until(lambda: stage.says("Valid", "False", WORKFLOWTEMPLATES, _TEMPLATE))
    return WORKFLOWTEMPLATES


async def template_mended(stage: Stage) -> Resource:
    """No run of it could start, and its spec was changed while no operator was there."""
    await template_invalid(stage)
    stage.cluster.hosts[0].crash()
    assert stage.cluster.patch(WORKFLOWTEMPLATES, _TEMPLATE, {"spec": {"tasks": _TASKS}}).code == 200
    return WORKFLOWTEMPLATES


async def action_created(stage: Stage) -> Resource:
    """No operator has seen it."""
    stage.workflow(tasks=_TASKS)
    stage.ask("Retry")
    return WORKFLOWACTIONS


async def action_done(stage: Stage) -> Resource:
    """It was accepted and carried out."""
    await failed(stage)
    stage.ask("Retry")
    await stage.until(lambda: stage.says("Completed", "True", WORKFLOWACTIONS, f"{_NAME}-retry"))
    return WORKFLOWACTIONS


async def action_refused(stage: Stage) -> Resource:
    """The run does not do it."""
    await running(stage)
    stage.ask("Retry")
    await stage.until(lambda: stage.says("Completed", "True", WORKFLOWACTIONS, f"{_NAME}-retry"))
    return WORKFLOWACTIONS


async def action_stale(stage: Stage) -> Resource:
    """Its run is another one by now."""
    await running(stage)
    stage.ask("Retry", uid="11111111-2222-3333-4444-555555555555")
    await stage.until(lambda: stage.says("Completed", "True", WORKFLOWACTIONS, f"{_NAME}-retry"))
    return WORKFLOWACTIONS


#: The scenes of each kind; the name of a file is that of its scene.
RECORDED: dict[str, tuple[Scene, ...]] = {
    "Workflow": (
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
    ),
    "WorkflowTemplate": (template_created, template_valid, template_with_list, template_invalid, template_mended),
    "WorkflowAction": (action_created, action_done, action_refused, action_stale),
}

_NAMES = {"Workflow": _NAME, "WorkflowTemplate": _TEMPLATE, "WorkflowAction": f"{_NAME}-retry"}


def recordings() -> dict[str, dict[str, str]]:
    """Return the recorded objects as YAML, by kind and file name."""
    with _quiet():
        return {
            kind: {_file_name(scene): _record(kind, scene) for scene in scenes} for kind, scenes in RECORDED.items()
        }


def to_yaml(obj: Mapping[str, Any]) -> str:
    """Return an object as the text of a file."""
    return yaml.safe_dump(dict(obj), sort_keys=False, width=120, default_flow_style=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the operators of the scenes from logging: nothing that happens there has happened."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _file_name(scene: Scene) -> str:
    return scene.__name__.replace("_", "-") + ".yaml"


def _record(kind: str, scene: Scene) -> str:
    async def main() -> _Object:
        stage = Stage(Cluster(_act, seed=1))
        resource = await scene(stage)
        found = stage.read(resource, _NAMES[kind])
        await stage.cluster.close()
        return found

    found = run(main(), stall_at=100_000)
    assert found.get("kind") == kind, f"{scene.__name__} ends with a {kind}"
    metadata = {key: value for key, value in found["metadata"].items() if key not in _DROPPED}
    head = f"# {(scene.__doc__ or '').splitlines()[0]}\n# Recorded by `make gen`; do not edit.\n"
    return head + to_yaml({**found, "metadata": metadata})
