"""An operator that is not allowed something says exactly what, keeps trying, and goes on once it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, sh, workflow

NAME = "fairlead-e2e-limited"

RULES: list[dict[str, Any]] = [
    {"apiGroups": ["fairlead.dev"], "resources": ["workflows"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["fairlead.dev"], "resources": ["workflows/status"], "verbs": ["patch"]},
    {
        "apiGroups": ["fairlead.dev"],
        "resources": ["workflowactions", "workflowtemplates"],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch", "delete"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]


@pytest.fixture
def limited(cluster: Cluster, workflows: Workflows, tmp_path: Path) -> Iterator[Cluster]:
    """The cluster as a service account sees it that may not create pods."""
    _grant(cluster, RULES)
    cluster.kubectl("create", "serviceaccount", NAME, "-n", workflows.namespace)
    account = f"{workflows.namespace}:{NAME}"
    cluster.kubectl("create", "clusterrolebinding", NAME, f"--clusterrole={NAME}", f"--serviceaccount={account}")
    token = cluster.kubectl("create", "token", NAME, "-n", workflows.namespace, "--duration=1h").strip()
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"] = [{"name": NAME, "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = NAME
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    try:
        yield Cluster(kubeconfig, cluster.bin_dir, cluster.audit_log, cluster.volumes)
    finally:
        for kind in ("clusterrolebinding", "clusterrole"):
            cluster.kubectl("delete", kind, NAME, "--ignore-not-found")


def _grant(cluster: Cluster, rules: list[dict[str, Any]]) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": NAME}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({**role, "rules": rules}))


def test_a_missing_right_is_named_in_the_run_and_waited_for(
    cluster: Cluster, limited: Cluster, workflows: Workflows, operator_log: Path
) -> None:
    with OperatorProcess(limited, operator_log) as operator:
        operator.wait_ready()
        workflows.apply(workflow("blocked", {"a": sh("true")}))

        wait_until("the run to be stalled", lambda: _stalled(workflows), 30)

        assert 'cannot create resource "pods"' in workflows.condition("blocked", "Stalled")["message"]
        waiting = workflows.task("blocked", "a")
        assert waiting["phase"] in ("Queued", "Starting")  # it is asked again, now and then
        assert waiting["reason"] == "OperatorForbidden"
        _grant(cluster, [*RULES, {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}])
        assert workflows.wait_finished("blocked", 60)["phase"] == "Succeeded"
        assert workflows.condition("blocked", "Stalled")["status"] == "False"


def test_an_operator_that_may_not_even_look_says_so_and_waits(
    cluster: Cluster, limited: Cluster, operator_log: Path
) -> None:
    _grant(cluster, [])
    with OperatorProcess(limited, operator_log) as operator:
        text = wait_until("the probe to tell", lambda: _told(operator, 'cannot list resource "workflows"'), 30)
        assert operator.alive
        assert operator.probe("healthz") == 200, text

        _grant(cluster, RULES)

        operator.wait_ready()


def _stalled(workflows: Workflows) -> bool:
    return workflows.condition("blocked", "Stalled").get("status") == "True"


def _told(operator: OperatorProcess, words: str) -> str | None:
    try:
        _, text = operator.fetch("readyz")
    except (OSError, CommandFailed):
        return None
    return text if words in json.dumps(json.loads(text)).replace('\\"', '"') else None
