"""What this package tells about itself, and to whom: a Protocol that telemetry implements.

`kube` and `telemetry` are siblings and do not import each other; the wiring hands one to the other.
Implementations must not raise and must not block: they are called on the path of every request.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["NullObserver", "Observer"]


class Observer(Protocol):
    """Receives a note of everything worth counting."""

    def request_finished(self, *, verb: str, resource: str, code: str, seconds: float, sent_bytes: int) -> None:
        """One HTTP exchange ended; every retry is one of its own.

        Args:
            verb: of Kubernetes: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
            resource: plural, with its subresource: `pods`, `workflows/status`.
            code: the HTTP status, or `<error>` when none arrived (client-go's spelling).
            seconds: from sending to the last byte; for a watch, to its response headers.
            sent_bytes: size of the request body.
        """
        ...

    def watch_restarted(self, *, resource: str, reason: str) -> None:
        """A watch ended and another will follow; `reason` is one of `informer.RestartReason`."""
        ...

    def event_dropped(self, *, reason: str) -> None:
        """A Kubernetes Event was not recorded: `queue_full`, `spam`, `refused`, `unreachable` or `closing`."""
        ...


class NullObserver:
    """Ignores everything: for tests and short-lived tools."""

    def request_finished(self, *, verb: str, resource: str, code: str, seconds: float, sent_bytes: int) -> None:
        """Ignore."""

    def watch_restarted(self, *, resource: str, reason: str) -> None:
        """Ignore."""

    def event_dropped(self, *, reason: str) -> None:
        """Ignore."""
