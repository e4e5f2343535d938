"""Which wheels are fetched for the image. pip itself is not run here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tools import wheels


def test_hashes_are_checked_and_nothing_is_built() -> None:
    command = wheels.command(Path("somewhere"), "x86_64")
    assert "--require-hashes" in command
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert {str(lock) for lock in wheels.LOCKS} <= set(command)


def test_the_architecture_is_the_images_and_not_the_machines() -> None:
    command = " ".join(wheels.command(Path("somewhere"), "aarch64"))
    assert "manylinux_2_28_aarch64" in command
    assert "x86_64" not in command


def test_fetched_once_for_each_state_of_the_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def pip(command: list[str], **_: Any) -> None:
        calls.append(command)
        (Path(command[command.index("--dest") + 1]) / f"new-{len(calls)}.whl").touch()

    monkeypatch.setattr(subprocess, "run", pip)
    assert wheels.fill(tmp_path, "x86_64") is True
    assert wheels.fill(tmp_path, "x86_64") is False
    assert wheels.fill(tmp_path, "aarch64") is True
    assert len(calls) == 2
    assert [path.name for path in tmp_path.glob("*.whl")] == ["new-2.whl"]  # none of the other architecture


def test_a_failed_fetch_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", pip)
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError):
            wheels.fill(tmp_path, "x86_64")
