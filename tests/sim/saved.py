"""Seeds that have found something: they are played for ever."""

from __future__ import annotations

__all__ = ["SAVED"]

#: By seed, what was found.
SAVED: dict[int, str] = {
    51: "a shard that another operator had changed was patched in vain for ever",
}
