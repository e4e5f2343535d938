"""What the real API server says to good and bad manifests, and to changes of a run."""

from __future__ import annotations

import itertools
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.contract.manifests import Manifests

from fairlead.api.task import TASK_KINDS
from fairlead.controllers.status import operations

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))

Object = dict[str, Any]

GOOD_KIND = {"container": {"image": "x", "resources": {"limits": {"memory": "1Gi"}}}}
JOB = {"spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main"}]}}}}


def workflow(*tasks: Object, name: str = "contract", **spec: Any) -> Object:
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"tasks": list(tasks) or [task()], **spec},
    }


def task(**fields: Any) -> Object:
    kind = {} if fields.keys() & set(TASK_KINDS) else {"container": {"image": "x"}}
    return {"name": "a", **kind, **fields}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_accepted(manifests: Manifests, path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document and document["kind"] == "Workflow":
            document["metadata"].pop("namespace", None)  # of GitOps; here, all are of one that is there
            manifests.dry_run(document)


MANIFEST = {
    "apiVersion": "example.com/v1",
    "kind": "Widget",
    "metadata": {"labels": {"a": "${params.b}"}, "annotations": {"c": "d"}},
    "spec": {"any": [1, None, {"deep": "${params.e}"}]},
    "data": "x",
}

GOOD = {
    "a resource with a preset": task(resource={"preset": "RayJob", "manifest": MANIFEST, "onCancel": "Leave"}),
    "a resource with conditions": task(
        resource={"manifest": MANIFEST, "successWhen": "${object.status.ok}", "failureWhen": "${object.status.bad}"},
        outputs=[{"name": "x", "from": "${object.status.x}"}],
    ),
    "a sub-workflow": task(
        workflow={
            "templateRef": {"name": "daily.v1"},
            "arguments": [{"name": "day", "value": "${params.day}"}, {"name": "n", "value": {"a": [1, "x"]}}],
        }
    ),
    "script": task(script={"source": "print(1)", "image": "x"}),
    "job": task(job=JOB),
    "quantities": task(container={"image": "x", "resources": {"limits": {"cpu": 1, "memory": "1.5Gi"}}}),
    "an expression for a quantity": task(
        container={"image": "x", "resources": {"limits": {"memory": "${params.memory}"}}}
    ),
    "files": task(files=[{"path": "a", "value": {"b": [1, "${params.c}"]}}, {"path": "/b", "value": "c"}]),
    "an output that is printed": task(outputs=[{"name": "x", "type": "object", "from": "Stdout"}]),
    "a port by name or number": task(container={"image": "x", "livenessProbe": {"httpGet": {"port": "http"}}}),
    "the course of a task": task(
        forEach={"in": ["x", {"a": [1]}], "as": "it", "when": "${true}", "tolerate": {"percent": 0.5}, "batchSize": 2},
        repeat={"until": "${true}", "maxIterations": 2, "delaySeconds": 1},
        onFailure="Continue",
        handles=False,
        skipExitCodes=[99],
        onNodeLost={"replaceAfterSeconds": 60},
        priority=-1,
        queueTimeoutSeconds=1,
        startTimeoutSeconds=1,
        outputs=[{"name": "text", "from": "Stdout"}],
        retry={"rules": [{"reasons": ["OOMKilled"], "limit": 1, "resources": {"limits": {"memory": "2Gi"}}}]},
    ),
    "a wait for some time": task(wait={"seconds": 0}),
    "a wait for an object": task(
        wait={
            "condition": {"apiVersion": "batch/v1", "kind": "Job", "name": "x", "when": "${true}", "intervalSeconds": 1}
        }
    ),
    "a wait for a callback": task(wait={"callback": True, "heartbeatSeconds": 60}),
    "an approval": task(
        approval={
            "message": "m",
            "options": ["a", "b"],
            "form": [{"name": "n", "type": "integer", "default": 3, "enum": [3, 4]}],
            "users": ["u"],
            "groups": ["g"],
            "timeoutSeconds": 1,
            "onTimeout": "Approve",
        }
    ),
    "a request": task(
        http={
            "method": "POST",
            "url": "https://x",
            "headers": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "body": "b",
            "successWhen": "${true}",
            "timeoutSeconds": 1,
            "idempotent": True,
            "allowPrivate": True,
        },
        outputs=[{"name": "n", "from": "${response.text}"}],
    ),
    "values": task(set={"values": [{"name": "n", "value": {"a": [1, None, "x"]}}]}),
    "a list that is an expression": task(forEach={"in": "${params.p}"}),
    "volumes, sidecars and security": task(
        pod={
            "volumes": [{"name": "v", "emptyDir": {}}],
            "initContainers": [{"name": "side", "image": "x", "restartPolicy": "Always"}],
            "securityContext": {"runAsNonRoot": True},
        }
    ),
}


@pytest.mark.parametrize("given", GOOD.values(), ids=GOOD)
def test_is_accepted_and_nothing_of_it_is_lost(manifests: Manifests, given: Object) -> None:
    assert manifests.dry_run(workflow(given))["spec"] == workflow(given)["spec"]


def test_values_of_any_type_are_kept(manifests: Manifests) -> None:
    values = ["x", 1, 0.5, True, [1, None], {"a": {"b": None}}]
    spec = {
        "params": [{"name": "p", "enum": values, "default": {"a": [1, "x"]}}],
        "arguments": [{"name": f"p{index}", "value": value} for index, value in enumerate(values)],
    }
    kept = manifests.dry_run(workflow(**spec))["spec"]
    assert {key: kept[key] for key in spec} == spec


BAD = {
    "a typo in resources": (
        task(container={"image": "x", "resources": {"limts": {}}}),
        'unknown field "spec.tasks[0].container.resources.limts"',
    ),
    "a typo in a volume": (
        task(pod={"volumes": [{"name": "v", "emptyDr": {}}]}),
        'unknown field "spec.tasks[0].pod.volumes[0].emptyDr"',
    ),
    "a typo in a Job": (
        task(job={"spec": {"backofLimit": 1, "template": {}}}),
        'unknown field "spec.tasks[0].job.spec.backofLimit"',
    ),
    "a feature that does not exist": (task(loop={}), 'unknown field "spec.tasks[0].loop"'),
    "a list without items": (task(forEach={}), "spec.tasks[0].forEach.in: Required value"),
    "an exit code of success": (task(skipExitCodes=[0]), "spec.tasks[0].skipExitCodes[0] in body should be greater"),
    "the name of a container": (
        task(container={"image": "x", "name": "y"}),
        'unknown field "spec.tasks[0].container.name"',
    ),
    "the place of outputs": (
        task(container={"image": "x", "terminationMessagePath": "/x"}),
        'unknown field "spec.tasks[0].container.terminationMessagePath"',
    ),
    "containers of the pod": (task(pod={"containers": []}), 'unknown field "spec.tasks[0].pod.containers"'),
    "a malformed quantity": (
        task(container={"image": "x", "resources": {"limits": {"memory": "12Q"}}}),
        'spec.tasks[0].container.resources.limits.memory: Invalid value: "12Q"',
    ),
    "a wrong type": (task(timeoutSeconds="60"), "spec.tasks[0].timeoutSeconds in body must be of type integer"),
    "a bad name": (task(name="Load"), 'spec.tasks[0].name: Invalid value: "Load"'),
    "an unknown trigger": (task(trigger="AllSucceded"), 'spec.tasks[0].trigger: Unsupported value: "AllSucceded"'),
    "two kinds": (task(container={"image": "x"}, script={"source": "1"}), "each task must have exactly one of"),
    "no kind": ({"name": "a"}, "each task must have exactly one of"),
    "an unknown preset": (
        task(resource={"preset": "Spark", "manifest": MANIFEST}),
        'spec.tasks[0].resource.preset: Unsupported value: "Spark"',
    ),
    "a resource without a manifest": (task(resource={}), "spec.tasks[0].resource.manifest: Required value"),
    "a template chosen by an expression": (
        task(workflow={"templateRef": {"name": "${params.x}"}}),
        'spec.tasks[0].workflow.templateRef.name: Invalid value: "${params.x}"',
    ),
    "a negative limit": (task(retry={"limit": -1}), "spec.tasks[0].retry.limit in body should be greater than"),
    "an empty script": (task(script={"source": ""}), "spec.tasks[0].script.source in body should be at least 1"),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_is_refused_with_the_place(manifests: Manifests, given: Object, message: str) -> None:
    assert message in manifests.refusal(document=workflow(given))


def test_finally_is_kept_as_it_is(manifests: Manifests) -> None:
    pod = {"volumes": [{"name": "v", "emptyDir": {}}], "a-field-of-tomorrow": {"x": [1, None]}}
    last = [
        task(name="z", container={"image": "x", "resources": {"limits": {"cpu": 1}}}, pod=pod, required=True),
        task(name="y", job=JOB, needs=["z"]),
    ]
    assert manifests.dry_run(workflow(**{"finally": last}))["spec"]["finally"] == last


def test_a_task_of_finally_has_one_kind_too(manifests: Manifests) -> None:
    document = workflow(**{"finally": [{"name": "z"}]})
    assert "spec.finally: Invalid value" in manifests.refusal(document=document)
    document["spec"]["finally"] = [task(name="z", set={"values": [{"name": "n", "value": 1}]}, wait={"seconds": 1})]
    assert "each task must have exactly one of" in manifests.refusal(document=document)


@pytest.mark.parametrize(("tasks", "refused"), [(200, True), (201, False)])
def test_of_very_many_the_operator_tells_which_has_no_kind(manifests: Manifests, tasks: int, refused: bool) -> None:
    many = [task(name=f"t{number}", container={"image": "x"}) for number in range(tasks - 1)]
    document = workflow(*many)
    document["spec"]["tasks"].append({"name": "none"})
    assert len(document["spec"]["tasks"]) == tasks
    if refused:
        assert "each task must have exactly one of" in manifests.refusal(document=document)
    else:
        manifests.dry_run(document)


def test_only_a_task_of_finally_is_required(manifests: Manifests) -> None:
    assert 'unknown field "spec.tasks[0].required"' in manifests.refusal(document=workflow(task(required=True)))


def test_a_workflow_without_tasks_is_refused(manifests: Manifests) -> None:
    document = workflow()
    document["spec"]["tasks"] = []
    assert "spec.tasks in body should have at least 1 items" in manifests.refusal(document=document)
    del document["spec"]["tasks"]
    assert "must have exactly one of `templateRef` and `tasks`" in manifests.refusal(document=document)


def test_a_workflow_may_name_a_template_instead(manifests: Manifests) -> None:
    document = workflow(templateRef={"name": "daily"}, arguments=[{"name": "day", "value": "x"}], parallelism=3)
    assert "must have exactly one of `templateRef` and `tasks`" in manifests.refusal(document=document)
    del document["spec"]["tasks"]
    assert manifests.dry_run(document)["spec"] == document["spec"]
    for name, value in {"params": [], "taskDefaults": {}, "outputs": []}.items():
        spec = {**document["spec"], name: value}
        said = manifests.refusal(document={**document, "spec": spec})
        assert f"spec.{name}: Invalid value" in said
        assert "must not be set together with `templateRef`" in said


def test_the_template_is_fixed_once_started(manifests: Manifests) -> None:
    document = workflow(name="of-template", templateRef={"name": "daily"})
    del document["spec"]["tasks"]
    manifests.run("create", "-f", "-", document=document)
    manifests.status("of-template", STARTED)
    document["spec"]["templateRef"]["name"] = "weekly"
    said = manifests.refusal("apply", document=document)
    assert "spec.templateRef: Invalid value" in said
    assert "must not change once the run has started" in said
    document["spec"] = workflow()["spec"]
    assert "must not change once the run has started" in manifests.refusal("replace", document=document)


_NUMBERS = itertools.count()
STARTED = {"startTime": "2026-11-22T06:30:00Z", "phase": "Running", "revision": 1}


@pytest.fixture
def started(manifests: Manifests) -> Object:
    """A Workflow whose run has started."""
    name = f"started-{next(_NUMBERS)}"
    params = [{"name": "day", "default": "x"}]
    document = workflow(task(env=[{"name": "A", "value": "${params.day}"}]), name=name, params=params)
    manifests.run("create", "-f", "-", document=document)
    manifests.status(document["metadata"]["name"], STARTED)
    return document


CHANGES = {
    "tasks": {"tasks": [task(container={"image": "y"})]},
    "taskDefaults": {"taskDefaults": {"image": "y"}},
    "params": {"params": [{"name": "day", "default": "y"}]},
    "arguments": {"arguments": [{"name": "day", "value": "y"}]},
    "outputs": {"outputs": [{"name": "r", "value": "${1}"}]},
    "finally": {"finally": [task(name="z")]},
    "finallyDeadlineSeconds": {"finallyDeadlineSeconds": 5},
    "workspace": {"workspace": {"size": "1Gi"}},
    "concurrencyKey": {"concurrencyKey": {"key": "k"}},
    "podRetention": {"podRetention": {"succeededSeconds": 0}},
}


@pytest.mark.parametrize(("field", "change"), CHANGES.items(), ids=CHANGES)
def test_the_definition_is_fixed_once_started(
    manifests: Manifests, started: Object, field: str, change: Object
) -> None:
    changed = deepcopy(started)
    changed["spec"] |= change
    message = manifests.refusal("apply", document=changed)
    assert f"spec.{field}: Invalid value" in message
    assert "must not change once the run has started" in message


def test_nor_can_a_part_of_it_vanish(manifests: Manifests, started: Object) -> None:
    del started["spec"]["params"]
    assert "spec.params: Invalid value" in manifests.refusal("replace", document=started)


def test_settings_can_change_in_the_run(manifests: Manifests, started: Object) -> None:
    live = {"suspend": True, "parallelism": 3, "deadlineSeconds": 60, "ttlSecondsAfterFinished": 0}
    overrides = [{"task": "a", "maxParallel": 3, "tolerate": {"percent": 2.5}}]
    started["spec"] |= live | {"overrides": overrides}
    manifests.run("apply", "-f", "-", document=started)


def test_before_it_starts_anything_can_change(manifests: Manifests) -> None:
    document = workflow(name="invalid-at-first")
    manifests.run("create", "-f", "-", document=document)
    manifests.status("invalid-at-first", {"phase": "Failed", "revision": 1})
    document["spec"] |= CHANGES["tasks"] | CHANGES["params"]
    manifests.run("apply", "-f", "-", document=document)


def test_a_status_write_passes_and_changes_nothing_but_the_status(manifests: Manifests, started: Object) -> None:
    name = started["metadata"]["name"]
    patch = {"status": {**STARTED, "revision": 2}, "spec": CHANGES["tasks"]}
    manifests.run("patch", "workflow", name, "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    kept = json.loads(manifests.run("get", "workflow", name, "-o", "json"))
    assert (kept["status"]["revision"], kept["spec"]) == (2, started["spec"])


def test_what_is_gone_from_a_status_can_be_removed_again(manifests: Manifests, started: Object) -> None:
    name = started["metadata"]["name"]
    ended = {**STARTED, "completionTime": STARTED["startTime"]}
    manifests.status(name, ended)
    # The answer to the first was lost, so it is sent a second time.
    patch = json.dumps(operations(ended, {**STARTED, "epoch": 2}))
    for _ in range(2):
        manifests.run("patch", "workflow", name, "--subresource=status", "--type=json", "-p", patch)
    kept = json.loads(manifests.run("get", "workflow", name, "-o", "json"))["status"]
    assert kept == {"observedGeneration": 0} | STARTED | {"epoch": 2, "revision": 2}  # which is there by default


def test_the_rule_cannot_be_passed_by_a_revision_in_the_manifest(manifests: Manifests, started: Object) -> None:
    started["spec"] |= CHANGES["tasks"]
    started["status"] = {**STARTED, "revision": 99}
    assert "must not change once the run has started" in manifests.refusal("replace", document=started)


def test_a_whole_status_is_kept(manifests: Manifests, started: Object) -> None:
    now = STARTED["startTime"]
    condition = {"type": "Finished", "status": "True", "lastTransitionTime": now, "reason": "Done", "message": ""}
    attempt = {
        "number": 1,
        "epoch": 2,
        "iteration": 3,
        "podName": "p",
        "nodeName": "n",
        "startTime": now,
        "runningTime": now,
        "dueTime": now,
        "heartbeatTime": now,
        "completionTime": now,
        "exitCode": 1,
        "class": "User",
        "reason": "Error",
        "message": "m",
    }
    action = {"uid": "u", "name": "stop-it", "action": "Stop", "by": "me", "time": now, "accepted": True, "reason": "R"}
    counts = {"total": 4, "running": 0, "succeeded": 1, "failed": 1, "skipped": 1, "cancelled": 1}
    tasks = [
        {"name": "a", "phase": "UpstreamFailed", "outputs": {"x": [1, None]}, "attempts": [attempt], "queuedTime": now},
        {"name": "m", "phase": "Failed", "items": counts, "itemsDigest": "d"},
        {"name": "m[3]", "phase": "Failed"},
    ]
    status = {
        **STARTED,
        "observedGeneration": 1,
        "completionTime": now,
        "message": "m",
        "progress": "7/12",
        "counts": {"total": 12, "upstreamFailed": 1},
        "outputs": {"rows": 1.5},
        "suspendedSeconds": 3,
        "epoch": 2,
        "stop": {"mode": "Graceful", "reason": "Stopped"},
        "actions": [action],
        "conditions": [condition],
        "tasks": tasks,
        "internal": {"any": {"thing": 1}},
    }
    name = started["metadata"]["name"]
    manifests.status(name, status)
    assert json.loads(manifests.run("get", "workflow", name, "-o", "json"))["status"] == status


def test_runs_can_be_listed_by_phase(manifests: Manifests, started: Object) -> None:
    listed = manifests.run("get", "flw", "--field-selector", "status.phase=Running")
    assert started["metadata"]["name"] in listed
    assert listed.splitlines()[0].split() == ["NAME", "PHASE", "PROGRESS", "STARTED", "AGE"]


def test_explain_has_the_documentation(manifests: Manifests) -> None:
    assert "which `needs` may use in place of theirs" in manifests.run("explain", "workflow.spec.tasks.group")


def test_the_rules_are_within_budget_for_ten_thousand_tasks(manifests: Manifests) -> None:
    tasks = [{"name": f"t{index}", "needs": [f"t{index - 1}"] if index else [], **GOOD_KIND} for index in range(10_000)]
    document = workflow(*tasks, name="ten-thousand")
    manifests.run("create", "-f", "-", document=document)
    manifests.status("ten-thousand", STARTED)
    manifests.status("ten-thousand", {"revision": 2})
    manifests.run("patch", "workflow", "ten-thousand", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    tasks[-1]["when"] = "${false}"
    assert "must not change once the run has started" in manifests.refusal("replace", document=document)
    manifests.run("delete", "workflow", "ten-thousand")
