"""Fixtures of the suite: the cluster, Argo CD, a git repository, and Fairlead as Argo CD installs it from there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e import dev_operator
from e2e.audit import AuditLog
from e2e.devcluster import builds, existing, state
from e2e.gitops.argocd import ArgoCD, Settings, running
from e2e.gitops.installation import ROOT
from e2e.gitops.repository import Repository
from e2e.gitops.team import Team, remove_everything
from e2e.kubectl import Cluster
from e2e.workflows import Workflows

CACHE = Path(".cache/e2e-gitops").resolve()
RESYNC_SECONDS = 2


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The dev cluster, without an operator, and without our kinds where nobody uses them."""
    if existing.named():
        pytest.exit("the suite installs and removes an Argo CD: it wants the dev cluster, not one of yours", 2)
    found = Cluster.current()
    dev_operator.make_way()
    builds.build_image(state.layout(), builds.catalogue()["operator"])
    remove_everything(found)
    yield found
    remove_everything(found)


@pytest.fixture(scope="session")
def argocd(cluster: Cluster) -> Iterator[ArgoCD]:
    with running(cluster, CACHE / "argocd", Settings(resync=RESYNC_SECONDS)) as found:
        yield found


@pytest.fixture(scope="session")
def repository() -> Repository:
    """The files of this checkout that the examples install, at the same paths."""
    path = CACHE / "repository"
    shutil.rmtree(path, ignore_errors=True)
    made = Repository.create(path)
    for name in ("charts/fairlead", "examples/gitops/sales", "examples/gitops/release"):
        shutil.copytree(ROOT / name, path / name)
    made.commit({}, message="as in the checkout")
    return made


@pytest.fixture(scope="session")
def installed(argocd: ArgoCD, repository: Repository) -> dict[str, Any]:
    """examples/gitops/argocd/fairlead.yaml, as it is but for addresses and the image, once it is well."""
    application = yaml.safe_load((ROOT / "examples" / "gitops" / "argocd" / "fairlead.yaml").read_text())
    application["spec"]["destination"]["server"] = argocd.server
    for source in application["spec"]["sources"]:
        source["repoURL"] = repository.url
    application["spec"]["sources"][0]["helm"]["valuesObject"]["image"]["registry"] = "docker.io"
    argocd.cluster.apply(application, namespace="argocd")
    return argocd.wait("fairlead", "Synced", "Healthy", timeout=240)


@pytest.fixture
def workflows(cluster: Cluster, installed: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Workflows]:
    """A namespace of the test's own, with Fairlead at work."""
    digest = sha256(request.node.nodeid.encode()).hexdigest()[:6]
    name = f"gitops-{re.sub('[^a-z0-9]+', '-', request.node.name.lower()).strip('-')[5:40].strip('-')}-{digest}"
    cluster.kubectl("create", "namespace", name)
    assert cluster.audit_log is not None, "the suite reads the audit log of the dev cluster"
    yield Workflows(cluster, name, AuditLog.from_now(Path(cluster.audit_log)))
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def team(argocd: ArgoCD, repository: Repository, workflows: Workflows) -> Iterator[Team]:
    """An Application of the test's own, from a folder of its own in the repository, for its namespace."""
    found = Team(argocd, repository, workflows)
    yield found
    argocd.delete(found.name)
