"""docs/operations.md as something to carry out: its commands, section by section, on the namespaces of the test."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e.kubectl import CommandFailed

__all__ = ["Page"]

ROOT = Path(__file__).resolve().parents[2]


class Page:
    """The commands of a page. `names` says what to put in the place of which words; `unrun()` which were never run."""

    def __init__(self, text: str, names: Mapping[str, str]) -> None:
        self._names = names
        self._sections: dict[str, list[str]] = {}
        for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
            blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
            lines = "".join(blocks).replace("\\\n", " ").splitlines()
            self._sections[section.partition("\n")[0]] = [" ".join(line.split()) for line in lines]
        self._run: set[str] = set()

    def commands(self, section: str) -> list[str]:
        """Return the commands of a section, as they are written."""
        return self._sections[section]

    def translated(self, command: str) -> str:
        """Return a command with the names of the test."""
        for word, name in self._names.items():
            command = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", name, command)
        return command

    def run(self, command: str, environment: Mapping[str, str], *more: str, fails: bool = False) -> str:
        """Run a command of the page, with more options; return what it printed. Raises `CommandFailed`."""
        self._run.add(command)
        line = " ".join([self.translated(command), *more])
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=ROOT,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if bool(done.returncode) is not fails:
            raise CommandFailed(f"{line}: {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}")
        return done.stdout + done.stderr

    def unrun(self) -> list[str]:
        """Return the commands that nobody has run."""
        return [each for section in self._sections.values() for each in section if each not in self._run]
