"""Where the dev cluster keeps its things, and what is written down about a running one.

Everything lives in one directory, so that clearing it clears the cluster. `state.json` in it is the record that
tests and tools may read: where the kubeconfig, the audit log and the volumes are, and which processes are ours.
Nothing here starts or stops anything.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from e2e.devcluster.progress import Failure

NODE_NAME = "devcluster"
BRIDGE = "fairlead0"
POD_SUBNET = "10.233.64.0/20"
GATEWAY = "10.233.64.1"
SERVICE_SUBNET = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"

# Ports of our own, so that a kind, k3s or minikube on the same machine is not in the way.
API_PORT = 26443
ETCD_PORT = 22379
ETCD_PEER_PORT = 22380
CONTROLLER_MANAGER_PORT = 22257
SCHEDULER_PORT = 22259
KUBELET_PORT = 22250
KUBELET_HEALTH_PORT = 22248
PROXY_HEALTH_PORT = 22256
PROXY_METRICS_PORT = 22249
KWOK_PORT = 22247
PORTS = (API_PORT, ETCD_PORT, ETCD_PEER_PORT, CONTROLLER_MANAGER_PORT, SCHEDULER_PORT, KWOK_PORT)
NODE_PORTS = (KUBELET_PORT, KUBELET_HEALTH_PORT, PROXY_HEALTH_PORT, PROXY_METRICS_PORT)

# A unix socket's path has 107 usable characters; containerd's is the longest below the state directory.
_LONGEST_SOCKET = "/containerd/run/containerd.sock.ttrpc"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one state directory."""

    root: Path

    @property
    def record(self) -> Path:
        return self.root / "state.json"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def audit_log(self) -> Path:
        return self.root / "audit" / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def containerd(self) -> Path:
        return self.root / "containerd"

    @property
    def containerd_socket(self) -> Path:
        return self.containerd / "run" / "containerd.sock"

    @property
    def kubelet(self) -> Path:
        return self.root / "kubelet"

    @property
    def pod_logs(self) -> Path:
        return self.root / "pod-logs"

    @property
    def cgroup(self) -> str:
        """All containers run below this group, so that clearing finds every process of theirs, even orphans."""
        return "fairlead-" + hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def cni(self) -> Path:
        return self.root / "cni"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of ours. The start time and the boot make the id safe: ids are reused, these pairs are not."""

    pid: int
    start_time: int
    boot_id: str
    argv: tuple[str, ...]
    log: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """What `state.json` holds."""

    phase: str  # "starting" until everything answered, then "up"
    kubernetes: str
    server: str
    kubeconfig: str
    audit_log: str
    logs: str
    volumes: str
    bin_dir: str
    node: str | None
    kwok_nodes: int = 0
    containerd_socket: str | None = None
    binaries: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)


def state_root() -> Path:
    """The state directory: one a user, so one dev cluster a machine."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "fairlead" / "devcluster"


def cache_root() -> Path:
    """Binaries, wheels and images by version: outside the tree, so that every checkout shares them."""
    own = os.environ.get("FAIRLEAD_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fairlead"


def layout() -> Layout:
    """The layout of this user's state directory, checked for what cannot work."""
    root = state_root().resolve()
    if len(str(root) + _LONGEST_SOCKET) > 107:
        raise Failure(
            f"the state directory's path is too long for a unix socket: {root}",
            "set XDG_STATE_HOME to a shorter one",
        )
    return Layout(root)


def load(at: Layout) -> Cluster | None:
    """The recorded cluster, or None where there is none (or one written by another version)."""
    try:
        raw = json.loads(at.record.read_text())
        return decode(raw)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Failure(f"{at.record} cannot be read: {error}", "`make cluster-down` clears it") from error


def save(at: Layout, cluster: Cluster) -> None:
    """Write the record in one step: a reader never sees half of it."""
    at.root.mkdir(parents=True, exist_ok=True)
    partial = at.record.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(cluster), indent=2) + "\n")
    partial.replace(at.record)


def decode(raw: dict[str, Any]) -> Cluster:
    """The inverse of `asdict`."""
    processes = {
        name: Process(**{**fields, "argv": tuple(fields["argv"])}) for name, fields in raw["processes"].items()
    }
    return Cluster(**{**raw, "processes": processes})


@contextmanager
def exclusive(at: Layout, what: str) -> Iterator[None]:
    """One `up` or `down` at a time on this state directory."""
    at.root.mkdir(parents=True, exist_ok=True)
    with (at.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{what}: waiting for another cluster command to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
