"""A cluster that the user has, in place of ours: named by CLUSTER_KUBECONFIG (and CLUSTER_CONTEXT), never guessed.

It is only read here. `up` checks that it answers and says what it lacks; nothing is installed in it or started.
~/.kube/config is a cluster like any other: it is used when it is named, and not before.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.devcluster import binaries
from e2e.devcluster.kwok import is_ready
from e2e.devcluster.progress import Failure, run
from e2e.devcluster.state import Layout

_OLDEST_MINOR = 30
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class Named:
    """What the user named."""

    kubeconfig: Path
    context: str | None


def named() -> Named | None:
    """The user's cluster, or None where the dev cluster is meant."""
    path, context = os.environ.get("CLUSTER_KUBECONFIG"), os.environ.get("CLUSTER_CONTEXT") or None
    if not path:
        if context:
            raise Failure("CLUSTER_CONTEXT is set, CLUSTER_KUBECONFIG is not", "name the file that has the context")
        return None
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise Failure(f"CLUSTER_KUBECONFIG={path}: there is no such file")
    return Named(file, context)


def kubeconfig(at: Layout, cluster: Named) -> Path:
    """A kubeconfig of this one context, so that a `kubectl config use-context` elsewhere changes nothing here."""
    options = ["--kubeconfig", str(cluster.kubeconfig), *(("--context", cluster.context) if cluster.context else ())]
    text = run([kubectl(), "config", "view", "--raw", "--minify", "--flatten", *options])
    at.root.mkdir(parents=True, exist_ok=True)
    copy = at.root / "existing.kubeconfig"
    copy.touch(mode=0o600)
    copy.write_text(text)
    return copy


def check(config: Path) -> list[str]:
    """Raise where the cluster does not answer; else a line about it, and one for each thing it lacks."""
    version = _get(config, "version")
    server = version["serverVersion"]
    nodes = _get(config, "get", "nodes")["items"]
    classes = _get(config, "get", "storageclasses")["items"]
    lines = [f"your cluster answers: Kubernetes {server['gitVersion']}, {len(nodes)} nodes"]
    return lines + [f"missing: {lack}" for lack in lacks(server, nodes, classes)]


def lacks(server: dict[str, Any], nodes: list[dict[str, Any]], classes: list[dict[str, Any]]) -> list[str]:
    """What of the dev cluster's equipment a cluster does not have."""
    found = []
    minor = int("".join(filter(str.isdigit, server["minor"])) or 0)
    if int(server["major"]) == 1 and minor < _OLDEST_MINOR:
        found.append(f"Kubernetes 1.{_OLDEST_MINOR} or later")
    if not any(is_ready(node) for node in nodes):
        found.append("a node that is Ready")
    if not any(each["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true" for each in classes):
        found.append("a default StorageClass: the demo's volume will not bind")
    return found


def kubectl() -> str:
    """Any kubectl does to read a kubeconfig; it is built where there is none."""
    return shutil.which("kubectl") or str(binaries.ensure(("kubectl",))["kubectl"])


def _get(config: Path, *arguments: str) -> dict[str, Any]:
    command = [kubectl(), "--kubeconfig", str(config), "--request-timeout=10s", *arguments, "-o", "json"]
    answer: dict[str, Any] = json.loads(run(command))
    return answer
