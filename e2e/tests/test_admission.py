"""What is wrong with a definition is said by `kubectl apply`, and without the webhook by the run's condition.

The configuration is the chart's, as Helm renders it; only where the webhook is, and for which namespace, is the test's:
the operator runs beside the cluster, and other namespaces are none of its business.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.devcluster import binaries, certificates
from e2e.devcluster.progress import run
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, workflow

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "unit" / "controllers" / "recorded"
CONFIGURATION = "fairlead-e2e-admission"

SET = {"a": {"set": {"values": [{"name": "n", "value": 1}]}}}
BAD = {"a": {"needs": ["nobody"], **SET["a"]}}

pytestmark = pytest.mark.row("A1")


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    run(certificates.authority_command(tmp_path, "/CN=fairlead-e2e-admission"))
    identity = certificates.Identity("webhook", "/CN=fairlead-webhook", ("IP:127.0.0.1",))
    run(certificates.issue_command(tmp_path, identity))
    return tmp_path


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def operator(cluster: Cluster, pki: Path, port: int, operator_log: Path) -> Iterator[OperatorProcess]:
    """One of the test's own, which serves the webhook."""
    options = (
        "--webhook-port",
        str(port),
        "--webhook-cert",
        f"{pki}/webhook.crt",
        "--webhook-key",
        f"{pki}/webhook.key",
    )
    with OperatorProcess(cluster, operator_log, ("-m", "fairlead.controllers", *options)) as process:
        process.wait_ready()
        yield process


def configuration(port: int, authority: Path, namespace: str) -> dict[str, Any]:
    """The chart's, for a webhook beside the cluster."""
    helm = binaries.ensure(("helm",))["helm"]
    settings = ["webhook.enabled=true", "webhook.certSecretName=tls", "crds.install=false"]
    options = [part for setting in settings for part in ("--set", setting)]
    options += ["--set-file", f"webhook.caBundle={authority}", "--show-only", "templates/webhook.yaml"]
    command = [str(helm), "template", "fairlead", str(ROOT / "charts" / "fairlead"), *options]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    kind = "ValidatingWebhookConfiguration"
    [found] = [document for document in yaml.safe_load_all(rendered) if document and document["kind"] == kind]
    [webhook] = found["webhooks"]
    assert base64.b64decode(webhook["clientConfig"]["caBundle"]) == authority.read_bytes()
    del webhook["clientConfig"]["service"]
    webhook["clientConfig"]["url"] = f"https://127.0.0.1:{port}/validate"
    webhook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    found["metadata"] = {"name": CONFIGURATION}
    return dict(found)


@pytest.fixture
def webhook(cluster: Cluster, operator: OperatorProcess, workflows: Workflows, pki: Path, port: int) -> Iterator[None]:
    """The webhook is on, for the test's namespace; it is off afterwards, whatever happens."""
    stdin = json.dumps(configuration(port, pki / "ca.crt", workflows.namespace))
    _remove(cluster)
    try:
        cluster.kubectl("create", "--validate=strict", "-f", "-", stdin=stdin)
        wait_until("the API server to ask the webhook", lambda: _is_refused(workflows), 30)
        yield
    finally:
        _remove(cluster)


def _remove(cluster: Cluster) -> None:
    cluster.kubectl("delete", "validatingwebhookconfiguration", CONFIGURATION, "--ignore-not-found")


def _is_refused(workflows: Workflows) -> bool:
    document = json.dumps(workflow("probe", BAD))
    try:
        workflows.cluster.kubectl("create", "--dry-run=server", "-n", workflows.namespace, "-f", "-", stdin=document)
    except CommandFailed:
        return True
    return False


def _admitted(operator: OperatorProcess, result: str) -> float:
    sample = f'fairlead_admission_requests_total{{kind="Workflow",result="{result}"}} '
    found = [line for line in operator.fetch("metrics")[1].splitlines() if line.startswith(sample)]
    return float(found[0].removeprefix(sample)) if found else 0.0


def test_kubectl_prints_everything_that_is_wrong_and_nothing_is_created(
    operator: OperatorProcess, workflows: Workflows, webhook: None
) -> None:
    refused = _admitted(operator, "refused")

    with pytest.raises(CommandFailed) as error:
        workflows.kubectl("apply", "-f", str(RECORDED / "three-mistakes.yaml"))

    assert str(error.value).endswith(": " + (RECORDED / "three-mistakes.txt").read_text().strip())
    assert workflows.kubectl("get", "workflows", "-o", "name") == ""
    assert _admitted(operator, "refused") == refused + 1


def test_one_without_mistakes_runs_and_its_live_fields_may_change(
    operator: OperatorProcess, workflows: Workflows, webhook: None
) -> None:
    workflows.apply(workflow("good", {**SET, "b": {"needs": ["a"], "wait": {"seconds": 600}}}))
    workflows.wait_phase("good", "a", "Succeeded")

    workflows.patch("good", {"suspend": True})
    with pytest.raises(CommandFailed, match="must not change once the run has started"):
        workflows.patch("good", {"tasks": []})

    assert _admitted(operator, "allowed") >= 2
    assert _admitted(operator, "error") == 0


def test_templates_and_requests_are_judged_too(workflows: Workflows, webhook: None) -> None:
    template = workflow("sales", {**BAD, "b": SET["a"]}) | {"kind": "WorkflowTemplate"}
    with pytest.raises(CommandFailed, match=r'The WorkflowTemplate "sales" is invalid: spec.tasks\[0\].needs\[0\]: '):
        workflows.apply(template)
    action = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "WorkflowAction",
        "metadata": {"name": "again"},
        "spec": {"workflowName": "x", "workflowUID": "y", "action": "Clear", "tasks": ["a", "a"]},
    }
    with pytest.raises(CommandFailed, match=r'The WorkflowAction "again" is invalid: spec.tasks\[1\]: '):
        workflows.apply(action)


def test_without_an_answer_a_bad_one_is_admitted_and_its_condition_says_the_same(
    operator: OperatorProcess, workflows: Workflows, webhook: None
) -> None:
    operator.stop()

    workflows.apply(workflow("bad", BAD))  # failurePolicy: Ignore

    operator.start()
    operator.wait_ready()
    workflows.wait_finished("bad")
    verdict = workflows.condition("bad", "Succeeded")
    assert (verdict["status"], verdict["reason"]) == ("False", "InvalidSpec")
    with pytest.raises(CommandFailed) as error:
        workflows.apply(workflow("bad", {**BAD, "b": SET["a"]}))
    assert verdict["message"].removeprefix("spec.tasks[0].needs[0]: ") in str(error.value)

    # What is no definition is nobody's concern, and a correction is welcome.
    workflows.kubectl("label", "workflow", "bad", "team=data")
    workflows.apply(workflow("bad", SET))
    assert workflows.wait_finished("bad")["phase"] == "Succeeded"
