"""Runs of `resource` tasks over Widgets: a custom kind whose controller is the test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage

from fairlead.api.compile import Compiled
from fairlead.api.work import Bound, RenderedResource, RenderedWorkflow
from fairlead.controllers import workflow
from fairlead.engine.expressions import Declarations
from fairlead.engine.graph import build
from fairlead.engine.model import Clocks, Node, OutputDeclaration, RetryPolicy, Scope, Settings, ValueType, WorkKind
from fairlead.expr.cel import CelEvaluator
from fairlead.kube.resources import Resource
from fairlead.kube.transport import JsonObject

__all__ = ["TEMPLATES", "WIDGETS", "child", "install", "says", "widget", "widgets"]

WIDGETS = Resource("acme.example", "v1", "widgets", "Widget", strategic=False)

DONE = "object.status.state == 'Done'"
BROKEN = "object.status.state == 'Broken'"


def widget(name: str = "a", **more: Any) -> JsonObject:
    """Return a task that makes a Widget."""
    manifest = {"apiVersion": "acme.example/v1", "kind": "Widget", "spec": {"size": 3}}
    resource = {"manifest": manifest, "successWhen": DONE, "failureWhen": BROKEN}
    resource |= {key: more.pop(key) for key in list(more) if key in _FIELDS}
    return {"name": name, "resource": resource, **more}


_FIELDS = ("manifest", "successWhen", "failureWhen", "failureMessage", "onCancel", "outputs")


def widgets(stage: Stage) -> dict[str, JsonObject]:
    """Return all Widgets by name."""
    return stage.api.of(WIDGETS)


def says(stage: Stage, name: str, **status: Any) -> None:
    """Let the controller of Widgets write a status."""
    stage.api.edit(WIDGETS, name, lambda raw: raw.setdefault("status", {}).update(status))


def child(name: str = "sub", **more: Any) -> JsonObject:
    """Return a task that runs the template `inner`, a single Widget."""
    return {"name": name, "workflow": {"template": more.pop("template", "inner")}, **more}


#: What children run.
TEMPLATES: dict[str, JsonObject] = {
    "inner": {"tasks": [widget("w")]},
    "endless": {"tasks": [{"name": "again", "workflow": {"template": "endless"}}]},
}


def install(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve Widgets, and let tasks make them."""
    stage.api.kinds.append(WIDGETS)
    monkeypatch.setattr(workflow, "compile_workflow", _compile)


def _compile(spec: JsonObject, *, name: str, **_: Any) -> Compiled:
    if "templateRef" in spec:
        spec = {**TEMPLATES[spec["templateRef"]["name"]], **spec}
    nodes = [
        Node(
            name=task["name"],
            work=_Work(task["resource"]) if "resource" in task else _SubWork(task["workflow"]["template"]),
            needs=tuple(task.get("needs", ())),
            retry=RetryPolicy(limit=task.get("limit", 0), infrastructure_limit=task.get("infrastructureLimit", 0)),
            clocks=Clocks(run_seconds=task.get("timeoutSeconds"), start_seconds=task.get("startTimeoutSeconds")),
            outputs=tuple(
                OutputDeclaration(name=key, type=ValueType.STRING)
                for key in task.get("resource", {}).get("outputs", ())
            ),
        )
        for task in spec["tasks"]
    ]
    return Compiled(
        name=name, namespace=NAMESPACE, graph=build(nodes), settings=Settings(suspend=bool(spec.get("suspend")))
    )


@dataclass(frozen=True)
class _Work:
    resource: JsonObject
    kind: WorkKind = WorkKind.RESOURCE

    def evaluate(self, scope: Scope) -> RenderedResource:
        def bound(source: str | None) -> Bound | None:
            declared = Declarations(variables={"object": None})
            return None if source is None else Bound(CelEvaluator().compile(source, declared), scope)

        success = bound(self.resource["successWhen"])
        assert success is not None
        return {
            "manifest": self.resource["manifest"],
            "preset": None,
            "successWhen": success,
            "failureWhen": bound(self.resource["failureWhen"]),
            "failureMessage": bound(self.resource.get("failureMessage")),
            "outputs": [(key, b) for key, each in self.resource.get("outputs", {}).items() if (b := bound(each))],
            "onCancel": self.resource.get("onCancel", "Delete"),
        }


@dataclass(frozen=True)
class _SubWork:
    template: str
    kind: WorkKind = WorkKind.WORKFLOW

    def evaluate(self, _: Scope) -> RenderedWorkflow:
        return {"templateName": self.template, "arguments": [{"name": "day", "value": "1"}]}
