"""Kubernetes Events about our objects: best effort, bounded, never in anybody's way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .observer import Observer
from .transport import ApiClient

__all__ = ["EventRecorder", "ObjectReference"]


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class EventRecorder:
    """Queues Events and writes them in the background."""

    def __init__(
        self,
        client: ApiClient,
        *,
        component: str = "fairlead",
        instance: str = "",
        now: Callable[[], datetime] = ...,
        observer: Observer | None = None,
        queue_size: int = 1000,
        burst: int = 25,
        refill_seconds: float = 300.0,
    ) -> None:
        raise NotImplementedError

    def record(
        self,
        about: ObjectReference,
        type_: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        identity: str = "",
        summary: bool = False,
    ) -> bool:
        """Queue one; False if dropped. `identity` (such as 'node/attempt'; default: the message) makes its name, so
        that a repeat is no duplicate. `summary`: exempt from the per-object budget (start and end of a run)."""
        raise NotImplementedError

    async def run(self) -> None:
        """Write until cancelled or closed."""
        raise NotImplementedError

    async def close(self, timeout: float = 2.0) -> None:
        """Accept no more; write what is queued for at most `timeout` seconds."""
        raise NotImplementedError
