"""What the user sees while something takes long, and how a failure is told."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 3600.0  # seconds that a build or download may take
_REPORT_EVERY = 15.0  # seconds between two lines of progress where the output is no terminal


class Failure(Exception):
    """Something the user must know about: what happened, and what to do."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n  {remedy}" if remedy else what)


def say(line: str) -> None:
    """One line to the user. Always to stderr: stdout belongs to what a shell evaluates or a script reads."""
    print(f"devcluster: {line}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tell that something begins, and how long it took."""
    begun = time.monotonic()
    say(f"{what} ...")
    yield
    say(f"{what}: done in {time.monotonic() - begun:.1f} s")


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log file, indented, for an error message."""
    try:
        with log.open(errors="replace") as file:
            kept = deque(file, maxlen=lines)
    except OSError as error:
        return f"  (no log: {error})"
    return f"  the end of {log}:\n" + "".join(f"    {line.rstrip()}\n" for line in kept)


def wait_until(what: str, ready: Callable[[], object], *, seconds: float, log: Path | None = None) -> None:
    """Wait until `ready()` is true. `ready` may raise `Failure` to end the wait early."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:.0f} s for {what}, in vain", tail(log) if log else "")
        time.sleep(0.1)


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, seconds: float = 300) -> str:
    """Run a short command, return its output; a failure shows all that it printed."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=seconds, check=False)
    except FileNotFoundError as error:
        raise Failure(f"`{argv[0]}` is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"`{' '.join(argv)}` did not end within {seconds:.0f} s") from error
    if done.returncode:
        raise Failure(f"`{' '.join(argv)}` ended with {done.returncode}", (done.stdout + done.stderr).strip())
    return done.stdout


def run_long(
    what: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run a long command with its output in a log; report the elapsed time and the last line meanwhile."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = reported = time.monotonic()
    say(f"{what} ...")
    with log.open("w") as output:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd)
        try:
            while True:
                try:
                    code = child.wait(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    now = time.monotonic()
                    if now - begun > _LONGEST:
                        raise Failure(f"{what}: not done after {_minutes(now - begun)}", tail(log)) from None
                    if now - reported >= _REPORT_EVERY:
                        reported = now
                        say(f"{what}: {_minutes(now - begun)}, {_last_line(log)}")
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    if code:
        raise Failure(f"{what}: `{argv[0]}` ended with {code}", tail(log))
    say(f"{what}: done in {_minutes(time.monotonic() - begun)}")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 400))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[:90] for line in reversed(lines) if line.strip()), "no output yet")
