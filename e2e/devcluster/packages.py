"""Debian packages the dev cluster needs: installed only where the command or file is missing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.devcluster.progress import Failure, run_long, say


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must be on the machine: any of these paths or commands, and the package that brings it."""

    package: str
    any_of: tuple[str, ...]


CONTROL_PLANE = (Need("openssl", ("openssl",)),)
NODE = (
    Need("containerd", ("containerd",)),
    Need("runc", ("runc",)),
    Need("containernetworking-plugins", ("/usr/lib/cni/bridge", "/opt/cni/bin/bridge")),
    Need("conntrack", ("conntrack",)),
    Need("iptables", ("iptables",)),
    Need("iproute2", ("ip",)),
    Need("mount", ("mount",)),
    Need("busybox-static", ("/bin/busybox", "/usr/bin/busybox")),
)
GITOPS = (Need("redis-server", ("redis-server",)), Need("git", ("git",)))
IMAGES = (Need("debootstrap", ("debootstrap",)), Need("buildah", ("buildah",)))


def ensure(needs: Sequence[Need]) -> None:
    """Install what is missing with apt-get, or say what to install."""
    missing = [need for need in needs if find(need) is None]
    if not missing:
        return
    names = " ".join(need.package for need in missing)
    if not shutil.which("apt-get"):
        raise Failure(
            f"missing on this machine: {names} (names of Debian's packages)",
            "install them with your distribution's package tool, then try again",
        )
    if os.geteuid() != 0:
        raise Failure(f"missing on this machine: {names}", f"as root: apt-get install {names}")
    say(f"installing {names}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "apt.log"
        try:
            run_long("apt-get update", ["apt-get", "-q", "update"], log=log, env=env)
        except Failure as failure:
            say(f"{failure}\ntrying with the package lists that are there")  # one broken source of many is no end
        run_long(
            "apt-get install",
            ["apt-get", "-q", "-y", "--no-install-recommends", "install", *(need.package for need in missing)],
            log=log,
            env=env,
        )
    still = [need.package for need in missing if find(need) is None]
    if still:
        raise Failure(f"installed, but not found afterwards: {' '.join(still)}")


def find(need: Need) -> str | None:
    """Where it is on this machine. /usr/sbin is looked at even where the user's PATH leaves it out."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    for name in need.any_of:
        if name.startswith("/"):
            if Path(name).exists():
                return name
        elif found := shutil.which(name, path=path):
            return found
    return None
