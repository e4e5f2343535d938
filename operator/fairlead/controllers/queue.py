"""The work queue: which runs have to be looked at, each by one worker at a time.

`add(key)` is the only seam between whatever notices a change and the controller. Adding is idempotent; a key that is
added while it is being worked on is worked on once more afterwards, so that no change is lost and none is handled by
two workers at once. A key whose handler fails is retried with growing delays, and holds up no other key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

from fairlead.kube.errors import ApiError
from fairlead.line import Line, Turn

from .timer import Timer

__all__ = ["QueueObserver", "WorkQueue"]

log = logging.getLogger(__name__)

#: How many keys a second are looked at for nothing but the next status, and in how many seconds each is: not right
#: after a status, which is written once a second at most.
_EVENTUAL_LOOKS, _SOONEST_SECONDS, _LATEST_SECONDS = 50, 0.8, 4.0

_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 60.0


class QueueObserver(Protocol):
    """What the queue tells about itself; `telemetry.metrics.Metrics` fits."""

    def queue_added(self, queue: str) -> None:
        """A key was added that was not waiting already."""
        ...

    def queue_started(self, queue: str, waited_seconds: float) -> None:
        """A worker took up a key."""
        ...

    def queue_done(self, queue: str, worked_seconds: float) -> None:
        """A worker is through with a key."""
        ...

    def queue_retried(self, queue: str) -> None:
        """A key failed and will be tried again."""
        ...

    def reconciled(self, controller: str, result: str, seconds: float) -> None:
        """A handler has returned: `success`, `requeue_after` or `error`."""
        ...

    def reconcile_error(self, controller: str, family: str) -> None:
        """A handler has raised: an outage (`transient`), or something unexpected (`bug`)."""
        ...


class WorkQueue:
    """Keys waiting for `handle`, which returns in how many seconds to look again (None: when something changes).

    An exception out of `handle` means a retry after a delay that doubles from 0.5 s to one minute. `turn` tells where a
    key stands in line, `about` what a log line says of it besides.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[str], Awaitable[float | None]],
        observer: QueueObserver,
        *,
        workers: int = 16,
        turn: Callable[[str], Turn | None] = lambda _key: None,
        about: Callable[[str], Mapping[str, Any]] = lambda _key: {},
    ) -> None:
        self._name = name
        self._handle = handle
        self._observer = observer
        self.workers = workers
        self._waiting: dict[str, float] = {}
        self._turn = turn
        self._about = about
        self._line: Line[str] = Line()
        self._working: dict[str, float] = {}
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, Timer] = {}
        self._gathering: dict[str, Timer] = {}
        self._wakeups: asyncio.Queue[None] = asyncio.Queue()
        self._closed = False

    def __len__(self) -> int:
        """Return how many keys wait."""
        return len(self._line)

    def working(self) -> Collection[float]:
        """Return for how many seconds each key has been worked on that is not done."""
        now = asyncio.get_running_loop().time()
        return [now - since for since in self._working.values()]

    def add(self, key: str) -> None:
        """Look at `key` as soon as a worker is free."""
        if self._closed or key in self._waiting:
            return
        if key in self._working:
            self._again.add(key)
            return
        self._waiting[key] = asyncio.get_running_loop().time()
        self._line.add(key, self._turn(key))
        self._observer.queue_added(self._name)
        self._wakeups.put_nowait(None)

    def add_within(self, key: str, seconds: float) -> None:
        """Look at `key` in `seconds`, unless somebody has done so by then: what there is to see can wait for more."""
        if not self._closed and key not in self._waiting:
            _arm(self._gathering, key, seconds, self._gathered)

    def add_eventually(self, key: str) -> None:
        """Look at `key` in a second, or a few where many wait so: nothing follows from what there is to see."""
        self.add_within(key, min(max(_SOONEST_SECONDS, len(self._gathering) / _EVENTUAL_LOOKS), _LATEST_SECONDS))

    def _gathered(self, key: str) -> None:
        del self._gathering[key]
        self.add(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Look at `key` in `seconds` at the latest; the earliest of several requests counts."""
        if not self._closed:
            _arm(self._timers, key, max(0.0, seconds), self._due)

    def _due(self, key: str) -> None:
        del self._timers[key]
        self.add(key)

    def close(self) -> None:
        """Accept nothing more and forget what waits; handlers at work go on."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for handle in self._gathering.values():
            handle.cancel()
        self._timers.clear()
        self._gathering.clear()
        self._line.clear()
        self._waiting.clear()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.workers):
                group.create_task(self._work(), name=f"{self._name}-worker-{number}")

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wakeups.get()
            if not self._line:
                continue
            key = self._line.next()
            self._observer.queue_started(self._name, loop.time() - self._waiting.pop(key))
            started = self._working[key] = loop.time()
            if (gathering := self._gathering.pop(key, None)) is not None:
                gathering.cancel()
            try:
                await self._handle_once(key, started)
            finally:
                del self._working[key]
                self._observer.queue_done(self._name, loop.time() - started)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _handle_once(self, key: str, started: float) -> None:
        result = "error"
        try:
            delay = await self._handle(key)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # An outage, or a bug: this key is put aside for a while, all others go on.
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            trace = None if isinstance(error, ApiError) else error
            self._observer.reconcile_error(self._name, "transient" if trace is None else "bug")
            about = {**self._about(key), "key": key, "failures": failures}
            log.error("cannot reconcile: %s", error, exc_info=trace, extra=about)
            self._observer.queue_retried(self._name)
            self.add_after(key, min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 16), _LAST_RETRY_SECONDS))
        else:
            self._failures.pop(key, None)
            result = "success" if delay is None else "requeue_after"
            if delay is not None:
                self.add_after(key, delay)
        self._observer.reconciled(self._name, result, asyncio.get_running_loop().time() - started)


def _arm(timers: dict[str, Timer], key: str, seconds: float, call: Callable[[str], None]) -> None:
    """Have `call` called with `key` in so many seconds, unless it is going to be sooner."""
    due = asyncio.get_running_loop().time() + seconds
    pending = timers.get(key)
    if pending is not None:
        if pending.due <= due:
            return
        pending.cancel()
    timers[key] = Timer(due, call, key)
