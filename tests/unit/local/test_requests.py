"""`http` tasks on this machine: the same carrier, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.unit.local.stage import eventually, executed, phases, prepared, sh

from fairlead.api.work import RenderedHttp
from fairlead.engine.model import Clocks, Node, OutputDeclaration, Phase, Scope, ValueType, WorkKind


@dataclass(frozen=True)
class Value:
    """An expression about the answer that is not compiled here: its whole body."""

    def evaluate(self, **variables: Any) -> Any:
        return variables["response"]["body"]


@dataclass(frozen=True)
class Request:
    url: str
    fields: dict[str, Any] = field(default_factory=dict)
    kind: WorkKind = WorkKind.HTTP

    def evaluate(self, scope: Scope) -> RenderedHttp:
        work: RenderedHttp = {
            "method": "POST",
            "url": self.url,
            "headers": [],
            "body": None,
            "timeoutSeconds": 10,
            "idempotent": False,
            "allowPrivate": True,
            "successWhen": None,
            "outputs": [("body", Value())],  # type: ignore[list-item]
        }
        return work | self.fields  # type: ignore[return-value]


def http(url: str, name: str = "call", *, fields: dict[str, Any] | None = None, **more: Any) -> Node:
    outputs = (OutputDeclaration(name="body", type=ValueType.INTEGER),)
    return Node(name=name, work=Request(url, fields or {}), outputs=outputs, **more)


class Server:
    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.silent = False

    async def serve(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        return web.json_response(7)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield found
    await runner.cleanup()


async def test_its_outputs_are_those_of_the_task(tmp_path: Path, server: Server) -> None:
    run = await executed(tmp_path, http(server.url), sh("after", needs=("call",)))
    assert phases(run) == {"call": "Succeeded", "after": "Succeeded"}
    assert run.state.nodes["call"].outputs == {"body": 7}


async def test_private_addresses_need_the_tasks_word_here_as_well(tmp_path: Path, server: Server) -> None:
    run = await executed(tmp_path, http(server.url, fields={"allowPrivate": False}))
    assert run.state.nodes["call"].reason == "HttpRefused"
    assert server.asked == 0


async def test_metadata_servers_are_out_of_reach_here_as_well(tmp_path: Path) -> None:
    run = await executed(tmp_path, http("http://169.254.169.254/latest/"))
    assert run.state.nodes["call"].reason == "HttpRefused"


async def test_a_secret_needs_a_cluster(tmp_path: Path, server: Server) -> None:
    header = {"name": "Authorization", "value": None, "secretName": "api", "secretKey": "token"}
    run = await executed(tmp_path, http(server.url, fields={"headers": [header]}))
    assert run.state.nodes["call"].reason == "NeedsCluster"


async def test_one_that_takes_too_long_is_given_up(tmp_path: Path, server: Server) -> None:
    server.silent = True
    run = await executed(tmp_path, http(server.url, clocks=Clocks(run_seconds=1)))
    assert run.state.nodes["call"].reason == "TimedOut"


async def test_stopping_gives_it_up(tmp_path: Path, server: Server) -> None:
    server.silent = True
    run = prepared(tmp_path, http(server.url))
    running = asyncio.create_task(run.execute())
    await eventually(lambda: server.asked)
    run.stop()
    await asyncio.wait_for(running, 5)
    assert run.state.nodes["call"].phase is Phase.CANCELLED
