"""Connections to addresses that were checked, and to no others.

A name is resolved once for each connection; addresses that may not be reached are left out, and the rest are connected
to as they are. So a name server that answers "public" to the check and "private" to the connection gains nothing: there
is one answer, and one use of it. The last word has the socket: none is made for an address that was not checked,
however it got there. Connections are not kept: what one namespace's task opened, another's must not use.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from .addresses import Addresses

__all__ = ["Connections", "Refused", "asker"]

#: Threads that look up names. Their own, so that a dead name server stalls nothing else in the process; and so many of
#: them at once for one asker. A look-up that hangs goes on when its request has been given up.
_RESOLVERS, _RESOLVERS_EACH = 128, 8

#: Who asks, as far as look-ups are shared out: the namespace of a task. Set it before a request is sent.
asker: ContextVar[str] = ContextVar("asker", default="")


class Refused(OSError):
    """No connection is made, whatever is tried again: the message says why."""


class Connections:
    """Opens the two sessions that requests of users go through: to public addresses only, and to private ones too.

    Args:
        addresses: what may be connected to.
        tls: instead of the system's certificate authorities (which $SSL_CERT_FILE replaces).
    """

    def __init__(self, addresses: Addresses, *, tls: ssl.SSLContext | None = None) -> None:
        self.addresses = addresses
        self._tls = tls
        self._lookups = _LookUps()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def session(self, *, allow_private: bool) -> aiohttp.ClientSession:
        """Return the session for requests that may, or may not, reach private addresses. It keeps no cookies."""
        found = self._sessions.get(allow_private)
        if found is None:
            found = self._sessions[allow_private] = self._open(allow_private)
        return found

    async def close(self) -> None:
        """Close every connection. A look-up that hangs is left behind."""
        for session in self._sessions.values():
            await session.close()
        self._lookups.close()

    def _open(self, allow_private: bool) -> aiohttp.ClientSession:
        if self._tls is None:
            self._tls = ssl.create_default_context()  # verifies names and certificates
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            resolver=_Resolver(self.addresses, allow_private, self._lookups),
            use_dns_cache=False,
            force_close=True,
            limit=0,  # who sends requests bounds them
            socket_factory=lambda address: _socket(self.addresses, allow_private, address),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a small answer may unpack to a large one: see `answer`
            trust_env=False,  # no proxy, which would connect to what we cannot check, and no netrc
        )


class _LookUps:
    """Looks names up in threads, so many at once for each asker: a dead name server holds up those who name it only."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")
        self._places: dict[str, asyncio.Semaphore] = {}

    async def look_up(self, host: str, port: int, family: int) -> list[tuple[int, str]]:
        """Return the addresses of a name, each with its family. Raises `OSError` where it has none."""
        places = self._places.setdefault(asker.get(), asyncio.Semaphore(_RESOLVERS_EACH))
        await places.acquire()
        work = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)
        # Who is cancelled waits no longer, but the thread does: the place is free when that has come back.
        work.add_done_callback(partial(_is_back, places))
        return await asyncio.shield(work)

    def close(self) -> None:
        """A look-up that hangs is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Resolver(AbstractResolver):
    """Looks a name up and leaves out the addresses that may not be reached."""

    def __init__(self, addresses: Addresses, allow_private: bool, lookups: _LookUps) -> None:
        self._addresses = addresses
        self._allow_private = allow_private
        self._lookups = lookups

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return where to connect to.

        Raises:
            Refused: the name has addresses, and none that may be reached.
            OSError: it has none.
        """
        found = await self._lookups.look_up(host, port, family)
        problems: list[str] = []
        results: list[ResolveResult] = []
        for found_family, address in found:
            problem = self._addresses.problem(address, allow_private=self._allow_private)
            if problem:
                problems.append(problem)
                continue
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=found_family,
                    proto=0,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not results:
            raise Refused(f"{host}: {problems[0]}" if problems else f"{host} has no address")
        return results

    async def close(self) -> None:
        """Nothing is held."""


def _is_back(places: asyncio.Semaphore, work: asyncio.Future[Any]) -> None:
    places.release()
    if not work.cancelled():
        work.exception()  # nobody may be there any more to take it


def _look_up(host: str, port: int, family: int) -> list[tuple[int, str]]:
    infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    # A link-local address comes with a scope beside it; it is refused with or without.
    return [(found, str(address[0])) for found, _, _, _, address in infos]


def _socket(addresses: Addresses, allow_private: bool, info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, address = info
    problem = addresses.problem(str(address[0]), allow_private=allow_private)
    if problem:
        raise Refused(problem)
    return socket.socket(family, kind, protocol)
