"""Fetch the wheels that the Dockerfile installs: `python -m tools.wheels [FOLDER] [--arch NAME]`.

They are those of Python 3.11 on Linux, whatever runs this, in the versions and with the hashes of
requirements/{runtime,build}.lock. With them in wheelhouse/, building the image needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (ROOT / "requirements" / "runtime.lock", ROOT / "requirements" / "build.lock")

_PYTHON = "3.11"  # the Dockerfile's
#: glibc 2.36 is in the base image; a wheel for an older one runs there, too.
_GLIBC = ("2_34", "2_28", "2_27", "2_24", "2_17")


def command(folder: Path, arch: str) -> list[str]:
    """The pip command that fetches what both locks name. pip checks the hashes."""
    platforms = [f"manylinux_{version}_{arch}" for version in _GLIBC] + [f"manylinux2014_{arch}", "any"]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)),
        *("--implementation", "cp", "--python-version", _PYTHON, "--abi", "cp311", "--abi", "abi3", "--abi", "none"),
        *(part for each in platforms for part in ("--platform", each)),
        *(part for lock in LOCKS for part in ("--requirement", str(lock))),
    ]


def digest(arch: str) -> str:
    """Changes when other wheels are wanted."""
    return hashlib.sha256("\0".join([arch, *(lock.read_text() for lock in LOCKS)]).encode()).hexdigest()


def fill(folder: Path, arch: str) -> bool:
    """Have the wheels in a folder, and no others. Returns False where they were there already."""
    mark = folder / ".locks"
    wanted = digest(arch)
    if mark.exists() and mark.read_text() == wanted:
        return False
    partial = folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    subprocess.run(command(partial, arch), check=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    for wheel in partial.glob("*.whl"):
        wheel.replace(folder / wheel.name)
    partial.rmdir()
    mark.write_text(wanted)
    return True


def machine() -> str:
    """Name this machine's architecture as wheels do."""
    return {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())


def main() -> int:
    """Fill the folder; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "wheelhouse")
    parser.add_argument("--arch", default=machine(), choices=("x86_64", "aarch64"), help="of the image")
    arguments = parser.parse_args()
    try:
        fetched = fill(arguments.folder, arguments.arch)
    except subprocess.CalledProcessError as error:
        print(f"the wheels could not be fetched: pip ended with {error.returncode}", file=sys.stderr)
        return 1
    count = len(list(arguments.folder.glob("*.whl")))
    print(f"{count} wheels for {arguments.arch} in {arguments.folder}{'' if fetched else ', as before'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
