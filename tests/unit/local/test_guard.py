"""The guard ends what is on its list once nobody is left to end it otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.local.stage import is_alive

from fairlead.local.guard import REGISTERED, Guard


def _start(guard: Guard, *argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", REGISTERED, "sh", *argv], stdin=guard.pipe, stdout=subprocess.PIPE, start_new_session=True
    )


def _close_without_waiting(guard: Guard) -> None:
    # The guard looks whether its processes are gone, and they are only once we have waited for them.
    os.close(guard._writer)


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard()
    yield made
    made._process.kill()
    made._process.wait()


def test_ends_when_there_is_nothing_to_guard() -> None:
    with Guard() as guard:
        pass
    assert guard._process.returncode == 0


def test_ends_the_processes_that_are_left(guard: Guard) -> None:
    with _start(guard, "sleep", "60") as process:
        _close_without_waiting(guard)
        assert process.wait(5) == -signal.SIGTERM


def test_ends_those_that_do_not_listen_a_little_later(guard: Guard) -> None:
    with _start(guard, "sh", "-c", "trap '' TERM; echo; while true; do sleep 0.01; done") as process:
        assert process.stdout is not None
        process.stdout.readline()
        _close_without_waiting(guard)
        assert process.wait(5) == -signal.SIGKILL


def test_leaves_alone_what_was_taken_off_its_list(guard: Guard) -> None:
    started = [_start(guard, "sh", "-c", "echo; exec sleep 60") for _ in range(3)]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    guard.forget(started[1].pid)
    guard.forget(999_999_999)  # never on it
    _close_without_waiting(guard)
    assert [started[0].wait(5), started[2].wait(5)] == [-signal.SIGTERM, -signal.SIGTERM]
    guard._process.wait(5)
    assert started[1].poll() is None
    started[1].kill()
    for process in started:
        process.communicate()


def test_a_guarded_process_has_no_way_to_write_to_the_guard(guard: Guard) -> None:
    with _start(guard, "readlink", "/proc/self/fd/0") as process:
        assert process.communicate()[0] == b"/dev/null\n"
    guard.close()


def test_no_task_outlives_a_program_that_is_killed(tmp_path: Path) -> None:
    program = """
        import asyncio, pathlib
        from tests.unit.local.stage import executed, sh
        asyncio.run(executed(pathlib.Path.cwd(), sh("a", "echo $$$$; sleep 60 & echo $!; touch ready; wait")))
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, env=env) as process:
        _eventually((tmp_path / "a/1/work/ready").exists)
        process.kill()
        process.wait(5)
    left = [int(line) for line in (tmp_path / "a/1/log").read_text().split()]
    assert len(left) == 2
    _eventually(lambda: not any(is_alive(pid) for pid in left))


def _eventually(check) -> None:  # type: ignore[no-untyped-def]
    until = time.monotonic() + 10
    while not check():
        assert time.monotonic() < until
        time.sleep(0.005)  # noqa: TID251 - a process of its own, no event loop here
