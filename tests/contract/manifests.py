"""kubectl, as a user would use it, with what it says in one line."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from e2e.kubectl import Cluster, CommandFailed

__all__ = ["Manifests", "Object"]

Object = dict[str, Any]


class Manifests:
    """Creates, changes and reads objects in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def run(self, *arguments: str, document: Object | None = None) -> str:
        stdin = None if document is None else json.dumps(document)
        return self._cluster.kubectl("-n", self._namespace, *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> Object:
        found: Object = json.loads(self.run("get", kind, name, "-o", "json"))
        return found

    def dry_run(self, document: Object) -> Object:
        printed = self.run("create", "--dry-run=server", "-o", "json", "-f", "-", document=document)
        created: Object = json.loads(printed)
        return created

    def refusal(self, *arguments: str, document: Object) -> str:
        with pytest.raises(CommandFailed) as failed:
            self.run(*(arguments or ("create", "--dry-run=server")), "-f", "-", document=document)
        return re.sub(r"\s+", " ", str(failed.value))

    def status(self, name: str, status: Object, kind: str = "workflow") -> None:
        patch = json.dumps({"status": status})
        self.run("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)
