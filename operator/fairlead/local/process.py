"""One task's process, with everything it starts, as a process group that ends as a whole.

A container takes all of its processes along when its first one ends; so does this. What leaves the group by making a
session of its own is found by its environment where the system shows it (Linux' `/proc`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fairlead.local.guard import REGISTERED, Guard

__all__ = ["Process"]


class Process:
    """A running command. Make one with :meth:`start`; :meth:`wait` has to be awaited to its end."""

    def __init__(self, process: asyncio.subprocess.Process, guard: Guard, mark: bytes) -> None:
        self._process = process
        self._guard = guard
        self._mark = mark

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, mark: str, guard: Guard
    ) -> Process:
        """Start a command with its output in `log`. `mark` names a variable of `env` that no other process has.

        Raises OSError when the system refuses (too many processes, arguments too long).
        """
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", REGISTERED, "sh", *argv),
                stdin=guard.pipe,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            os.close(output)
        return cls(process, guard, f"{mark}={env[mark]}".encode())

    @property
    def pid(self) -> int:
        """The id of the first process, which is also that of the group."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the end, end what it left behind, and return the exit code as a container would report it."""
        try:
            code = await self._process.wait()
        finally:
            # Also when the waiting itself is cancelled: nothing may go on without us.
            self.kill()
            self._guard.forget(self.pid)
        return code if code >= 0 else 128 - code  # ended by signal n: 128 + n

    def terminate(self) -> None:
        """Ask the whole group to end (SIGTERM)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group at once (SIGKILL), and whatever has left it."""
        self._signal(signal.SIGKILL)
        for pid in _marked(self._mark):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # PermissionError is what macOS says of a group of which only a zombie is left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _marked(mark: bytes) -> Iterator[int]:
    """Yield the ids of processes that were started with `mark` (NAME=value) in their environment."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # not ours to read, or gone by now
            if mark in entry.read_bytes().split(b"\0"):
                yield int(entry.parent.name)
