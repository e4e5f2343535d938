"""A real Argo CD beside the dev cluster: Redis, repository server, application controller and API server.

They are processes of this machine, as the components of the dev cluster are, from one binary that acts by its name.
What they act upon in the cluster they do as one service account, `argocd/argocd-server`, the one of a default
installation: so the API server judges what they ask for as it would there. Everything listens on loopback, but for the
metrics, whose address cannot be chosen.
"""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from e2e.devcluster import binaries, packages, processes, state
from e2e.gitops import installation
from e2e.gitops.installation import NAMESPACE
from e2e.kubectl import Cluster, CommandFailed, wait_until

__all__ = ["ArgoCD", "Settings", "running"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """How often the controller looks at every Application, in seconds: each look is what it calls a resync."""

    resync: int = 5


@dataclass(slots=True)
class ArgoCD:
    """The running one."""

    cluster: Cluster
    folder: Path
    program: Path
    settings: Settings
    server: str  # the API server's address, which names the cluster in Applications
    ports: dict[str, int] = field(default_factory=dict)
    parts: dict[str, state.Process] = field(default_factory=dict)

    # -- Applications

    def application(self, name: str, source: Object | list[Object], namespace: str, **spec: Any) -> None:
        """Create an Application, or change it."""
        sources = {"sources": source} if isinstance(source, list) else {"source": source}
        body = {
            "apiVersion": installation.API,
            "kind": "Application",
            "metadata": {"name": name},
            "spec": {
                "project": "default",
                "destination": {"server": self.server, "namespace": namespace},
                "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
                **sources,
                **spec,
            },
        }
        self.cluster.apply(body, namespace=NAMESPACE)

    def get(self, name: str) -> Object:
        """Return an Application."""
        return self.cluster.get("applications.argoproj.io", name, "-n", NAMESPACE)

    def states(self, name: str) -> tuple[str, str]:
        """Return what an Application is, by sync status and health."""
        status = self.get(name).get("status", {})
        return status.get("sync", {}).get("status", ""), status.get("health", {}).get("status", "")

    def refresh(self, name: str) -> None:
        """Have the repository looked at now, and not at the next resync."""
        self.cluster.kubectl(
            *("annotate", "applications.argoproj.io", name, "-n", NAMESPACE, "--overwrite"),
            "argocd.argoproj.io/refresh=normal",
        )

    def wait(self, name: str, sync: str, health: str, *, revision: str = "", timeout: float = 120) -> Object:
        """Wait until an Application is so, at a commit and of a health if they are given; return it."""
        self.refresh(name)

        def reached() -> Object | None:
            found = self.get(name)
            status = found.get("status", {})
            seen = status.get("sync", {}).get("revisions") or [status.get("sync", {}).get("revision", "")]
            if revision and revision not in seen:
                return None
            is_sync, is_health = self.states_of(found)
            return found if (is_sync, is_health) == (sync, health or is_health) else None

        try:
            return wait_until(f"{name} to be {sync} and {health or 'of any health'}", reached, timeout, interval=0.5)
        except TimeoutError as error:
            raise TimeoutError(
                f"{error}; it is {json.dumps(self.get(name).get('status', {}), indent=1)[:6000]}"
            ) from None

    @staticmethod
    def states_of(application: Object) -> tuple[str, str]:
        """Return sync status and health of an Application that was read."""
        status = application.get("status", {})
        return status.get("sync", {}).get("status", ""), status.get("health", {}).get("status", "")

    def resource(self, name: str, kind: str, resource: str) -> Object:
        """Return what an Application says of one of its resources; empty if nothing."""
        for each in self.get(name).get("status", {}).get("resources", ()):
            if (each["kind"], each["name"]) == (kind, resource):
                return dict(each)
        return {}

    def below(self, name: str, kind: str) -> set[tuple[str, str]]:
        """Return the objects of a kind that are shown below others, each as whose it is and its health, if any."""
        nodes = self._ask("GET", f"/api/v1/applications/{name}/resource-tree").get("nodes") or ()
        return {
            (parent["name"], each.get("health", {}).get("status", ""))
            for each in nodes
            for parent in each.get("parentRefs", ())
            if each["kind"] == kind
        }

    def delete(self, name: str, *, cascade: bool = True) -> None:
        """Delete an Application, with what it has installed where `cascade` is set, and wait until it is gone."""
        finalizers = ["resources-finalizer.argocd.argoproj.io"] if cascade else []
        patch = json.dumps({"metadata": {"finalizers": finalizers}})
        where = ("applications.argoproj.io", name, "-n", NAMESPACE)
        try:
            self._terminate(name)
            self.cluster.kubectl("patch", *where, "--type=merge", "-p", patch)
        except CommandFailed as error:
            if "not found" in str(error):
                return
            raise
        self.cluster.kubectl("delete", *where, "--timeout=120s", timeout=130)

    def _terminate(self, name: str) -> None:
        """End a sync that is under way, or is to be tried again: a deletion waits for it, and its hooks are held."""

        def ended() -> bool:
            if "operation" not in self.get(name):
                return True
            try:
                self._ask("DELETE", f"/api/v1/applications/{name}/operation")
            except AssertionError as error:
                if "No operation is in progress" not in str(error):
                    raise
            return False

        wait_until(f"the sync of {name} to end", ended, 60, interval=0.5)

    def syncs(self, name: str) -> float:
        """Return how many syncs of an Application have ended."""
        return sum(
            float(line.rpartition(" ")[2])
            for line in self._metrics().splitlines()
            if line.startswith("argocd_app_sync_total") and f'name="{name}"' in line
        )

    def _metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    # -- actions

    def actions(self, application: str, obj: Object) -> dict[str, bool]:
        """Return the actions on a resource that Argo CD offers, and whether each is enabled."""
        query = "&".join(f"{key}={value}" for key, value in _place(obj).items())
        answer = self._ask("GET", f"/api/v1/applications/{application}/resource/actions?{query}")
        return {each["name"]: not each.get("disabled", False) for each in answer.get("actions", ())}

    def act(self, application: str, obj: Object, action: str, **parameters: str) -> None:
        """Run an action on a resource, as a click in the user interface does."""
        given = [{"name": name, "value": value} for name, value in parameters.items()]
        body = {**_place(obj), "name": application, "action": action, "resourceActionParameters": given}
        self._ask("POST", f"/api/v1/applications/{application}/resource/actions/v2", body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Object:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['server']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: Object = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return found

    def log(self, part: str) -> str:
        """Return what a part has logged."""
        return Path(self.parts[part].log).read_text(errors="replace")


def _place(obj: Object) -> dict[str, str]:
    group, _, version = obj["apiVersion"].rpartition("/")
    return {
        "namespace": obj["metadata"]["namespace"],
        "resourceName": obj["metadata"]["name"],
        "group": group,
        "version": version,
        "kind": obj["kind"],
    }


@contextmanager
def running(cluster: Cluster, folder: Path, settings: Settings | None = None) -> Iterator[ArgoCD]:
    """Start Argo CD; it and its namespace are gone afterwards."""
    packages.ensure(packages.GITOPS)
    found = binaries.ensure(("argocd", "helm"))
    address = installation.address(yaml.safe_load(cluster.kubeconfig.read_text()))
    argocd = ArgoCD(cluster, folder, found["argocd"], settings or Settings(), address)
    folder.mkdir(parents=True, exist_ok=True)
    bin_dir = folder / "bin"
    bin_dir.mkdir(exist_ok=True)
    for name, target in (("helm", found["helm"]), ("argocd", found["argocd"])):
        (bin_dir / name).unlink(missing_ok=True)
        (bin_dir / name).symlink_to(target)
    installation.install(cluster, folder)
    try:
        _start(argocd, bin_dir)
        yield argocd
    finally:
        for process in reversed(argocd.parts.values()):
            processes.stop(process)
        installation.remove(cluster)


# -- the processes


def _start(argocd: ArgoCD, bin_dir: Path) -> None:
    names = ("redis", "repo", "repo-metrics", "metrics", "server", "server-metrics")
    argocd.ports = dict(zip(names, _free_ports(len(names)), strict=True))
    ports = argocd.ports
    redis, repo = f"127.0.0.1:{ports['redis']}", f"127.0.0.1:{ports['repo']}"
    kubeconfig = str(argocd.folder / "kubeconfig")
    in_cluster = ("--kubeconfig", kubeconfig, "--namespace", NAMESPACE, "--redis", redis)
    served = ("--repo-server", repo, "--repo-server-plaintext")
    _part(argocd, bin_dir, "redis-server", *_listening("--bind", ports["redis"]), "--save", "", "--appendonly", "no")
    _wait_open(argocd, "redis-server", ports["redis"])
    metrics = ("--metrics-address", "127.0.0.1", "--metrics-port")
    repo_metrics, server_metrics = str(ports["repo-metrics"]), str(ports["server-metrics"])
    address = _listening("--address", ports["repo"])
    _part(argocd, bin_dir, "argocd-repo-server", *address, *metrics, repo_metrics, "--disable-tls", "--redis", redis)
    _wait_open(argocd, "argocd-repo-server", ports["repo"])
    resync = ("--app-resync", str(argocd.settings.resync), "--app-resync-jitter", "0")
    more = (
        "--metrics-port",
        str(ports["metrics"]),
        "--self-heal-backoff-cap-seconds",
        "5",
        "--persist-resource-health",
    )
    _part(argocd, bin_dir, "argocd-application-controller", *in_cluster, *served, *resync, *more)
    address = _listening("--address", ports["server"])
    _part(
        argocd,
        bin_dir,
        "argocd-server",
        *in_cluster,
        *served,
        *address,
        *metrics,
        server_metrics,
        "--insecure",
        "--disable-auth",
    )
    _wait_open(argocd, "argocd-application-controller", ports["metrics"])
    _wait_open(argocd, "argocd-server", ports["server"])


def _listening(option: str, port: int) -> tuple[str, ...]:
    return (option, "127.0.0.1", "--port", str(port))


def _part(argocd: ArgoCD, bin_dir: Path, name: str, *arguments: str) -> None:
    log = argocd.folder / f"{name}.log"
    log.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(argocd.folder),
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_BINARY_NAME": name,
    }
    program = str(argocd.program) if name.startswith("argocd") else name
    argocd.parts[name] = processes.start([program, *arguments], log=log, env=environment, cwd=argocd.folder)


def _wait_open(argocd: ArgoCD, name: str, port: int) -> None:
    def is_open() -> bool:
        processes.must_live(name, argocd.parts[name])
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    wait_until(f"{name} to listen", is_open, 60)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
