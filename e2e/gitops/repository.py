"""A git repository on this machine, as the source of Applications."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Repository"]

#: Nothing of the user's own configuration counts.
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "e2e",
    "GIT_AUTHOR_EMAIL": "e2e@fairlead.dev",
    "GIT_COMMITTER_NAME": "e2e",
    "GIT_COMMITTER_EMAIL": "e2e@fairlead.dev",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository, with one branch, `main`."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Repository:
        """Make an empty one."""
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "--quiet", "--initial-branch", "main")
        return made

    @property
    def url(self) -> str:
        """Where Argo CD finds it."""
        return f"file://{self.path}"

    def git(self, *arguments: str) -> str:
        """Run git; return what it printed."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=os.environ | _ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, Any], *, message: str = "change") -> str:
        """Write files and commit them: text, an object or a list of objects as YAML, or None to remove one.

        Returns the id of the commit.
        """
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else _yaml(content), encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


def _yaml(content: Any) -> str:
    documents = content if isinstance(content, list) else [content]
    return yaml.safe_dump_all(documents, sort_keys=False)
