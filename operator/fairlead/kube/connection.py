"""One connection to the API server: HTTP/1.1, one request at a time, its answer as a whole or as it comes.

Every pod costs three requests and five watch events, so this is where most of the operator's time went as long as a
general HTTP client stood here (docs/performance.md). `httptools` parses; nothing here knows of pools, credentials, or
Kubernetes: those are in `session`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

__all__ = ["Broken", "Connection", "NoConnection", "NoConnectionInTime", "Quiet", "Reply", "Stream", "keep_alive"]

#: Bytes of an answer that may pile up while its reader is busy, before the socket is paused.
_BUFFER = 256 * 1024

# Seconds and counts: a peer that vanished without a word is noticed after 30 + 3*10 s, also by an idle watch.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def keep_alive(connected: socket.socket) -> None:
    """Let the system ask a silent peer now and then whether it is still there."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # macOS calls the first one otherwise; its default will do
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class NoConnection(OSError):
    """No connection came about: nothing was sent."""


class NoConnectionInTime(NoConnection, TimeoutError):
    """No connection came about within the time for it."""


class Broken(OSError):
    """The connection ended, or what came is no HTTP, before the answer was whole."""


class Quiet(TimeoutError):
    """A stream brought nothing for too long."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """The protocol of one connection; `loop.create_connection` makes its transport."""

    __slots__ = (
        "_complete",
        "_error",
        "_headers",
        "_heard_at",
        "_loop",
        "_parser",
        "_parts",
        "_paused",
        "_reply",
        "_size",
        "_status",
        "_transport",
        "_waiter",
        "_whole",
        "idle_since",
        "used",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: OSError | None = None
        self._paused = False
        #: Loop time since which it waits for its next request; and whether it had one before.
        self.idle_since = 0.0
        self.used = False
        self._forget(whole=True)
        self._complete = True

    def _forget(self, *, whole: bool) -> None:
        """Be ready for the next answer."""
        self._whole = whole
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._reply: Reply | None = None
        self._size = 0
        self._complete = False
        self._heard_at = 0.0

    @property
    def is_reusable(self) -> bool:
        """Whether the next request may be sent over it."""
        return self._transport is not None and self._error is None and self._waiter is None

    @property
    def unanswered(self) -> bool:
        """Whether not a byte came of the answer to the last request."""
        return not self._heard_at

    async def ask(self, request: bytes) -> Reply:
        """Send a request; return its whole answer.

        Raises:
            Broken: it broke before that; the server may have done what was asked.
        """
        self._send(request, whole=True)
        await self._news()
        reply, self._reply = self._reply, None
        assert reply is not None, "only the end of the answer is news"
        return reply

    async def open(self, request: bytes, idle_seconds: float) -> Stream:
        """Send a request; return its answer as a stream as soon as its headers are there. Raises as `ask` does."""
        self._send(request, whole=False)
        await self._news()
        return Stream(self, self._status, self._headers, idle_seconds)

    def close(self) -> None:
        """Close it at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._fail(Broken("closed"))

    async def read(self) -> bytes:
        """Return what has come of a stream, at least a byte; nothing at its end."""
        if not self._parts and not self._complete:
            await self._news()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def check_heard(self, seconds: float) -> float:
        """Fail if nothing has come for so long; else return the seconds until that could be."""
        if self._paused or self._parts:  # it is the reader who is late
            return seconds
        left = self._heard_at + seconds - self._loop.time()
        if left <= 0:
            self._fail(Quiet(f"no data for {seconds:g} s"))
        return left

    def _send(self, request: bytes, *, whole: bool) -> None:
        if self._transport is None or self._error is not None:
            raise self._error or Broken("not connected")
        self._forget(whole=whole)
        self._transport.write(request)

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: OSError) -> None:
        if self._error is None:
            self._error = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._error)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and let the system notice a peer that is gone."""
        self._transport = cast("asyncio.Transport", transport)
        made = transport.get_extra_info("socket")
        if made is not None:
            keep_alive(made)

    def data_received(self, data: bytes) -> None:
        """Parse what came; what nobody has asked for would be taken for the answer to the next request."""
        if self._complete:
            self.close()
            return
        self._heard_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(Broken(f"what came is no answer in HTTP/1.1: {error or type(error).__name__}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way; an answer that says nothing of its length ends like this."""
        self._transport = None
        bounded = "content-length" in self._headers or "transfer-encoding" in self._headers
        if exc is None and self._status >= 200 and not bounded and not self._complete:
            self.on_message_complete()
        error = Broken(str(exc) if exc else "the server closed the connection")
        error.__cause__ = exc
        self._fail(error)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Notice a second answer to one request: whatever it is, nothing may be sent after it."""
        if self._complete:
            self._error = Broken("more came than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of those that come twice the last counts, which the API server sends none of."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Hand a stream over."""
        self._status = self._parser.get_status_code()
        if not self._whole and self._status >= 200:
            self._wake()

    def on_body(self, body: bytes) -> None:
        """Collect it, and pause a stream whose reader cannot keep up."""
        self._parts.append(body)
        if self._whole:
            return
        self._size += len(body)
        if self._size > _BUFFER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """End the answer, unless it only announces one (1xx)."""
        if self._status < 200:
            self._headers = {}
            return
        if self._complete:
            return
        self._complete = True
        if self._whole:
            self._reply = Reply(self._status, self._headers, b"".join(self._parts))
        if not self._parser.should_keep_alive():
            self._error = Broken("the server closes the connection after this answer")
        self._wake()


class Stream:
    """An answer as it comes. Whoever has it closes it, and the connection with it."""

    __slots__ = ("_connection", "_idle_seconds", "_timer", "headers", "status")

    def __init__(self, connection: Connection, status: int, headers: Mapping[str, str], idle_seconds: float) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        self._idle_seconds = idle_seconds
        # One timer for all of it, and not one for each piece.
        self._timer = asyncio.get_running_loop().call_later(idle_seconds, self._check)

    def _check(self) -> None:
        left = self._connection.check_heard(self._idle_seconds)
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._check)

    async def read(self) -> bytes:
        """Return all of it."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what has come, as it comes, cut anywhere.

        Raises:
            Broken: the connection broke.
            Quiet: nothing came for `idle_seconds`.
        """
        while chunk := await self._connection.read():
            yield chunk

    def close(self) -> None:
        """Close the connection: what else comes of it is not wanted."""
        self._timer.cancel()
        self._connection.close()
