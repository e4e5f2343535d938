"""Seeds that have found something: they are played for ever."""

from __future__ import annotations

__all__ = ["SAVED"]

#: By seed, what was found.
SAVED: dict[int, str] = {
    1333: "a pod of an epoch that the operator had not heard of was ended as one too many",
    2144: "the same, with pods of a list",
}
