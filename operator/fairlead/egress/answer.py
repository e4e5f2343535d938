"""What came back, as expressions see it: `response` with `status`, `headers`, `body` and `text`; bounded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import orjson

from fairlead.engine.model import Json

from .request import Request

__all__ = ["LIMIT", "VALUES", "Answer", "read"]

#: Bytes of an answer that are read, packed and unpacked.
LIMIT = 1024 * 1024

#: Values in its JSON. An expression is handed all of them, and nothing else happens in the process meanwhile: 50,000
#: take about 50 ms.
VALUES = 50_000

_SHOWN = 300
_UNPACK = {"gzip": 47, "x-gzip": 47, "deflate": 15}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response. `body` is what its JSON says, None where it is none; `excess` says why no expression may see it."""

    status: int
    reason: str
    headers: dict[str, str] = field(repr=False)
    body: Json = field(repr=False)
    text: str = field(repr=False)
    excess: str

    @property
    def scope(self) -> dict[str, Json]:
        """The variable `response`."""
        return {"status": self.status, "headers": self.headers, "body": self.body, "text": self.text}

    @property
    def shown(self) -> str:
        """Say in a line what it was: `503 Service Unavailable: no healthy upstream`."""
        words = " ".join(self.text[: 4 * _SHOWN].replace("\x00", "").split())
        piece = words if len(words) <= _SHOWN else words[: _SHOWN - 1] + "…"
        return f"{self.status} {self.reason}".rstrip() + (f": {piece}" if piece else "")


async def read(request: Request, response: aiohttp.ClientResponse) -> Answer:
    """Read an answer, at most `LIMIT` of it, without what it repeats of our secrets."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > LIMIT:
            break
    data = _unpacked(bytes(raw), response.headers.get("Content-Encoding", "").strip().lower())
    text = request.without_secrets(_clean(_decoded(data[:LIMIT], response.charset)))
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        shown = request.without_secrets(_clean(value))
        headers[name.lower()] = f"{headers[name.lower()]}, {shown}" if name.lower() in headers else shown
    body = _json(text, response.headers.get("Content-Type"))
    excess = ""
    if len(raw) > LIMIT or len(data) > LIMIT:
        excess = f"the answer is larger than {LIMIT // 1024} KiB"
    elif _has_more_values(body, VALUES):
        excess = f"the answer has more than {VALUES:,} values"
    return Answer(
        status=response.status,
        reason=request.without_secrets(_clean(response.reason or _phrase(response.status))),
        headers=headers,
        body=body,
        text=text,
        excess=excess,
    )


def _unpacked(raw: bytes, encoding: str) -> bytes:
    """Unpack what a server packed although it was asked not to: object stores do. One byte more than is kept."""
    if encoding not in _UNPACK:
        return raw
    try:
        return zlib.decompressobj(_UNPACK[encoding]).decompress(raw, LIMIT + 1)
    except zlib.error:
        return raw


def _decoded(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8", "replace")
    except (LookupError, UnicodeError):  # a charset that nobody knows, or that cannot stand for this
        return data.decode("utf-8", "replace")


def _clean(text: str) -> str:
    """Replace what no UTF-8 can stand for: bytes of a header that are none, by aiohttp's way of decoding them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _json(text: str, content_type: str | None) -> Json:
    media = (content_type or "").partition(";")[0].strip().lower()
    if content_type is not None and media != "application/json" and not media.endswith("+json"):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _has_more_values(body: Json, limit: int) -> bool:
    count, pending = 1, [body]
    while pending and count <= limit:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
            count += len(value)
        elif isinstance(value, list):
            pending.extend(value)
            count += len(value)
    return count > limit


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
