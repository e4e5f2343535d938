"""Trying a mutant: the named tests, in a process of their own, against a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from compileall import compile_dir
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .mutant import Mutant, operator_folder
from .witness import ENDED_IN, EXPECTED, Ends

__all__ = ["Result", "Verdict", "copy_of_the_package", "judge", "play", "try_mutant"]

_ROOT = Path(__file__).resolve().parents[2]

#: Seconds after which the tests of one mutant hang: many times what they take, for machines that are busy.
DEADLINE = 180.0


class Verdict(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    CRASHED = "crashed"  # a test failed, but by no assertion of its own
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutant, in how many seconds; `why` where it was not caught."""

    mutant: Mutant
    verdict: Verdict
    seconds: float
    why: str = ""


def copy_of_the_package(folder: Path) -> Path:
    """Copy `operator/` into a folder, compiled, and return the copy."""
    copy = shutil.copytree(operator_folder(), folder / "operator")
    compile_dir(copy, quiet=2)
    return copy


def try_mutant(mutant: Mutant, original: Path, deadline: float = DEADLINE) -> Result:
    """Break a copy of `original` and see whether the tests notice. Raises `OutOfDate`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = shutil.copytree(original, Path(folder) / "operator")
        file = mutant.path(copy)
        file.write_text(mutant.applied_to(file.read_text(encoding="utf-8")), encoding="utf-8")
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()
        ends = play(mutant.caught_by, copy, deadline)
    verdict, why = judge(mutant, ends)
    return Result(mutant, verdict, time.monotonic() - began, why)


def judge(mutant: Mutant, ends: Ends | None) -> tuple[Verdict, str]:
    """Return what the ends of the named tests mean, None for tests that did not end in time."""
    if ends is None:
        return (Verdict.CAUGHT, "") if mutant.hangs else (Verdict.HUNG, "its tests do not come to an end")
    if "" in ends:
        return Verdict.CRASHED, ends[""]
    for test in mutant.caught_by:
        kinds = {kind for name, kind in ends.items() if name == test or name.startswith(f"{test}[")}
        if "assertion" in kinds:
            continue
        if kinds <= {""}:
            return Verdict.SURVIVED, f"{test} passes"
        return Verdict.CRASHED, f"{test} ends by {', '.join(sorted(kinds - {''}))}"
    return Verdict.CAUGHT, ""


def play(tests: Iterable[str], package: Path, deadline: float) -> Ends | None:
    """Run tests against a copy of the package. Returns how each ended, None where they did not end in time."""
    with tempfile.TemporaryDirectory(prefix="mutant-play-") as folder:
        noted = Path(folder) / "ends.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.witness", "-p", "no:cacheprovider"]
        command += ["-o", f"pythonpath={package} .", *tests]
        with (Path(folder) / "output").open("w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                command,
                cwd=_ROOT,
                env=_environment(package, noted, Path(folder)),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(deadline)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if process.returncode not in (0, 1) or not noted.exists():
                output.seek(0)
                return {"": f"no test at all:\n{output.read()[-2000:]}"}
            found: Ends = json.loads(noted.read_text(encoding="utf-8"))
            return found


def _environment(package: Path, noted: Path, folder: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(package), str(_ROOT))),
        "PYTHONDONTWRITEBYTECODE": "1",  # of the tests: the working tree is left alone
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
        ENDED_IN: str(noted),
        EXPECTED: str(package),
    }
