"""Running the operator outside the cluster, as a process of its own: for tests, the demo and the benchmark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from e2e.kubectl import Cluster, wait_until

__all__ = ["OperatorProcess"]

_STARTED = "probes and metrics on port "


@dataclass(slots=True)
class OperatorProcess:
    """One operator. `program` replaces the interpreter's arguments, for operators that crash on purpose.

    `options` are those of `fairlead operator`, other than where it listens and how it logs.
    """

    cluster: Cluster
    log: Path
    program: tuple[str, ...] = ("-m", "fairlead.controllers")
    extra_environment: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once. It logs to `log`, appending."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(b'{"message":"--- start"}\n')
            general = ("--listen", "127.0.0.1", "--port", "0", "--log-format", "json")
            self.process = subprocess.Popen(
                [sys.executable, *self.program, *general, *self.options],
                env=self.cluster.environment | self.extra_environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """Start it; it does not outlive the block, however that ends."""
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.alive:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def wait_ready(self, timeout: float = 30) -> None:
        """Wait until it is ready. Raises TimeoutError with the end of its log."""
        try:
            wait_until("the operator to be ready", lambda: self.probe("readyz") == 200 or not self.alive, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its log ends:\n{self.log_tail()}") from None
        if not self.alive:
            raise RuntimeError(f"the operator ended by itself; its log ends:\n{self.log_tail()}")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def port(self) -> int | None:
        """The port of its probes and metrics, once it has told."""
        text = self.log.read_text().rpartition('"--- start"')[2]
        for line in text.splitlines():
            if _STARTED in line:
                return int(json.loads(line)["message"].rpartition(_STARTED)[2])
        return None

    def probe(self, path: str) -> int:
        """Return the HTTP status of a path; 0 for none."""
        try:
            return self.fetch(path)[0]
        except OSError:
            return 0

    def fetch(self, path: str) -> tuple[int, str]:
        """Return status and body of a path. Raises OSError where nothing answers."""
        if self.port is None:
            raise ConnectionError("not started yet")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def kill(self) -> None:
        """SIGKILL: no clean-up of any kind."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self, timeout: float = 15) -> int:
        """SIGTERM, as the kubelet would; returns the exit code."""
        assert self.process is not None
        if self.alive:
            self.process.terminate()
        return self.process.wait(timeout=timeout)

    def log_tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(line[:1000] for line in self.log.read_text().splitlines()[-lines:])
