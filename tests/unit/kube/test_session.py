"""Connections on the wire: a server that says exactly these bytes, and a session that makes the best of it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.kube.conftest import session_with

from fairlead.clock import utc_now
from fairlead.controllers.authority import Kept, next_kept
from fairlead.kube.connection import Broken, NoConnection, NoConnectionInTime, Quiet, Reply
from fairlead.kube.session import Session

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LIMITS: dict[str, Any] = {"seconds": 5.0, "connect_seconds": 5.0}


class Wire:
    """A server that answers each request with the next script of bytes; it never says more than that.

    Attributes:
        scripts: for each request the pieces of its answer; None hangs up. The last one is kept.
        requests: head and body of each, as they came.
        connections: how many were made.
    """

    def __init__(self, *scripts: list[bytes | None]) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.hung_up = asyncio.Event()
        self._serving: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self, context: ssl.SSLContext | None = None) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for each in self._serving:
                each.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        served = asyncio.current_task()
        assert served is not None
        self._serving.append(served)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                body = await reader.readexactly(int(length or 0))
                self.requests.append(head + body)
                for piece in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.hung_up.set()


async def get(session: Session, target: str = "/a", **limits: Any) -> Reply:
    return await session.send("GET", target, {}, **LIMITS | limits)


async def post(session: Session, body: bytes = b"{}", **limits: Any) -> Reply:
    return await session.send("POST", "/a", {}, body, **LIMITS | limits)


class TestAnAnswer:
    @pytest.mark.parametrize(
        "pieces",
        [
            [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
            [b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 5\r\n\r\nhe", b"llo"],
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"],
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
            [b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", None],
            [b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
        ],
        ids=["whole", "in pieces", "chunked", "after a 100", "up to the end of the connection", "of HTTP/1.0"],
    )
    async def test_is_read_to_its_end(self, pieces: list[bytes | None]) -> None:
        async with Wire(pieces).listening() as wire, session_with(wire.url) as session:
            for _ in range(2):
                reply = await get(session)
                assert (reply.status, reply.body) == (200, b"hello")

    async def test_names_of_headers_are_in_lower_case(self) -> None:
        script: list[bytes | None] = [b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"]
        async with Wire(script).listening() as wire, session_with(wire.url) as session:
            assert (await get(session)).headers["retry-after"] == "7"

    @pytest.mark.parametrize(
        "pieces",
        [[b"SSH-2.0-OpenSSH_9\r\n"], [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", None], [None]],
        ids=["no HTTP", "cut off", "none at all"],
    )
    async def test_that_is_none_breaks_the_connection(self, pieces: list[bytes | None]) -> None:
        async with Wire(pieces).listening() as wire, session_with(wire.url) as session:
            with pytest.raises(Broken):
                await get(session)
            assert wire.connections == 1


class TestARequest:
    async def test_what_is_written(self) -> None:
        async with (
            Wire([OK]).listening() as wire,
            session_with(wire.url + "/k8s/c1", authorization="Bearer t") as session,
        ):
            await session.send("PATCH", "/api/v1/x?a=b", {"Accept": "application/json"}, b'{"a":1}', **LIMITS)
        assert wire.requests == [
            b"PATCH /k8s/c1/api/v1/x?a=b HTTP/1.1\r\nAccept: application/json\r\nAuthorization: Bearer t\r\n"
            b'Content-Length: 7\r\nHost: 127.0.0.1:%d\r\n\r\n{"a":1}' % wire.port
        ]

    @pytest.mark.parametrize(
        ("target", "headers"),
        [
            ("/a HTTP/1.1\r\nX: y", {}),
            ("/a b", {}),
            ("/a", {"Impersonate-User": "a\r\nImpersonate-Group: system:masters"}),
            ("/a", {"X": "a\nY: z"}),
        ],
    )
    async def test_cannot_have_another_one_in_it(self, target: str, headers: dict[str, str]) -> None:
        async with Wire([OK]).listening() as wire, session_with(wire.url) as session:
            with pytest.raises(ValueError, match="cannot be written"):
                await session.send("GET", target, headers, **LIMITS)
            assert wire.requests == []


class TestConnections:
    async def test_are_used_again(self) -> None:
        async with Wire([OK]).listening() as wire, session_with(wire.url) as session:
            for _ in range(3):
                await get(session)
            assert wire.connections == 1

    async def test_are_as_many_as_there_are_requests_at_once(self) -> None:
        async with Wire([OK]).listening() as wire, session_with(wire.url) as session:
            await asyncio.gather(*(get(session) for _ in range(4)))
            await asyncio.gather(*(get(session) for _ in range(4)))
            assert wire.connections == 4

    async def test_that_the_server_wants_closed_are_not_used_again(self) -> None:
        script: list[bytes | None] = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"]
        async with Wire(script).listening() as wire, session_with(wire.url) as session:
            await get(session)
            await get(session)
            assert wire.connections == 2

    @pytest.mark.parametrize("when", ["with the answer", "later"])
    async def test_that_say_more_than_was_asked_are_not_used_again(self, when: str) -> None:
        stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
        script: list[bytes | None] = [OK + stray] if when == "with the answer" else [OK, stray]
        async with Wire(script, [OK]).listening() as wire, session_with(wire.url) as session:
            assert (await get(session)).body == b"{}"
            await asyncio.wait_for(wire.hung_up.wait(), 5)
            assert (await get(session)).body == b"{}"
            assert wire.connections == 2

    async def test_that_wait_for_an_answer_nobody_wants_are_closed(self) -> None:
        async with Wire([], [OK]).listening() as wire, session_with(wire.url) as session:
            with pytest.raises(TimeoutError):
                await get(session, seconds=0.02)
            assert (await get(session)).body == b"{}"
            assert wire.connections == 2

    async def test_a_read_is_repeated_if_the_connection_was_closed_meanwhile(self) -> None:
        async with Wire([OK], [None], [OK]).listening() as wire, session_with(wire.url) as session:
            await get(session)
            assert (await get(session)).body == b"{}"
            assert wire.connections == 2

    async def test_a_write_is_not(self) -> None:
        async with Wire([OK], [None], [OK]).listening() as wire, session_with(wire.url) as session:
            await post(session)
            with pytest.raises(Broken):
                await post(session)
            assert len(wire.requests) == 2

    async def test_what_is_kept_back_by_its_fence_is_not_written(self) -> None:
        def over() -> None:
            raise PermissionError("the lease is over")

        async with Wire([OK]).listening() as wire, session_with(wire.url) as session:
            with pytest.raises(PermissionError):
                await session.send("POST", "/x", {}, b"{}", fence=over, **LIMITS)
            assert (wire.connections, wire.requests) == (1, [])
            await session.send("POST", "/x", {}, b"{}", fence=lambda: None, **LIMITS)
            assert len(wire.requests) == 1

    async def test_a_read_is_not_repeated_once_part_of_the_answer_was_there(self) -> None:
        cut: list[bytes | None] = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", None]
        async with Wire([OK], cut, [OK]).listening() as wire, session_with(wire.url) as session:
            await get(session)
            with pytest.raises(Broken):
                await get(session)

    async def test_closed_with_the_session(self) -> None:
        async with Wire([OK]).listening() as wire:
            session = session_with(wire.url)
            await get(session)
            await session.close()
            await asyncio.wait_for(wire.hung_up.wait(), 5)
            with pytest.raises(NoConnection):
                await get(session)

    async def test_nobody_listens(self, unused_tcp_port: int) -> None:
        async with session_with(f"http://127.0.0.1:{unused_tcp_port}") as session:
            with pytest.raises(NoConnection, match=f"no connection to 127.0.0.1:{unused_tcp_port}"):
                await get(session)

    async def test_no_handshake_in_time(self) -> None:
        async with (
            Wire([]).listening() as wire,
            session_with(f"https://127.0.0.1:{wire.port}", verify=False) as session,
        ):
            with pytest.raises(NoConnectionInTime):
                await get(session, connect_seconds=0.05)


class TestAStream:
    HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def opened(self, session: Session, idle_seconds: float = 5.0) -> Any:
        return await session.open("/w?watch=true", {}, **LIMITS, idle_seconds=idle_seconds)

    async def test_comes_as_it_is_sent_and_ends(self) -> None:
        script: list[bytes | None] = [self.HEAD, b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"]
        async with Wire(script).listening() as wire, session_with(wire.url) as session:
            stream = await self.opened(session)
            assert stream.status == 200
            assert b"".join([chunk async for chunk in stream.chunks()]) == b"onetwo"
            stream.close()

    async def test_that_falls_silent_is_told(self) -> None:
        async with Wire([self.HEAD, b"3\r\none\r\n"]).listening() as wire, session_with(wire.url) as session:
            stream = await self.opened(session, idle_seconds=0.05)
            chunks = stream.chunks()
            assert await anext(chunks) == b"one"
            with pytest.raises(Quiet, match=r"no data for 0\.05 s"):
                await anext(chunks)
            stream.close()

    async def test_that_breaks_gives_what_had_come(self) -> None:
        async with Wire([self.HEAD, b"3\r\none\r\n", None]).listening() as wire, session_with(wire.url) as session:
            stream = await self.opened(session)
            chunks = stream.chunks()
            assert await anext(chunks) == b"one"
            with pytest.raises(Broken):
                await anext(chunks)
            stream.close()

    async def test_a_reader_that_is_slow_holds_the_server_up_and_loses_nothing(
        self, eventually: Callable[[Callable[[], Any]], Awaitable[None]]
    ) -> None:
        size, sent = 64 * 1024, 0
        piece = b"%x\r\n%s\r\n" % (size, b"x" * size)

        class Counting(list[bytes | None]):
            def __iter__(self) -> Any:
                nonlocal sent
                yield TestAStream.HEAD
                for _ in range(400):
                    yield piece
                    sent += 1
                yield b"0\r\n\r\n"

        async with Wire(Counting()).listening() as wire, session_with(wire.url) as session:
            stream = await self.opened(session)
            before = -1

            def stands() -> bool:
                nonlocal before
                still, before = sent == before and sent > 0, sent
                return still

            await eventually(stands)
            assert sent < 400
            assert sum([len(chunk) async for chunk in stream.chunks()]) == 400 * size
            stream.close()

    async def test_closed_it_takes_the_connection_with_it(self) -> None:
        async with Wire([self.HEAD]).listening() as wire, session_with(wire.url) as session:
            stream = await self.opened(session)
            stream.close()
            await asyncio.wait_for(wire.hung_up.wait(), 5)


class TestProxy:
    async def test_a_plain_request_names_the_whole_url(self) -> None:
        async with (
            Wire([OK]).listening() as wire,
            session_with("http://api.example:8080/base", proxy=f"http://me:p%40ss@127.0.0.1:{wire.port}") as session,
        ):
            await get(session)
        head = wire.requests[0]
        assert head.startswith(b"GET http://api.example:8080/base/a HTTP/1.1\r\n")
        assert b"Host: api.example:8080\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in head

    async def test_tls_goes_through_a_tunnel(self, tmp_path: Path) -> None:
        for name, pem in next_kept(Kept.of({}), "api.example", utc_now()).data().items():
            (tmp_path / name).write_bytes(pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
        asked: list[bytes] = []
        async with Wire([OK]).listening(context) as wire:

            async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while data := await reader.read(4096):
                    writer.write(data)
                writer.close()

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                there, to = await asyncio.open_connection("127.0.0.1", wire.port)
                await asyncio.gather(carry(reader, to), carry(there, writer), return_exceptions=True)

            proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
            port = proxy.sockets[0].getsockname()[1]
            login = {"proxy": f"http://127.0.0.1:{port}", "ca_file": str(tmp_path / "ca.crt")}
            async with session_with("https://api.example:6443", **login) as session:
                assert (await get(session)).body == b"{}"
                assert (await get(session)).body == b"{}"
            proxy.close()
        assert asked == [b"CONNECT api.example:6443 HTTP/1.1\r\nHost: api.example:6443\r\n\r\n"]
        assert wire.requests[0].startswith(b"GET /a HTTP/1.1\r\n")

    async def test_that_is_not_there_is_named_without_its_password(self, unused_tcp_port: int) -> None:
        proxy = f"http://me:secret@127.0.0.1:{unused_tcp_port}"
        async with session_with("https://api.example:6443", proxy=proxy, verify=False) as session:
            with pytest.raises(NoConnection) as caught:
                await get(session)
        assert f"no connection to api.example:6443 by the proxy 127.0.0.1:{unused_tcp_port}" in str(caught.value)
        assert "secret" not in str(caught.value)

    async def test_that_refuses_is_quoted(self) -> None:
        no: list[bytes | None] = [b"HTTP/1.1 403 Forbidden by policy\r\nContent-Length: 0\r\n\r\n"]
        async with Wire(no).listening() as wire:
            login = {"proxy": f"http://127.0.0.1:{wire.port}", "verify": False}
            async with session_with("https://api.example:6443", **login) as session:
                with pytest.raises(NoConnection, match=r"the proxy refused: HTTP/1\.1 403 Forbidden by policy"):
                    await get(session)
