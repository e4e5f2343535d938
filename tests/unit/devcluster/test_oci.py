from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from e2e.devcluster import oci

_IMAGE = oci.Image(
    "docker.io/library/small:1",
    files={"bin/tool": (b"binary", 0o755)},
    links={"bin/sh": "tool"},
    directories={"bin": 0o755, "tmp": 0o1777},
    command=("sh",),
)


@pytest.fixture
def layout(tmp_path: Path) -> dict[str, bytes]:
    oci.write(_IMAGE, tmp_path / "image.tar")
    return _members((tmp_path / "image.tar").read_bytes())


def _members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        opened = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read() for name, file in opened.items() if file}


def _blob(layout: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    blob = layout["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
    assert descriptor["size"] == len(blob)
    return blob


def test_every_blob_is_named_by_its_digest(layout: dict[str, bytes]) -> None:
    blobs = {name: content for name, content in layout.items() if name.startswith("blobs/")}
    assert len(blobs) == 3
    for name, content in blobs.items():
        assert name == "blobs/sha256/" + hashlib.sha256(content).hexdigest()


def test_the_index_names_the_image(layout: dict[str, bytes]) -> None:
    (manifest,) = json.loads(layout["index.json"])["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"] == _IMAGE.name


def test_the_config_matches_the_layer(layout: dict[str, bytes]) -> None:
    (entry,) = json.loads(layout["index.json"])["manifests"]
    manifest = json.loads(_blob(layout, entry))
    config = json.loads(_blob(layout, manifest["config"]))
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert config["config"]["Cmd"] == ["sh"]


def test_the_layer_holds_files_links_and_modes(layout: dict[str, bytes]) -> None:
    (entry,) = json.loads(layout["index.json"])["manifests"]
    layer = _blob(layout, json.loads(_blob(layout, entry))["layers"][0])
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getmember("bin/tool").mode == 0o755
        assert tar.getmember("bin/sh").linkname == "tool"
        assert tar.getmember("tmp").mode == 0o1777


def test_the_same_image_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        oci.write(_IMAGE, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
