"""Leases: reading them, changing one on condition that it is as it was read, and seeing that one is not renewed.

What a Lease stands for, and what follows from its end, is decided elsewhere. The times of day in it are for people:
nobody's clock is compared with another one's. Whether a Lease is renewed is seen by its resourceVersion.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fairlead.clock import utc_now

from .errors import Unreachable
from .resources import LEASES
from .transport import ApiClient, JsonObject, PatchType

__all__ = ["Lease", "Leases", "Stillness", "lease_view"]

T = TypeVar("T")

_DEFAULT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Lease:
    """One Lease as it was at `version`.

    Attributes:
        holder: "" where nobody holds it.
        seconds: how long it lasts after it was renewed.
    """

    name: str
    uid: str
    version: str
    holder: str
    seconds: int


def lease_view(raw: JsonObject) -> Lease:
    """Read a raw Lease, whoever wrote it."""
    metadata, spec = raw["metadata"], raw.get("spec") or {}
    return Lease(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        holder=str(spec.get("holderIdentity") or ""),
        seconds=int(spec.get("leaseDurationSeconds") or _DEFAULT_SECONDS),
    )


class Leases:
    """The Leases of one namespace. No request takes longer than `seconds`, the wait for a slot included.

    Each that is held lasts for `lasts` seconds, whatever somebody has made of that meanwhile.
    """

    def __init__(self, client: ApiClient, namespace: str, *, lasts: int, seconds: float) -> None:
        self._client = client
        self._namespace = namespace
        self._lasts = lasts
        self._seconds = seconds

    async def create(self, name: str, holder: str, *, labels: dict[str, str]) -> Lease:
        """Create one. Raises `AlreadyExists`, `ApiError`."""
        now = _moment()
        spec = {"holderIdentity": holder, "leaseDurationSeconds": self._lasts, "acquireTime": now, "renewTime": now}
        manifest = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": name, "namespace": self._namespace, "labels": labels},
            "spec": spec,
        }
        return lease_view(await self._in_time(self._client.create(LEASES, manifest, self._namespace)))

    async def get(self, name: str) -> Lease:
        """Read one. Raises `NotFound`, `ApiError`."""
        return lease_view(await self._in_time(self._client.get(LEASES, name, self._namespace)))

    async def list(self, label_selector: str) -> dict[str, Lease]:
        """Read all that a selector matches, as they are now, by name. Raises `ApiError`."""

        async def read() -> dict[str, Lease]:
            pages = self._client.list_pages(LEASES, self._namespace, label_selector=label_selector)
            return {lease.name: lease async for page in pages for lease in map(lease_view, page.items)}

        return await self._in_time(read())

    async def write(self, lease: Lease, holder: str) -> Lease:
        """Renew one, give it to another holder, or ("") to nobody.

        Raises:
            Conflict: it is not as it was read any more.
            NotFound: it is gone.
            ApiError: anything else; `maybe_applied` tells whether it may have been written.
        """
        spec: dict[str, Any] = {"holderIdentity": holder or None, "renewTime": _moment()}
        if holder and lease.seconds != self._lasts:
            spec["leaseDurationSeconds"] = self._lasts
        if holder and holder != lease.holder:
            spec["acquireTime"] = spec["renewTime"]
        body = {"metadata": {"uid": lease.uid, "resourceVersion": lease.version}, "spec": spec}
        patch = self._client.patch(LEASES, lease.name, body, PatchType.MERGE, self._namespace)
        return lease_view(await self._in_time(patch))

    async def delete(self, lease: Lease) -> None:
        """Delete one as it was read. Raises `NotFound`, `Conflict`, `ApiError`."""
        await self._in_time(
            self._client.delete(LEASES, lease.name, self._namespace, uid=lease.uid, resource_version=lease.version)
        )

    async def _in_time(self, request: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await request
        except TimeoutError as error:
            raise Unreachable(f"no answer within {self._seconds:.1f} s", maybe_applied=True) from error


class Stillness:
    """Since when things have been as they are, by our own monotonic `clock`, from when we first saw them so."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}

    def since(self, name: str, state: str) -> float:
        """Take note of how something is, and return since when it has been so."""
        known = self._seen.get(name)
        if known is None or known[0] != state:
            known = self._seen[name] = (state, self._clock())
        return known[1]

    def forget(self, name: str) -> None:
        """Forget something that is gone."""
        self._seen.pop(name, None)


def _moment() -> str:
    return utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
