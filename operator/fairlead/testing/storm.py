"""What goes wrong on the way: a :class:`Weather` in which each fault strikes with a chance of its own, by a seed.

A storm has to be let loose: at first all is fair, though never quite the same: every request takes some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from fairlead.kube.resources import LEASES

from .apiserver import Answer, ApiServer, Request
from .faults import Fault
from .network import Passage

__all__ = ["Storm"]

#: Faults that a storm can bring, and in how many of a hundred cases each strikes.
CHANCES: dict[Fault, float] = {
    Fault.LATE: 30,
    Fault.LOST: 8,
    Fault.UNANSWERED: 10,
    Fault.BROKEN: 15,
    Fault.NO_CONNECTION: 15,
    Fault.THROTTLED: 20,
    Fault.UNAVAILABLE: 20,
    Fault.INTERNAL: 20,
    Fault.GATEWAY_TIMEOUT: 15,
    Fault.CONFLICT: 30,
    Fault.QUOTA: 40,
    Fault.FORBIDDEN: 100,
    Fault.UNREADABLE: 100,
    Fault.WATCH_LATE: 40,
    Fault.WATCH_SILENT: 15,
    Fault.WATCH_REPEATED: 40,
    Fault.LAGGING_LIST: 50,
}

_WATCH = frozenset({Fault.WATCH_LATE, Fault.WATCH_SILENT, Fault.WATCH_REPEATED})


class Storm:
    """The weather.

    Args:
        random: decides.
        struck: is told each time that a fault strikes.

    Attributes:
        raging: the faults that are let loose.
        fierce: those that strike more often than by `CHANCES`, and in how many of a hundred cases.
        slow: by how many seconds everything is slower.
        down: nobody is answered.
        trap: asked of every request first: it may decide itself what becomes of one.
        forgets: the history is compacted just before the next watch that would go on from it, and has missed something.
        cut_off_from_leases: whose requests about Leases get lost.
    """

    def __init__(self, random: Random, struck: Callable[[Fault], None] = lambda _: None) -> None:
        self.raging: set[Fault] = set()
        self.fierce: dict[Fault, float] = {}
        self.slow = 0.0
        self.down = False
        self.trap: Callable[[str, Request], Passage | None] | None = None
        self.forgets = False
        self.cut_off_from_leases: set[str] = set()
        self.server: ApiServer | None = None
        self._late: set[tuple[str, str]] = set()
        self._random = random
        self._struck = struck

    def passage(self, sender: str, request: Request) -> Passage:
        """Return what becomes of a request."""
        if self.trap is not None and (caught := self.trap(sender, request)) is not None:
            return caught
        out, back = (self.slow + self._random.uniform(0.001, 0.02) for _ in range(2))
        if self.down:
            return Passage(out=out, refused=True)
        if sender in self.cut_off_from_leases and f"/{LEASES.plural}" in request.path:
            return Passage(out=out, lost=True)
        if self.forgets and self._has_missed_something(request):
            assert self.server is not None
            self.forgets = False
            self.server.compact(0)
            return Passage(out=out, back=back)
        for fault in sorted(self.raging - _WATCH):
            if not self._meets(fault, request):
                continue
            older = self._lagging(request) if fault is Fault.LAGGING_LIST else None
            if fault is Fault.LAGGING_LIST and older is None:
                continue
            if self._strikes(fault):
                return Passage(out=out, back=back, instead=older) if older else self._hit(fault, out, back)
        return Passage(out=out, back=back)

    def delay(self, sender: str, plural: str) -> float:
        """Return how late the next events of a watch are."""
        self._late.discard((sender, plural))
        if Fault.WATCH_SILENT in self.raging and self._strikes(Fault.WATCH_SILENT):
            return float("inf")
        if Fault.WATCH_LATE in self.raging and self._chooses(Fault.WATCH_LATE):
            self._late.add((sender, plural))
            return self._random.uniform(0.5, 20)
        return self._random.uniform(0.001, 0.05)

    def lines(self, sender: str, plural: str, lines: list[bytes]) -> list[bytes]:
        """Return what arrives of some events."""
        if (sender, plural) in self._late:  # there was something to be late
            self._late.discard((sender, plural))
            self._struck(Fault.WATCH_LATE)
        if Fault.WATCH_REPEATED in self.raging and self._strikes(Fault.WATCH_REPEATED):
            return [*lines, *lines]
        return lines

    def expired(self, sender: str, request: Request) -> None:
        """Note that what was asked for is forgotten, and that this was said."""
        del sender, request
        self._struck(Fault.COMPACTED)

    def _has_missed_something(self, request: Request) -> bool:
        assert self.server is not None
        after = request.query.get("resourceVersion", "") if request.query.get("watch") == "true" else ""
        return bool(after) and int(after) < self.server.version

    def _strikes(self, fault: Fault) -> bool:
        strikes = self._chooses(fault)
        if strikes:
            self._struck(fault)
        return strikes

    def _chooses(self, fault: Fault) -> bool:
        return self._random.random() * 100 < self.fierce.get(fault, CHANCES[fault])

    def _meets(self, fault: Fault, request: Request) -> bool:
        match fault:
            case Fault.CONFLICT:
                return request.method == "PATCH"
            case Fault.QUOTA:
                return request.method == "POST" and request.path.endswith("/pods")
            case Fault.LAGGING_LIST:
                return request.method == "GET" and "limit" in request.query
            case Fault.GATEWAY_TIMEOUT:
                return request.method != "GET"
            case Fault.FORBIDDEN:
                return request.method != "GET" and "/events" not in request.path
            case Fault.UNREADABLE:
                return request.method == "GET" and bool({"limit", "watch"} & request.query.keys())
            case _:
                return True

    def _hit(self, fault: Fault, out: float, back: float) -> Passage:
        match fault:
            case Fault.LATE:
                return Passage(out=self._random.uniform(0, 10), back=self._random.uniform(0, 10))
            case Fault.LOST:
                return Passage(out=out, lost=True)
            case Fault.UNANSWERED:
                return Passage(out=self._random.uniform(0, 20), unanswered=True)
            case Fault.BROKEN:
                return Passage(out=out, back=back, broken=True)
            case Fault.NO_CONNECTION:
                return Passage(out=out, refused=True)
            case Fault.GATEWAY_TIMEOUT:
                return Passage(out=out, back=back, after=_status(504, "Timeout", "request timed out"))
            case _:
                return Passage(out=out, back=back, instead=_refusal(fault, self._random))

    def _lagging(self, request: Request) -> Answer | None:
        """A list as it was a while ago; None where it was the same, or where that is forgotten."""
        assert self.server is not None
        if "continue" in request.query:
            return None
        newest = self.server.handle(request)
        version = max(self.server.compacted, self.server.version - self._random.randrange(1, 40))
        exact = {"resourceVersion": str(version), "resourceVersionMatch": "Exact"}
        older = self.server.handle(
            Request(method="GET", path=request.path, query={**request.query, **exact}, headers=request.headers)
        )
        if older.code != 200 or newest.code != 200 or older.body["items"] == newest.body["items"]:
            return None
        return older


def _refusal(fault: Fault, random: Random) -> Answer:
    match fault:
        case Fault.THROTTLED:
            return _status(429, "TooManyRequests", "too many requests", {"Retry-After": str(random.randint(1, 12))})
        case Fault.UNAVAILABLE:
            return _status(503, "ServiceUnavailable", "apiserver not ready")
        case Fault.INTERNAL:
            return _status(500, "InternalError", "etcdserver: request timed out")
        case Fault.CONFLICT:
            return _status(
                409, "Conflict", "the object has been modified; please apply your changes to the latest version"
            )
        case Fault.QUOTA:
            return _status(
                403, "Forbidden", 'pods "x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1'
            )
        case Fault.UNREADABLE:
            said = 'User "fairlead" cannot list resource "pods" in API group "" at the cluster scope'
            return _status(403, "Forbidden", f"pods is forbidden: {said}")
        case _:
            said = 'User "fairlead" cannot create resource "pods" in API group "" in the namespace "default"'
            return _status(403, "Forbidden", f"pods is forbidden: {said}")


def _status(code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": {},
        "code": code,
    }
    return Answer(code=code, body=body, headers=headers or {})
