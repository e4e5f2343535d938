"""What goes over the wire: a request, and the answer to it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Request"]


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
    """What the server says: the body is an object, a list or a `Status`, not yet encoded."""

    code: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
