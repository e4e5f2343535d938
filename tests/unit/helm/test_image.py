"""What the suite reads of an image, and what it would object to."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from e2e.helm.image import BuiltImage, read

GOOD: dict[str, Any] = {
    "config": {
        "User": "65532:65532",
        "Entrypoint": ["/opt/fairlead/bin/fairlead"],
        "Cmd": ["operator"],
        "Labels": {
            f"org.opencontainers.image.{name}": "1.0"
            for name in ("title", "description", "licenses", "vendor", "version", "revision", "base.name")
        },
    }
}
FILES = {"opt/fairlead/lib/fairlead/engine/__pycache__/plan.cpython-311.pyc": 10, "usr/bin/python3": 5}


def image(files: dict[str, int] | None = None, **settings: Any) -> BuiltImage:
    return BuiltImage({"config": GOOD["config"] | settings}, FILES | (files or {}), 1)


def test_a_good_one_has_no_problems() -> None:
    assert image().problems("1.0") == []


@pytest.mark.parametrize(
    "name",
    [
        "usr/local/bin/pip",
        "usr/bin/pip3.11",
        "usr/bin/gcc-12",
        "usr/bin/cc",
        "usr/lib/python3/dist-packages/pip/__init__.py",
        "usr/local/lib/python3.11/ensurepip/__init__.py",
    ],
)
def test_what_installs_or_builds_is_found(name: str) -> None:
    assert image({name: 1}).problems("1.0") == [f"{name} can install or build things"]


@pytest.mark.parametrize("user", ["", "0:0", "root", "fairlead", "65532:0"])
def test_a_user_that_is_not_a_number_or_is_root_is_found(user: str) -> None:
    assert len(image(User=user).problems("1.0")) == 1


def test_another_version_or_a_missing_label_is_found() -> None:
    assert image().problems("2.0") == ["its label says version 1.0"]
    labels = {key: value for key, value in GOOD["config"]["Labels"].items() if "vendor" not in key}
    assert image(Labels=labels).problems("1.0") == ["the label org.opencontainers.image.vendor is missing"]


def test_its_size_is_told() -> None:
    assert image({"opt/fairlead/big": 50 * 1024 * 1024}).summary().startswith("50 MiB on disk")


def layer(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def archive(path: Path, *layers: bytes) -> Path:
    blobs: dict[str, bytes] = {}

    def put(content: bytes) -> dict[str, str]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}"}

    manifest = {"config": put(json.dumps(GOOD).encode()), "layers": [put(each) for each in layers]}
    index = {"manifests": [put(json.dumps(manifest).encode())]}
    path.write_bytes(layer({"index.json": json.dumps(index).encode(), **blobs}))
    return path


def test_what_a_later_layer_removes_is_not_there(tmp_path: Path) -> None:
    below = layer({"usr/bin/pip": b"1", "usr/lib/x/a": b"22", "usr/lib/x/b": b"22", "etc/kept": b"333"})
    above = layer({"usr/bin/.wh.pip": b"", "usr/lib/.wh.x": b"", "./etc/new": b"4444"})
    assert read(archive(tmp_path / "i.tar", below, above)).files == {"etc/kept": 3, "etc/new": 4}
