"""A session with the API server: its connections, kept warm, and who we are on each request.

What is asked and what the answers mean is `transport`'s; HTTP itself is `connection`'s.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Protocol, Self, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from .connection import Broken, Connection, NoConnection, NoConnectionInTime, Reply, Stream
from .credentials import Credentials

__all__ = ["Http", "HttpStream", "Session"]

#: Seconds after which a connection that nobody uses is closed, before the server does it, which waits for 90.
_IDLE_SECONDS = 60.0
#: Bytes of the answer of a proxy, at most.
_PROXY_ANSWER = 16 * 1024

_Answer = TypeVar("_Answer", Reply, Stream)


class HttpStream(Protocol):
    """What the transport needs of an answer that lasts; :class:`connection.Stream` has it."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case."""

    async def read(self) -> bytes:
        """Return all of it."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield what comes, as it comes."""

    def close(self) -> None:
        """Let go of it."""


class Http(Protocol):
    """What the transport needs of a session; :class:`Session` has it, and so has the simulated network."""

    async def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        seconds: float,
        connect_seconds: float,
        fence: Callable[[], None] | None = None,
    ) -> Reply:
        """Send a request; return the whole answer."""

    async def open(
        self,
        target: str,
        headers: Mapping[str, str],
        *,
        seconds: float,
        connect_seconds: float,
        idle_seconds: float,
    ) -> HttpStream:
        """GET something that lasts."""


class Session:
    """Connections to one API server; as many as there are requests at once.

    A request that is answered with 401 is sent once more if the source of the credentials has something new. Redirects
    are not followed: they would carry the token elsewhere.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._server = urlsplit(credentials.host)
        self._proxy = urlsplit(credentials.proxy) if credentials.proxy else None
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._closed = False
        # A plain request to a proxy names the whole URL. The server may have a path (a gateway for many clusters).
        whole = self._proxy is not None and self._server.scheme == "http"
        self._base = (f"http://{self._server.netloc}" if whole else "") + self._server.path.rstrip("/")
        self._common = f"Host: {self._server.netloc.rpartition('@')[2]}\r\n"
        if whole:
            self._common += _proxy_authorization(self._proxy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, also those in use."""
        self._closed = True
        for each in [*self._idle, *self._busy]:
            each.close()
        self._idle.clear()
        await asyncio.sleep(0)  # so that sockets are closed by the time the loop may be

    async def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        seconds: float,
        connect_seconds: float,
        fence: Callable[[], None] | None = None,
    ) -> Reply:
        """Send a request; return the whole answer.

        Args:
            method: of HTTP.
            target: path, from a slash on, and query; quoted.
            headers: what is asked for besides Host, Content-Length and Authorization.
            body: what to send.
            seconds: for all of it.
            connect_seconds: for name resolution, connection and TLS.
            fence: called right before it is written, each time that it is; what it raises keeps it back.

        Raises:
            NoConnection: nothing was sent.
            Broken: the server may have got it.
            TimeoutError: likewise, unless it is a NoConnectionInTime.
        """
        async with asyncio.timeout(seconds):
            return await self._authenticated(
                lambda authorization: self._send(method, target, headers, body, authorization, connect_seconds, fence)
            )

    async def open(
        self,
        target: str,
        headers: Mapping[str, str],
        *,
        seconds: float,
        connect_seconds: float,
        idle_seconds: float,
    ) -> Stream:
        """GET something that lasts; returns when its headers are there, which may take `seconds`.

        `idle_seconds` is how long the stream may be silent. The rest is as in `send`.
        """

        async def ask(authorization: str | None) -> Stream:
            connection = await self._connect(connect_seconds)
            try:
                return await connection.open(self._head("GET", target, headers, None, authorization), idle_seconds)
            except BaseException:
                connection.close()
                raise

        async with asyncio.timeout(seconds):
            return await self._authenticated(ask)

    async def _authenticated(self, ask: Callable[[str | None], Awaitable[_Answer]]) -> _Answer:
        used = await self._credentials.authorization()
        answer = await ask(used)
        if answer.status != 401 or not await self._credentials.reload(used):
            return answer
        if isinstance(answer, Stream):
            answer.close()
        return await ask(await self._credentials.authorization())

    async def _send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        authorization: str | None,
        connect_seconds: float,
        fence: Callable[[], None] | None,
    ) -> Reply:
        request = self._head(method, target, headers, body, authorization) + (body or b"")
        while True:
            connection = self._warm() or await self._connect(connect_seconds)
            self._busy.add(connection)
            warm, connection.used = connection.used, True
            try:
                if fence is not None:
                    fence()
                reply = await connection.ask(request)
            except Broken:
                connection.close()
                # The server has closed it while nobody used it. What changes something is not sent twice unasked.
                if not (warm and method == "GET" and connection.unanswered):
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                self._keep(connection)
                return reply
            finally:
                self._busy.discard(connection)

    def _head(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, authorization: str | None
    ) -> bytes:
        """Everything of a request before its body.

        Raises:
            ValueError: part of it would break the line.
        """
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if authorization is not None:
            lines.append(f"Authorization: {authorization}\r\n")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}\r\n")
        written = f"{method} {self._base}{target} HTTP/1.1\r\n{''.join(lines)}"
        if written.count("\n") != len(lines) + 1 or written.count("\r") != len(lines) + 1 or " " in target:
            raise ValueError(
                f"a request for {target!r} cannot be written: a header or its address has a line of its own"
            )
        return f"{written}{self._common}\r\n".encode("latin-1")

    def _warm(self) -> Connection | None:
        """A connection that is there already: the one that was used last, so that the others grow old."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable:
                return connection
            connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        if self._closed or not connection.is_reusable:
            connection.close()
            return
        now = connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)
        while self._idle[0].idle_since < now - _IDLE_SECONDS:
            self._idle.popleft().close()

    async def _connect(self, seconds: float) -> Connection:
        if self._closed:
            raise NoConnection("the session is closed")
        # Without the names and passwords that both may have.
        there = self._server.netloc.rpartition("@")[2]
        if self._proxy is not None:
            there += f" by the proxy {self._proxy.netloc.rpartition('@')[2]}"
        try:
            async with asyncio.timeout(seconds):
                return await self._dial()
        except TimeoutError as error:
            raise NoConnectionInTime(f"no connection to {there} within {seconds:g} s") from error
        except (OSError, EOFError) as error:
            raise NoConnection(f"no connection to {there}: {error}") from error

    async def _dial(self) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._credentials.ssl_context
        host = self._server.hostname or ""
        name = (self._credentials.tls_server_name or host) if context else None
        port = self._server.port or (443 if context else 80)
        if self._proxy is None:
            _, made = await loop.create_connection(Connection, host, port, ssl=context, server_hostname=name)
            return made
        proxy = (self._proxy.hostname or "", self._proxy.port or 80)
        if context is None:
            _, made = await loop.create_connection(Connection, *proxy)
            return made
        transport, tunnel = await loop.create_connection(_Tunnel, *proxy)
        try:
            there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            transport.write(
                f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n{_proxy_authorization(self._proxy)}\r\n".encode()
            )
            await tunnel.opened
            made = Connection()
            secured = await loop.start_tls(transport, made, context, server_hostname=name)
        except BaseException:
            transport.abort()
            raise
        assert secured is not None
        made.connection_made(secured)
        return made


class _Tunnel(asyncio.Protocol):
    """Waits for a proxy's answer to CONNECT; `opened` is done when bytes pass through."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._came = b""

    def data_received(self, data: bytes) -> None:
        """Read the answer up to its empty line; the other side says nothing before we do."""
        self._came += data
        if self.opened.done() or (b"\r\n\r\n" not in self._came and len(self._came) < _PROXY_ANSWER):
            return
        line = self._came.partition(b"\r\n")[0].decode("latin-1")
        if line.partition(" ")[2].startswith("2"):
            self.opened.set_result(None)
        else:
            self.opened.set_exception(OSError(f"the proxy refused: {line[:200]}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail if that was too early."""
        if not self.opened.done():
            self.opened.set_exception(OSError(f"the proxy closed the connection{f': {exc}' if exc else ''}"))


def _proxy_authorization(proxy: SplitResult | None) -> str:
    if proxy is None or proxy.username is None:
        return ""
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
