"""Requests to the API server: raw JSON in, raw JSON or a typed error out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from .observer import Observer
from .resources import Resource

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
    """One page of a LIST: raw objects (without apiVersion and kind, as the server sends them)."""

    items: Sequence[JsonObject]
    resource_version: str
    remaining: int | None


class ApiClient:
    """Sends requests to the API server, bounded in flight, each timed and counted."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        observer: Observer | None = None,
        max_in_flight: int = 50,
        request_timeout: float = 30.0,
        connect_timeout: float = 5.0,
        max_retries: int = 3,
        max_retry_wait: float = 10.0,
        field_manager: str = "fairlead",
    ) -> None:
        raise NotImplementedError

    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> JsonObject:
        """GET one object. Raises NotFound, Forbidden, Unreachable, …"""
        raise NotImplementedError

    def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
        resource_version: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """LIST page by page; raises Gone when the continue token expires in between."""
        raise NotImplementedError

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        before_send: Callable[[], None] | None = None,
        dry_run: bool = False,
        metadata_only: bool = False,
    ) -> JsonObject:
        """POST one object. Raises AlreadyExists, Invalid, Forbidden, Unreachable(maybe_applied), …

        `before_send` runs right before every attempt leaves, after any wait for a free slot: it may raise to
        abandon the create (a passed lease deadline, a suspended run).
        """
        raise NotImplementedError

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
    ) -> JsonObject:
        """PATCH one object. `force` belongs to APPLY. `metadata_only` spares sending a large object back."""
        raise NotImplementedError

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
    ) -> None:
        """DELETE the object with this very UID. Raises NotFound, or Conflict when the name belongs to another."""
        raise NotImplementedError

    async def request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        resource: str,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
        before_send: Callable[[], None] | None = None,
    ) -> bytes:
        """Send anything, return the body of the 2xx answer. Raises ApiError."""
        raise NotImplementedError

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout_seconds: int = 300,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a watch: chunks of bytes as they arrive (the informer splits lines)."""
        raise NotImplementedError
