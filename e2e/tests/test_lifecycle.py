"""What is left of runs: logs and records after their pods and Workflows are gone, limits, and a doctor's bundle."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.kubectl import Cluster, wait_until
from e2e.operators import OperatorProcess
from e2e.tests.conftest import log_file
from e2e.workflows import Workflows, fairlead, sh, workflow

CANARY = "canary-5b1e"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def operator(cluster: Cluster, archive: Path) -> Iterator[OperatorProcess]:
    options = ("--archive", f"file://{archive}", "--keep-logs")
    process = OperatorProcess(cluster, log_file("test-lifecycle"), program=("-m", "fairlead.cli.main", "operator"))
    process.options = options
    process.start()
    process.wait_ready()
    yield process
    code = process.stop()
    assert code == 0, f"the operator ended with {code}:\n{process.log_tail()}"


def is_gone(workflows: Workflows, name: str) -> bool:
    items = workflows.cluster.get("workflows", "-n", workflows.namespace)["items"]
    return name not in [each["metadata"]["name"] for each in items]


def metric(operator: OperatorProcess, name: str) -> float:
    _, text = operator.fetch("metrics")
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_logs_and_record_outlive_the_run(operator: OperatorProcess, workflows: Workflows, archive: Path) -> None:
    tasks = {
        "a": sh("echo from a; echo '{\"rows\": 3}' > $FAIRLEAD_OUTPUTS", outputs=[{"name": "rows", "type": "integer"}]),
        "b": sh("echo from b; exit 3", needs=["a"], retry={"limit": 1, "backoff": {"initialSeconds": 1}}),
        "j": {
            "job": {
                "spec": {
                    "backoffLimit": 0,
                    "template": {
                        "spec": {
                            "restartPolicy": "Never",
                            "containers": [
                                {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", "echo from the job"]}
                            ],
                        }
                    },
                }
            }
        },
        "slow": sh("echo before its end; sleep 300", timeoutSeconds=3),
    }
    workflows.apply(workflow("daily", tasks, ttlSecondsAfterFinished=0))
    wait_until("the run to be deleted", lambda: is_gone(workflows, "daily"), 120)
    wait_until("its pods to be gone", lambda: not workflows.pods(), 60)

    url = f"file://{archive}"
    code, shown = fairlead(workflows, "archive", "list", "--archive", url)
    assert code == 0
    assert [line.split()[:3] for line in shown.splitlines()[1:]] == [[workflows.namespace, "daily", "Failed"]]

    code, shown = fairlead(workflows, "archive", "get", "daily", "-o", "json", "--archive", url)
    record = json.loads(shown)
    phases = {task["name"]: task["phase"] for task in record["status"]["tasks"]}
    assert phases == {"a": "Succeeded", "b": "Failed", "j": "Succeeded", "slow": "Failed"}
    assert record["status"]["tasks"][0]["outputs"] == {"rows": 3}

    def logs(*arguments: str) -> str:
        code, shown = fairlead(workflows, "logs", "daily", *arguments, "--archive", url)
        assert code == 0, shown
        return shown

    assert "from a\n" in logs("a")
    assert "from b\n" in logs("b", "--attempt", "1")
    assert "from the job\n" in logs("j")
    assert "before its end\n" in logs("slow")


def test_a_template_says_how_many_of_its_runs_are_kept(operator: OperatorProcess, workflows: Workflows) -> None:
    spec: dict[str, Any] = {"tasks": [{"name": "x", "set": {"values": [{"name": "n", "value": "1"}]}}]}
    template = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl"},
        "spec": {**spec, "historyLimits": {"succeeded": 2}},
    }
    workflows.apply(template)
    names = [f"run-{number}" for number in range(4)]
    for name in names:
        run = workflow(name, {})
        run["spec"] = {"templateRef": {"name": "etl"}}
        workflows.apply(run)
        wait_until(
            f"{name} to end or to be gone",
            lambda name=name: is_gone(workflows, name) or workflows.condition(name, "Finished").get("status") == "True",
            30,
        )
    workflows.apply(workflow("other", {"x": spec["tasks"][0] | {}}))
    workflows.wait_finished("other")

    def left() -> list[str]:
        return [name for name in [*names, "other"] if not is_gone(workflows, name)]

    wait_until("two of four to be left", lambda: len(left()) == 3, 30)
    assert "other" in left()


def test_no_run_is_deleted_while_the_archive_is_away(
    operator: OperatorProcess, workflows: Workflows, archive: Path
) -> None:
    away = archive.with_name("away")
    archive.rename(away)
    try:
        workflows.apply(workflow("daily", {"a": sh("echo hello")}, ttlSecondsAfterFinished=0))
        status = workflows.wait_finished("daily")
        assert status["phase"] == "Succeeded"
        wait_until("a metric that says so", lambda: metric(operator, "fairlead_archive_failing_seconds") > 5, 30)
        wait_until("an Event that says so", lambda: "ArchiveUnavailable" in workflows.kubectl("get", "events"), 30)
        assert not is_gone(workflows, "daily")
        assert not archive.exists(), "where the volume should be, nothing is made in its place"
    finally:
        away.rename(archive)
    wait_until("the run to be archived and deleted", lambda: is_gone(workflows, "daily"), 90)
    code, shown = fairlead(workflows, "archive", "get", "daily", "--archive", f"file://{archive}")
    assert code == 0, shown


def test_the_doctors_bundle_tells_no_values(operator: OperatorProcess, workflows: Workflows, tmp_path: Path) -> None:
    task = sh(f"echo {CANARY}-printed; exit 1", env=[{"name": "TOKEN", "value": f"{CANARY}-variable"}])
    params = [{"name": "key", "type": "string", "default": f"{CANARY}-default"}]
    workflows.apply(workflow("daily", {"a": task}, params=params))
    workflows.wait_finished("daily")

    bundle = tmp_path / "bundle.tar.gz"
    code, shown = fairlead(workflows, "doctor", "--bundle", str(bundle))

    assert code == 1
    assert "no pod of an operator was found" in shown, "it runs beside the cluster here"
    with tarfile.open(bundle) as tar:
        files = {member.name: tar.extractfile(member).read().decode() for member in tar.getmembers()}  # type: ignore[union-attr]
    leaks = {name: line for name, text in files.items() for line in text.splitlines() if CANARY in line}
    assert leaks == {}
    (run,) = json.loads(files[f"fairlead-doctor/namespaces/{workflows.namespace}/workflows.json"])
    assert run["status"]["tasks"][0]["attempts"][0]["exitCode"] == 1
    (pod,) = json.loads(files[f"fairlead-doctor/namespaces/{workflows.namespace}/pods.json"])
    assert pod["status"]["phase"] == "Failed"
    assert "workflows.fairlead.dev" in files["fairlead-doctor/crds/workflows.fairlead.dev.json"]
