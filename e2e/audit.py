"""The API server's audit log: the witness for what was created, by whom and how often, whatever our status says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["AuditLog", "resource_of"]


def resource_of(entry: Mapping[str, Any]) -> str:
    """Return what an entry is about, with its subresource where it has one."""
    reference = entry["objectRef"]
    return "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Entries of one namespace from `offset` bytes on."""

    path: Path
    offset: int = 0

    @classmethod
    def from_now(cls, path: Path) -> AuditLog:
        """Begin at the end of the log."""
        return cls(path, path.stat().st_size)

    def entries(self, namespace: str, verb: str, resource: str) -> list[dict[str, Any]]:
        """Return the matching entries, in order. `resource` may name a subresource: `workflows/status`."""
        return [entry for entry in self.all_of(namespace) if entry["verb"] == verb and resource_of(entry) == resource]

    def all_of(self, namespace: str) -> list[dict[str, Any]]:
        """Return all entries of the namespace, in order."""
        with self.path.open("rb") as log:
            log.seek(self.offset)
            lines = log.read().splitlines()
        wanted = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the last line may still be in the making
            if entry.get("objectRef", {}).get("namespace") == namespace:
                wanted.append(entry)
        return wanted

    def cut_off(self, namespace: str, resource: str = "pods") -> set[str]:
        """Return the names whose creation the API server could not answer (504): whoever asked was killed meanwhile.

        The object may have been stored all the same.
        """
        return {
            entry["objectRef"]["name"]
            for entry in self.entries(namespace, "create", resource)
            if entry.get("responseStatus", {}).get("code") == 504 and entry["objectRef"].get("name")
        }

    def created(self, namespace: str, resource: str = "pods") -> Counter[str]:
        """Return how often each name was created with success (201)."""
        return Counter(
            entry["objectRef"]["name"]
            for entry in self.entries(namespace, "create", resource)
            if entry.get("responseStatus", {}).get("code") == 201 and entry["objectRef"].get("name")
        )
