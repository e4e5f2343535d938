"""Kubernetes Events about our objects: best effort, bounded, never in anybody's way.

Written as core/v1 (`kubectl describe` finds those by `involvedObject`, `kubectl get events` shows the same
ones). The name of an Event is derived from what it says: if we crash after writing one and say it again, the
server answers AlreadyExists, and nobody reads it twice. The price: the same thing said again on purpose within
an Event's life (an hour) stays one Event; `identity` tells such things apart.

An Event that comes to nothing is tried again, and keeps those of no other namespace waiting (`event_queue`). Without an
answer it is waited for a minute: an outage must not cost people the ends of their runs.

What follows in quick succession can be told together: an Event costs the API server as much as a pod. What is too much
about one object is counted: one Event for each reason says how many more there were, when the object's end is told, and
every few minutes until then.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from fairlead.clock import utc_now

from .errors import AlreadyExists, ApiError, Unreachable
from .event_queue import EventQueue, Pending
from .observer import NullObserver, Observer
from .resources import EVENTS
from .transport import ApiClient, JsonObject

__all__ = ["EventRecorder", "ObjectReference"]

_log = logging.getLogger(__name__)

_MESSAGE_LIMIT = 1024  # characters; events.k8s.io/v1 refuses more, core/v1 only wastes etcd
_NAME_LIMIT = 253
_OBJECTS_REMEMBERED = 4096  # as client-go's spam filter
_ATTEMPTS = 3  # where the server answers that it cannot
_PATIENCE_SECONDS = 60.0  # where it does not answer at all
_OUTAGE = 3  # so many in a row without an answer: it is not about one of them
_LONGEST_REST = 8  # seconds until the next one is tried then, times the first pause


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object an Event is about; `uid` is what `kubectl describe` looks for."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class EventRecorder:
    """Queues Events and writes them, one after the other, in `run`.

    Args:
        client: sends the requests.
        component: shown in the FROM column, and as the reporting controller.
        instance: which replica; may be empty.
        now: the time of day, UTC-aware.
        clock: monotonic seconds, for the spam filter; by default those of the running loop.
        observer: is told of what is dropped.
        queue_size: Events waiting at most; more are dropped.
        burst: Events about one object at once (client-go: 25).
        refill_seconds: how long one more takes to be allowed (client-go: 300).
        retry_seconds: pause after the first failed attempt; doubled after each further one, up to eight times that.
        gather_seconds: how long what may be told together waits for more.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        component: str = "fairlead",
        instance: str = "",
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] | None = None,
        observer: Observer | None = None,
        queue_size: int = 1000,
        burst: int = 25,
        refill_seconds: float = 300.0,
        retry_seconds: float = 1.0,
        gather_seconds: float = 15.0,
    ) -> None:
        self._client = client
        self._component = component
        self._instance = instance
        self._now = now
        self._observer: Observer = observer or NullObserver()
        self._queue_size = queue_size
        self._retry_seconds = retry_seconds
        self._unanswered = 0
        self._writing: Pending | None = None
        self._budget = _Budget(burst, refill_seconds, clock or asyncio.get_running_loop().time)
        self._queue = EventQueue(retry_seconds)
        self._gather_seconds = gather_seconds
        self._gathered: dict[str, dict[tuple[str, str], _Gathered]] = {}  # by UID, then by type and reason
        self._more_seconds = refill_seconds
        self._more: dict[tuple[str, str, str], _More] = {}
        self._more_due: float | None = None
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._closing = asyncio.Event()

    def record(
        self,
        about: ObjectReference,
        type_: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        identity: str = "",
        summary: bool = False,
        gather: bool = False,
    ) -> bool:
        """Queue one Event; returns at once.

        Args:
            about: the object; the Event lives in its namespace.
            type_: Warning is for what nobody expected.
            reason: a CamelCase constant, at most 128 characters.
            message: for people; cut at 1,024 characters. Never a value from a Secret (invariant S17).
            identity: what makes this one different from others with the same reason, such as `node/attempt`;
                by default the message.
            summary: exempt from the budget of the object: for the few that every run has, its start and end,
                which must not be lost because its tasks said so much.
            gather: tell it together with what else is said about the object for the same reason within 15 seconds.

        Returns:
            False if it was dropped.
        """
        if self._closing.is_set():
            return self._drop("closing")
        if gather:
            self._gather(about, type_, reason, message, identity or message)
            return True
        if len(self._queue) >= self._queue_size:
            return self._drop("queue_full")
        if summary:
            self._tell_gathered(about.uid)
            self._tell_more(about.uid)
        elif not self._budget.take(about.uid):
            self._note_more(about, type_, reason, message)
            return self._drop("spam")
        self._queue.add(self._manifest(about, type_, reason, message, identity or message))
        self._wake.set()
        return True

    async def run(self) -> None:
        """Write what is queued until `close` is called (or cancelled). Run it once, as a task."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                while (pending := self._queue.next(loop.time())) is not None:
                    self._writing = pending
                    await self._write(pending)
                    self._writing = None
                if self._closing.is_set():
                    return
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(_earlier(self._more_due, self._queue.due)):
                        await self._wake.wait()
                if self._more_due is not None and loop.time() >= self._more_due:
                    self._tell_more()
        finally:
            self._ended.set()

    async def close(self, within: float = 2.0) -> None:
        """Accept no more, and wait until `run` has written what is queued, for at most `within` seconds."""
        for uid in list(self._gathered):
            self._tell_gathered(uid)
        self._tell_more()
        self._closing.set()
        self._queue.hurry()
        self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._ended.wait()
        if left := self._queue.clear() + (self._writing is not None):
            _log.warning("closing with %d events unwritten", left)
            self._drop_all("closing", left)
        self._writing = None

    async def _write(self, pending: Pending) -> None:
        loop, event = asyncio.get_running_loop(), pending.event
        pending.tried_at = pending.tried_at or loop.time()
        try:
            await self._client.create(EVENTS, event, pending.namespace, metadata_only=True)
        except AlreadyExists:
            self._answered(pending)
        except ApiError as error:
            if isinstance(error, Unreachable):
                reason = "unreachable"
                self._unanswered += 1
                may_pass = loop.time() - pending.tried_at < _PATIENCE_SECONDS
            else:
                reason = "refused"
                self._unanswered, pending.answers = 0, pending.answers + 1
                may_pass = error.is_transient and pending.answers < _ATTEMPTS
            if may_pass and not self._closing.is_set():
                self._queue.put_back(pending, loop.time())
                self._writing = None
                await self._rest()
                return
            if self._writing is pending:  # else `close` has given it up
                self._drop(reason)
            if not error.is_namespace_terminating:
                _log.warning("event %s not recorded: %s", event["reason"], error)
            if error.is_transient:
                self._queue.give_up(pending, loop.time())
            else:
                self._queue.done(pending)
        except Exception:  # a bug about one event must not keep all others from being written
            _log.exception("event %s not recorded", event["reason"])
            self._drop("refused")
            self._queue.done(pending)
        else:
            self._answered(pending)

    def _answered(self, pending: Pending) -> None:
        self._unanswered = 0
        self._queue.done(pending)

    async def _rest(self) -> None:
        """Ask nobody for a while where nobody answers; not when there is no time left for it."""
        if self._unanswered < _OUTAGE:
            return
        pause = min(2 ** (self._unanswered - _OUTAGE), _LONGEST_REST) * self._retry_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._closing.wait()

    def _gather(self, about: ObjectReference, type_: str, reason: str, message: str, identity: str) -> None:
        """Put by what is told in a moment."""
        of_object = self._gathered.setdefault(about.uid, {})
        if not of_object:
            asyncio.get_running_loop().call_later(self._gather_seconds, self._tell_gathered_of, about.uid, of_object)
        now = self._now()
        gathered = of_object.setdefault((type_, reason), _Gathered(about, since=now, until=now))
        gathered.count += 1
        gathered.until = now
        gathered.identity = identity
        if gathered.size < _MESSAGE_LIMIT:
            gathered.size += len(message) + 2
            gathered.messages.append(message)

    def _tell_gathered_of(self, uid: str, of_object: object) -> None:
        if self._gathered.get(uid) is of_object:  # else they have been told already
            self._tell_gathered(uid)

    def _tell_gathered(self, uid: str) -> None:
        """Tell what was put by of one object."""
        for (type_, reason), gathered in self._gathered.pop(uid, {}).items():
            if not self._budget.take(uid):
                self._note_more(gathered.about, type_, reason, gathered.messages[-1], gathered.count)
                self._drop_all("spam", gathered.count)
            elif len(self._queue) >= self._queue_size:
                self._drop_all("queue_full", gathered.count)
            else:
                event = self._manifest(gathered.about, type_, reason, gathered.told(), gathered.identity)
                times = {"firstTimestamp": _stamp(gathered.since), "lastTimestamp": _stamp(gathered.until)}
                self._queue.add(event | times | {"count": gathered.count})
                self._wake.set()

    def _drop_all(self, reason: str, count: int) -> None:
        for _ in range(count):
            self._drop(reason)

    def _note_more(self, about: ObjectReference, type_: str, reason: str, message: str, count: int = 1) -> None:
        """Count what is not told by itself."""
        more = self._more.get((about.uid, type_, reason))
        if more is not None:
            more.count, more.message = more.count + count, message
        elif len(self._more) < _OBJECTS_REMEMBERED:
            self._more[about.uid, type_, reason] = _More(about, message, count)
            if self._more_due is None:
                self._more_due = asyncio.get_running_loop().time() + self._more_seconds
                self._wake.set()

    def _tell_more(self, uid: str = "") -> None:
        """Tell what was counted, of one object or of all."""
        for key in [key for key in self._more if not uid or key[0] == uid]:
            more = self._more.pop(key)
            message = more.message if more.count == 1 else f"{more.count} more, the last: {more.message}"
            if len(self._queue) < self._queue_size:
                event = self._manifest(more.about, key[1], key[2], message, f"more/{self._now().isoformat()}")
                self._queue.add(event | {"count": more.count})
        if not self._more:
            self._more_due = None

    def _drop(self, reason: str) -> bool:
        self._observer.event_dropped(reason=reason)
        return False

    def _manifest(self, about: ObjectReference, type_: str, reason: str, message: str, identity: str) -> JsonObject:
        said = f"{about.uid}\0{type_}\0{reason}\0{identity}"
        digest = hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=8).hexdigest()
        at = _stamp(self._now())
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{about.name[: _NAME_LIMIT - len(digest) - 1].rstrip('-.')}.{digest}",
                "namespace": about.namespace or "default",  # where those about cluster-scoped objects live
            },
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
            "type": type_,
            "reason": reason,
            "message": message if len(message) <= _MESSAGE_LIMIT else message[: _MESSAGE_LIMIT - 1] + "…",
            "count": 1,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _earlier(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


@dataclass(slots=True)
class _Gathered:
    """What was said about an object within a moment, for one reason: as much of it as fits into an Event."""

    about: ObjectReference
    since: datetime
    until: datetime
    messages: list[str] = field(default_factory=list)
    size: int = 0
    count: int = 0
    identity: str = ""

    def told(self) -> str:
        """Return it as one message; what is cut off at its end is counted at its beginning."""
        text = "; ".join(self.messages)
        fits = len(self.messages) == self.count and len(text) <= _MESSAGE_LIMIT
        return text if fits else f"{self.count} in all: {text}"


@dataclass(slots=True)
class _More:
    """What was said about an object beyond its budget, for one reason: how often, and what last."""

    about: ObjectReference
    message: str
    count: int = 1


class _Budget:
    """A token bucket for each object, forgetting the one that has been quiet longest."""

    def __init__(self, burst: int, refill_seconds: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._refill_seconds = refill_seconds
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # uid -> tokens, as of when

    def take(self, uid: str) -> bool:
        now = self._clock()
        tokens, since = self._buckets.get(uid, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) / self._refill_seconds)
        allowed = tokens >= 1
        self._buckets[uid] = (tokens - 1 if allowed else tokens, now)
        self._buckets.move_to_end(uid)
        if len(self._buckets) > _OBJECTS_REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed
