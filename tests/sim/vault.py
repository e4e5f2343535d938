"""S17 under faults: beside the run that is judged, another one sends requests with a Secret in a header.

The servers that it asks repeat what they were sent wherever they can: in bodies, headers, reasons, redirects and broken
answers. Nothing of that may be told: not to the API server by any request, and not to the log, down to its last level.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest import mock

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from fairlead.egress.connections import Connections
from fairlead.kube.resources import SECRETS, WORKFLOWS
from fairlead.telemetry.logs import JsonFormatter
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import Cluster

__all__ = ["CANARIES", "Vault"]

JsonObject = dict[str, Any]

_TOKEN = "canary-0f-a-5ecret"
_VALUE = f"Bearer {_TOKEN}"

#: What must not be told, in each spelling in which the operator comes to see it.
CANARIES = (_TOKEN, b64encode(_VALUE.encode()).decode())

_RUN, _SECRET = "keeper", "vault"


class Vault:
    """The Secret, who is sent it, and who listens. `told` is what has come out."""

    def __init__(self, random: Random) -> None:
        self.told: list[str] = []
        self._web = _Web(random)
        self._stack = ExitStack()

    def open(self) -> None:
        """Let requests of tasks go to our servers, and listen to the log."""
        session = mock.patch.object(Connections, "session", return_value=self._web)
        self._stack.enter_context(session)
        self._stack.enter_context(_heard(self.told))

    def close(self) -> None:
        """Let them go where they did before."""
        self._stack.close()

    def fill(self, cluster: Cluster, namespace: str) -> None:
        """Create the Secret and its run, and look at every request from now on."""
        data = {"token": b64encode(_VALUE.encode()).decode()}
        cluster.put(SECRETS, {"metadata": {"name": _SECRET}, "data": data}, namespace)
        cluster.put(WORKFLOWS, {"metadata": {"name": _RUN}, "spec": _spec()}, namespace)
        before = cluster.network.sent

        def sent(sender: str, request: Request) -> None:
            before(sender, request)
            self._look_at(request)

        cluster.network.sent = sent

    def problems(self, cluster: Cluster) -> Iterator[str]:
        """Yield what was wrong, once all should be over."""
        yield from (f"S17: {each}" for each in self.told)
        if not cluster.finished(_RUN):
            yield "L1: the run that sends requests has not ended"

    def _look_at(self, request: Request) -> None:
        sent = f"{request.path} {dict(request.query)} {dict(request.headers)} {request.body.decode(errors='replace')}"
        if any(canary in sent for canary in CANARIES):
            self.told.append(f"{request.method} {request.path} tells it")


def _spec() -> JsonObject:
    again = {"limit": 2, "backoff": {"initialSeconds": 3, "maxSeconds": 10}}
    told = [{"name": "told", "from": "${toJson(response.headers) + response.text}"}]
    return {
        "tasks": [
            _asks("echo", retry=again, outputs=told, onFailure="Continue"),
            _asks("fails", retry=again, onFailure="Continue"),
            _asks("breaks", retry=again, onFailure="Continue"),
            _asks("breaks-once", "POST", onFailure="Continue"),
            _asks("leads-on", onFailure="Continue"),
            {"name": "later", "wait": {"seconds": 15}},
            _asks("echo-later", needs=["later"], retry=again, outputs=told, onFailure="Continue"),
        ],
        "outputs": [{"name": "told", "value": "${tasks.echo.outputs.?told.orValue('')}"}],
    }


def _asks(name: str, method: str = "GET", **more: Any) -> JsonObject:
    header = {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": _SECRET, "key": "token"}}}
    return {"name": name, "http": {"method": method, "url": f"https://web.test/{name}", "headers": [header]}, **more}


# -- who is asked


class _Web:
    """As much of `aiohttp.ClientSession` as requests of tasks use; every server of the world."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def request(self, method: str, url: URL, *, headers: Mapping[str, str], **_: Any) -> _Exchange:
        """Take a request in."""
        del method
        return _Exchange(url, headers.get("Authorization", ""), self._random.choice((0.05, 0.5, 4.0)))


class _Exchange:
    """One request, and its answer after some seconds."""

    def __init__(self, url: URL, sent: str, seconds: float) -> None:
        self._what, self._sent, self._seconds = url.path, sent, seconds

    async def __aenter__(self) -> _Response:
        await asyncio.sleep(self._seconds)
        token = self._sent.rpartition(" ")[2]
        if self._what.startswith("/breaks"):
            raise aiohttp.ServerDisconnectedError(f"lost after {self._sent}")
        if self._what == "/leads-on":
            return _Response(302, "Found", self._sent, {"Location": f"ftp://{token}.test/"})
        if self._what == "/fails":
            return _Response(503, f"not with {token}", self._sent, {})
        return _Response(200, "OK", self._sent, {"X-Sent": self._sent})

    async def __aexit__(self, *_: object) -> None:
        pass


class _Response:
    """As much of `aiohttp.ClientResponse` as is read of an answer; it is its own `content`."""

    charset = "utf-8"

    def __init__(self, status: int, reason: str, sent: str, headers: Mapping[str, str]) -> None:
        self.status, self.reason = status, reason
        self.headers = CIMultiDict({"Content-Type": "application/json", **headers})
        self._body = orjson.dumps({"you sent": sent})

    @property
    def content(self) -> _Response:
        """What is read from."""
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        yield self._body


# -- who listens


class _Ear(logging.Handler):
    """Notes each line of the log that tells."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonFormatter())
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        """Read one line."""
        line = self.format(record)
        if any(canary in line for canary in CANARIES):
            self._told.append(f"the log of {record.name} tells it: {record.msg}")


@contextmanager
def _heard(told: list[str]) -> Iterator[None]:
    """Listen to everything that our package logs, and the loop of what nobody has caught, whatever is switched off."""
    loggers, ear = [logging.getLogger("fairlead"), logging.getLogger("asyncio")], _Ear(told)
    before = [(each.level, each.propagate) for each in loggers]
    disabled = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.propagate = False
        each.addHandler(ear)
    try:
        yield
    finally:
        for each, (level, propagates) in zip(loggers, before, strict=True):
            each.removeHandler(ear)
            each.propagate = propagates
            each.setLevel(level)
        logging.disable(disabled)
