"""The API server that the contract is tested against: the dev cluster, or one that is named.

`make contract` brings the dev cluster up first. FAIRLEAD_E2E_KUBECONFIG names another API server, which needs no nodes
and no controllers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import dev_operator
from e2e.kubectl import Cluster, CommandFailed
from tests.contract.manifests import Manifests

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def api_server() -> Cluster:
    """An API server with the CRDs of this checkout, applied as a user would: client-side, strictly validated."""
    named = os.environ.get("FAIRLEAD_E2E_KUBECONFIG")
    try:
        cluster = Cluster(Path(named), Path("/usr/bin"), None, None) if named else Cluster.current()
        dev_operator.make_way()
        cluster.install_crds()
    except (SystemExit, CommandFailed, TimeoutError) as error:
        pytest.fail(f"no API server to test against (make cluster-up, or FAIRLEAD_E2E_KUBECONFIG): {error}")
    return cluster


@pytest.fixture(scope="session")
def contract_namespace(api_server: Cluster) -> Iterator[str]:
    """A namespace in which tests may leave things: no operator looks at it, nothing runs there."""
    name = f"fairlead-contract-{os.getpid()}"
    api_server.kubectl("create", "namespace", name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def manifests(api_server: Cluster, contract_namespace: str) -> Manifests:
    return Manifests(api_server, contract_namespace)
