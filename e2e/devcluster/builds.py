"""Images from Dockerfiles: built when asked for, kept by the hash of what goes in, given to the node.

The context is a copy of the files that git knows (or of all, outside a repository), with the Python packages as
wheels in a folder of it, fetched here: the build itself needs no network. The Dockerfile takes `ARG BASE`
with the public image as its default.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2e.devcluster import base_image, buildah, context, existing, images, packages
from e2e.devcluster.progress import Failure, run_long, say
from e2e.devcluster.state import Layout, cache_root

_REPOSITORY = Path(__file__).resolve().parents[2]
_PYTHON = (3, 11)  # the base image's, which the wheels must fit


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is built from."""

    name: str
    dockerfile: Path
    context: Path
    requirements: tuple[Path, ...] = ()
    wheel_folder: str = "wheels"  # of the context, where the wheels of the requirements (and of pip) are put


def catalogue() -> dict[str, Recipe]:
    """The images of this repository that `images NAME...` knows by a short name."""
    project = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())["project"]
    locks = _REPOSITORY / "requirements"
    flights = _REPOSITORY / "examples" / "nycflights"
    return {
        "demo": Recipe(
            "fairlead.dev/nycflights:demo", flights / "Dockerfile", flights, (flights / "requirements.txt",)
        ),
        "operator": Recipe(
            f"docker.io/fairlead/operator:{project['version']}",
            _REPOSITORY / "Dockerfile",
            _REPOSITORY,
            (locks / "runtime.lock", locks / "build.lock"),
            wheel_folder="wheelhouse",
        ),
    }


def give_python(at: Layout) -> None:
    """Have the Python base image on the node."""
    _give(at, base_image.PYTHON_IMAGE, base_image.ensure())


def build_image(at: Layout, recipe: Recipe) -> Path:
    """Have an image on the node: out of the cache where nothing of it has changed. Returns its archive."""
    archive = ensure_built(recipe)
    _give(at, full_name(recipe.name), archive)
    return archive


def ensure_built(recipe: Recipe) -> Path:
    """The image as an archive in the cache."""
    base = base_image.ensure()
    files = context.files(recipe.context, without=recipe.wheel_folder)
    digest = inputs_digest(recipe, files, base.name)
    name = full_name(recipe.name)
    archive = cache_root() / "images" / f"{name.replace('/', '_').replace(':', '_')}-{digest[:16]}.tar"
    if archive.exists():
        return archive
    packages.ensure(packages.IMAGES)
    logs = cache_root() / "logs"
    with tempfile.TemporaryDirectory(prefix="fairlead-build-") as scratch:
        copy = Path(scratch) / "context"
        copy.mkdir()
        for file in files:
            target = copy / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(recipe.context / file, target, follow_symlinks=False)
        if recipe.requirements:
            shutil.copytree(_wheels(recipe.requirements), copy / recipe.wheel_folder)
        dockerfile = Path(scratch) / "Dockerfile"
        shutil.copy2(recipe.dockerfile, dockerfile)
        arguments = {"BASE": base_image.PYTHON_IMAGE}
        buildah.build(dockerfile, copy, name, arguments, log=logs / f"image-{archive.stem}.log")
    buildah.export(name, archive)
    _trim(archive.parent)
    buildah.trim()
    return archive


def full_name(name: str) -> str:
    """A name as containerd and the kubelet know it: with a host and a tag."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def inputs_digest(recipe: Recipe, files: Iterable[str], base: str) -> str:
    """The hash of everything that decides what the image is."""
    digest = hashlib.sha256()
    for path in (recipe.dockerfile, *recipe.requirements):
        digest.update(path.read_bytes() + b"\0")
    for name in files:
        path = recipe.context / name
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        mode = path.lstat().st_mode & 0o111
        digest.update(f"{name}\0{mode}\0{len(content)}\0".encode() + content)
    digest.update(f"{base}\0{full_name(recipe.name)}".encode())
    return digest.hexdigest()


def _give(at: Layout, name: str, archive: Path) -> None:
    if existing.named():
        raise Failure(f"your cluster gets its images your way: {archive} is {name}, as an OCI archive")
    if not at.containerd_socket.exists() or not images.answers(at):
        raise Failure("there is no node to give images to", "`make cluster-up` starts one")
    mark = at.containerd / f"given-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    if mark.exists() and mark.read_text() == archive.name and name in images.present(at):
        return
    run_long(f"giving {name} to the node", images.import_command(at, archive), log=at.logs / "images.log")
    mark.write_text(archive.name)


def _wheels(requirements: tuple[Path, ...]) -> Path:
    """A folder with the wheels of the requirements, and of pip: kept by their text."""
    texts = "\0".join(path.read_text() for path in requirements)
    folder = cache_root() / "wheels" / hashlib.sha256(texts.encode()).hexdigest()[:16]
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    # `wheel` and not `download`: a package that is published as a source archive only is built here.
    command = [_python(), "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(partial)]
    log = cache_root() / "logs" / "wheels.log"
    for path in requirements:  # one by one: hashes in one file would be demanded of the others
        run_long(f"fetching wheels of {path.name}", [*command, "-r", str(path)], log=log)
    run_long("fetching a wheel of pip", [*command, "pip"], log=log)
    partial.replace(folder)
    return folder


def _python() -> str:
    """A Python on this machine whose wheels fit the image, and that has pip."""
    wanted = ".".join(map(str, _PYTHON))
    for name in (sys.executable, f"python{wanted}", "python3", "/usr/bin/python3"):
        found = shutil.which(name)
        if not found:
            continue
        check = f"import sys, pip; sys.exit(sys.version_info[:2] != {_PYTHON})"
        if subprocess.run([found, "-c", check], capture_output=True, check=False).returncode == 0:
            return found
    say("the wheels of an image are fetched with the pip of the same Python version")
    raise Failure(f"no Python {wanted} with pip on this machine", "Debian: apt-get install python3-pip")


def _trim(folder: Path, keep: int = 3) -> None:
    """Remove all but the newest archives of each name: a day of development would fill the disk."""
    by_name: dict[str, list[Path]] = {}
    for archive in folder.glob("*.tar"):
        by_name.setdefault(archive.name.rpartition("-")[0], []).append(archive)
    for archives in by_name.values():
        for old in sorted(archives, key=lambda path: path.stat().st_mtime, reverse=True)[keep:]:
            old.unlink()
