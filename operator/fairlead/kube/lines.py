"""Cutting a watch's stream of bytes into lines, of any length and cut anywhere.

A reader with a buffer of fixed size fails on an event larger than that; a Workflow of 10,000 tasks is one.
"""

from __future__ import annotations

__all__ = ["LINE_LIMIT", "LineSplitter"]

# An object in etcd has 1.5 MB by default; JSON may take a few times that. More is not an event.
LINE_LIMIT = 32 * 1024 * 1024


class LineSplitter:
    """Collects chunks and gives back the lines that are complete."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the unfinished line; joined once, so a long line costs O(length)
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return the non-empty lines it completes, without their line ends.

        Raises:
            ValueError: a line exceeds LINE_LIMIT bytes.
        """
        head, *rest = chunk.split(b"\n")
        self._parts.append(head)
        self._size += len(head)
        if self._size > LINE_LIMIT:
            raise ValueError(f"a line of the watch exceeds {LINE_LIMIT} bytes")
        if not rest:
            return []
        lines = [b"".join(self._parts), *rest[:-1]]
        self._parts = [rest[-1]]
        self._size = len(rest[-1])
        return [line for line in lines if line.strip()]
