"""A server on loopback that does what a test tells it to, and a sender that may reach it."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from fairlead.api.work import Bound, RenderedHeader, RenderedHttp
from fairlead.egress.addresses import Addresses, parse_network
from fairlead.egress.connections import Connections
from fairlead.egress.request import SecretUnavailable
from fairlead.egress.sender import Sender
from fairlead.engine.expressions import Declarations
from fairlead.engine.state import Outcome
from fairlead.expr.cel import CelEvaluator

CERTIFICATE = Path(__file__).with_name("localhost.pem")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    method: str
    path: str
    headers: CIMultiDict[str]
    body: str


@dataclass
class Server:
    """Answers every request by `handler`, and keeps what it was asked."""

    handler: Handler
    url: str = ""
    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.method, request.path_qs, request.headers.copy(), await request.text()))
        return await self.handler(request)


def answering(status: int = 200, body: Any = "", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=named)
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=named)
        return web.json_response(body, status=status, headers=named)

    return handler


async def _run(server: Server, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.port = runner.addresses[0][1]
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{server.port}"
    return runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server(answering())
    runner = await _run(found)
    yield found
    await runner.cleanup()


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    """A second one: another origin."""
    found = Server(answering())
    runner = await _run(found)
    yield found
    await runner.cleanup()


@pytest.fixture
async def encrypted() -> AsyncIterator[Server]:
    """One that speaks https, with a certificate that only `CERTIFICATE` vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    found = Server(answering())
    runner = await _run(found, context)
    yield found
    await runner.cleanup()


def expression(source: str) -> Bound:
    declarations = Declarations(variables={"response": None})
    return Bound(CelEvaluator().compile(source, declarations), {})


def header(name: str, value: str) -> RenderedHeader:
    return {"name": name, "value": value, "secretName": None, "secretKey": None}


def secret(name: str, secret_name: str, key: str = "token") -> RenderedHeader:
    return {"name": name, "value": None, "secretName": secret_name, "secretKey": key}


def request(url: str, **fields: Any) -> RenderedHttp:
    """An `http` task. `successWhen`, and `outputs` as a dict, are expressions' sources."""
    work: dict[str, Any] = {
        "method": "GET",
        "url": url,
        "headers": [],
        "body": None,
        "timeoutSeconds": 5,
        "idempotent": False,
        "allowPrivate": True,
        "successWhen": None,
        "outputs": {},
    }
    work |= fields
    work["outputs"] = [(name, expression(source)) for name, source in work["outputs"].items()]
    work["successWhen"] = expression(work["successWhen"]) if work["successWhen"] else None
    return work  # type: ignore[return-value]


SECRETS = {
    ("api", "token"): "Bearer canary-5f0e1d\n",
    ("slashed", "token"): "ab/cd+ef/gh",
    ("blank", "token"): "tok-5f0e1d ",
}


async def read_secret(name: str, key: str) -> str:
    try:
        return SECRETS[name, key]
    except KeyError:
        raise SecretUnavailable("SecretNotFound", f"no {key} in Secret {name}") from None


@functools.cache
def _system() -> ssl.SSLContext:
    """What an operator would make for itself; making it takes as long as a test."""
    return ssl.create_default_context()


class Client:
    """A sender, and what the tests always hand it."""

    def __init__(self, *allowed: str, tls: ssl.SSLContext | None = None) -> None:
        self.connections = Connections(Addresses(map(parse_network, allowed)), tls=tls or _system())
        self.sender = Sender(self.connections)

    async def send(self, work: RenderedHttp, *, resumed: bool = False) -> Outcome:
        return await self.sender.send(work, key="daily-call-1-x", resumed=resumed, read_secret=read_secret)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """One that may reach loopback, where the tests' servers are."""
    found = Client("127.0.0.0/8", "::1/128")
    yield found
    await found.sender.close()


@pytest.fixture
async def strict() -> AsyncIterator[Client]:
    """One as an operator has it that allows nothing."""
    found = Client()
    yield found
    await found.sender.close()
