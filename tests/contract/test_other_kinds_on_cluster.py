"""What the real API server says to WorkflowActions, WorkflowTemplates and the shards of a status."""

from __future__ import annotations

import itertools
import json
from copy import deepcopy
from typing import Any

import pytest
from tests.contract.manifests import Manifests, Object
from tests.unit.api.test_action import GOOD as GOOD_ACTIONS

_NUMBERS = itertools.count()
NOW = "2026-11-22T06:30:00Z"


def an(kind: str, **fields: Any) -> Object:
    metadata = {"name": f"contract-{next(_NUMBERS)}"}
    return {"apiVersion": "fairlead.dev/v1alpha1", "kind": kind, "metadata": metadata, **fields}


def action(**fields: Any) -> Object:
    return an("WorkflowAction", spec={"workflowName": "daily", "workflowUID": "0001", **fields})


def condition(kind: str, status: str, **fields: Any) -> Object:
    return {"type": kind, "status": status, "lastTransitionTime": NOW, "reason": "R", "message": "m", **fields}


@pytest.mark.parametrize("fields", GOOD_ACTIONS.values(), ids=GOOD_ACTIONS)
def test_a_good_action_is_accepted_and_nothing_of_it_is_lost(manifests: Manifests, fields: Object) -> None:
    given = action(**fields)
    there = {key: value for key, value in given["spec"].items() if value is not None}
    assert manifests.dry_run(given)["spec"] == there


BAD_ACTIONS = {
    "a stop without mode": ({"action": "Stop"}, "spec.mode: Invalid value", "is required for Stop"),
    "a retry with mode": ({"action": "Retry", "mode": "Cancel"}, "spec.mode: Invalid value", "must not be set but"),
    "a mark without phase": ({"action": "Mark", "tasks": ["a"]}, "spec.phase: Invalid value", "is required for Mark"),
    "a phase nobody can mark": (
        {"action": "Mark", "tasks": ["a"], "phase": "Running"},
        "spec.phase: Unsupported value",
        '"Succeeded", "Failed", "Skipped"',
    ),
    "a clear of nothing": ({"action": "Clear"}, "spec.tasks: Invalid value", "is required for Approve, Clear"),
    "a stop of a task": (
        {"action": "Stop", "mode": "Cancel", "tasks": ["a"]},
        "spec.tasks: Invalid value",
        "must not be set but for",
    ),
    "an answer without token": (
        {"action": "Complete", "tasks": ["a"]},
        "spec.token: Invalid value",
        "is required for Complete and Heartbeat",
    ),
    "values for a stop": (
        {"action": "Stop", "mode": "Cancel", "values": {}},
        "spec.values: Invalid value",
        "must not be set but for",
    ),
    "an unknown action": ({"action": "Cancel"}, "spec.action: Unsupported value", '"Retry"'),
    "a name that is none": ({"action": "Clear", "tasks": ["a[x]"]}, "spec.tasks[0]: Invalid value", "should match"),
}


@pytest.mark.parametrize(("fields", "path", "message"), BAD_ACTIONS.values(), ids=BAD_ACTIONS)
def test_a_bad_action_is_refused_with_the_place(manifests: Manifests, fields: Object, path: str, message: str) -> None:
    said = manifests.refusal(document=action(**fields))
    assert path in said
    assert message in said


CHANGES = {
    "another action": {"action": "Approve", "values": None},
    "other tasks": {"tasks": ["other"]},
    "another value": {"values": {"option": "us"}},
    "a value more": {"values": {"option": "eu", "more": {"deep": [1]}}},
    "somebody else": {"requestedBy": {"username": "bob"}},
    "another run": {"workflowUID": "0002"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_action_never_changes(manifests: Manifests, change: Object) -> None:
    document = action(action="Approve", tasks=["a"], values={"option": "eu"}, requestedBy={"username": "ann"})
    manifests.run("create", "-f", "-", document=document)
    changed = deepcopy(document)
    changed["spec"] |= change
    said = manifests.refusal("replace", document=changed)
    assert "spec: Invalid value" in said
    assert "must not change: an action is one request" in said


def test_what_became_of_an_action_can_be_read(manifests: Manifests) -> None:
    document = action(action="Stop", mode="Cancel", requestedBy={"username": "ann"}, workflowName="weekly")
    name = document["metadata"]["name"]
    manifests.run("create", "-f", "-", document=document)
    status = {"observedGeneration": 1, "conditions": [condition("Accepted", "False"), condition("Completed", "True")]}
    manifests.status(name, status, "workflowaction")
    assert manifests.get("flact", name)["status"] == status
    header, line = manifests.run("get", "flact", "--field-selector", "spec.workflowName=weekly").splitlines()
    assert header.split() == ["NAME", "WORKFLOW", "ACTION", "BY", "ACCEPTED", "AGE"]
    assert line.split()[:-1] == [name, "weekly", "Stop", "ann", "False"]


def template(*tasks: Object, **spec: Any) -> Object:
    return an("WorkflowTemplate", spec={"tasks": list(tasks) or [{"name": "a", "container": {"image": "x"}}], **spec})


def test_a_template_is_accepted_and_nothing_of_it_is_lost(manifests: Manifests) -> None:
    document = template(
        params=[{"name": "day", "default": {"any": [1, None]}}],
        taskDefaults={"image": "x"},
        outputs=[{"name": "r", "value": "${1}"}],
        parallelism=3,
        deadlineSeconds=60,
        ttlSecondsAfterFinished=0,
    )
    assert manifests.dry_run(document)["spec"] == document["spec"]


BAD_TEMPLATES = {
    "values of parameters": (template(arguments=[]), 'unknown field "spec.arguments"'),
    "suspended": (template(suspend=True), 'unknown field "spec.suspend"'),
    "no kind": (template({"name": "a"}), "spec.tasks: Invalid value"),
    "two kinds": (
        template({"name": "a", "container": {"image": "x"}, "script": {"source": "1"}}),
        "each task must have exactly one of",
    ),
    "no tasks": (an("WorkflowTemplate", spec={}), "spec.tasks: Required value"),
}


@pytest.mark.parametrize(("document", "message"), BAD_TEMPLATES.values(), ids=BAD_TEMPLATES)
def test_a_bad_template_is_refused_with_the_place(manifests: Manifests, document: Object, message: str) -> None:
    assert message in manifests.refusal(document=document)


def test_a_template_can_change_and_says_whether_it_is_valid(manifests: Manifests) -> None:
    document = template()
    name = document["metadata"]["name"]
    manifests.run("create", "-f", "-", document=document)
    document["spec"]["tasks"][0]["container"]["image"] = "y"
    manifests.run("replace", "-f", "-", document=document)
    manifests.status(name, {"observedGeneration": 2, "conditions": [condition("Valid", "False")]}, "flwt")
    header, line = manifests.run("get", "flwt", name).splitlines()
    assert header.split() == ["NAME", "VALID", "AGE"]
    assert line.split()[:-1] == [name, "False"]


def shard(**fields: Any) -> Object:
    return an("TaskStatusShard", **{"workflowUID": "0001", "index": 0, "revision": 1, "tasks": [], **fields})


def test_a_shard_keeps_what_a_status_has(manifests: Manifests) -> None:
    attempt = {"number": 1, "podName": "p", "startTime": NOW, "exitCode": 1, "class": "User", "reason": "Error"}
    tasks = [{"name": "m[3]", "phase": "Failed", "outputs": {"x": [1, None]}, "attempts": [attempt]}]
    document = shard(tasks=tasks)
    assert manifests.dry_run(document)["tasks"] == tasks


@pytest.mark.parametrize("change", [{"workflowUID": "0002"}, {"index": 1}], ids=str)
def test_a_shard_keeps_its_place(manifests: Manifests, change: Object) -> None:
    document = shard()
    manifests.run("create", "-f", "-", document=document)
    manifests.run("replace", "-f", "-", document=document | {"revision": 2})
    assert "must not change" in manifests.refusal("replace", document=document | change)


def test_ten_thousand_entries_are_within_budget(manifests: Manifests) -> None:
    tasks = [{"name": f"m[{index}]", "phase": "Succeeded", "startTime": NOW} for index in range(10_000)]
    document = shard(tasks=tasks)
    manifests.run("create", "-f", "-", document=document)
    manifests.run(
        "patch", "taskstatusshard", document["metadata"]["name"], "--type=merge", "-p", json.dumps({"revision": 2})
    )


def test_what_is_internal_is_not_in_the_way(manifests: Manifests) -> None:
    manifests.run("create", "-f", "-", document=shard())
    manifests.run("create", "-f", "-", document=template())
    listed = manifests.run("get", "fairlead", "-o", "name")
    assert "workflowtemplate.fairlead.dev/" in listed
    assert "taskstatusshard" not in listed
