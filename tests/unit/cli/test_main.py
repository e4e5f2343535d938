"""The program as a whole: its names, its start, its errors, its reference."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from fairlead import __version__
from fairlead.cli import reference
from fairlead.cli.exits import ExitCode
from fairlead.cli.main import COMMANDS, app, main, program_name

HEAVY = {"aiohttp", "cel_expr_python", "jsonschema", "kopf", "kubernetes", "orjson", "pydantic", "rich", "yaml"}


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=env, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("argv0", "name"),
    [("/usr/bin/fairlead", "fairlead"), ("kubectl-fairlead", "kubectl fairlead"), ("main.py", "fairlead")],
)
def test_the_usage_text_has_the_name_it_was_called_by(argv0: str, name: str) -> None:
    assert program_name(argv0) == name


def test_the_program_starts_without_anything_heavy() -> None:
    code = "import sys, fairlead.cli.main; print(' '.join(sys.modules))"
    loaded = set(_python("-c", code).stdout.split())
    assert "fairlead.cli.main" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_with_examples(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == ExitCode.OK
    assert f"Examples:\n    fairlead {command}" in result.stdout


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"fairlead {__version__}\n"


def test_wrong_usage_exits_with_2() -> None:
    assert CliRunner().invoke(app, ["no-such-command"]).exit_code == ExitCode.USAGE
    assert CliRunner().invoke(app, ["lint", "--no-such-option", "x"]).exit_code == ExitCode.USAGE


def test_an_error_is_a_line_and_a_hint_on_standard_error(tmp_path: Path) -> None:
    ended = _python("-m", "fairlead.cli.main", "run", str(tmp_path / "x.yaml"))
    assert ended.returncode == ExitCode.USAGE
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "Error: only --local runs are made here",
        f"  for a run on a cluster: kubectl apply -f {tmp_path / 'x.yaml'}",
    ]


def test_the_reference_has_every_command_and_every_option() -> None:
    text = reference.document()
    for command in COMMANDS:
        assert f"\n## fairlead {command}\n" in text
    for option in (
        "`--local`",
        "`-p`, `--param` `NAME=VALUE`",
        "`-w`, `--watch`",
        "`--no-strict-x509`",
        "`--log-level`",
    ):
        assert option in text
    assert "None" not in text


@pytest.mark.parametrize(("asked", "code"), [("--help", 0), ("--nonsense", 2)])
def test_where_obstore_has_threads_the_process_ends_before_python_does(
    monkeypatch: pytest.MonkeyPatch, asked: str, code: int
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setitem(sys.modules, "obstore", ModuleType("obstore"))
    with pytest.raises(SystemExit):
        main([asked])
    assert codes == [code]
