"""What is refused before anything starts, and what is left out with a warning."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.problems import Severity
from fairlead.local.refusals import find_refusals

COMMAND = {"image": "x", "command": ["true"]}
SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


def _found(spec: dict[str, Any], passed: tuple[str, ...] = ()) -> list[tuple[str, Severity]]:
    return [(problem.path, problem.severity) for problem in find_refusals(spec, passed)]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"tasks": [{"name": "a", "job": {"spec": {}}}]}, "spec.tasks[0].job"),
        ({"finally": [{"name": "a", "job": {"spec": {}}}]}, "spec.finally[0].job"),
        ({"tasks": [{"name": "a", "resource": {"manifest": {}}}]}, "spec.tasks[0].resource"),
        (
            {"tasks": [{"name": "a", "workflow": {"templateRef": {"name": "t"}}}]},
            "spec.tasks[0].workflow.templateRef.name",
        ),
        ({"tasks": [{"name": "a", "approval": {"message": "?"}}]}, "spec.tasks[0].approval"),
        ({"tasks": [{"name": "a", "wait": {"condition": {}}}]}, "spec.tasks[0].wait.condition"),
        ({"tasks": [{"name": "a", "wait": {"callback": True}}]}, "spec.tasks[0].wait.callback"),
        (
            {"tasks": [{"name": "a", "http": {"url": "x", "headers": [{"name": "B", "value": "1"}, SECRET]}}]},
            "spec.tasks[0].http.headers[1].valueFrom",
        ),
        ({"tasks": [{"name": "a", "container": {"image": "x", "args": ["y"]}}]}, "spec.tasks[0].container"),
        ({"tasks": [{"name": "a", "container": {**COMMAND, "envFrom": [{}]}}]}, "spec.tasks[0].container.envFrom"),
        (
            {"tasks": [{"name": "a", "container": {**COMMAND, "env": [{"name": "B", "value": "1"}, SECRET]}}]},
            "spec.tasks[0].container.env[1].valueFrom",
        ),
        ({"tasks": [{"name": "a", "script": {"source": "x"}, "env": [SECRET]}]}, "spec.tasks[0].env[0].valueFrom"),
        ({"taskDefaults": {"env": [SECRET]}}, "spec.taskDefaults.env[0].valueFrom"),
        ({"taskDefaults": {"pod": {"initContainers": [{}]}}}, "spec.taskDefaults.pod.initContainers"),
        (
            {"tasks": [{"name": "a", "container": COMMAND, "files": [{"path": "x"}, {"path": "/etc/x"}]}]},
            "spec.tasks[0].files[1].path",
        ),
        (
            {"tasks": [{"name": "b", "container": COMMAND}, {"name": "a", "pod": {"initContainers": [{}]}}]},
            "spec.tasks[1].pod.initContainers",
        ),
    ],
)
def test_refuses_what_would_change_the_meaning(spec: dict[str, Any], path: str) -> None:
    assert _found(spec) == [(path, Severity.ERROR)]


@pytest.mark.parametrize("field", ["volumeMounts", "workingDir", "lifecycle", "livenessProbe", "startupProbe"])
def test_warns_of_what_is_left_out(field: str) -> None:
    spec = {"tasks": [{"name": "a", "container": {**COMMAND, field: ["something"]}}]}
    assert _found(spec) == [(f"spec.tasks[0].container.{field}", Severity.WARNING)]


def test_says_nothing_of_what_cannot_apply_to_a_process() -> None:
    pod = {"nodeSelector": {"a": "b"}, "securityContext": {"runAsNonRoot": True}, "volumes": [{"name": "v"}]}
    task = {"name": "a", "container": {**COMMAND, "resources": {}, "imagePullPolicy": "Always"}, "pod": pod}
    assert _found({"taskDefaults": {"resources": {"limits": {"cpu": 1}}}, "tasks": [task]}) == []


def test_a_value_from_the_cluster_may_be_given_by_the_user_or_be_optional() -> None:
    optional = {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": True}}}
    spec = {"tasks": [{"name": "a", "script": {"source": "x"}, "env": [SECRET, optional]}]}
    assert _found(spec, passed=("TOKEN",)) == []


def test_a_refusal_says_what_to_do() -> None:
    (problem,) = find_refusals({"tasks": [{"name": "load", "container": {"image": "x"}}]})
    assert problem.message == (
        "task 'load' runs its image's entrypoint, which does not exist here; "
        "give it a `command`, or run it on a cluster"
    )
