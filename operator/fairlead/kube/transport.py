"""Requests to the API server: raw JSON in, raw JSON or a typed error out.

Every request waits for one of a bounded number of slots, has a time-out of its own, and is told to the
observer. A server that asks for patience (429, or a 5xx with Retry-After) is obeyed here, a few times and for a
bounded while, *holding the slot*: that is the back-pressure. Everything else is the caller's decision, above
all whether to repeat a write whose fate is unknown (`Unreachable.maybe_applied`).

Watches take no slot (they last) and have no time-out but the silence allowed between two pieces of data.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from fairlead.line import Turn

from .answers import is_overload, no_answer, object_in, patience, refusal
from .asking import JSON, METADATA, METADATA_LIST, headers_for, impersonation, label_of, selectors, target_of
from .connection import Quiet
from .errors import ApiError, Silent
from .observer import NullObserver, Observer
from .resources import Resource
from .session import Http
from .slots import Slots

__all__ = ["ApiClient", "JsonObject", "Page", "PatchType"]

JsonObject = dict[str, Any]


class PatchType(StrEnum):
    """How a patch body is to be read; the value is its media type."""

    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    JSON = "application/json-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a LIST.

    Attributes:
        items: raw objects, without apiVersion and kind: the server leaves them out of lists.
        resource_version: of the list as a whole, the same on every page; where a watch goes on from.
        remaining: how many follow after this page, if the server says so (never with a selector).
    """

    items: Sequence[JsonObject]
    resource_version: str
    remaining: int | None


class ApiClient:
    """Sends requests over one session, which stays the caller's to close.

    Args:
        session: with the API server.
        observer: is told of every exchange.
        max_in_flight: requests under way at once, at most; `slots` says how many, and in which order the rest go.
        request_timeout: seconds for one attempt, from sending to the last byte; waiting for a slot and for
            Retry-After comes on top.
        connect_timeout: seconds for name resolution, connection and TLS.
        max_retries: how often one request obeys Retry-After before it fails.
        max_retry_wait: seconds; a longer Retry-After fails at once, and `retry_after` tells the caller.
        field_manager: recorded as the author of every field written.
        slots: instead of those that follow from `max_in_flight`.
        fence: is called with the resource when a write is asked for; what it returns, if anything, is called right
            before every attempt leaves, and raises to keep it back.
    """

    def __init__(
        self,
        session: Http,
        *,
        observer: Observer | None = None,
        max_in_flight: int = 50,
        request_timeout: float = 30.0,
        connect_timeout: float = 5.0,
        max_retries: int = 3,
        max_retry_wait: float = 10.0,
        field_manager: str = "fairlead",
        slots: Slots | None = None,
        fence: Callable[[str], Callable[[], None] | None] = lambda _resource: None,
    ) -> None:
        self._session = session
        self._observer: Observer = observer or NullObserver()
        self.slots = slots or Slots(max_in_flight)
        self._request_timeout = request_timeout
        self._connect_timeout = connect_timeout
        self._max_retries = max_retries
        self._max_retry_wait = max_retry_wait
        self._writer = {"fieldManager": field_manager}
        self._fence = fence
        self._identity: Mapping[str, str] = {}

    def acting_as(self, namespace: str, service_account: str) -> ApiClient:
        """Return this client in the name of a service account: same session, same slots, its rights.

        Whatever a user names (an object to wait for, a manifest to create, a Secret to read) is asked for like this,
        so that no Workflow reaches what its namespace's own accounts may not. The operator needs the right to
        `impersonate` service accounts, and nothing of what they may do.
        """
        view = copy(self)
        view._identity = impersonation(namespace, service_account)  # noqa: SLF001  (of our own class)
        return view

    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> JsonObject:
        """GET one object, or only its metadata.

        Raises:
            NotFound: there is none.
            ApiError: anything else that goes wrong.
        """
        return object_in(
            await self.request(
                "GET",
                resource.path(namespace, name, subresource),
                verb="get",
                resource=label_of(resource, subresource),
                accept=METADATA if metadata_only else JSON,
            )
        )

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
        resource_version: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncGenerator[Page, None]:
        """LIST page by page, so that a large collection is never in memory as a whole.

        Args:
            resource: what to list.
            namespace: None lists across all of them.
            label_selector: in kubectl's syntax, evaluated by the server.
            field_selector: likewise.
            limit: objects a page; 0 asks for everything in one, which cannot expire in between.
            resource_version: None reads the latest state; "0" whatever the server has at hand.
            metadata_only: leave out spec and status.

        Raises:
            Gone: the continue token expired (after some minutes): what was read is not a whole; start again.
            ApiError: anything else that goes wrong.
        """
        params = selectors(label_selector, field_selector)
        if limit:
            params["limit"] = str(limit)
        if resource_version is not None:
            params["resourceVersion"] = resource_version
        while True:
            answer = object_in(
                await self.request(
                    "GET",
                    resource.path(namespace),
                    verb="list",
                    resource=label_of(resource),
                    params=params,
                    accept=METADATA_LIST if metadata_only else JSON,
                )
            )
            meta = answer.get("metadata") or {}
            yield Page(
                items=answer.get("items") or [],
                resource_version=meta.get("resourceVersion", ""),
                remaining=meta.get("remainingItemCount"),
            )
            token = meta.get("continue")
            if not token:
                return
            params["continue"] = token
            params.pop("resourceVersion", None)  # the token holds it; the server refuses both

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        before_send: Callable[[], None] | None = None,
        turn: Turn | None = None,
        dry_run: bool = False,
        metadata_only: bool = False,
    ) -> JsonObject:
        """POST one object; returns it as stored.

        Args:
            resource: what to create.
            body: the manifest, with apiVersion, kind and metadata.
            namespace: where; None for a cluster-scoped kind.
            before_send: runs right before every attempt leaves, after any wait for a slot or a Retry-After.
                What it raises abandons the create: a passed lease deadline, a run suspended meanwhile.
            turn: its place in line where it has to wait; without one it goes before all that have.
            dry_run: let the server admit and default it, and store nothing.
            metadata_only: return only the metadata.

        Raises:
            AlreadyExists: the name is taken; compare the owner's UID.
            Forbidden: see its properties: rights, quota, a terminating namespace, admission.
            Invalid: the server's validation; `causes` lists the fields.
            Unreachable: `maybe_applied` says whether the object may exist now.
            ApiError: anything else that goes wrong.
        """
        return object_in(
            await self.request(
                "POST",
                resource.path(namespace),
                verb="create",
                resource=label_of(resource),
                params=self._writer | {"dryRun": "All"} if dry_run else self._writer,
                body=orjson.dumps(body),
                accept=METADATA if metadata_only else JSON,
                before_send=before_send,
                turn=turn,
            )
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        patch_type: PatchType,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        force: bool = False,
        metadata_only: bool = False,
        before_send: Callable[[], None] | None = None,
        turn: Turn | None = None,
    ) -> JsonObject:
        """PATCH one object; returns it as stored.

        A `metadata.resourceVersion` or `metadata.uid` in the body is a precondition.

        Args:
            resource: what to patch.
            name: which one.
            body: the patch: a list of operations for JSON, a partial object otherwise.
            patch_type: STRATEGIC only where `resource.strategic`.
            namespace: where; None for a cluster-scoped kind.
            subresource: such as `status`.
            force: take over fields of other managers; for APPLY only.
            metadata_only: spare the server (and us) a large object in the answer.
            before_send: see `create`.
            turn: see `create`.

        Raises:
            NotFound: there is none.
            Conflict: a precondition does not hold.
            Invalid: validation, or the `test` of a JSON patch, failed.
            ApiError: anything else that goes wrong.
        """
        return object_in(
            await self.request(
                "PATCH",
                resource.path(namespace, name, subresource),
                verb="patch",
                resource=label_of(resource, subresource),
                params=self._writer | {"force": "true"} if force else self._writer,
                body=orjson.dumps(body),
                content_type=patch_type.value,
                accept=METADATA if metadata_only else JSON,
                before_send=before_send,
                turn=turn,
            )
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: str = "Background",
        grace_period_seconds: int | None = None,
        turn: Turn | None = None,
    ) -> None:
        """DELETE the object with this very UID (invariant S8: every delete has this precondition).

        Somebody waits for the end of what runs; what is only tidied up has the `turn` `fairlead.line.CLEAN_UP`.

        Raises:
            NotFound: it is gone already.
            Conflict: the name belongs to another object now, or the resourceVersion moved.
            ApiError: anything else that goes wrong.
        """
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        options: JsonObject = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        await self.request(
            "DELETE",
            resource.path(namespace, name),
            verb="delete",
            resource=label_of(resource),
            body=orjson.dumps(options),
            accept=METADATA,
            turn=turn,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        resource: str,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        seconds: float | None = None,
        before_send: Callable[[], None] | None = None,
        turn: Turn | None = None,
    ) -> bytes:
        """Send anything; return the body of a 2xx answer, unparsed.

        Args:
            method: of HTTP.
            path: below the server's URL, starting with a slash.
            verb: of Kubernetes, for the observer and error messages.
            resource: plural and subresource, likewise.
            params: the query.
            body: what to send.
            content_type: of the body.
            accept: of the answer.
            seconds: for one attempt, instead of the client's own time-out.
            before_send: see `create`.
            turn: see `create`.

        Raises:
            ApiError: the narrowest subclass.
        """
        headers = headers_for(accept, self._identity)
        if body is not None:
            headers["Content-Type"] = content_type
        target, asked, limit = target_of(path, params), f"{verb} {path}", seconds or self._request_timeout
        fence = None if method == "GET" else self._fence(resource)

        def check() -> None:
            if before_send is not None:
                before_send()
            if fence is not None:
                fence()

        async with self.slots.place(turn):
            for attempt in range(self._max_retries + 1):
                check()
                try:
                    # Once more right before it is written: a connection may have to be made first.
                    return await self._exchange(method, target, asked, verb, resource, body, headers, limit, check)
                except ApiError as error:
                    if is_overload(error):
                        self.slots.overloaded()
                    wait = patience(error)
                    if wait is None or wait > self._max_retry_wait or attempt == self._max_retries:
                        raise
                await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        server_timeout: float = 60.0,
        idle_timeout: float = 90.0,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; yields its bytes as they arrive, cut anywhere.

        The iterator ends when the server closes the watch, which it does at `server_timeout`, on a restart, and
        to a watcher that falls behind.

        Args:
            resource: what to watch.
            namespace: None watches all of them.
            resource_version: the watch tells what happened after it.
            label_selector: in kubectl's syntax, evaluated by the server.
            field_selector: likewise.
            server_timeout: seconds after which the server is asked to close it.
            idle_timeout: seconds without a single byte that count as a dead connection.

        Raises:
            Gone: the version is no longer in the server's history: list again.
            Unreachable: the connection failed, broke, or fell silent (`Silent`); also while iterating.
            ApiError: anything else that goes wrong.
        """
        params = selectors(label_selector, field_selector)
        params |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, round(server_timeout))),
        }
        path, label = resource.path(namespace), label_of(resource)
        asked = f"watch {label}"
        clock = asyncio.get_running_loop().time
        start, code = clock(), "<error>"
        try:
            try:
                stream = await self._session.open(
                    target_of(path, params),
                    headers_for(JSON, self._identity),
                    seconds=self._request_timeout,
                    connect_seconds=self._connect_timeout,
                    idle_seconds=idle_timeout,
                )
                code = str(stream.status)
            finally:
                seconds = clock() - start
                self._observer.request_finished(verb="watch", resource=label, code=code, seconds=seconds, sent_bytes=0)
            try:
                if stream.status != 200:
                    async with asyncio.timeout(self._request_timeout):
                        answer = await stream.read()
                    raise refusal(stream.status, stream.headers, answer, asked)
                yield stream.chunks()
            finally:
                stream.close()
        except Quiet as error:
            raise Silent(str(error), maybe_applied=False, request=asked) from error
        except OSError as error:  # TimeoutError is one
            raise no_answer(error, "GET", asked) from error

    async def _exchange(
        self,
        method: str,
        target: str,
        asked: str,
        verb: str,
        resource: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        check: Callable[[], None],
    ) -> bytes:
        """One attempt: send, read all of the answer, tell the observer."""
        clock = asyncio.get_running_loop().time
        start, code = clock(), "<error>"
        try:
            reply = await self._session.send(
                method,
                target,
                headers,
                body,
                seconds=seconds,
                connect_seconds=self._connect_timeout,
                fence=check,
            )
            code = str(reply.status)
            if 200 <= reply.status < 300:
                self.slots.answered(verb, resource, clock() - start)
                return reply.body
            raise refusal(reply.status, reply.headers, reply.body, asked)
        except OSError as error:  # TimeoutError is one
            raise no_answer(error, method, asked) from error
        finally:
            self._observer.request_finished(
                verb=verb,
                resource=resource,
                code=code,
                seconds=clock() - start,
                sent_bytes=len(body) if body else 0,
            )
