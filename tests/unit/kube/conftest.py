"""A scripted API server on loopback: each test says what the server answers, and reads what it was asked.

It has no semantics of its own (no storage, no versions): those belong to the in-memory server of tests/sim. Here
the point is the wire: cut lines, silence, closed connections, error bodies.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from fairlead.kube.credentials import Credentials, Login
from fairlead.kube.session import Session
from fairlead.kube.transport import ApiClient

Script = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class FakeApi:
    """Scripts are used up in order, one queue for lists, one for watches, one for the rest.

    A list or other request beyond its script gets the last answer again; a watch beyond its script stays open.
    """

    asked: list[Asked] = field(default_factory=list)
    lists: deque[Script] = field(default_factory=deque)
    watches: deque[Script] = field(default_factory=deque)
    others: deque[Script] = field(default_factory=deque)
    url: str = ""

    def queries(self, kind: str) -> list[dict[str, str]]:
        """What the lists, or the watches, were asked with."""
        wanted = kind == "watch"
        return [a.query for a in self.asked if a.method == "GET" and ("watch" in a.query) == wanted]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers), body))
        if "watch" in request.query:
            script = self.watches.popleft() if self.watches else self.stream()
        else:
            named = request.path.rsplit("/", 1)[-1] not in ("pods", "workflows")
            queue = self.others if request.method != "GET" or named else self.lists
            script = queue.popleft() if len(queue) > 1 else queue[0]
        return await script(request)

    # -- building blocks for scripts

    @staticmethod
    def json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Script:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(body, status=status, headers=headers)

        return answer

    @classmethod
    def error(cls, code: int, reason: str = "", message: str = "", *, retry_after: str = "", **details: Any) -> Script:
        body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}
        return cls.json(body, code, {"Retry-After": retry_after} if retry_after else None)

    @classmethod
    def page(cls, *items: dict[str, Any], version: int, token: str = "") -> Script:
        meta = {"resourceVersion": str(version)} | ({"continue": token} if token else {})
        return cls.json({"kind": "PodList", "metadata": meta, "items": list(items)})

    @staticmethod
    def stream(*parts: bytes | dict[str, Any], then: str = "stay", every: float = 0) -> Script:
        """Send these; then `stay` open and silent, `close` in order, or `cut` the connection off."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            for part in parts:
                await response.write(part if isinstance(part, bytes) else json.dumps(part).encode() + b"\n")
                await asyncio.sleep(every)
            if then == "stay":
                await asyncio.Event().wait()
            if then == "cut":
                assert request.transport is not None
                request.transport.abort()
            return response

        return answer

    @staticmethod
    def silence() -> Script:
        """Take the request and never answer."""

        async def answer(request: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        return answer

    @staticmethod
    def hang_up() -> Script:
        """Take the request and close the connection without an answer."""

        async def answer(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        return answer


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}/"
    yield fake
    await runner.cleanup()


@dataclass
class Notes:
    """An observer that remembers."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def request_finished(self, **note: Any) -> None:
        self.requests.append(note)

    def watch_restarted(self, *, resource: str, reason: str) -> None:
        self.restarts.append(reason)

    def event_dropped(self, *, reason: str) -> None:
        self.dropped.append(reason)


@pytest.fixture
def notes() -> Notes:
    return Notes()


def session_with(url: str, **login: Any) -> Session:
    """A session with a server, without credentials."""
    found = Login(host=url, **login)

    async def read() -> Login:
        return found

    return Session(Credentials(found, read))


@pytest.fixture
async def session(api: FakeApi) -> AsyncIterator[Session]:
    async with session_with(api.url) as session:
        yield session


@pytest.fixture
def client(session: Session, notes: Notes) -> ApiClient:
    return ApiClient(session, observer=notes, request_timeout=5)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Wait until something holds; fail after two seconds."""

    async def wait(holds: Callable[[], Any]) -> None:
        try:
            async with asyncio.timeout(2):
                while not holds():  # noqa: ASYNC110  (what is waited for has no event)
                    await asyncio.sleep(0.002)
        except TimeoutError:
            pytest.fail("it did not come to hold within two seconds")

    return wait
