"""Simulated nodes: pods on them cost API writes only, so that a load test measures the operator and not runc.

They are tainted, so nothing lands there by accident: a pod says `nodeSelector: {type: kwok}` and tolerates the
taint. How pods behave there, and which annotations change it, stands in `manifests/kwok-stages.yaml`.
"""

from __future__ import annotations

from pathlib import Path

from e2e.devcluster.api import Api, Object
from e2e.devcluster.state import KWOK_PORT, Layout

_STAGES = Path(__file__).parent / "manifests" / "kwok-stages.yaml"
_MARK = "kwok.x-k8s.io/node"


def command(program: Path, at: Layout) -> list[str]:
    """The kwok controller, for the nodes that carry our mark and no others."""
    return [
        str(program),
        f"--kubeconfig={at.kubeconfig}",
        f"--config={_STAGES}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={_MARK}=fake",
        # Short: a kwok that was killed and started again waits for the lease of its predecessor to end.
        "--node-lease-duration-seconds=8",
        f"--server-address=127.0.0.1:{KWOK_PORT}",
    ]


def node_name(number: int) -> str:
    """The name of the n-th simulated node."""
    return f"kwok-{number}"


def node(number: int) -> Object:
    """One simulated node."""
    name = node_name(number)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {_MARK: "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": _MARK, "value": "fake", "effect": "NoSchedule"}]},
    }


def add_nodes(api: Api, count: int) -> None:
    """Make the first `count` simulated nodes; those that are there already stay."""
    for number in range(count):
        api.ensure("/api/v1/nodes", node(number))


def is_ready(node: Object) -> bool:
    """Whether a node, simulated or real, is Ready."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
