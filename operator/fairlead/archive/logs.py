"""The names under which logs of attempts are kept, and how: gzipped, the end of each. Pure.

`logs/NAMESPACE/RUN/UID/OBJECT/POD.log.gz`, where OBJECT carries the attempt: the pod itself, or the Job that it is of.
What a pod had logged when its deletion was asked for is `POD.part.log.gz` until there is more to be had.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass

__all__ = ["LogKey", "pack_log", "unpack_log"]

_ROOT = "logs"
_WHOLE, _PART = ".log.gz", ".part.log.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """The log of the main container of one pod. `part`: as far as it was known when the pod had to go."""

    namespace: str
    run: str
    uid: str
    object_name: str
    pod: str
    part: bool = False

    @property
    def path(self) -> str:
        """The name of the object."""
        folder = self.folder(self.namespace, self.run, self.uid, self.object_name)
        return f"{folder}/{self.pod}{_PART if self.part else _WHOLE}"

    @staticmethod
    def folder(namespace: str, run: str, uid: str, object_name: str = "") -> str:
        """Return the folder of the logs of a run, or of an attempt of it."""
        return f"{_ROOT}/{namespace}/{run}/{uid}" + (f"/{object_name}" if object_name else "")

    @classmethod
    def read(cls, path: str) -> LogKey | None:
        """Return what the name of an object says; None for one that is no log of ours."""
        parts = path.split("/")
        if len(parts) != 6 or parts[0] != _ROOT or not parts[5].endswith(_WHOLE):
            return None
        _, namespace, run, uid, object_name, file = parts
        part = file.endswith(_PART)
        pod = file.removesuffix(_PART if part else _WHOLE)
        return cls(namespace=namespace, run=run, uid=uid, object_name=object_name, pod=pod, part=part)


def pack_log(text: bytes) -> bytes:
    """Return a log as it is kept."""
    return gzip.compress(text, mtime=0)


def unpack_log(content: bytes) -> bytes:
    """Return a log that was kept. Raises `OSError` or `EOFError` for what is none."""
    return gzip.decompress(content)
