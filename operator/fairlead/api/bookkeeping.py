"""What the metadata of an object hold for those who write it, and for nobody who reads it.

Who set which field, and the copy of the whole object that `kubectl apply` leaves, are often larger than all else of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["without_bookkeeping"]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def without_bookkeeping(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy without them."""
    kept = {name: value for name, value in metadata.items() if name != "managedFields"}
    annotations = kept.get("annotations") or {}
    if _LAST_APPLIED in annotations:
        kept["annotations"] = {name: text for name, text in annotations.items() if name != _LAST_APPLIED}
    return kept
