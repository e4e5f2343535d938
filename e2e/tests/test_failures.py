"""Failures that only a real cluster has: memory, evictions, drained nodes, missing images, quotas, lost objects."""

from __future__ import annotations

import json

import pytest
from e2e.kubectl import Cluster, wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, allow, sh, workflow

PYTHON = "python:3.11-slim-bookworm"


@pytest.mark.row("B5")
@pytest.mark.row("F1")
def test_after_running_out_of_memory_the_next_attempt_has_more(operator: OperatorProcess, workflows: Workflows) -> None:
    task = sh("")
    eat = "import sys; kept = bytes(range(256)) * 4096 * 100; sys.exit(len(kept) < 1000)"
    small = {"limits": {"memory": "48Mi"}, "requests": {"memory": "48Mi"}}
    task["container"] = {"image": PYTHON, "command": ["python3", "-c", eat], "resources": small}
    more = {"limits": {"memory": "256Mi"}}
    rule = {"reasons": ["OOMKilled"], "limit": 1, "resources": more}
    task["retry"] = {"rules": [rule], "backoff": {"initialSeconds": 1}}
    workflows.apply(workflow("hungry", {"a": task}))

    workflows.wait_finished("hungry", 90)

    first, second = workflows.task("hungry", "a")["attempts"]
    assert (first["reason"], first["class"], first["exitCode"]) == ("OOMKilled", "User", 137)
    assert "class" not in second
    assert workflows.status("hungry")["phase"] == "Succeeded"


@pytest.mark.row("F1")
def test_an_evicted_pod_is_replaced_and_not_charged_to_the_task(
    operator: OperatorProcess, workflows: Workflows
) -> None:
    script = 'test "$FAIRLEAD_ATTEMPT" = 2 || sleep 300'
    workflows.apply(workflow("moved", {"a": sh(script, retry={"backoff": {"initialSeconds": 1}})}))
    pod = workflows.wait_phase("moved", "a", "Running")["attempts"][0]["podName"]

    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{workflows.namespace}/pods/{pod}/eviction"
    workflows.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    workflows.wait_finished("moved")
    first, second = workflows.task("moved", "a")["attempts"]
    assert (first["class"], first["reason"]) == ("Infrastructure", "EvictionByEvictionAPI")
    assert "class" not in second


@pytest.mark.row("F1")
def test_a_drained_node_costs_an_attempt_and_not_the_task(
    cluster: Cluster, operator: OperatorProcess, workflows: Workflows
) -> None:
    script = 'test "$FAIRLEAD_ATTEMPT" = 2 || sleep 300'
    workflows.apply(workflow("drained", {"a": sh(script, retry={"backoff": {"initialSeconds": 1}})}))
    node = workflows.wait_phase("drained", "a", "Running")["attempts"][0]["nodeName"]

    selector = "--pod-selector=fairlead.dev/workflow=drained"
    try:
        cluster.kubectl("drain", node, selector, "--force", "--delete-emptydir-data", "--timeout=60s", timeout=70)
        wait_until(
            "the next attempt to say why it does not run",
            lambda: workflows.task("drained", "a").get("reason") == "Unschedulable",
            30,
        )
    finally:
        cluster.kubectl("uncordon", node)

    workflows.wait_finished("drained", 90)
    first, second = workflows.task("drained", "a")["attempts"]
    assert (first["class"], first["reason"]) == ("Infrastructure", "EvictionByEvictionAPI")
    assert "class" not in second


@pytest.mark.row("F1")
@pytest.mark.row("B8")
def test_an_image_that_never_comes_fails_after_the_start_timeout(
    operator: OperatorProcess, workflows: Workflows
) -> None:
    task = sh("true", startTimeoutSeconds=5)
    task["container"] |= {"image": "localhost/nobody/has:this", "imagePullPolicy": "IfNotPresent"}
    workflows.apply(workflow("waiting", {"a": task}))

    wait_until("the reason to be told", lambda: workflows.task("waiting", "a").get("reason") == "ImagePull", 30)
    workflows.wait_finished("waiting", 60)

    a = workflows.task("waiting", "a")
    assert (a["phase"], a["reason"], a["attempts"][0]["class"]) == ("Failed", "ImagePull", "Configuration")
    assert "localhost/nobody/has:this" in a["message"]


def test_a_quota_that_opens_later_lets_the_task_start(operator: OperatorProcess, workflows: Workflows) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    workflows.apply(quota)
    wait_until(
        "the quota to count",
        lambda: workflows.cluster.get("resourcequota", "none", "-n", workflows.namespace).get("status", {}).get("used"),
        30,
    )
    workflows.apply(workflow("patient", {"a": sh("true")}))
    wait_until("the reason", lambda: workflows.task("patient", "a").get("reason") == "QuotaExceeded", 30)

    workflows.kubectl("delete", "resourcequota", "none")

    assert workflows.wait_finished("patient", 60)["phase"] == "Succeeded"
    assert len(workflows.task("patient", "a")["attempts"]) == 1


@pytest.mark.row("F3")
def test_a_resource_that_somebody_else_deletes_is_told(operator: OperatorProcess, workflows: Workflows) -> None:
    allow(workflows, "configmaps", "create", "get", "patch", "delete")
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"state": "new"}}
    resource = {
        "manifest": manifest,
        "successWhen": "${object.data.state == 'done'}",
        "failureWhen": "${object.data.state == 'broken'}",
    }
    retry = {"infrastructureLimit": 0}
    workflows.apply(workflow("made", {"a": {"resource": resource, "retry": retry}}))
    made = workflows.wait_phase("made", "a", "Running", "Starting")
    wait_until("the object", lambda: workflows.task("made", "a").get("attempts"), 30)
    made = workflows.task("made", "a")["attempts"][0]["podName"]
    wait_until("the object to be there", lambda: exists(workflows, made), 30)

    workflows.kubectl("delete", "configmap", made, "--wait=false")

    workflows.wait_finished("made", 60)
    a = workflows.task("made", "a")
    assert (a["phase"], a["reason"], a["attempts"][0]["class"]) == ("Failed", "ResourceDeleted", "Infrastructure")


@pytest.mark.row("F2")
def test_a_resource_succeeds_when_its_expression_says_so_and_hands_on_values(
    operator: OperatorProcess, workflows: Workflows
) -> None:
    allow(workflows, "configmaps", "create", "get", "patch", "delete")
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"state": "new"}}
    resource = {"manifest": manifest, "successWhen": "${object.data.state == 'done'}"}
    outputs = [{"name": "rows", "from": "${object.data.rows}"}]
    after = sh("test '${tasks.a.outputs.rows}' = 12")
    workflows.apply(workflow("made", {"a": {"resource": resource, "outputs": outputs}, "b": after}))
    wait_until("the attempt", lambda: workflows.task("made", "a").get("attempts"), 30)
    name = workflows.task("made", "a")["attempts"][0]["podName"]
    wait_until("the object to be there", lambda: exists(workflows, name), 30)

    done = json.dumps({"data": {"state": "done", "rows": "12"}})
    workflows.kubectl("patch", "configmap", name, "--type=merge", "-p", done)

    assert workflows.wait_finished("made", 60)["phase"] == "Succeeded"


def test_a_resource_that_the_service_account_may_not_make_fails_at_once(
    operator: OperatorProcess, workflows: Workflows
) -> None:
    resource = {"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}, "successWhen": "${true}"}
    workflows.apply(workflow("forbidden", {"a": {"resource": resource}}))

    workflows.wait_finished("forbidden", 30)

    a = workflows.task("forbidden", "a")
    assert (a["reason"], a["attempts"][0]["class"]) == ("Forbidden", "Configuration")
    assert "default" in a["message"]


def test_a_kind_that_is_not_served_fails_at_once(operator: OperatorProcess, workflows: Workflows) -> None:
    manifest = {"apiVersion": "nobody.example/v1", "kind": "Widget", "spec": {}}
    workflows.apply(workflow("unknown", {"a": {"resource": {"manifest": manifest, "successWhen": "${true}"}}}))

    workflows.wait_finished("unknown", 30)

    assert workflows.task("unknown", "a")["reason"] == "NoSuchKind"


def exists(workflows: Workflows, configmap: str) -> bool:
    """Tell whether a ConfigMap is there."""
    items = workflows.cluster.get("configmaps", "-n", workflows.namespace)["items"]
    return any(each["metadata"]["name"] == configmap for each in items)
