"""Watches: what each is told of a change, and when nothing can be told.

An event is encoded once for all watches of a kind. What a selector has let pass before and lets not pass now is told
as DELETED with the last state that passed, under the version of the change, as the real one's watch cache does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from .exchange import Object
from .reading import metadata_of
from .selectors import Selector
from .served import Served
from .store import Change

__all__ = ["Watch"]


class Watch:
    """One open watch.

    Attributes:
        notify: called when there is something to take.
        closed: nothing more will be told.
    """

    def __init__(
        self,
        served: Served,
        namespace: str,
        selector: Selector | None,
        *,
        after: int,
        version: Callable[[], int],
        metadata_only: bool = False,
        bookmarks: bool = False,
    ) -> None:
        self.notify: Callable[[], None] | None = None
        self.closed = False
        self._served = served
        self._namespace = namespace
        self._selector = selector
        self._after = after
        self._version = version
        self._metadata_only = metadata_only
        self._bookmarks = bookmarks
        self._lines: list[bytes] = []

    def take(self) -> list[bytes]:
        """Return the complete lines due since the last take."""
        lines, self._lines = self._lines, []
        return lines

    def bookmark(self) -> None:
        """Tell up to which version everything was told; not to a client that did not ask for bookmarks."""
        version = self._version()
        if self._bookmarks and not self.closed and version >= self._after:
            self._tell(_bookmark(self._served, version, metadata_only=self._metadata_only))

    def close(self) -> None:
        """Tell nothing more."""
        self.closed = True
        if self.notify is not None:
            self.notify()

    def start(self, objects: Iterable[Object], changes: Iterable[Change]) -> None:
        """Tell of what is there, and of what has changed since."""
        for obj in objects:
            if self._selector is None or self._selector(obj):
                self._lines.append(_line("ADDED", obj, metadata_only=self._metadata_only))
        for change in changes:
            self.hear(change)

    def fail(self, status: Object) -> None:
        """Tell of an error, the last thing that is told."""
        self._lines.append(orjson.dumps({"type": "ERROR", "object": status}) + b"\n")
        self.close()

    def hear(self, change: Change) -> None:
        """Tell of a change, if it is about what is watched."""
        if change.version <= self._after or self.closed or change.served is not self._served:
            return
        if self._namespace and change.key.namespace != self._namespace:
            return
        select = self._selector
        was = bool(change.before) and (select is None or select(change.before))
        is_ = bool(change.after) and (select is None or select(change.after))
        if not (was or is_):
            return
        type_ = ("MODIFIED" if was else "ADDED") if is_ else "DELETED"
        key = (type_, self._metadata_only)
        line = change.lines.get(key)
        if line is None:
            obj = change.after if is_ else _versioned(change.before, change.version)
            line = change.lines[key] = _line(type_, obj, metadata_only=self._metadata_only)
        self._tell(line)

    def _tell(self, line: bytes) -> None:
        self._lines.append(line)
        if self.notify is not None:
            self.notify()


def _line(type_: str, obj: Object, *, metadata_only: bool) -> bytes:
    shown = metadata_of(obj) if metadata_only else obj
    return orjson.dumps({"type": type_, "object": shown}) + b"\n"


def _versioned(obj: Object, version: int) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


def _bookmark(served: Served, version: int, *, metadata_only: bool) -> bytes:
    obj = {
        "kind": served.resource.kind,
        "apiVersion": served.resource.api_version,
        "metadata": {"resourceVersion": str(version)},
    }
    return _line("BOOKMARK", obj, metadata_only=metadata_only)
