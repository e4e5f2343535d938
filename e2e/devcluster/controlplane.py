"""The control plane: what etcd, the API server, the controller manager and the scheduler are started with.

Pure: command lines and documents out of paths and addresses. `cluster.py` starts them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2e.devcluster.certificates import component_kubeconfig
from e2e.devcluster.state import (
    API_PORT,
    CONTROLLER_MANAGER_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    GATEWAY,
    SCHEDULER_PORT,
    SERVICE_SUBNET,
    Layout,
)

# The defaults of 20 to 50 requests a second would be what a load test measures.
_FAST_CLIENT = ("--kube-api-qps=500", "--kube-api-burst=1000")
_ISSUER = "https://kubernetes.default.svc.cluster.local"


def etcd(program: Path, at: Layout) -> list[str]:
    """Etcd on loopback, without fsync: a throw-away cluster."""
    client, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return [
        str(program),
        "--name=devcluster",
        f"--data-dir={at.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=devcluster={peer}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=8589934592",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=10m",
        "--log-level=warn",
    ]


def apiserver(program: Path, at: Layout, *, with_node: bool) -> list[str]:
    """The API server. With a node it also listens on the bridge, where pods reach it through 10.96.0.1."""
    pki = at.pki
    address = (
        ["--bind-address=0.0.0.0", f"--advertise-address={GATEWAY}"]
        if with_node
        else ["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]
    )
    return [
        str(program),
        *address,
        f"--secure-port={API_PORT}",
        f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
        f"--service-cluster-ip-range={SERVICE_SUBNET}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={at.config}/audit-policy.json",
        f"--audit-log-path={at.audit_log}",
        "--audit-log-format=json",
        "--audit-log-maxsize=2000",
        "--shutdown-delay-duration=0s",
        "--delete-collection-workers=8",  # a namespace with ten thousand pods is gone sooner
    ]


def audit_policy() -> dict[str, Any]:
    """Writes to pods, jobs and everything of Fairlead's: the witness for "created once". Nothing else.

    What the scheduler binds, and whose status the Job controller writes, was there, whatever became of its create: both
    requests name the object's UID.
    """
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {
                "level": "Metadata",
                "verbs": ["create", "update", "patch", "delete", "deletecollection"],
                "resources": [
                    {"group": "", "resources": ["pods", "pods/binding", "pods/eviction"]},
                    {"group": "batch", "resources": ["jobs", "jobs/status"]},
                    {"group": "fairlead.dev"},
                ],
            },
            {"level": "None"},
        ],
    }


def controller_manager(program: Path, at: Layout) -> list[str]:
    """The controller manager, each controller with rights of its own (as in a real cluster)."""
    kubeconfig = component_kubeconfig(at, "controller-manager")
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={CONTROLLER_MANAGER_PORT}",
        f"--cert-dir={at.config}/controller-manager-serving",
        "--leader-elect=false",
        *_FAST_CLIENT,
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={at.pki}/service-account.key",
        f"--root-ca-file={at.pki}/ca.crt",
        f"--cluster-signing-cert-file={at.pki}/ca.crt",
        f"--cluster-signing-key-file={at.pki}/ca.key",
        f"--flex-volume-plugin-dir={at.config}/flex-volumes",
    ]


def scheduler(program: Path, at: Layout) -> list[str]:
    """The scheduler."""
    kubeconfig = component_kubeconfig(at, "scheduler")
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={SCHEDULER_PORT}",
        f"--cert-dir={at.config}/scheduler-serving",
        "--leader-elect=false",
        *_FAST_CLIENT,
    ]
