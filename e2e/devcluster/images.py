"""The images every cluster has: busybox and pause, both made of Debian's static busybox; and importing any other.

There is no registry: an image is a tar file, and `ctr images import` gives it to the node. Images built from a
Dockerfile are `builds.py`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from e2e.devcluster import oci
from e2e.devcluster.node import PAUSE_IMAGE
from e2e.devcluster.packages import NODE, find
from e2e.devcluster.progress import Failure, run
from e2e.devcluster.state import Layout

BUSYBOX_IMAGE = "docker.io/library/busybox:1.36"
_NAMESPACE = "k8s.io"  # the kubelet's, of containerd's


def base_images(busybox: Path) -> tuple[oci.Image, oci.Image]:
    """Busybox with a link for each of its tools, and the same file as the pause container."""
    content = busybox.read_bytes()
    tools = run([str(busybox), "--list"]).split()
    files = {
        "bin/busybox": (content, 0o755),
        "etc/passwd": (b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
        "etc/group": (b"root:x:0:\nnogroup:x:65534:\n", 0o644),
    }
    directories = {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777, "usr": 0o755, "var": 0o755}
    directories |= {"usr/bin": 0o755, "usr/sbin": 0o755, "sbin": 0o755}
    links = {f"bin/{tool}": "busybox" for tool in tools if tool != "busybox"} | {"usr/bin/env": "/bin/busybox"}
    return (
        oci.Image(BUSYBOX_IMAGE, files, links, directories, command=("sh",)),
        oci.Image(
            PAUSE_IMAGE,
            {"bin/busybox": (content, 0o755)},
            directories={"bin": 0o755},
            command=("/bin/busybox", "sleep", "2147483647"),
        ),
    )


def import_base(at: Layout) -> None:
    """Make and import both. A second's work: nothing to cache."""
    need = next(need for need in NODE if need.package == "busybox-static")
    busybox = find(need)
    if busybox is None:
        raise Failure("no static busybox on this machine", "package busybox-static")
    for number, image in enumerate(base_images(Path(busybox))):
        path = at.root / f"image-{number}.tar"
        oci.write(image, path)
        import_tar(at, path)
        path.unlink()


def import_tar(at: Layout, tar: Path) -> None:
    """Give an image file to the node."""
    run(import_command(at, tar))


def import_command(at: Layout, tar: Path) -> list[str]:
    """The command that does it, for an image so big that progress is worth showing."""
    return [*_ctr(at), "images", "import", str(tar)]


def present(at: Layout) -> set[str]:
    """The names of the node's images."""
    return set(run([*_ctr(at), "images", "ls", "-q"]).split())


def answers(at: Layout) -> bool:
    """Whether containerd takes requests yet."""
    done = subprocess.run([*_ctr(at), "version"], capture_output=True, check=False, timeout=10)
    return done.returncode == 0


def _ctr(at: Layout) -> list[str]:
    program = shutil.which("ctr") or "ctr"
    return [program, "--address", str(at.containerd_socket), "--namespace", _NAMESPACE]
