"""What an `http` task asks for, checked before anything is sent: the url, the headers, the body. Mostly pure.

A value that comes from a Secret is known as such from here on (`Request.secrets`), so that it goes to the origin it was
meant for and nowhere else, and into no message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from multidict import CIMultiDict
from yarl import URL

from fairlead.api.kinds.http import CONNECTION_HEADERS
from fairlead.api.work import RenderedHeader, RenderedHttp

from .redaction import CUT_OUT, without_escaped

__all__ = ["IDEMPOTENT", "BadRequest", "Request", "SecretReader", "SecretUnavailable", "build", "follow", "parse_url"]

#: Methods that may be sent twice (RFC 9110, 9.2.2).
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})

#: Reads one key of a Secret of the run's namespace: `await read(name, key)`. Raises `SecretUnavailable`.
SecretReader = Callable[[str, str], Awaitable[str]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

#: Headers that say who one is. They stay with the origin that the task named, as do those from Secrets.
_CREDENTIALS = frozenset({"authorization", "cookie"})

#: Characters of the shortest value that is told from an ordinary word in an answer.
_LEAST_SECRET = 6

_REDIRECTED_TO_GET = {301: {"POST"}, 302: {"POST"}, 303: {"POST", "PUT", "PATCH", "DELETE"}}


class BadRequest(Exception):
    """What is asked for cannot be sent, now or later; the message says what to change."""


class SecretUnavailable(Exception):
    """A header's Secret, or its key, is missing or must not be read, and that will not change by itself."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `private` are the names, in lower case, of headers that stay with the origin of `url`."""

    method: str
    url: URL
    headers: CIMultiDict[str] = field(repr=False)
    body: bytes | None = field(repr=False)
    private: frozenset[str]
    secrets: frozenset[str] = field(repr=False)

    @property
    def shown(self) -> str:
        """Name it in a message: without the query, where people put tokens."""
        return f"{self.method} {self.url.origin()}{self.url.raw_path}"

    def without_secrets(self, text: str) -> str:
        """Return a text as it may be shown: servers like to repeat what they were sent."""
        secrets = sorted(self.secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, CUT_OUT)
        return without_escaped(text, secrets) if secrets else text


def parse_url(text: str, shown: str | None = None) -> URL:
    """Read an absolute http or https URL. `shown` is what messages say instead of it.

    Raises:
        BadRequest: it is none.
    """
    shown = (text if shown is None else shown)[:100]
    # Control characters and spaces are dropped or read differently by every parser: `http://a\\t.b`.
    if any(character <= " " or character == "\x7f" for character in text):
        raise BadRequest(f"url: a space or control character in {shown!r}")
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise BadRequest(f"url {shown!r}: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or port is None:
        raise BadRequest(f"url: {shown!r} is no http:// or https:// address")
    if url.user is not None or url.password is not None:
        raise BadRequest("url: credentials belong into a header that is read from a Secret, not into the url")
    return url.with_fragment(None)


async def build(work: RenderedHttp, *, key: str, user_agent: str, read_secret: SecretReader) -> Request:
    """Return the request of a task. `key` is sent as its `Idempotency-Key`, unless the task sends its own.

    Raises:
        BadRequest: something in it cannot be sent.
        SecretUnavailable: a header's value cannot be had.
    """
    url, method, body = parse_url(work["url"]), work["method"].upper(), work["body"]
    if not _TOKEN.fullmatch(method) or method in ("CONNECT", "TRACE"):
        raise BadRequest(f"method: {work['method']!r} cannot be sent")
    _check_names(work["headers"])
    headers = CIMultiDict[str]()
    secrets: set[str] = set()
    private: set[str] = set()
    for header in work["headers"]:
        value = header["value"]
        if header["secretName"] is not None:
            read = await read_secret(header["secretName"], header["secretKey"] or "")
            value = read.rstrip("\r\n")  # `echo … | base64` leaves a newline behind
            secrets.update(_spellings(value))
            private.add(header["name"].lower())
        if value is None or _CONTROL.search(value) or not value.isascii():
            raise BadRequest(f"header {header['name']}: its value is no printable ASCII text")
        headers.add(header["name"], value)
    private |= {name for name in _CREDENTIALS if name in headers}
    headers.setdefault("User-Agent", user_agent)
    headers.setdefault("Idempotency-Key", key)
    # A small answer may unpack to a large one; and what is asked for here is small.
    headers["Accept-Encoding"] = "identity"
    if body is not None:
        headers.setdefault("Content-Type", "application/json" if _is_json(body) else "text/plain; charset=utf-8")
    return Request(
        method=method,
        url=url,
        headers=headers,
        body=None if body is None else body.encode("utf-8", "replace"),
        private=frozenset(private),
        secrets=frozenset(secrets),
    )


def follow(request: Request, status: int, location: str) -> Request:
    """Return the request that a redirect asks for.

    Raises:
        BadRequest: it leads where nobody should follow.
    """
    try:
        target = request.url.join(URL(location))
    except ValueError as error:
        raise BadRequest(f"redirected to {request.without_secrets(location)[:100]!r}: {error}") from None
    url = parse_url(str(target), request.without_secrets(str(target)))
    if request.url.scheme == "https" and url.scheme == "http":
        raise BadRequest(f"redirected from https to {url.origin()}, which is not encrypted")
    headers = request.headers.copy()
    if _origin(url) != _origin(request.url):
        for name in request.private:
            headers.popall(name, None)
    if request.method in _REDIRECTED_TO_GET.get(status, ()):
        headers.popall("Content-Type", None)
        return replace(request, method="GET", url=url, headers=headers, body=None)
    return replace(request, url=url, headers=headers)


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port


def _check_names(headers: Iterable[RenderedHeader]) -> None:
    for header in headers:
        name = header["name"]
        if not _TOKEN.fullmatch(name):
            raise BadRequest(f"headers: {name!r} is no name of a header")
        if name.lower() in CONNECTION_HEADERS or name.lower().startswith("proxy-"):
            raise BadRequest(f"header {name}: it belongs to the connection, and cannot be set")


def _spellings(secret: str) -> Iterable[str]:
    """Return what a server may repeat of a value: all of it, without `Bearer`, or unescaped."""
    received = secret.strip(" \t")  # blanks around a value are not part of it (RFC 9110, 5.5)
    token = received.rpartition(" ")[2]
    return (each for each in (secret, received, token, unquote(received)) if len(each) >= _LEAST_SECRET)


def _is_json(body: str) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
