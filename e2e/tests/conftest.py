"""Fixtures of the end-to-end suite: the cluster, a namespace for each test, and an operator outside the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from e2e import dev_operator
from e2e.audit import AuditLog
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows

LOGS = Path(".cache/e2e")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = Cluster.current()
    dev_operator.make_way()
    found.install_crds()
    yield found
    wait_until("the tests' namespaces to be gone", lambda: not _namespaces(found), 120)


def _namespaces(cluster: Cluster) -> list[str]:
    names = [each["metadata"]["name"] for each in cluster.get("namespaces")["items"]]
    return [name for name in names if name.startswith("e2e-")]


def log_file(name: str) -> Path:
    """Where an operator of these tests logs: kept until the next run of the same tests, to be looked at."""
    path = LOGS / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


@pytest.fixture
def operator_log(request: pytest.FixtureRequest) -> Path:
    return log_file(re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-"))


@pytest.fixture(scope="module")
def operator(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[OperatorProcess]:
    process = OperatorProcess(cluster, log_file(request.node.name.rpartition("/")[2]))
    process.start()
    process.wait_ready()
    yield process
    code = process.stop()
    assert code == 0, f"the operator ended with {code}:\n{process.log_tail()}"
    assert "cannot reconcile" not in process.log.read_text(), process.log_tail(200)


@pytest.fixture
def workflows(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Workflows]:
    """A namespace of the test's own; deleted afterwards, and the end of the session waits for that to be over."""
    digest = sha256(request.node.nodeid.encode()).hexdigest()[:6]
    name = f"e2e-{re.sub('[^a-z0-9]+', '-', request.node.name.lower()).strip('-')[:40].rstrip('-')}-{digest}"
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=90s", timeout=100)
    cluster.kubectl("create", "namespace", name)
    wait_until("the default service account", lambda: _has_service_account(cluster, name), 30)
    assert cluster.audit_log is not None, "the end-to-end suite reads the audit log of the dev cluster"
    yield Workflows(cluster, name, AuditLog.from_now(Path(cluster.audit_log)))
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def _has_service_account(cluster: Cluster, namespace: str) -> bool:
    try:
        cluster.kubectl("get", "serviceaccount", "default", "-n", namespace)
    except CommandFailed:
        return False
    return True
