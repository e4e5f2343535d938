"""The cluster's certificate authority, its certificates and kubeconfigs, made anew at each start by openssl."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.devcluster.progress import run
from e2e.devcluster.state import GATEWAY, NODE_NAME, SERVICE_ADDRESS, Layout

_DAYS = "3650"


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate: who it speaks for, and where it may serve."""

    name: str
    subject: str
    names: tuple[str, ...] = ()  # subject alternative names, as openssl writes them


def identities() -> tuple[Identity, ...]:
    """Every certificate of the cluster but the authority's."""
    return (
        Identity(
            "apiserver",
            "/CN=kube-apiserver",
            (
                "DNS:localhost",
                "DNS:kubernetes",
                "DNS:kubernetes.default",
                "DNS:kubernetes.default.svc",
                "DNS:kubernetes.default.svc.cluster.local",
                "IP:127.0.0.1",
                f"IP:{GATEWAY}",
                f"IP:{SERVICE_ADDRESS}",
            ),
        ),
        Identity("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
        Identity("admin", "/O=system:masters/CN=admin"),
        Identity("devcluster", "/O=system:masters/CN=fairlead-devcluster"),
        Identity("controller-manager", "/CN=system:kube-controller-manager"),
        Identity("scheduler", "/CN=system:kube-scheduler"),
        Identity("proxy", "/CN=system:kube-proxy"),
        Identity(
            "kubelet",
            f"/O=system:nodes/CN=system:node:{NODE_NAME}",
            (f"DNS:{NODE_NAME}", "IP:127.0.0.1", f"IP:{GATEWAY}"),
        ),
    )


def make_all(at: Layout) -> None:
    """Make the authority, every certificate, the service-account key and nothing else."""
    at.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    run(authority_command(at.pki, "/CN=fairlead-devcluster"))
    for identity in identities():
        run(issue_command(at.pki, identity))
    key = at.pki / "service-account.key"
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", str(key)])
    run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(at.pki / "service-account.pub")])


def authority_command(pki: Path, subject: str) -> list[str]:
    """The openssl command that makes the authority, which signs itself: `ca.key` and `ca.crt`."""
    return [
        *("openssl", "req", "-x509", *_new_key(pki / "ca.key"), "-out", str(pki / "ca.crt")),
        *("-days", _DAYS, "-subj", subject),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"),
    ]


def issue_command(pki: Path, identity: Identity) -> list[str]:
    """The openssl command that makes a key and a certificate signed by the authority, in one step."""
    extensions = ["-addext", "basicConstraints=critical,CA:FALSE"]
    extensions += ["-addext", "keyUsage=critical,digitalSignature,keyEncipherment"]
    extensions += ["-addext", "extendedKeyUsage=serverAuth,clientAuth"]
    if identity.names:
        extensions += ["-addext", "subjectAltName=" + ",".join(identity.names)]
    return [
        *("openssl", "req", "-x509", *_new_key(pki / f"{identity.name}.key")),
        *("-out", str(pki / f"{identity.name}.crt"), "-days", _DAYS),
        *("-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key"), "-subj", identity.subject),
        *extensions,
    ]


def kubeconfig(pki: Path, identity: str, server: str, context: str) -> str:
    """A kubeconfig with everything inside, so that it can be handed around. JSON is YAML."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {
                "name": context,
                "cluster": {"server": server, "certificate-authority-data": _inline(pki / "ca.crt")},
            }
        ],
        "users": [
            {
                "name": identity,
                "user": {
                    "client-certificate-data": _inline(pki / f"{identity}.crt"),
                    "client-key-data": _inline(pki / f"{identity}.key"),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": identity, "namespace": "default"}}],
    }
    return json.dumps(document, indent=2) + "\n"


def write_kubeconfigs(at: Layout, server: str, users: Sequence[str]) -> None:
    """The user's kubeconfig, and one for each component."""
    at.config.mkdir(parents=True, exist_ok=True)
    for user in users:
        path = at.kubeconfig if user == "admin" else component_kubeconfig(at, user)
        path.touch(mode=0o600)
        path.write_text(kubeconfig(at.pki, user, server, "fairlead-devcluster"))


def component_kubeconfig(at: Layout, user: str) -> Path:
    """Where a component's kubeconfig lies."""
    return at.config / f"{user}.kubeconfig"


def _new_key(path: Path) -> Sequence[str]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", str(path))


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
