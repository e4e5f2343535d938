"""Bring the cluster up, in order, and say what it is. The parts are described by the modules imported here."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from http.client import HTTPException
from pathlib import Path

from e2e.devcluster import (
    binaries,
    certificates,
    clearing,
    controlplane,
    images,
    kwok,
    network,
    node,
    packages,
    processes,
    storage,
)
from e2e.devcluster.api import Api, Refusal, connect
from e2e.devcluster.progress import Failure, say, step, wait_until
from e2e.devcluster.state import (
    API_PORT,
    NODE_NAME,
    NODE_PORTS,
    PORTS,
    Cluster,
    Layout,
    Process,
    load,
    save,
)

_REPOSITORY = Path(__file__).resolve().parents[2]
_CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
_NODE = ("kubelet", "kube-proxy")
_USERS = ("admin", "controller-manager", "scheduler", "kubelet", "proxy")


def up(at: Layout, *, kwok_nodes: int, with_node: bool) -> Cluster:
    """The running cluster: as it is, mended, or new."""
    cluster = load(at)
    if cluster is not None and cluster.phase == "up" and any(map(processes.alive, cluster.processes.values())):
        if with_node and cluster.node is None:
            raise Failure("the cluster is up, without a node", "`make cluster-down` first")
        cluster = _mend(at, cluster)
    else:
        cluster = _from_nothing(at, with_node=with_node)
    if kwok_nodes > cluster.kwok_nodes:
        cluster = _add_kwok_nodes(at, cluster, kwok_nodes)
    return cluster


def _from_nothing(at: Layout, *, with_node: bool) -> Cluster:
    _check_machine(with_node=with_node)
    packages.ensure((*packages.CONTROL_PLANE, *(packages.NODE if with_node else ())))
    found = binaries.ensure((*_CONTROL_PLANE, *(_NODE if with_node else ())))
    for path in sorted({path.parent for path in found.values()}):
        say(f"using {', '.join(sorted(n for n, p in found.items() if p.parent == path))}: {_origin(found, path)}")
    old = load(at)
    if old is None:
        _check_ports(with_node=with_node)  # before anything is touched: a cluster of another user may be up
    clearing.clear(at, old, keep_results=False)
    _check_ports(with_node=with_node)
    if with_node and clearing.other_kubelet():
        raise Failure(
            "a kubelet of another cluster runs on this machine: two would take each other's rules away",
            "stop it, or use that cluster: CLUSTER_KUBECONFIG=...",
        )
    cluster = _record(at, found, with_node=with_node)
    save(at, cluster)
    with step("starting the control plane"):
        _write_configuration(at, with_node=with_node)
        if with_node:
            network.set_up(at)
            clearing.make_cgroup(at.cgroup)
            cluster = _start(at, cluster, "containerd", node.containerd(_containerd(), at))
        cluster = _start(at, cluster, "etcd", controlplane.etcd(found["etcd"], at))
        server = controlplane.apiserver(found["kube-apiserver"], at, with_node=with_node)
        cluster = _start(at, cluster, "apiserver", server)
        if with_node:
            _wait(cluster, "containerd", "containerd to answer", lambda: images.answers(at), 20)
            images.import_base(at)
        api = connect(at)
        _wait(cluster, "apiserver", "the API server to be ready", lambda: api.exists("/readyz"), 60)
        manager = controlplane.controller_manager(found["kube-controller-manager"], at)
        cluster = _start(at, cluster, "controller-manager", manager)
        cluster = _start(at, cluster, "scheduler", controlplane.scheduler(found["kube-scheduler"], at))
    if with_node:
        with step("starting the node"):
            cluster = _start(at, cluster, "kubelet", node.kubelet(found["kubelet"], at))
            cluster = _start(at, cluster, "kube-proxy", node.proxy(found["kube-proxy"], at))
            api.ensure("/apis/storage.k8s.io/v1/storageclasses", storage.storage_class())
            provisioner = [sys.executable, "-m", "e2e.devcluster.storage"]
            cluster = _start(at, cluster, "volumes", provisioner, cwd=_REPOSITORY)
            _wait(cluster, "kubelet", "the node to be Ready", lambda: _node_ready(api, NODE_NAME), 90)
    link_program(at, "kubectl", found["kubectl"])
    if helm := binaries.cached("helm"):  # built only when asked for, but handy once it is there
        link_program(at, "helm", helm)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    _wait(cluster, "controller-manager", "the default service account", lambda: api.exists(account), 30)
    cluster = replace(cluster, phase="up")
    save(at, cluster)
    return cluster


def _mend(at: Layout, cluster: Cluster) -> Cluster:
    """Start again what has died of a cluster that otherwise lives: nothing the user has in it is lost."""
    dead = [name for name, process in cluster.processes.items() if not processes.alive(process)]
    for name in dead:
        say(f"{name} is not running any more: starting it again")
        cluster = restart(at, cluster, name)
    api = connect(at)
    _wait(cluster, "apiserver", "the API server to be ready", lambda: api.exists("/readyz"), 60)
    if cluster.node:
        _wait(cluster, "kubelet", "the node to be Ready", lambda: _node_ready(api, NODE_NAME), 90)
    return cluster


def restart(at: Layout, cluster: Cluster, name: str) -> Cluster:
    """Start one component with the command line it had; stop it first where it still runs."""
    if name not in cluster.processes:
        raise Failure(f"no component {name!r}", f"there are: {', '.join(cluster.processes)}")
    process = cluster.processes[name]
    processes.stop(process)
    return _start(at, cluster, name, process.argv, cwd=_REPOSITORY)


def _add_kwok_nodes(at: Layout, cluster: Cluster, count: int) -> Cluster:
    found = binaries.ensure(("kwok",))
    api = connect(at)
    with step(f"adding simulated nodes, {count} in all"):
        if "kwok" not in cluster.processes:
            cluster = _start(at, cluster, "kwok", kwok.command(found["kwok"], at))
        kwok.add_nodes(api, count)
        for number in range(count):
            name = kwok.node_name(number)
            _wait(cluster, "kwok", f"{name} to be Ready", partial(_node_ready, api, name), 30)
    cluster = replace(cluster, kwok_nodes=count)
    save(at, cluster)
    return cluster


def _start(at: Layout, cluster: Cluster, name: str, argv: Sequence[str], cwd: Path | None = None) -> Cluster:
    """Start a component and record it at once: a failure a moment later still finds it to stop."""
    process = processes.start(argv, log=at.logs / f"{name}.log", cwd=cwd)
    recorded: dict[str, Process] = {**cluster.processes, name: process}
    cluster = replace(cluster, processes=recorded)
    save(at, cluster)
    return cluster


def _wait(cluster: Cluster, component: str, what: str, ready: Callable[[], bool], seconds: float) -> None:
    def check() -> bool:
        for name, process in cluster.processes.items():
            processes.must_live(name, process)  # any of them: an API server waits long for an etcd that has ended
        return ready()

    wait_until(what, check, seconds=seconds, log=Path(cluster.processes[component].log))


def _node_ready(api: Api, name: str) -> bool:
    try:
        return kwok.is_ready(api.request("GET", f"/api/v1/nodes/{name}"))
    except (Refusal, OSError, HTTPException):
        return False  # not there yet, or no answer yet: the wait has a deadline


def _record(at: Layout, found: dict[str, Path], *, with_node: bool) -> Cluster:
    return Cluster(
        phase="starting",
        kubernetes=binaries.KUBERNETES.version,
        server=f"https://127.0.0.1:{API_PORT}",
        kubeconfig=str(at.kubeconfig),
        audit_log=str(at.audit_log),
        logs=str(at.logs),
        volumes=str(at.volumes),
        bin_dir=str(at.bin),
        node=NODE_NAME if with_node else None,
        containerd_socket=str(at.containerd_socket) if with_node else None,
        binaries={name: str(path) for name, path in found.items()},
    )


def _write_configuration(at: Layout, *, with_node: bool) -> None:
    for directory in (at.logs, at.config, at.audit_log.parent, at.volumes):
        directory.mkdir(parents=True, exist_ok=True)
    certificates.make_all(at)
    certificates.write_kubeconfigs(at, f"https://127.0.0.1:{API_PORT}", _USERS)
    documents: dict[str, object] = {"audit-policy.json": controlplane.audit_policy()}
    if with_node:
        documents["kubelet.json"] = node.kubelet_config(at, node.nameservers(_resolv_conf()))
        documents["proxy.json"] = node.proxy_config(at)
        text = node.containerd_config(at, network.plugins_directory())
        (at.config / "containerd.toml").write_text(text)
    for name, document in documents.items():
        (at.config / name).write_text(json.dumps(document, indent=2) + "\n")


def _resolv_conf() -> str:
    try:
        return Path("/etc/resolv.conf").read_text()
    except OSError:
        return ""


def _check_machine(*, with_node: bool) -> None:
    if sys.platform != "linux":
        raise Failure("the dev cluster runs on Linux", "elsewhere, name an existing one: CLUSTER_KUBECONFIG=...")
    if with_node and os.geteuid() != 0:
        raise Failure(
            "a real node (containers, mounts, a bridge) needs root",
            "run it as root, or `up --no-node --kwok-nodes 1` without, or name a cluster: CLUSTER_KUBECONFIG=...",
        )


def _check_ports(*, with_node: bool) -> None:
    """Whether somebody else listens where ours will: told before anything starts."""
    for port in (*PORTS, *(NODE_PORTS if with_node else ())):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise Failure(f"port {port} is in use on this machine", "`ss -ltnp` shows by what") from error


def link_program(at: Layout, name: str, path: Path) -> None:
    """Put a program into the directory for the user's PATH."""
    at.bin.mkdir(parents=True, exist_ok=True)
    link = at.bin / name
    link.unlink(missing_ok=True)
    link.symlink_to(path)


def _containerd() -> str:
    need = next(need for need in packages.NODE if need.package == "containerd")
    return packages.find(need) or "containerd"


def _origin(found: dict[str, Path], directory: Path) -> str:
    return binaries.origin(next(path for path in found.values() if path.parent == directory))
