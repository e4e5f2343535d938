"""Replicas of the operator beside the cluster, each as a user of its own: the audit log tells which has done what."""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from e2e.kubectl import Cluster, wait_until
from e2e.operators import OperatorProcess
from fairlead.controllers.buckets import GROUPS

__all__ = ["Replica", "Replicas"]

_GROUP = "fairlead-buckets-"


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica: its name among the others, its user in the audit log, and its process."""

    name: str
    user: str
    process: OperatorProcess

    def pause(self) -> None:
        """Hold it up: SIGSTOP."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self.process.process is not None
        self.process.process.send_signal(number)


@dataclass(slots=True)
class Replicas:
    """Replicas that divide the runs by Leases in `namespace`. None of them outlives the block."""

    cluster: Cluster
    namespace: str
    folder: Path
    _members: list[Replica] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Begin with none."""
        return self

    def __exit__(self, *exc: object) -> None:
        for each in self._members:
            if each.process.alive:
                each.process.kill()  # one that is held up would not hear of anything else
            self.cluster.kubectl("delete", "clusterrolebinding", self._binding(each.name), "--ignore-not-found")

    def start(self, name: str) -> Replica:
        """Start one more, and wait until it is ready."""
        account = f"{self.namespace}:{name}"
        self.cluster.kubectl("create", "serviceaccount", name, "-n", self.namespace)
        self.cluster.kubectl(
            "create",
            "clusterrolebinding",
            self._binding(name),
            "--clusterrole=cluster-admin",
            f"--serviceaccount={account}",
        )
        process = OperatorProcess(
            self.cluster,
            self.folder / f"{name}.log",
            extra_environment={"KUBECONFIG": str(self._kubeconfig(name))},
            options=("--lease-namespace", self.namespace, "--replica", name),
        )
        replica = Replica(name, f"system:serviceaccount:{account}", process)
        self._members.append(replica)
        process.start()
        process.wait_ready()
        return replica

    def _binding(self, name: str) -> str:
        return f"{self.namespace}-{name}"

    def _kubeconfig(self, name: str) -> Path:
        config = json.loads(self.cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        token = self.cluster.kubectl("create", "token", name, "-n", self.namespace, "--duration=1h").strip()
        config["users"][0]["user"] = {"token": token}
        path = self.folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path

    # -- who holds what

    def leases(self) -> dict[int, dict[str, Any]]:
        """Return what the Lease of each group says."""
        found = self.cluster.get("leases", "-n", self.namespace, "-l", "fairlead.dev/lease=buckets")["items"]
        return {int(each["metadata"]["name"].removeprefix(_GROUP)): each["spec"] for each in found}

    def holders(self) -> dict[int, str]:
        """Return which replica holds each group, by its name; "" for none."""
        return {group: _replica_of(spec.get("holderIdentity") or "") for group, spec in self.leases().items()}

    def taken_at(self) -> dict[int, datetime]:
        """Return when each group was taken by its present holder."""
        return {group: datetime.fromisoformat(spec["acquireTime"]) for group, spec in self.leases().items()}

    def wait_shares(self, *replicas: Replica, timeout: float = 30) -> dict[str, frozenset[int]]:
        """Wait until these, and no others, hold everything in equal shares; return the groups of each."""
        least = GROUPS // len(replicas)

        def divided() -> dict[int, str] | None:
            holders = self.holders()
            shares = Counter(holders.values())
            equal = all(least <= shares[each.name] <= least + 1 for each in replicas)
            return holders if equal and sum(shares[each.name] for each in replicas) == GROUPS else None

        names = ", ".join(each.name for each in replicas)
        found = wait_until(f"the groups to be held by {names}", divided, timeout)
        return {
            each.name: frozenset(group for group, holder in found.items() if holder == each.name) for each in replicas
        }


def _replica_of(identity: str) -> str:
    return identity.rpartition("-")[0]
