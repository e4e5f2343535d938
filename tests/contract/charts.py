"""The chart as the real Helm renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from e2e.kubectl import CommandFailed

CHART = Path(__file__).resolve().parents[2] / "charts" / "fairlead"

Object = dict[str, Any]


def run(helm: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What Helm prints; without an environment it knows of no cluster. Raises `CommandFailed`."""
    command = [str(helm), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise CommandFailed(done.stderr + done.stdout)
    return done.stdout


def render(helm: Path, *, hooks: bool = False, **settings: str) -> list[Object]:
    """What would be installed as the release `fairlead` in the namespace `ns`; with what Helm runs itself, or not."""
    options = [part for key, value in settings.items() for part in ("--set-json", f"{key.replace('__', '.')}={value}")]
    text = run(helm, "template", "fairlead", str(CHART), "--namespace", "ns", *options)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # there are 23,000 lines of CRDs
    documents: list[Object] = [document for document in yaml.load_all(text, Loader=loader) if document]
    return [each for each in documents if hooks or not is_hook(each)]


def is_hook(document: Object) -> bool:
    """Whether Helm creates it at certain times only."""
    return "helm.sh/hook" in document["metadata"].get("annotations", {})


def only(documents: list[Object], kind: str) -> Object:
    [found] = [document for document in documents if document["kind"] == kind]
    return found


def pod(documents: list[Object]) -> Object:
    template = only(documents, "Deployment")["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "rendered"}}
