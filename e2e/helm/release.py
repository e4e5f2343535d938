"""One release of the chart by one Helm, and what there is of it in the cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from e2e.kubectl import Cluster, CommandFailed, wait_until

__all__ = ["CHART", "KINDS", "NAMESPACE", "RELEASE", "Release"]

CHART = Path(__file__).resolve().parents[2] / "charts" / "fairlead"
RELEASE = "fairlead"
NAMESPACE = "fairlead-e2e-helm"
#: Whatever the chart, its hooks or the operator may leave in the release's namespace, and beside it.
KINDS = (
    "deployments,replicasets,pods,jobs,services,serviceaccounts,secrets,configmaps,roles,rolebindings,"
    "poddisruptionbudgets,networkpolicies,leases,endpointslices"
)
CLUSTER_KINDS = (
    "clusterroles,clusterrolebindings,validatingwebhookconfigurations,validatingadmissionpolicies,"
    "validatingadmissionpolicybindings"
)
_TIMEOUT = "180s"


@dataclass(frozen=True)
class Release:
    """The release under test, in the hands of one Helm (`program`, which is called `helm` in `tools`)."""

    cluster: Cluster
    program: Path
    tools: Path

    @cached_property
    def environment(self) -> dict[str, str]:
        """Environment variables under which `helm` is this one, and `fairlead` that of this checkout."""
        self.tools.mkdir(parents=True, exist_ok=True)
        for name, program in (("helm", self.program), ("fairlead", Path(sys.executable).with_name("fairlead"))):
            link = self.tools / name
            link.unlink(missing_ok=True)
            link.symlink_to(program)
        found = self.cluster.environment
        return found | {"PATH": f"{self.tools}{os.pathsep}{found['PATH']}"}

    def helm(self, *arguments: str) -> str:
        """Run Helm in the release's namespace; return all that it printed. Raises `CommandFailed`."""
        done = subprocess.run(
            [str(self.program), *arguments, "--namespace", NAMESPACE],
            env=self.cluster.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"helm {' '.join(arguments)}: {done.stderr.strip()} {done.stdout.strip()}")
        return done.stdout + done.stderr

    def change(self, verb: str, *options: str) -> str:
        """Install or upgrade and wait until it is ready."""
        return self.helm(verb, RELEASE, str(CHART), "--wait", "--timeout", _TIMEOUT, *options)

    def uninstall(self) -> str:
        """Remove it and wait until it is gone."""
        return self.helm("uninstall", RELEASE, "--wait", "--timeout", _TIMEOUT)

    def ask(self, path: str) -> str:
        """Return what one of the operators answers, asked through their Service."""
        return self.cluster.kubectl(
            "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}-metrics:metrics/proxy{path}"
        )

    def pods(self) -> list[dict[str, Any]]:
        """Return the operators' pods."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
        found: list[dict[str, Any]] = self.cluster.get("pods", "-n", NAMESPACE, "-l", selector)["items"]
        return found

    def sample(self, pod: str, metric: str, **wanted: str) -> float:
        """Return the sum of a metric's samples of one operator that have these labels."""
        text = self.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics")
        total = 0.0
        for line in text.splitlines():
            name, _, rest = line.partition(" ")
            name, _, labels = name.partition("{") if "{" in line.partition(" ")[0] else (name, "", "")
            if name == metric and all(f'{key}="{value}"' in labels for key, value in wanted.items()):
                total += float(rest.rpartition(" ")[2] or rest)
        return total

    def nothing_was_forbidden(self) -> None:
        """See that the chart grants what the operator asks for: a missing right shows here, though it gets over it."""
        for pod in self.pods():
            name = pod["metadata"]["name"]
            refused = self.sample(name, "fairlead_api_requests_total", code="403")
            assert refused == 0, f"{refused:.0f} requests of {name} were forbidden: the chart grants too little"

    def left(self) -> list[str]:
        """Return all that there is of the release, but for what Kubernetes itself puts into every namespace."""
        ours = self.cluster.kubectl("get", KINDS, "-n", NAMESPACE, "-o", "name", "--ignore-not-found").split()
        own = {"serviceaccount/default", "configmap/kube-root-ca.crt"}
        wide = self.cluster.get(CLUSTER_KINDS, "-l", f"app.kubernetes.io/instance={RELEASE}")["items"]
        marks = (f"{NAMESPACE}:", f".{NAMESPACE}", "fairlead-requested-by")
        names = [f"{each['kind']}/{each['metadata']['name']}" for each in wide]
        return [each for each in ours if each not in own] + [
            each for each in names if any(mark in each for mark in marks)
        ]

    def is_gone(self) -> None:
        """Wait until nothing of it is there any more."""
        try:
            wait_until("nothing to be left of the release", lambda: not self.left(), 60, interval=1)
        except TimeoutError:
            raise AssertionError(f"uninstalling has left {json.dumps(self.left())}") from None
