"""Start processes that outlive this command, and stop only those.

A process is ours when its id, its start time and the boot are the ones recorded: an id alone is reused.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.devcluster.progress import Failure, tail
from e2e.devcluster.state import Process


def start(argv: Sequence[str], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Process:
    """Start a process in a session of its own (Ctrl-C at the terminal does not reach it), with its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=cwd, env=env
        )
    # Never waited for by Popen's finalizer: it is meant to stay.
    child.returncode = 0
    _, start_time = _stat(child.pid) or ("", 0)
    return Process(child.pid, start_time, boot_id(), tuple(argv), str(log))


def alive(process: Process) -> bool:
    """Whether this very process still runs."""
    now = _stat(process.pid)
    return now is not None and now[0] not in "ZX" and now[1] == process.start_time and process.boot_id == boot_id()


def must_live(name: str, process: Process) -> None:
    """Raise with the end of its log when the process has died: waiting longer would be in vain."""
    _reap(process)
    if not alive(process):
        raise Failure(f"{name} ended", tail(Path(process.log)))


def stop(process: Process, *, seconds: float = 10.0) -> None:
    """Ask, wait, then kill. A process that is not ours (any more) is left alone."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        if not alive(process):
            return
        os.kill(process.pid, number)
        deadline = time.monotonic() + patience
        while alive(process) and time.monotonic() < deadline:
            _reap(process)
            time.sleep(0.02)
    if alive(process):
        raise Failure(f"process {process.pid} ({process.argv[0]}) could not be stopped")


def boot_id() -> str:
    """The id of the machine's current boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start time (field 22) of a process; the name before them may hold spaces and parentheses."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19])


def _reap(process: Process) -> None:
    """Collect our own child if it has died; somebody else's child is not ours to collect."""
    try:
        os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        return
