"""The restricted Pod Security profile on the namespace of an operator, and whether the API server holds to it there."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from e2e.kubectl import Cluster, CommandFailed

__all__ = ["RESTRICTED", "assert_enforced"]

_LABEL = "pod-security.kubernetes.io"

#: The labels of a namespace that takes only pods which satisfy the profile, as the newest Kubernetes has it.
RESTRICTED = {f"{_LABEL}/enforce": "restricted", f"{_LABEL}/enforce-version": "latest", f"{_LABEL}/warn": "restricted"}


def assert_enforced(cluster: Cluster, namespace: str, selector: str) -> None:
    """See that an operator runs there, that its own pod is let in once more, and that it is not with any privilege.

    Nothing is created: admission judges a dry run like any request. `selector` finds the operator's pods.
    """
    labels = cluster.get("namespace", namespace)["metadata"].get("labels", {})
    assert RESTRICTED.items() - {(f"{_LABEL}/warn", "restricted")} <= labels.items(), f"{namespace}: {labels}"
    running = [
        pod
        for pod in cluster.get("pods", "-n", namespace, "-l", selector)["items"]
        if pod["status"].get("phase") == "Running"
    ]
    assert running, f"no operator runs in {namespace}: there is nothing to be shown"
    ours = _again(running[0])
    refused = _refusal(cluster, namespace, ours)
    assert not refused, f"the operator's own pod is refused: {refused}"
    for wrong in _loosened(ours):
        refused = _refusal(cluster, namespace, wrong)
        assert 'violates PodSecurity "restricted:latest"' in refused, f"{namespace} takes {wrong}: {refused}"


def _again(pod: dict[str, Any]) -> dict[str, Any]:
    """A pod like one that is there, under another name."""
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod-security"}, "spec": spec}


def _loosened(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The same pod with one thing too many, each time another: privileges, the node's network, root."""
    privileged, on_node, as_root = deepcopy(pod), deepcopy(pod), deepcopy(pod)
    context = privileged["spec"]["containers"][0]["securityContext"]
    context |= {"privileged": True, "allowPrivilegeEscalation": True}
    on_node["spec"]["hostNetwork"] = True
    for each in (as_root["spec"], as_root["spec"]["containers"][0]):
        each["securityContext"] = each.get("securityContext", {}) | {"runAsNonRoot": False}
    return [privileged, on_node, as_root]


def _refusal(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> str:
    """Return why a pod is refused, "" for one that would be created."""
    try:
        cluster.kubectl("create", "--dry-run=server", "-n", namespace, "-f", "-", stdin=json.dumps(pod))
    except CommandFailed as error:
        return str(error)
    return ""
