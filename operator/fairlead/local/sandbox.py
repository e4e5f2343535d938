"""What the process of one attempt gets to see: its directories, its environment, its command line.

    WORKDIR/TASK/NUMBER/work      its working directory, empty at the start
                       /tmp       $TMPDIR, its own
                       /outputs   $FAIRLEAD_OUTPUTS
                       /script    the source of a script task
                       /files     $FAIRLEAD_FILES, its files
                       /log       everything it printed
    WORKDIR/.workspace            $FAIRLEAD_WORKSPACE, where the run has one: the same for all tasks

The environment is small and known, as in a container: `BASE` and what the user passes on expressly, then what every
pod gets, then the task's own. PATH begins with the directory of the Python that runs Fairlead, so that `python3` has
the packages installed next to it.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.api.environment import FILES, OUTPUTS
from fairlead.api.work import RenderedFile, RenderedWork
from fairlead.engine.outputs import TEXT_LIMIT
from fairlead.local.expansion import expand, expand_environment

__all__ = ["Cannot", "Launch", "Sandbox", "base_environment", "prepare"]

#: What the kubelet keeps of a log as the message of a failed container (FallbackToLogsOnError).
_TAIL_BYTES = 2048
_TAIL_LINES = 80

#: What is shown of a log at most; the file has all of it.
_LOG_LIMIT = 1024 * 1024

_PASSED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "TZ", "USER")


class Cannot(Exception):
    """An attempt that cannot be started on this machine; trying again will not help."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The directories and files of one attempt."""

    root: Path

    @property
    def work(self) -> Path:
        """The working directory of the process."""
        return self.root / "work"

    @property
    def tmp(self) -> Path:
        """Its directory for temporary files."""
        return self.root / "tmp"

    @property
    def outputs(self) -> Path:
        """The file to which it writes its outputs."""
        return self.root / "outputs"

    @property
    def script(self) -> Path:
        """The program of a script task."""
        return self.root / "script"

    @property
    def files(self) -> Path:
        """The directory of its files."""
        return self.root / "files"

    @property
    def log(self) -> Path:
        """What it wrote to its standard output and error."""
        return self.root / "log"

    def make(self) -> None:
        """Create the directories and an empty outputs file, as the kubelet does."""
        for directory in (self.work, self.tmp):
            directory.mkdir(parents=True)
        self.outputs.touch()

    def read_log(self) -> str:
        """Return the log, of a very long one the end."""
        return _tail(self.log, _LOG_LIMIT)

    def printed(self) -> str:
        """Return what it printed; of more than an output may be, the end."""
        return _tail(self.log, TEXT_LIMIT)

    def message(self, exit_code: int) -> str:
        """Return what the kubelet would report as the container's termination message."""
        written = _tail(self.outputs, TEXT_LIMIT)
        if written or exit_code == 0:
            return written
        lines = _tail(self.log, _TAIL_BYTES).splitlines(keepends=True)
        return "".join(lines[-_TAIL_LINES:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command ready to be started."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    grace_seconds: float


def base_environment(passed: Mapping[str, str]) -> dict[str, str]:
    """Return what every task's environment begins with: a few of our own variables, and those in `passed`."""
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {"LANG": "C.UTF-8", **own, "PATH": path, **passed}


def prepare(
    work: RenderedWork, sandbox: Sandbox, *, base: Mapping[str, str], identity: Mapping[str, str], grace_seconds: float
) -> Launch:
    """Make the sandbox and return how to start the process in it.

    `identity` are the variables that every pod gets (FAIRLEAD_TASK and so on). `grace_seconds` is used where the
    task does not set `pod.terminationGracePeriodSeconds`. Raises :class:`Cannot` and OSError.
    """
    container, script = work["container"], work["script"]
    if work["kind"] != "Pod":
        raise Cannot("NeedsCluster", f"a {work['kind']} needs a cluster")
    if container.get("envFrom"):
        raise Cannot("NeedsCluster", "`envFrom` needs a cluster")
    sandbox.make()
    injected = {**identity, OUTPUTS: str(sandbox.outputs), **_write_files(work["files"], sandbox)}
    entries = []
    for entry in container.get("env") or ():
        if "valueFrom" not in entry:
            entries.append(entry)
        elif entry["name"] not in base and not _is_optional(entry["valueFrom"]):
            raise Cannot("NeedsCluster", f"the value of {entry['name']} comes from the cluster (`valueFrom`)")
    variables = expand_environment(entries, injected) | injected
    argv = [expand(part, variables) for part in [*(container.get("command") or ()), *(container.get("args") or ())]]
    if script is not None:
        sandbox.script.write_text(script["source"], encoding="utf-8")
        argv = [*script["interpreter"], str(sandbox.script), *argv]
    env = {**base, "TMPDIR": str(sandbox.tmp), **variables}
    _check_command(argv, env, sandbox.work)
    grace = work["pod"].get("terminationGracePeriodSeconds")
    return Launch(argv=tuple(argv), env=env, grace_seconds=grace_seconds if grace is None else float(grace))


def _write_files(files: Sequence[RenderedFile], sandbox: Sandbox) -> dict[str, str]:
    """Write the files of a task. Returns the variable that tells where they are, if there are any."""
    for file in files:
        if file["path"].startswith("/"):
            message = f"the file {file['path']} needs a cluster; here it would be on your own file system"
            raise Cannot("NeedsCluster", message)
        target = sandbox.files / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file["text"], encoding="utf-8", newline="")
    return {FILES: str(sandbox.files)} if files else {}


def _is_optional(source: Mapping[str, Mapping[str, object]]) -> bool:
    """Tell whether a `valueFrom` leaves its variable unset when its source is missing."""
    return any(isinstance(each, Mapping) and each.get("optional") is True for each in source.values())


def _check_command(argv: list[str], env: Mapping[str, str], cwd: Path) -> None:
    if not argv:
        raise Cannot("NeedsCluster", "it runs its image's entrypoint, which does not exist here; give it a `command`")
    program = argv[0]
    found = cwd / program if "/" in program else shutil.which(program, path=env["PATH"])
    if found is None or not os.access(found, os.X_OK):
        where = "" if "/" in program else " on your PATH"
        raise Cannot("CommandNotFound", f"there is no program {program!r}{where}; the task's image is not used here")


def _tail(path: Path, limit: int) -> str:
    """Return the last `limit` bytes of a file as text; "" if a task has removed it or put something else there."""
    try:
        # A FIFO without a writer would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""
