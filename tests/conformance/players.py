"""The two servers behind one face: the one in memory, and a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
import orjson
from tests.conformance.bodies import Kind
from tests.conformance.generator import LAST

from fairlead.clock import utc_now
from fairlead.kube.resources import CONFIGMAPS, NAMESPACES, Resource
from fairlead.testing.apiserver import Answer, ApiServer, Request
from fairlead.testing.apiserver.served import SERVICE_ACCOUNTS

__all__ = ["Fake", "Player", "Real", "Unfit"]

Object = dict[str, Any]

_JSON = {"Content-Type": "application/json", "Accept": "application/json"}

#: Seconds that a server may take until it can answer at all: it fills a cache after a CRD was changed, for one.
_READY_SECONDS = 30.0

#: The codes that say "not now"; not of what is played, where they may be the right answer.
_NOT_NOW = (429, 500, 503, 504)


class Unfit(Exception):
    """The real server cannot be compared with now. The text says what it answered."""


class Player(Protocol):
    """A server that requests are played against."""

    async def send(self, request: Request) -> tuple[int, Any]:
        """Return the code, and the body: parsed, or as text."""

    async def follow(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> list[Object]:
        """Return a watch's events up to the one about the last object."""


class Fake:
    """A server in memory of its own for each sequence, with what controllers put into every namespace."""

    def __init__(self, namespace: str) -> None:
        self.server = ApiServer(now=utc_now)
        for resource, name in (
            (NAMESPACES, namespace),
            (CONFIGMAPS, "kube-root-ca.crt"),
            (SERVICE_ACCOUNTS, "default"),
        ):
            body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
            path = resource.path(namespace if resource.namespaced else None)
            answer = self.server.handle(
                Request(method="POST", path=path, headers=_JSON, body=orjson.dumps(body)),
            )
            assert answer.code == 201, answer

    async def send(self, request: Request) -> tuple[int, Any]:
        answer = self.server.handle(request)
        encoded = answer.encoded()
        return answer.code, encoded.decode() if answer.text is not None else orjson.loads(encoded)

    async def follow(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> list[Object]:
        watch = self.server.watch(Request(method="GET", path=path, query=query, headers=headers))
        assert not isinstance(watch, Answer), watch
        lines = [orjson.loads(line) for line in watch.take()]
        watch.close()
        return lines

    def settle(self) -> bool:
        """Let the clean-up do all that it can. Returns whether that was anything."""
        worked = False
        while self.server.collect():
            worked = True
        return worked


class Real:
    """A real API server, in one namespace that is emptied before each sequence."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str) -> None:
        self._session = session
        self.namespace = namespace
        self._used: set[Kind] = set()

    async def open(self) -> None:
        """Create the namespace, and wait until the controllers have filled it."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self._ask("POST", NAMESPACES.path(), body)
        for path in (
            CONFIGMAPS.path(self.namespace, "kube-root-ca.crt"),
            SERVICE_ACCOUNTS.path(self.namespace, "default"),
        ):
            async with asyncio.timeout(30):
                while (await self._ask("GET", path))[0] != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Delete the namespace with what is in it, which may be held by finalizers; nobody waits for the rest."""
        for kind in self._used:
            await self.clear(kind)
        await self._ask("DELETE", NAMESPACES.path(None, self.namespace))

    async def clear(self, kind: Kind) -> None:
        """Delete all objects of a kind, whatever holds them."""
        self._used.add(kind)
        async with asyncio.timeout(30):
            while left := await self._left(kind):
                for meta in left:
                    path = kind.resource.path(self.namespace, meta["name"])
                    if meta.get("finalizers"):
                        await self._ask("PATCH", path, {"metadata": {"finalizers": None}}, "merge-patch+json")
                    await self.delete(path)

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create an object in the namespace, whose name stands for `<namespace>` in it."""
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        filled = orjson.loads(orjson.dumps(whole).replace(b"<namespace>", self.namespace.encode()))
        code, created = await self._ask("POST", resource.path(self.namespace), filled)
        if code != 201:
            name = body["metadata"]["name"]
            raise Unfit(f"the creation of {resource.kind} {name} was answered with {code}: {created}")
        return dict(created)

    async def delete(self, path: str) -> None:
        """Delete an object; what it owns is left to the clean-up."""
        await self._ask("DELETE", path, {"propagationPolicy": "Background", "gracePeriodSeconds": 0})

    async def names(self, kind: Kind, prefix: str) -> list[str]:
        """What there is of a kind, as `plural/name`, with names that begin so."""
        found = [meta["name"] for meta in await self._left(kind)]
        return [f"{kind.resource.plural}/{name}" for name in found if name.startswith(prefix)]

    async def _left(self, kind: Kind) -> list[Object]:
        code, listed = await self._ask("GET", kind.resource.path(self.namespace))
        if code != 200:
            raise Unfit(f"the list of {kind.resource.plural} was answered with {code}: {listed}")
        names = ("kube-root-ca.crt", "default")
        return [each["metadata"] for each in listed["items"] if each["metadata"]["name"] not in names]

    async def send(self, request: Request) -> tuple[int, Any]:
        async with self._session.request(
            request.method,
            request.path.lstrip("/"),
            params=request.query,
            data=request.body or None,
            headers=request.headers,
        ) as response:
            text = await response.read()
        try:
            return response.status, orjson.loads(text)
        except orjson.JSONDecodeError:
            return response.status, text.decode()

    async def follow(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> list[Object]:
        events: list[Object] = []
        try:
            async with (
                asyncio.timeout(10),
                self._session.get(path.lstrip("/"), params=query, headers=headers) as response,
            ):
                async for line in response.content:
                    event = orjson.loads(line)
                    events.append(event)
                    if event["type"] == "ERROR" or event["object"]["metadata"].get("name") == LAST:
                        break
        except TimeoutError:
            events.append({"type": "SILENT", "object": {"metadata": {}}})
        return events

    async def _ask(self, method: str, path: str, body: Object | None = None, kind: str = "json") -> tuple[int, Any]:
        headers = {"Content-Type": f"application/{kind}", "Accept": "application/json"}
        data = b"" if body is None else orjson.dumps(body)
        request = Request(method=method, path=path, headers=headers, body=data)
        async with asyncio.timeout(_READY_SECONDS):
            while (answer := await self.send(request))[0] in _NOT_NOW:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            return answer
