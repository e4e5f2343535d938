"""Runs of `resource` and `workflow` tasks over Widgets: a custom kind whose controller is the test."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.fake_api import NAMESPACE, Stage

from fairlead.kube.resources import WORKFLOWTEMPLATES, Resource
from fairlead.kube.transport import JsonObject

__all__ = ["WIDGETS", "child", "install", "says", "widget", "widgets"]

WIDGETS = Resource("acme.example", "v1", "widgets", "Widget", strategic=False)

_DONE = "${object.status.state == 'Done'}"
_BROKEN = "${object.status.state == 'Broken'}"
_FIELDS = ("preset", "manifest", "successWhen", "failureWhen", "onCancel")


def widget(name: str = "a", **more: Any) -> JsonObject:
    """Return a task that makes a Widget, which succeeds with the state Done and fails with the state Broken."""
    manifest = {"apiVersion": "acme.example/v1", "kind": "Widget", "spec": {"size": 3}}
    resource: JsonObject = {"manifest": manifest, "successWhen": _DONE, "failureWhen": _BROKEN}
    resource |= {key: more.pop(key) for key in list(more) if key in _FIELDS}
    return {"name": name, "resource": {key: value for key, value in resource.items() if value is not None}, **more}


def child(name: str = "sub", template: str = "inner", **more: Any) -> JsonObject:
    """Return a task that runs a template: `inner` is a single Widget, `endless` a task that runs `endless`."""
    arguments = [{"name": "day", "value": "1"}]
    return {"name": name, "workflow": {"templateRef": {"name": template}, "arguments": arguments}, **more}


def widgets(stage: Stage) -> dict[str, JsonObject]:
    """Return all Widgets by name."""
    return stage.api.of(WIDGETS)


def says(stage: Stage, name: str, **status: Any) -> None:
    """Let the controller of Widgets write a status."""
    stage.api.edit(WIDGETS, name, lambda raw: raw.setdefault("status", {}).update(status))


def install(stage: Stage) -> None:
    """Serve Widgets, and the templates that children run."""
    stage.api.kinds.append(WIDGETS)
    for name, task in (("inner", widget("w")), ("endless", child("again", "endless"))):
        spec = {"params": [{"name": "day"}], "tasks": [task]}
        metadata = {"namespace": NAMESPACE, "name": name}
        stage.api.put(WORKFLOWTEMPLATES, {"kind": "WorkflowTemplate", "metadata": metadata, "spec": spec})
