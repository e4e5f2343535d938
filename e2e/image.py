"""The operator's image, built from the Dockerfile for real and given to the dev cluster's node.

Only what the Dockerfile copies is its context: an edit elsewhere makes no other image. The wheels are fetched once for
each state of the locks.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tools import wheels

from e2e.devcluster import builds, state
from e2e.devcluster.progress import Failure, say, step
from fairlead import __version__

__all__ = ["NAME", "give"]

#: The name that the chart's values lead to: what is built here is what `helm install` starts.
NAME = f"docker.io/fairlead/operator:{__version__}"

_ROOT = Path(__file__).resolve().parents[1]
_FILES = ("LICENSE", "README.md", "pyproject.toml", "requirements/build.lock", "requirements/runtime.lock")


def give(at: state.Layout) -> None:
    """Have the image of this checkout's code on the node; out of the cache where nothing of it has changed."""
    with tempfile.TemporaryDirectory(prefix="fairlead-image-") as scratch:
        context = Path(scratch)
        _stage(context)
        builds.build_image(at, builds.Recipe(NAME, _ROOT / "Dockerfile", context))
    say(f"{NAME} is on the node")


def _stage(context: Path) -> None:
    for name in _FILES:
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(_ROOT / name, target)
    shutil.copytree(_ROOT / "operator", context / "operator", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    arch = wheels.machine()
    folder = state.cache_root() / "wheelhouse" / wheels.digest(arch)[:16]
    if not (folder / ".locks").exists():
        with step("fetching the image's wheels"):
            try:
                wheels.fill(folder, arch)
            except subprocess.CalledProcessError as error:
                raise Failure(f"the wheels could not be fetched: pip ended with {error.returncode}") from error
    shutil.copytree(folder, context / "wheelhouse")
