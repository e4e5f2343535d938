"""What the operator's image is made of, read from its archive: its settings, its size, and what must not be in it."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BuiltImage", "read"]

#: What installs or builds software; none of it may be in the image.
_TOOLS = re.compile(
    r"(^|/)(pip3?(\.\d+)?|gcc(-\d+)?|g\+\+|cc|c\+\+|clang|make|cargo|rustc|uv|poetry)$|/(pip|setuptools|wheel|ensurepip)/__init__\.py$"
)
_LABELS = ("title", "description", "licenses", "vendor", "version", "revision", "base.name")


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """One image of an archive: `config` as the OCI specification has it, `files` with their sizes."""

    config: dict[str, Any]
    files: dict[str, int]
    compressed: int

    @property
    def size(self) -> int:
        """Bytes on a node's disk."""
        return sum(self.files.values())

    def under(self, *folders: str) -> int:
        """Bytes below some folders."""
        return sum(size for name, size in self.files.items() if name.startswith(folders))

    def problems(self, version: str) -> list[str]:
        """Return what is not as it should be."""
        found = [f"{name} can install or build things" for name in sorted(self.files) if _TOOLS.search(name)]
        settings = self.config["config"]
        user = settings.get("User", "")
        if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
            found.append(f"its user is {user!r}, and not numbers other than 0")
        if settings.get("Entrypoint") != ["/opt/fairlead/bin/fairlead"] or settings.get("Cmd") != ["operator"]:
            found.append(f"it starts {settings.get('Entrypoint')} {settings.get('Cmd')}")
        labels = settings.get("Labels") or {}
        found += [
            f"the label {name} is missing"
            for name in (f"org.opencontainers.image.{each}" for each in _LABELS)
            if not labels.get(name)
        ]
        if labels.get("org.opencontainers.image.version") != version:
            found.append(f"its label says version {labels.get('org.opencontainers.image.version')}")
        compiled = [name for name in self.files if "/fairlead/" in name and name.endswith(".pyc")]
        if not compiled:
            found.append("fairlead is not compiled, and on a read-only file system never will be")
        return found

    def summary(self) -> str:
        """Tell its size, for people."""
        mib = 1024 * 1024
        ours = self.under("opt/fairlead/")
        return (
            f"{self.size / mib:.0f} MiB on disk ({self.compressed / mib:.0f} MiB as an archive): "
            f"{ours / mib:.0f} MiB of it Fairlead and its packages, the rest the base image"
        )


def read(archive: Path) -> BuiltImage:
    """Read the one image of an OCI archive."""
    with tarfile.open(archive) as outer:

        def blob(digest: str) -> bytes:
            member = outer.extractfile("blobs/" + digest.replace(":", "/"))
            assert member is not None, digest
            return member.read()

        index = outer.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]["digest"]))
        files: dict[str, int] = {}
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as inner:
                for member in inner:
                    _apply(files, member)
        return BuiltImage(json.loads(blob(manifest["config"]["digest"])), files, archive.stat().st_size)


def _apply(files: dict[str, int], member: tarfile.TarInfo) -> None:
    """Put one entry of a layer on top of what is below it."""
    name = member.name.removeprefix("./")
    folder, _, base = name.rpartition("/")
    if base == ".wh..wh..opq":
        gone = f"{folder}/"
    elif base.startswith(".wh."):
        gone = f"{folder}/{base.removeprefix('.wh.')}".lstrip("/")
    else:
        if not member.isdir():
            files[name] = member.size
        return
    for each in [each for each in files if each == gone or each.startswith(f"{gone.rstrip('/')}/")]:
        del files[each]
