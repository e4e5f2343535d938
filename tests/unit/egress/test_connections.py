"""Nothing is connected to but what was checked: by name, by number, by redirect, by a name server that lies."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.unit.egress.conftest import Client, Server, answering, request

from fairlead.egress.connections import asker
from fairlead.engine.model import FailureClass
from fairlead.engine.state import Outcome, Result

REAL = socket.getaddrinfo


class Names:
    """A name server: each name has answers, used up one by one; the last is given for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._hang: dict[str, threading.Event] = {}

    @contextmanager
    def hanging(self, host: str) -> Iterator[None]:
        """Answer nobody who asks for this name, until the end of this."""
        released = self._hang[host] = threading.Event()
        try:
            yield
        finally:
            released.set()

    def look_up(self, host: str, port: int, *more: Any, **named: Any) -> Any:
        if host not in self.answers:
            return REAL(host, port, *more, **named)
        self.asked.append(host)
        if host in self._hang:
            self._hang[host].wait()
        answers = self.answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in each], socket.SOCK_STREAM, 6, "", (each, port, 0, 0) if ":" in each else (each, port))
            for each in addresses
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.look_up)
    return found


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that sockets were connected to, or would have been."""
    found: list[str] = []

    async def connect(self: Any, sock: socket.socket, address: Any) -> None:
        found.append(address[0])
        raise ConnectionRefusedError(111, "nothing is ever reached in this test")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", connect)
    return found


def refused(outcome: Outcome) -> bool:
    return (outcome.result, outcome.failure_class, outcome.reason) == (
        Result.FAILED,
        FailureClass.CONFIGURATION,
        "HttpRefused",
    )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "10.0.0.1",
        "010.0.0.1",
        "169.254.169.254",
        "169.254.169.254.",
        "0251.0376.0251.0376",
        "2852039166",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "①②⑦.⓪.⓪.①",
        "169。254。169。254",
        "localhost",
        "LOCALHOST",
        "localhost.",
    ],
)
async def test_however_an_address_is_written(strict: Client, connected: list[str], host: str) -> None:
    outcome = await strict.send(request(f"http://{host}/"))
    assert refused(outcome) or "Name or service not known" in outcome.message, outcome
    assert connected == []


async def test_public_addresses_are_connected_to(strict: Client, connected: list[str]) -> None:
    outcome = await strict.send(request("http://93.184.216.34/"))
    assert (outcome.reason, connected) == ("HttpUnavailable", ["93.184.216.34"])


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00:ec2::254", "fe80::1"]
)
async def test_a_name_with_such_an_address(strict: Client, names: Names, connected: list[str], address: str) -> None:
    names.answers["internal.example"] = [[address]]
    outcome = await strict.send(request("http://internal.example/"))
    assert refused(outcome)
    assert "internal.example: " in outcome.message
    assert connected == []


async def test_the_metadata_server_by_its_name(client: Client, names: Names, connected: list[str]) -> None:
    names.answers["metadata.google.internal"] = [["169.254.169.254"]]
    assert refused(await client.send(request("http://metadata.google.internal/computeMetadata/v1/")))
    assert connected == []


async def test_of_several_addresses_only_those_that_may_be_reached(
    strict: Client, names: Names, connected: list[str]
) -> None:
    names.answers["mixed.example"] = [["10.0.0.1", "93.184.216.34", "::1"]]
    assert (await strict.send(request("http://mixed.example/"))).reason == "HttpUnavailable"
    assert connected == ["93.184.216.34"]


async def test_a_name_server_that_changes_its_mind(strict: Client, names: Names, connected: list[str]) -> None:
    names.answers["rebind.example"] = [["93.184.216.34"], ["127.0.0.1"]]
    await strict.send(request("http://rebind.example/"))
    assert (names.asked, connected) == (["rebind.example"], ["93.184.216.34"])


async def test_a_name_is_looked_up_anew_for_each_request(client: Client, names: Names, server: Server) -> None:
    names.answers["moved.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    url = f"http://moved.example:{server.port}/"
    assert (await client.send(request(url))).result is Result.SUCCEEDED
    assert refused(await client.send(request(url)))
    assert len(server.asked) == 1  # and no connection of before is used again


async def test_the_last_word_has_the_socket(
    strict: Client, monkeypatch: pytest.MonkeyPatch, connected: list[str]
) -> None:
    # As if a way past both checks had been found.
    monkeypatch.setattr("fairlead.egress.sender.Sender._check_literal", lambda *_: None)
    assert refused(await strict.send(request("http://169.254.169.254/")))
    assert connected == []


class TestLookUpsThatHang:
    """They go on when their request has been given up: nobody can end them."""

    @pytest.fixture
    def names(self, names: Names) -> Names:
        names.answers |= {"slow.example": [["127.0.0.1"]], "quick.example": [["127.0.0.1"]]}
        return names

    @staticmethod
    async def ask(client: Client, who: str, url: str, seconds: float) -> Outcome:
        """Send a request. A task of its own: who asks is known there only."""

        async def send() -> Outcome:
            asker.set(who)
            return await client.send(request(url, timeoutSeconds=seconds))

        return await asyncio.create_task(send())

    async def test_those_of_one_asker_hold_up_no_other(self, client: Client, names: Names, server: Server) -> None:
        with names.hanging("slow.example"):
            slow = [self.ask(client, "bad", "http://slow.example/", 0.1) for _ in range(200)]
            assert {outcome.reason for outcome in await asyncio.gather(*slow)} == {"TimedOut"}
            quick = await self.ask(client, "good", f"http://quick.example:{server.port}/", 5)
            assert quick.result is Result.SUCCEEDED, quick

    async def test_when_they_have_come_back_their_asker_goes_on(
        self, client: Client, names: Names, server: Server
    ) -> None:
        with names.hanging("slow.example"):
            slow = [self.ask(client, "bad", "http://slow.example/", 0.1) for _ in range(200)]
            await asyncio.gather(*slow)
        for _ in range(20):
            quick = await self.ask(client, "bad", f"http://quick.example:{server.port}/", 5)
            assert quick.result is Result.SUCCEEDED, quick


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/", "//10.0.0.1/x", "http://[::ffff:10.0.0.1]/"])
async def test_redirects_are_checked_again(server: Server, client: Client, status: int, location: str) -> None:
    server.handler = answering(status, Location=location)
    outcome = await client.send(request(server.url))
    assert refused(outcome)
    assert len(server.asked) == 1


class TestWhoAllowsIt:
    async def test_both(self, server: Server, client: Client) -> None:
        assert (await client.send(request(server.url))).result is Result.SUCCEEDED

    async def test_the_task_alone(self, server: Server, strict: Client) -> None:
        outcome = await strict.send(request(server.url, allowPrivate=True))
        assert refused(outcome)
        assert "--http-allow-private" in outcome.message
        assert server.asked == []

    async def test_the_operator_alone(self, server: Server, client: Client) -> None:
        outcome = await client.send(request(server.url, allowPrivate=False))
        assert refused(outcome)
        assert "allowPrivate" in outcome.message
        assert server.asked == []

    async def test_one_task_does_not_open_the_way_for_another(self, server: Server, client: Client) -> None:
        assert (await client.send(request(server.url, allowPrivate=True))).result is Result.SUCCEEDED
        assert refused(await client.send(request(server.url, allowPrivate=False)))


async def test_no_proxy_of_the_environment(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await client.send(request(server.url))).result is Result.SUCCEEDED


async def test_no_cookies_are_kept(server: Server, client: Client) -> None:
    server.handler = answering(200, "", Set_Cookie="a=b")
    await client.send(request(server.url))
    await client.send(request(server.url))
    assert "Cookie" not in server.asked[1].headers
