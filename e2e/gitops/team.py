"""What a test of the suite works with: a folder in git, the Application for it, and the namespace that it fills."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from e2e.gitops import installation
from e2e.gitops.argocd import ArgoCD
from e2e.gitops.installation import NAMESPACE as ARGOCD
from e2e.gitops.repository import Repository
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.workflows import Workflows
from fairlead.api import labels

__all__ = ["Team", "remove_everything"]

Object = dict[str, Any]

#: Where examples/gitops/argocd/fairlead.yaml installs to.
_NAMESPACES = ("fairlead", "sales", ARGOCD)

_HOOK_FINALIZER = "argocd.argoproj.io/hook-finalizer"


@dataclass(frozen=True, slots=True)
class Team:
    """Somebody whose Workflows are in git. The Application is named as the namespace."""

    argocd: ArgoCD
    repository: Repository
    workflows: Workflows

    @property
    def name(self) -> str:
        """The Application's name, the namespace's, and the folder's."""
        return self.workflows.namespace

    def commit(self, files: Mapping[str, Object | list[Object] | None]) -> str:
        """Commit objects to the folder, None to remove a file; returns the commit's id."""
        return self.repository.commit({f"{self.name}/{name}": content for name, content in files.items()})

    def apply(self, files: Mapping[str, Object | list[Object] | None], **spec: Any) -> str:
        """Commit objects, and have an Application for the folder; returns once they are in the cluster."""
        revision = self.commit(files)
        source = {"repoURL": self.repository.url, "targetRevision": "main", "path": self.name}
        self.argocd.application(self.name, source, self.name, **spec)
        self.argocd.wait(self.name, "Synced", "", timeout=90)
        return revision

    def wait(self, sync: str, health: str, revision: str = "", timeout: float = 120) -> Object:
        """Wait until the Application is so."""
        return self.argocd.wait(self.name, sync, health, revision=revision, timeout=timeout)

    def health(self, workflow: str, kind: str = "Workflow") -> Object:
        """Return what Argo CD says of one of our objects."""
        found: Object = self.argocd.resource(self.name, kind, workflow).get("health", {})
        return found


def remove_everything(cluster: Cluster) -> None:
    """Remove what the suite leaves: Applications, namespaces, and our kinds where nobody has objects of them."""
    if _has(cluster, "crd/applications.argoproj.io"):
        installation.remove(cluster)
    ours = _has(cluster, "crd/workflows.fairlead.dev")
    if ours:
        for namespace in ("sales", *_test_namespaces(cluster)):
            cluster.kubectl("delete", "workflows,workflowtemplates", "--all", "-n", namespace, "--wait=false")
    cluster.kubectl(
        "delete", "namespace", *_test_namespaces(cluster), *_NAMESPACES, "--ignore-not-found", "--wait=false"
    )
    wait_until("the suite's namespaces to be gone", lambda: _gone(cluster, ours), 120, interval=1)
    for kind in ("clusterrole", "clusterrolebinding", "validatingadmissionpolicy", "validatingadmissionpolicybinding"):
        cluster.kubectl("delete", kind, "-l", "app.kubernetes.io/instance=fairlead", "--ignore-not-found")
    if ours and not _in_use(cluster):
        names = [each["metadata"]["name"] for each in cluster.get("crd")["items"]]
        mine = [name for name in names if name.endswith(".fairlead.dev")]
        cluster.kubectl("delete", "crd", *mine, "--timeout=60s", timeout=70)


def _test_namespaces(cluster: Cluster) -> list[str]:
    names = [each["metadata"]["name"] for each in cluster.get("namespaces")["items"]]
    return [name for name in names if name.startswith("gitops-")]


def _gone(cluster: Cluster, ours: bool) -> bool:
    _release(cluster)
    if ours:
        _strip(cluster, "taskstatusshards", labels.FINALIZER)
        _strip(cluster, "workflows", _HOOK_FINALIZER)  # hooks of syncs that have been cut off
    names = {each["metadata"]["name"] for each in cluster.get("namespaces")["items"]}
    return not names & {*_NAMESPACES, *_test_namespaces(cluster)}


def _release(cluster: Cluster) -> None:
    """Take our finalizer off what nobody is there to record any more, in the suite's namespaces."""
    patch = json.dumps({"metadata": {"$deleteFromPrimitiveList/finalizers": [labels.FINALIZER]}})
    for each in cluster.get("pods,jobs", "-A", "-l", labels.RUN_UID)["items"]:
        namespace, name = each["metadata"]["namespace"], each["metadata"]["name"]
        if "deletionTimestamp" not in each["metadata"] or not _is_ours(namespace):
            continue
        _patch(cluster, each["kind"].lower(), name, "-n", namespace, "--type=strategic", "-p", patch)


def _strip(cluster: Cluster, kind: str, finalizer: str) -> None:
    """Take all finalizers off objects of a kind that have this one and are being deleted, in the suite's namespaces."""
    patch = json.dumps({"metadata": {"finalizers": None}})
    for each in cluster.get(kind, "-A")["items"]:
        metadata = each["metadata"]
        if "deletionTimestamp" not in metadata or not _is_ours(metadata["namespace"]):
            continue
        if finalizer in metadata.get("finalizers", ()):
            _patch(cluster, kind, metadata["name"], "-n", metadata["namespace"], "--type=merge", "-p", patch)


def _patch(cluster: Cluster, *arguments: str) -> None:
    """Patch what may be gone meanwhile."""
    try:
        cluster.kubectl("patch", *arguments)
    except CommandFailed as error:
        if "not found" not in str(error):
            raise


def _is_ours(namespace: str) -> bool:
    return namespace in _NAMESPACES or namespace.startswith("gitops-")


def _has(cluster: Cluster, name: str) -> bool:
    try:
        cluster.kubectl("get", name)
    except CommandFailed:
        return False
    return True


def _in_use(cluster: Cluster) -> bool:
    kinds = "workflows,workflowtemplates,workflowactions,taskstatusshards"
    return bool(cluster.get(kinds, "-A")["items"])
