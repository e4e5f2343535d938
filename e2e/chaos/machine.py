"""Hands on the dev cluster's own processes: those that its state file names, and no others.

Whatever is done here is undone by `mend`, which also a failed or interrupted run calls.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

from e2e.devcluster import cluster, controlplane, kwok, processes, state
from e2e.devcluster.api import Api, Refusal, connect
from e2e.devcluster.progress import Failure, wait_until

__all__ = ["Machine"]

_READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Machine:
    """The dev cluster's processes, by the names that they have in its state file."""

    at: state.Layout
    api: Api

    @classmethod
    def current(cls) -> Machine:
        """Return the machine of the running dev cluster."""
        at = state.layout()
        return cls(at, connect(at))

    def check_audit_policy(self) -> None:
        """The log of a cluster that an older checkout started lacks entries that tell of lost attempts."""
        policy = json.loads((self.at.config / "audit-policy.json").read_text())
        if policy != controlplane.audit_policy():
            raise Failure("the dev cluster's audit policy is not this checkout's", "make cluster-down, then again")

    def restart(self, name: str, *, kill: bool = False) -> tuple[datetime, datetime]:
        """Stop a component, or kill it, and start it again. Returns from when to when it was away."""
        with state.exclusive(self.at, "chaos"):
            record = self._record()
            begin = datetime.now(UTC)
            if kill:
                self._kill(record, name)
            started = cluster.restart(self.at, record, name).processes[name]

        def ready() -> bool:
            processes.must_live(name, started)
            return name != "apiserver" or self.api.exists("/readyz")

        wait_until(f"the {name} to be ready", ready, seconds=_READY_SECONDS)
        return begin, datetime.now(UTC)

    def kill(self, name: str) -> None:
        """SIGKILL; it stays away until it is restarted."""
        self._kill(self._record(), name)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Hold a process for the length of the block, as a machine does that does not get to run."""
        self._signal(self._record(), name, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(self._record(), name, signal.SIGCONT)

    def wait_node(self) -> None:
        """Wait until the real node is there and Ready."""
        wait_until("the node to be Ready", self._node_ready, seconds=_READY_SECONDS)

    def mend(self) -> None:
        """Let what is held go on, start again what has died, and wait for all of it."""
        record = self._record()
        for name, process in record.processes.items():
            if processes.alive(process):
                self._signal(record, name, signal.SIGCONT)
        with state.exclusive(self.at, "chaos"):
            cluster.up(self.at, kwok_nodes=record.kwok_nodes, with_node=record.node is not None)
        self.wait_node()

    def _node_ready(self) -> bool:
        try:
            return kwok.is_ready(self.api.request("GET", f"/api/v1/nodes/{state.NODE_NAME}"))
        except (Refusal, OSError, HTTPException):
            return False

    def _record(self) -> state.Cluster:
        record = state.load(self.at)
        if record is None or record.phase != "up":
            raise Failure("the dev cluster is not up", "make cluster KWOK_NODES=1")
        if record.node is None or not record.kwok_nodes:
            raise Failure("the faults need a real node and a simulated one", "make cluster KWOK_NODES=1")
        return record

    def _kill(self, record: state.Cluster, name: str) -> None:
        """SIGKILL, and wait until all of it is gone: of many threads the last to end keeps its ports."""
        self._signal(record, name, signal.SIGKILL)
        pid = record.processes[name].pid
        wait_until(f"the {name} to be gone", lambda: _is_gone(pid), seconds=10)

    def _signal(self, record: state.Cluster, name: str, number: signal.Signals) -> None:
        process = record.processes[name]
        if not processes.alive(process):
            raise Failure(f"{name} is not running", "make cluster-up")
        os.kill(process.pid, number)


def _is_gone(pid: int) -> bool:
    with suppress(ChildProcessError):  # somebody else's child is collected by its own parent
        os.waitpid(pid, os.WNOHANG)
    return not Path(f"/proc/{pid}").exists()
