"""A stand-in for the public Python image, made from Debian's packages where no image registry is at hand.

It carries the public name, so that Dockerfiles and manifests are the same everywhere. Made once a machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from e2e.devcluster import buildah, packages
from e2e.devcluster.progress import Failure, run, run_long
from e2e.devcluster.state import cache_root

PYTHON_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
_SUITE = "bookworm"
_INCLUDE = "ca-certificates,netbase,tzdata,python3,python3-venv,python3-pip"
# What the public image does not have either, or what nobody reads in a container.
_DROP = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")
_MIRROR = "FAIRLEAD_DEBIAN_MIRROR"


def ensure() -> Path:
    """The image as an archive in the cache; also known to buildah by its name afterwards."""
    archive = cache_root() / "images" / f"python-{_recipe()}.tar"
    if not archive.exists():
        packages.ensure(packages.IMAGES)
        _make(archive)
    elif not buildah.has(PYTHON_IMAGE):
        packages.ensure(packages.IMAGES)
        buildah.load(archive, PYTHON_IMAGE)
    return archive


def _recipe() -> str:
    """Another recipe makes another image. A change of `_make` itself asks for a new number."""
    return hashlib.sha256("\0".join(("1", _SUITE, _INCLUDE, *_DROP)).encode()).hexdigest()[:12]


def _make(archive: Path) -> None:
    if os.geteuid() != 0:
        raise Failure("debootstrap needs root")
    log = cache_root() / "logs" / "debootstrap.log"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="debootstrap-") as scratch:
        root = Path(scratch) / "root"
        options = ["--variant=minbase", f"--include={_INCLUDE}", _SUITE, str(root), mirror()]
        run_long(f"the image {PYTHON_IMAGE} from Debian packages", ["debootstrap", *options], log=log)
        for name in _DROP:
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True)
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()  # pip installs beside Debian's packages, as it does in the public image
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        run(["tar", "--numeric-owner", "-C", str(root), "-cf", f"{scratch}/root.tar", "."])
        shutil.rmtree(root)
        # ADD unpacks the archive with its owners and modes; COPY of a directory would give all of it to root.
        dockerfile = 'FROM scratch\nADD root.tar /\nENV LANG=C.UTF-8\nCMD ["python3"]\n'
        Path(scratch, "Dockerfile").write_text(dockerfile)
        buildah.build(Path(scratch, "Dockerfile"), Path(scratch), PYTHON_IMAGE, {}, log=log)
    buildah.export(PYTHON_IMAGE, archive)


def mirror() -> str:
    """The Debian archive that this machine uses; it is asked for, and never written down."""
    if own := os.environ.get(_MIRROR):
        return own
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    for line in run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines():
        uri, release, component = line.split()
        if (release, component) == (_SUITE, "main"):
            return uri
    raise Failure(f"apt on this machine knows no archive of Debian {_SUITE}", f"name one: {_MIRROR}=URL")
