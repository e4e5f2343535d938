"""The few buildah commands we use: build a Dockerfile without a daemon, and move images in and out as archives.

Storage of our own in the cache. `chroot` isolation needs neither a runtime nor cgroups.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e.devcluster.progress import run, run_long
from e2e.devcluster.state import cache_root


def build(dockerfile: Path, context: Path, name: str, arguments: Mapping[str, str], *, log: Path) -> None:
    """Build a Dockerfile. The base image must be known already: nothing is pulled."""
    options = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
    options += ["--isolation", "chroot", "--pull-never", "--layers", "--format", "oci"]
    run_long(f"building {name}", _command("bud", *options, "-t", name, "-f", str(dockerfile), str(context)), log=log)


def trim(keep: int = 6) -> None:
    """Forget the intermediate layers once they are many; until then they make the next build quicker."""
    if len(run(_command("images", "--quiet", "--filter", "dangling=true")).split()) > keep:
        run(_command("rmi", "--prune", "--force"))


def export(name: str, archive: Path) -> None:
    """Write an image as an OCI archive that carries its name."""
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    archive.parent.mkdir(parents=True, exist_ok=True)
    run(_command("push", "--quiet", name, f"oci-archive:{partial}:{name}"))
    partial.replace(archive)


def load(archive: Path, name: str) -> None:
    """Take an archive into buildah's storage under its name."""
    identity = run(_command("pull", "--quiet", f"oci-archive:{archive}")).split()[-1]
    run(_command("tag", identity, name))


def has(name: str) -> bool:
    """Whether buildah knows an image by this name."""
    done = subprocess.run(_command("inspect", "--type", "image", name), capture_output=True, check=False)
    return done.returncode == 0


def _command(verb: str, *arguments: str) -> list[str]:
    root = cache_root() / "buildah"
    storage = ["--root", f"{root}/root", "--runroot", f"{root}/run", "--storage-driver", "overlay"]
    return ["buildah", *storage, verb, *arguments]
