"""What goes over the wire: a request, and the answer to it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

__all__ = ["Answer", "Object", "Request"]

#: An object of the API as parsed JSON. One that is stored, or was answered, is never changed in place: versions share
#: what they have in common.
Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request.

    Attributes:
        method: of HTTP.
        path: below the server's URL, starting with a slash; not quoted.
        query: the parameters.
        headers: as sent; looked up by their usual spelling: `Content-Type`, `Accept`, `Impersonate-User`, `User-Agent`.
        body: b"" where there is none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server says: the body is an object, a list or a `Status`, not yet encoded.

    It shares parts with what is stored: whoever wants to change it copies it.

    Attributes:
        code: of HTTP.
        body: empty where `text` is the answer.
        headers: such as `Retry-After`.
        text: what is no JSON: a log, or the answer to a path that nothing is served at.
    """

    code: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    text: bytes | None = None

    def encoded(self) -> bytes:
        """Return the bytes of the body."""
        return orjson.dumps(self.body) if self.text is None else self.text
