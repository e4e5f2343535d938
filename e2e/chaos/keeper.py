"""The operator, and whoever starts it again when it ends by itself: here we are, in the kubelet's place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from e2e.kubectl import Cluster
from e2e.operators import OperatorProcess

__all__ = ["Keeper", "defects"]

#: Whose exceptions are defects of ours: kopf tells by one that the API server is away.
_OURS = ("fairlead", "asyncio", "root")


def defects(lines: Iterable[str]) -> list[str]:
    """Return those lines of an operator's log that tell of a defect of its own."""
    found = []
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            if line.startswith("Traceback"):  # it could not even log
                found.append(line)
            continue
        if "exception" in told and str(told.get("logger", "root")).startswith(_OURS):
            found.append(f"{told.get('message')}: {told['exception'][-400:]}")
    return found


#: A busy machine takes its time.
_READY_SECONDS = 90.0


class Keeper:
    """Keeps one operator running, between `start` and `stop` or `kill`."""

    def __init__(self, cluster: Cluster, log: Path) -> None:
        self._operator = OperatorProcess(cluster, log)
        self._wanted = False
        self.restarts = 0

    def __enter__(self) -> Self:
        """It does not outlive the block, however that ends."""
        return self

    def __exit__(self, *exc: object) -> None:
        self._wanted = False
        if self._operator.alive:
            self._operator.kill()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._operator.alive

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready unless told otherwise."""
        self._operator.start()
        self._wanted = True
        if ready:
            self._operator.wait_ready(_READY_SECONDS)

    def tend(self) -> None:
        """Start it again if it has ended by itself."""
        if self._wanted and not self._operator.alive:
            self.restarts += 1
            self._operator.start()

    def kill(self) -> None:
        """SIGKILL, and nobody starts it again."""
        self._wanted = False
        if self._operator.alive:
            self._operator.kill()

    def stop(self) -> str:
        """SIGTERM. Returns what is wrong with how it ended, "" if nothing."""
        self._wanted = False
        if not self._operator.alive:
            return "the operator has ended by itself"
        try:
            code = self._operator.stop()
        except subprocess.TimeoutExpired:
            self._operator.kill()
            return "the operator did not end within 15 s of SIGTERM"
        return f"the operator ended with {code} after SIGTERM" if code else ""

    def defects(self) -> list[str]:
        """What its log tells of defects of its own."""
        return (
            defects(self._operator.log.read_text(errors="replace").splitlines()) if self._operator.log.exists() else []
        )

    def log_tail(self) -> str:
        """The end of its log."""
        return self._operator.log_tail(15)
