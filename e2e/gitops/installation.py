"""What Argo CD needs in the cluster: its kinds, its settings with ours in them, and the account that it acts by."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from e2e.devcluster import binaries
from e2e.kubectl import Cluster, CommandFailed, wait_until

__all__ = ["API", "NAMESPACE", "ROOT", "address", "install", "remove"]

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "argocd"
API = "argoproj.io/v1alpha1"

#: In whose name Argo CD acts; what the actions say (`gitops/argocd/parts/request.lua`).
_ACCOUNT = "argocd-server"

_BINDING = "fairlead-e2e-argocd"
_CRDS = ("application-crd.yaml", "appproject-crd.yaml", "applicationset-crd.yaml")


def install(cluster: Cluster, folder: Path) -> None:
    """Create namespace, CRDs and settings, as its installation does."""
    source = _module_folder() / "manifests" / "crds"
    for name in _CRDS:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(source / name))
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=100)
    cluster.kubectl("create", "namespace", NAMESPACE)
    wait_until("Argo CD's kinds to be served", partial(_served, cluster), 30)
    account = {"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ACCOUNT}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _BINDING},
            "roleRef": role,
            "subjects": [account],
        },
        _part_of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}}, data=_customizations()),
        _part_of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-rbac-cm"}}),
        _part_of(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret"}},
            stringData={"server.secretkey": base64.b64encode(os.urandom(32)).decode()},
        ),
        _part_of({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-redis"}}, stringData={"auth": ""}),
        {
            "apiVersion": API,
            "kind": "AppProject",
            "metadata": {"name": "default"},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        },
        namespace=NAMESPACE,
    )
    token = cluster.kubectl("create", "token", _ACCOUNT, "-n", NAMESPACE, "--duration=12h").strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    [authority] = [each["cluster"]["certificate-authority-data"] for each in config["clusters"]]
    connection = {"bearerToken": token, "tlsClientConfig": {"insecure": False, "caData": authority}}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "cluster", "labels": {"argocd.argoproj.io/secret-type": "cluster"}},
            "stringData": {"name": "in-cluster", "server": address(config), "config": json.dumps(connection)},
        },
        namespace=NAMESPACE,
    )
    for context in config["contexts"]:
        context["context"]["namespace"] = NAMESPACE
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))


def _let_go(cluster: Cluster) -> None:
    """Remove the Applications that are left when Argo CD is not there any more to do it; what they installed stays."""
    where, patch = ("applications.argoproj.io", "-n", NAMESPACE), json.dumps({"metadata": {"finalizers": None}})
    for each in cluster.get(*where)["items"]:
        cluster.kubectl("patch", where[0], each["metadata"]["name"], *where[1:], "--type=merge", "-p", patch)
    cluster.kubectl("delete", *where, "--all", "--timeout=60s", timeout=70)


def remove(cluster: Cluster) -> None:
    """Remove all that `install` has created, and the Applications that are left."""
    _let_go(cluster)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=100)
    cluster.kubectl("delete", "clusterrolebinding", _BINDING, "--ignore-not-found")
    for name in _CRDS:
        path = _module_folder() / "manifests" / "crds" / name
        cluster.kubectl("delete", "-f", str(path), "--ignore-not-found", "--timeout=60s", timeout=70)


def _customizations() -> dict[str, str]:
    """Our health checks and actions, as a user would install them."""
    patch: dict[str, dict[str, str]] = yaml.safe_load((ROOT / "gitops" / "argocd" / "argocd-cm.yaml").read_text())
    return patch["data"]


def _part_of(body: Object, **more: Any) -> Object:
    body["metadata"]["labels"] = {"app.kubernetes.io/part-of": "argocd"}
    return {**body, **more}


def _served(cluster: Cluster) -> bool:
    try:
        cluster.kubectl("get", "applications.argoproj.io,appprojects.argoproj.io", "-n", NAMESPACE)
    except CommandFailed:
        return False
    return True


def _module_folder() -> Path:
    """Where the Go module cache has Argo CD's own files; they are fetched where only its program was kept."""
    module = binaries.ARGOCD
    done = subprocess.run(
        ["go", "mod", "download", "-json", module.module],
        cwd=ROOT / "e2e" / "devcluster" / "modules" / module.name,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return Path(json.loads(done.stdout)["Dir"])


def address(config: Object) -> str:
    """Return where a kubeconfig says that the API server is."""
    [found] = [each["cluster"]["server"] for each in config["clusters"]]
    return str(found)
