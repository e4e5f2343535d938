"""The bundle itself: a folder in a gzipped tar archive, each object and text redacted."""

from __future__ import annotations

import io
import os
import platform
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from fairlead import __version__

from .reading import Gathered
from .redaction import Redactor

__all__ = ["ROOT", "pack"]

#: The folder that everything is in.
ROOT = "fairlead-doctor"

_README = """\
What `fairlead doctor --bundle` has read of a cluster, at {now}, by fairlead {version}.

  findings.txt      what seems to be wrong
  problems.txt      what could not be read
  versions.json     of the command line, the API server and the operators
  crds/             the CustomResourceDefinitions
  operator/         the operator: its objects, logs and metrics
  namespaces/       Workflows, templates, requests, shards, pods, Jobs and Events, by namespace

Values of users are cut out: variables, commands, scripts, arguments, outputs, manifests, addresses, and what containers
have printed. Secrets and ConfigMaps were not read. Names, images, labels, reasons and messages are in here: look
through it before you hand it on.
"""


def pack(path: Path, found: Gathered, findings: Sequence[str], now: datetime) -> None:
    """Write a bundle, wholly or not at all; nobody but its owner can read it. Raises `OSError`."""
    redactor = Redactor()
    objects = list(_objects(found, redactor))
    files = [*objects, *_texts(found, findings, redactor, now)]
    part = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as tar:
            for name, content in files:
                info = tarfile.TarInfo(f"{ROOT}/{name}")
                info.size, info.mode, info.mtime = len(content), 0o600, int(now.timestamp())
                tar.addfile(info, io.BytesIO(content))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _objects(found: Gathered, redactor: Redactor) -> Iterator[tuple[str, bytes]]:
    # Those that hold users' values come first: what is cut out of them is cut out of everything after them.
    by_place: dict[str, list[Any]] = defaultdict(list)
    for resource, objects in found.objects.items():
        for each in objects:
            by_place[f"namespaces/{each['metadata']['namespace']}/{resource.plural}.json"].append(each)
    for plural, objects in found.installed.items():
        by_place[f"operator/{plural}.json"] += objects
    by_place["operator/pods.json"] += [pod.raw for pod in found.operators]
    for objects in by_place.values():
        for each in objects:
            redactor.remember(each)
    for place, objects in sorted(by_place.items()):
        yield place, _json([redactor.object(each) for each in objects])
    for each in found.crds:
        yield f"crds/{each['metadata']['name']}.json", _json(_without_managed_fields(each))


def _texts(found: Gathered, findings: Sequence[str], redactor: Redactor, now: datetime) -> Iterator[tuple[str, bytes]]:
    yield "README.txt", _README.format(now=now.isoformat(timespec="seconds"), version=__version__).encode()
    yield "findings.txt", _lines([redactor.message(each) for each in findings] or ["nothing"])
    unread = [*found.problems, *(f"left out, as there are so many: {each}" for each in found.left_out)]
    yield "problems.txt", _lines([redactor.text(each) for each in unread] or ["everything could be read"])
    images = [container["image"] for pod in found.operators for container in pod.raw["spec"]["containers"]]
    versions = {
        "fairlead": __version__,
        "python": platform.python_version(),
        "apiServer": found.server.get("gitVersion", ""),
        "operatorImages": images,
    }
    yield "versions.json", _json(versions)
    for pod in found.operators:
        name = pod.raw["metadata"]["name"]
        for folder, text in (
            ("logs", pod.log),
            ("logs-previous", pod.previous_log),
            ("metrics", pod.metrics),
            ("readyz", pod.ready),
        ):
            if text:
                yield f"operator/{folder}/{name}.txt", redactor.message(text).encode()


def _without_managed_fields(raw: Any) -> Any:
    metadata = {key: value for key, value in raw["metadata"].items() if key not in ("managedFields", "annotations")}
    return {**raw, "metadata": metadata}


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _lines(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
