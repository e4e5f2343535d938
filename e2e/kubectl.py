"""The cluster that tests, demo and benchmark use, through kubectl as a user would.

It is the dev cluster, or the one that the user named with CLUSTER_KUBECONFIG; never another. Every wait has a deadline
and says what it waited for.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from e2e.devcluster import existing, state

__all__ = ["Cluster", "CommandFailed", "wait_until"]

T = TypeVar("T")

CRDS = Path(__file__).resolve().parent.parent / "crds"
Object = dict[str, Any]


class CommandFailed(AssertionError):
    """A command ended with another exit code than 0."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the cluster is. `audit_log` is None for a cluster that is not ours."""

    kubeconfig: Path
    bin_dir: Path
    audit_log: Path | None
    volumes: Path | None

    @classmethod
    def current(cls) -> Cluster:
        """Return the cluster that `make cluster-up` made ready."""
        at = state.layout()
        if named := existing.named():
            return cls(existing.kubeconfig(at, named), at.bin, None, None)
        record = state.load(at)
        if record is None or record.phase != "up":
            raise SystemExit("the dev cluster is not up: make cluster-up")
        return cls(Path(record.kubeconfig), Path(record.bin_dir), Path(record.audit_log), Path(record.volumes))

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables under which kubectl, helm and fairlead use this cluster."""
        return os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{self.bin_dir}{os.pathsep}{os.environ['PATH']}",
        }

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run kubectl; return what it printed. Raises `CommandFailed` with its error."""
        done = subprocess.run(
            ["kubectl", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Object:
        """Return one object, or a list, as JSON."""
        found: Object = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def install_crds(self) -> None:
        """Apply the CRDs of this checkout as a user would, and wait until they are served."""
        self.kubectl("apply", "--validate=strict", "-f", str(CRDS))
        # Not by `kubectl wait`: it fails on a CRD that is so new that it has no conditions yet.
        wait_until("the CRDs to be established", self._crds_established, 30)

    def _crds_established(self) -> bool:
        found = self.get("-f", str(CRDS))
        return all(_is_established(crd) for crd in found.get("items", [found]))

    def apply(self, *documents: Object, namespace: str) -> None:
        """Apply objects with strict validation: a field that the schema does not have is an error."""
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        self.kubectl("apply", "--validate=strict", "-n", namespace, "-f", "-", stdin=stdin)


def _is_established(crd: Object) -> bool:
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def wait_until(what: str, probe: Callable[[], T | None], timeout: float = 60, interval: float = 0.1) -> T:
    """Call `probe` until it returns something true. Raises TimeoutError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        time.sleep(interval)
