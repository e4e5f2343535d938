"""Between operators and the API server: requests on their way, answers on theirs, and what becomes of both.

A :class:`Session` stands where the operator has its HTTP session, so that everything above it is the shipped code, with
its time-outs, its retries and its judgement of what a broken connection means. What happens on the way is the
:class:`Weather`'s: how long it takes, what is lost, who is refused. A request that is under way when its sender dies
still arrives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from fairlead.kube.connection import Broken, NoConnection, Quiet, Reply

from .apiserver import Answer, ApiServer, Request, Watch

__all__ = ["FairWeather", "Network", "Passage", "Session", "Stream", "Weather"]

#: The server sends a bookmark so many seconds before it closes a watch (seen on 1.34).
_BOOKMARK_BEFORE_END = 2.0

_GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What becomes of one request. `out` and `back` are seconds on the way.

    Attributes:
        refused: no connection comes about.
        lost: it leaves, and never arrives.
        instead: an answer that is given in the server's place: the request does not take effect.
        after: an answer that is given in the server's place though the request has taken effect.
        unanswered: it takes effect, and no answer comes.
        broken: it takes effect, and the connection breaks instead of an answer.
    """

    out: float = 0.002
    back: float = 0.002
    refused: bool = False
    lost: bool = False
    instead: Answer | None = None
    after: Answer | None = None
    unanswered: bool = False
    broken: bool = False


class Weather(Protocol):
    """Decides what happens on the way."""

    def passage(self, sender: str, request: Request) -> Passage:
        """Return what becomes of a request, or of the opening of a watch."""

    def delay(self, sender: str, plural: str) -> float:
        """Return the seconds by which the next events of a watch are late; `inf`: it falls silent."""

    def lines(self, sender: str, plural: str, lines: list[bytes]) -> list[bytes]:
        """Return what arrives of some events."""

    def expired(self, sender: str, request: Request) -> None:
        """Hear that a list or a watch is answered 410: what it asks for is forgotten."""


class FairWeather:
    """Everything arrives, after two milliseconds."""

    def passage(self, sender: str, request: Request) -> Passage:
        """Let it pass."""
        del sender, request
        return Passage()

    def delay(self, sender: str, plural: str) -> float:
        """Take two milliseconds."""
        del sender, plural
        return 0.002

    def lines(self, sender: str, plural: str, lines: list[bytes]) -> list[bytes]:
        """Let all of them arrive."""
        del sender, plural
        return lines

    def expired(self, sender: str, request: Request) -> None:
        """Take no notice."""


class Network:
    """Connects any number of senders with one API server.

    Attributes:
        sent: is told each request as it leaves.
        answered: is told each exchange as it takes effect.
    """

    def __init__(self, server: ApiServer, weather: Weather | None = None) -> None:
        self.server = server
        self.weather: Weather = weather or FairWeather()
        self.streams: list[Stream] = []
        self.sent: Callable[[str, Request], None] = _nobody
        self.answered: Callable[[str, Request, Answer], None] = _nobody

    def session(self, sender: str) -> Session:
        """Return an HTTP session for somebody."""
        return Session(self, sender)

    async def exchange(self, sender: str, request: Request, seconds: float) -> Reply:
        """Send a request; return the answer, or raise what a connection would."""
        self.sent(sender, request)
        passage = self.weather.passage(sender, request)
        loop = asyncio.get_running_loop()
        if passage.refused:
            await asyncio.sleep(passage.out)
            raise NoConnection("refused")
        coming: asyncio.Future[Answer] = loop.create_future()

        def arrive() -> None:
            answer = passage.instead or self.server.handle(request)
            self.answered(sender, request, answer)
            if answer.code == _GONE:
                self.weather.expired(sender, request)
            if not passage.unanswered:
                loop.call_later(passage.back, come_back, passage.after or answer)

        def come_back(answer: Answer) -> None:
            if coming.done():
                return
            if passage.broken:
                coming.set_exception(Broken("the server closed the connection"))
            else:
                coming.set_result(answer)

        if not passage.lost:
            loop.call_later(passage.out, arrive)
        async with asyncio.timeout(seconds):
            answer = await coming
        return _reply(answer)

    async def open_watch(self, sender: str, request: Request, idle_seconds: float) -> Stream | Whole:
        """Open a watch."""
        self.sent(sender, request)
        passage = self.weather.passage(sender, request)
        await asyncio.sleep(passage.out)
        if passage.refused:
            raise NoConnection("refused")
        if passage.lost or passage.unanswered:
            await asyncio.Event().wait()  # who asks has a time-out of its own for this
        if passage.broken:
            raise Broken("the server closed the connection")
        opened = passage.instead or self.server.watch(request)
        if isinstance(opened, Answer):
            self.answered(sender, request, opened)
            await asyncio.sleep(passage.back)
            return Whole(opened)
        if opened.closed:  # all that it tells is that its beginning is forgotten
            self.weather.expired(sender, request)
        lasts = float(request.query.get("timeoutSeconds", "3600"))
        stream = Stream(self, sender, _plural(request.path), opened, idle=idle_seconds, lasts=lasts)
        self.streams.append(stream)
        await asyncio.sleep(passage.back)
        return stream


class Session:
    """What `kube.session.Session` is to the transport. `dead`: who sends is no more."""

    def __init__(self, network: Network, sender: str) -> None:
        self.dead = False
        self._network = network
        self._sender = sender

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
        del connect_seconds
        if fence is not None:
            fence()
        return await self._network.exchange(self._sender, self._request(method, target, headers, body), seconds)

    async def open(
        self,
        target: str,
        headers: Mapping[str, str],
        *,
        seconds: float,
        connect_seconds: float,
        idle_seconds: float,
    ) -> Stream | Whole:
        """Open a watch."""
        del connect_seconds
        request = self._request("GET", target, headers, None)
        async with asyncio.timeout(seconds):
            return await self._network.open_watch(self._sender, request, idle_seconds)

    async def close(self) -> None:
        """There is nothing to close."""

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Request:
        if self.dead:
            raise asyncio.CancelledError
        path, _, query = target.partition("?")
        return Request(
            method=method, path=unquote(path), query=dict(parse_qsl(query)), headers=headers, body=body or b""
        )


class Whole:
    """An answer instead of a watch."""

    def __init__(self, answer: Answer) -> None:
        self._reply = _reply(answer)
        self.status, self.headers = self._reply.status, self._reply.headers

    async def read(self) -> bytes:
        """Return all of it."""
        return self._reply.body

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it in one piece."""
        yield self._reply.body

    def close(self) -> None:
        """There is nothing to close."""


class Stream:
    """One watch as its reader has it: what the server says arrives later, perhaps not at all, and in order."""

    def __init__(self, network: Network, sender: str, plural: str, watch: Watch, *, idle: float, lasts: float) -> None:
        self.status, self.headers = 200, dict[str, str]()
        self.sender, self.plural = sender, plural
        self._network = network
        self._watch = watch
        self._idle = idle
        self._arrived: deque[bytes] = deque()
        self._stirred = asyncio.Event()
        self._ended = False
        self._under_way = False
        self._broken = False
        self._silent = False
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(max(0.1, lasts - _BOOKMARK_BEFORE_END), watch.bookmark),
            loop.call_later(lasts, self.end),
        ]
        watch.notify = self._something
        self._something()

    def _something(self) -> None:
        """Let what the server has to say set off."""
        if self._under_way or self._ended or self._silent:
            return
        delay = self._network.weather.delay(self.sender, self.plural)
        if delay == float("inf"):
            self._silent = True
            return
        self._under_way = True
        asyncio.get_running_loop().call_later(delay, self._arrive)

    def _arrive(self) -> None:
        self._under_way = False
        if self._ended:
            return
        if lines := self._watch.take():
            self._arrived.extend(self._network.weather.lines(self.sender, self.plural, lines))
            self._stirred.set()
        if self._watch.closed:
            self.end()

    def end(self) -> None:
        """The server, or the reader, closes it."""
        self._leave()
        self._ended = True
        self._stirred.set()

    def cut(self) -> None:
        """The connection breaks, in the middle of a line if there is one on its way."""
        if self._arrived:
            last = self._arrived.pop()
            self._arrived.append(last[: len(last) // 2])
        self._broken = True
        self.end()

    def hush(self) -> None:
        """It falls silent: nothing arrives any more, and nobody says so."""
        self._silent = True
        for timer in self._timers:
            timer.cancel()

    def _leave(self) -> None:
        if not self._ended:
            for timer in self._timers:
                timer.cancel()
            self._watch.notify = None
            self._watch.close()
            self._network.streams.remove(self)

    async def read(self) -> bytes:
        """Return all that arrives until its end."""
        return b"".join([chunk async for chunk in self.chunks()])

    def close(self) -> None:
        """Close it: its reader wants no more."""
        self.end()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what has arrived, as it arrives."""
        while True:
            while self._arrived:
                yield self._arrived.popleft()
            if self._broken:
                raise Broken("the connection broke")
            if self._ended:
                return
            self._stirred.clear()
            try:
                async with asyncio.timeout(self._idle):
                    await self._stirred.wait()
            except TimeoutError:
                raise Quiet("nothing to read for too long") from None


def _nobody(*_: object) -> None:
    pass


def _reply(answer: Answer) -> Reply:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.code, headers, answer.encoded())


def _plural(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]
