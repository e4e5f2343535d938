"""The run that owns what is created for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Owner", "owner_reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The run that owns what is created."""

    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str


def owner_reference(owner: Owner) -> dict[str, Any]:
    """Return the reference by which the garbage collector, and we, know whose an object is."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
