"""What Argo CD's and kstatus' own code say of recorded objects of every state. Needs the programs, and no cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.devcluster import binaries
from e2e.gitops.installation import ROOT

FOLDER = ROOT / "gitops" / "argocd"
KINDS = FOLDER / "resource_customizations" / "fairlead.dev"

#: What goes on waits, and so does what was just created or changed; what has failed does not wait for ever.
KSTATUS = {"Healthy": "Current", "Degraded": "Failed", "Progressing": "InProgress", "Suspended": "InProgress"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def cases(pattern: str, key: str) -> list[Any]:
    return [
        pytest.param(path.parent, case, id=f"{path.parent.relative_to(KINDS)}-{Path(case['inputPath']).stem}-{number}")
        for path in sorted(KINDS.glob(pattern))
        for number, case in enumerate(load(path)[key])
    ]


@pytest.fixture(scope="session")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ConfigMap as it is in a cluster, after the patch."""
    path = tmp_path_factory.mktemp("argocd") / "argocd-cm.yaml"
    patch = load(FOLDER / "argocd-cm.yaml")
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"}}
    path.write_text(yaml.safe_dump({**head, **patch}))
    return path


@pytest.fixture(scope="session")
def program() -> Path:
    return binaries.ensure(("argocd",))["argocd"]


def argocd(program: Path, configured: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "admin", "settings", "resource-overrides", *arguments, "--argocd-cm-path", str(configured)],
        env={
            **os.environ,
            "ARGOCD_BINARY_NAME": "argocd",
            "KUBECTL_EXTERNAL_DIFF": "diff -u",
            "HOME": str(configured.parent),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("folder", "case"), cases("*/health_test.yaml", "tests"))
def test_health_in_argo_cd(program: Path, configured: Path, folder: Path, case: dict[str, Any]) -> None:
    done = argocd(program, configured, "health", str(folder / case["inputPath"]))
    wanted = case["healthStatus"]
    assert done.stdout == f"STATUS: {wanted['status']}\nMESSAGE: {wanted.get('message', '')}\n", done.stderr


@pytest.mark.parametrize(("folder", "case"), cases("*/actions/action_test.yaml", "actionTests"))
def test_actions_in_argo_cd(program: Path, configured: Path, folder: Path, case: dict[str, Any]) -> None:
    given = [f"--param={name}={value}" for name, value in case.get("parameters", {}).items()]
    done = argocd(program, configured, "run-action", str(folder / case["inputPath"]), case["action"], *given)
    if "expectedErrorMessage" in case:
        assert done.returncode != 0
        assert case["expectedErrorMessage"] in done.stdout + done.stderr
        return
    assert done.returncode == 0, done.stderr
    wanted = load(folder / case["expectedOutputPath"])
    if isinstance(wanted, list):
        head, _, text = done.stdout.partition("\n")
        assert head == "Following resource was created:"
        assert [yaml.safe_load(text)] == [each["unstructuredObj"] for each in wanted]
    else:
        changed = [
            line for line in done.stdout.splitlines() if line[:1] in ("+", "-") and line[1:3] not in ("++", "--")
        ]
        assert changed[-1] == f"+  suspend: {str(wanted['spec']['suspend']).lower()}", done.stdout
        assert all("suspend:" in line for line in changed), done.stdout


def test_kstatus_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Flux, Helm 4 and kpt wait by it."""
    wanted = {
        str(path.parent / case["inputPath"]): KSTATUS[case["healthStatus"]["status"]]
        for path in sorted(KINDS.glob("*/health_test.yaml"))
        for case in load(path)["tests"]
    }
    for path in wanted:
        if "deletionTimestamp" in load(Path(path))["metadata"]:
            wanted[path] = "Terminating"
    program = binaries.ensure(("kstatus",))["kstatus"]
    done = subprocess.run([program, *wanted], capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    with capsys.disabled():
        print("\nwhat kstatus says:")
        for path, status, message in lines:
            print(f"  {Path(path).parents[1].name:17} {Path(path).stem:26} {status:12} {message[:70]}")
    assert {path: status for path, status, _ in lines} == wanted
