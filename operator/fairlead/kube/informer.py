"""A projected copy of one resource, kept current by list and watch.

Why our own: only the projection of an object is stored (a page is projected and dropped at once), a deletion
that fell into a gap of the history is found by comparing lists, and a watch that falls silent is noticed.

What the copy promises: each object is as new as the newest version seen (versions are compared as integers);
every difference between two states of the copy is told to `on_change` exactly once, in order, and from the one
loop that runs here. What it cannot promise is that nothing was missed *between* two states: consumers are
level-triggered. An object that "left the view" may be deleted or merely have lost a label: `confirm_gone` asks.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import orjson

from .errors import ApiError, Forbidden, Gone, NotFound, Silent, Unauthorized, Unreachable, error_from_status
from .lines import LineSplitter
from .observer import NullObserver, Observer
from .resources import ObjectKey, Resource
from .transport import ApiClient, JsonObject

__all__ = ["Informer", "RestartReason", "controller_uid"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

# A watch that lasted this long was a working one, even if nothing happened in it.
_HEALTHY_SECONDS = 1.0
# After so many failures in a row the version we resume from is suspect: list again.
_FAILURES_BEFORE_LIST = 3
# After so many lists whose pages expired, ask for everything in one page (as client-go's pager does).
_EXPIRED_BEFORE_UNPAGED = 2
# After so many lists older than what we saw, believe that history was rewound (etcd restored from a backup).
_STALE_LISTS_BEFORE_REWIND = 5
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class RestartReason(StrEnum):
    """Why a watch ended; the values of the `reason` label."""

    CLOSED = "closed"  # by the server: its time was up, it restarts, or we were too slow for it
    EXPIRED = "expired"  # 410: the history before our version was compacted
    SILENT = "silent"  # no byte for idle_timeout
    ERROR = "error"  # anything else; see last_error


class _StaleList(Exception):
    """A LIST that is older than what we have seen: a lagging server answered it."""


class _Entry(Generic[T]):
    """What is kept of one object."""

    __slots__ = ("owner", "uid", "value", "version")

    def __init__(self, version: int, uid: str, owner: str, value: T) -> None:
        self.version = version
        self.uid = uid
        self.owner = owner
        self.value = value


def controller_uid(obj: JsonObject) -> str:
    """UID of the controlling owner (`ownerReferences` with `controller: true`), or ''."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""


class Informer(Generic[T]):
    """Keeps `project(object)` of every object that the selectors match.

    Args:
        client: sends the requests.
        resource: what to keep.
        project: takes what is needed out of a raw object. It must not keep the object or a part of it that is
            a container. If it raises, that one object stays as it was, and the error is logged.
        on_change: called as `on_change(key, old, new)`, synchronously; must not block. `old` None: appeared.
            `new` None: left the view; `old` is then the last known state, as new as the server told it.
        owner: the index key of a raw object: by default the UID of its controller.
        namespace: None keeps all of them.
        label_selector: in kubectl's syntax, evaluated by the server.
        field_selector: likewise.
        observer: is told of restarts.
        page_size: objects a LIST page.
        server_timeout: seconds after which the server closes a watch, give or take a fifth. Two seconds before, it
            sends a bookmark; without such an end, a quiet watch has the first one after two minutes (tried on
            1.34). So a short life is what makes silence tell: it costs one request a minute.
        idle_timeout: seconds of silence that make us reconnect; more than server_timeout and a fifth.
        backoff: first and longest pause in seconds after failures; doubled in between, with jitter.
        random: a float in [0, 1).
        clock: monotonic seconds; by default those of the running loop.

    Attributes:
        synced: set once the first complete LIST was told to `on_change`.
        last_error: None while all is well; otherwise what is wrong and what would help, for people.
        refused: whether that is a right which we have not.
    """

    def __init__(
        self,
        client: ApiClient,
        resource: Resource,
        *,
        project: Callable[[JsonObject], T],
        on_change: Callable[[ObjectKey, T | None, T | None], None],
        owner: Callable[[JsonObject], str] = controller_uid,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        observer: Observer | None = None,
        page_size: int = 500,
        idle_timeout: float = 90.0,
        server_timeout: float = 60.0,
        backoff: tuple[float, float] = (0.25, 5.0),
        random: Callable[[], float] = random_module.random,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._resource = resource
        self._project = project
        self._on_change = on_change
        self._owner = owner
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._observer: Observer = observer or NullObserver()
        self._page_size = page_size
        self._idle_timeout = idle_timeout
        self._server_timeout = server_timeout
        self._backoff = backoff
        self._random = random
        self._clock = clock or asyncio.get_running_loop().time

        self.synced = asyncio.Event()
        self.last_error: str | None = None
        self.refused = False
        self._turn: asyncio.Timeout | None = None  # what is being done now, to be broken off when the selector changes
        self._focused = asyncio.Event()

        self._objects: dict[ObjectKey, _Entry[T]] = {}
        self._by_owner: dict[str, dict[ObjectKey, T]] = {}
        self._resume = ""  # where the next watch goes on from; '' = list first
        self._seen = 0  # the same as a number, and kept when `_resume` expires
        self._warned, self._suspect = "", False  # suspect: the last watch fell silent
        self._failures = 0  # in a row, without a working watch between them
        self._expired_lists = 0
        self._stale_lists = 0
        self._heard_at = self._moved_at = self._clock()

    # -- reading the copy

    def get(self, key: ObjectKey) -> T | None:
        """One object's projection, or None if it is not in view."""
        entry = self._objects.get(key)
        return None if entry is None else entry.value

    def by_owner(self, owner_uid: str) -> Mapping[ObjectKey, T]:
        """What belongs to one owner: a live, read-only view; do not iterate over it across an await."""
        found = self._by_owner.get(owner_uid)
        return _NOTHING if found is None else MappingProxyType(found)

    def owners(self) -> Mapping[str, Mapping[ObjectKey, T]]:
        """Everything, by owner; '' are the ones without. Live and read-only as well."""
        return MappingProxyType(self._by_owner)

    def items(self) -> Iterator[tuple[ObjectKey, T]]:
        """Every object in view; do not go on iterating after an await."""
        return ((key, entry.value) for key, entry in self._objects.items())

    def __len__(self) -> int:
        return len(self._objects)

    # -- for the probes

    def staleness(self) -> float:
        """Seconds since the server last proved that we hear it: a byte, a page, an accepted watch."""
        return self._clock() - self._heard_at

    def idle(self) -> float:
        """Seconds since this loop did anything, failed attempts included.

        Large while the server is merely down? No: that is what tells "we hang" from "the server is away".
        """
        return self._clock() - self._moved_at

    async def confirm_gone(self, key: ObjectKey, uid: str | None = None) -> bool:
        """Ask the server whether an object that left the view is really gone.

        A selector's watch says DELETED as well when a label was stripped (trap 12).

        Args:
            key: which one.
            uid: if given, an object of the same name with another UID counts as gone.

        Raises:
            ApiError: the server could not be asked, other than by 404.
        """
        try:
            found = await self._client.get(self._resource, key.name, key.namespace or None, metadata_only=True)
        except NotFound:
            return True
        return uid is not None and found["metadata"]["uid"] != uid

    async def refocus(self, label_selector: str) -> None:
        """Follow other objects from now on; what is not selected any more leaves the view.

        Returns when a list of them was told; :meth:`run` has to be at work.
        """
        if label_selector != self._label_selector:
            self._label_selector = label_selector
            self._focused.clear()
            if self._turn is not None and not self._turn.expired():
                self._turn.reschedule(asyncio.get_running_loop().time())
        await self._focused.wait()

    # -- the loop

    async def run(self) -> None:
        """List and watch until cancelled; whatever goes wrong is told in `last_error` and tried again."""
        while True:
            self._moved_at = self._clock()
            retry_after = 0.0
            try:
                await self._follow()
                reason = RestartReason.CLOSED
            except TimeoutError:  # see `refocus`; all others are `ApiError`s by now
                continue
            except Gone as error:
                reason = RestartReason.EXPIRED
                self._resume = ""
                _log.info("%s: history expired, listing again: %s", self._resource.qualified, error.message)
            except Silent as error:
                # Not a complaint: a quiet resource without bookmarks looks the same. If the server is away,
                # the next attempt says so.
                reason = RestartReason.SILENT
                self._suspect = True
                _log.debug("%s: %s", self._resource.qualified, error.message)
            except ApiError as error:
                reason, retry_after = RestartReason.ERROR, error.retry_after or 0.0
                self._complain(error)
                if error.status and self._failures >= _FAILURES_BEFORE_LIST:
                    self._resume = ""
            except (_StaleList, orjson.JSONDecodeError, ValueError, KeyError, TypeError) as error:
                # The server (or a proxy) said something no API server says.
                reason = RestartReason.ERROR
                self._complain(error)
                if self._failures >= _FAILURES_BEFORE_LIST:
                    self._resume = ""
            self._observer.watch_restarted(resource=self._resource.plural, reason=reason)
            await self._pause(reason, retry_after)

    async def _follow(self) -> None:
        """List where that is needed, then watch, until the watch ends."""
        try:
            async with asyncio.timeout(None) as self._turn:
                if self._suspect:
                    await self._probe()
                if not (self._resume and self._focused.is_set()):
                    await self._list()
                await self._watch()
        finally:
            self._turn = None

    async def _pause(self, reason: RestartReason, retry_after: float) -> None:
        """Wait as long as the run of failures asks for; a watch that worked and was closed goes on at once."""
        failed = self._failures
        self._failures += 1  # a working watch resets it
        if reason is not RestartReason.ERROR and failed == 0:
            return
        first, longest = self._backoff
        delay = min(longest, first * 2.0 ** min(failed, 16)) * (0.5 + self._random() / 2)
        await asyncio.sleep(max(delay, min(retry_after, longest)))

    async def _list(self) -> None:
        """Read everything, page by page, and tell what differs from the copy."""
        fresh: dict[ObjectKey, _Entry[T] | None] = {}
        version, selector = "", self._label_selector
        unpaged = self._expired_lists >= _EXPIRED_BEFORE_UNPAGED
        try:
            async for page in self._client.list_pages(
                self._resource,
                self._namespace,
                label_selector=selector,
                field_selector=self._field_selector,
                limit=0 if unpaged else self._page_size,
            ):
                self._heard()
                version = page.resource_version
                for obj in page.items:
                    key = _key(obj)
                    fresh[key] = self._entry(key, obj)
                await asyncio.sleep(0)  # a page takes some 20 ms: let others have a turn
        except Gone:
            self._expired_lists += 1
            raise
        self._expired_lists = 0
        if selector != self._label_selector:
            raise TimeoutError
        self._check_age(version)
        self._replace(fresh)
        self._resume, self._seen = version, _number(version)
        self._focused.set()
        self.synced.set()

    async def _probe(self) -> None:
        """After a silence, see whether the server still knows of the version we follow.

        A watch from a version of the future is accepted, and silent until history gets there: that is what an
        etcd restored from a backup looks like (tried on a real server). One object is asked for, for its list's
        version.
        """
        pages = self._client.list_pages(
            self._resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            limit=1,
            metadata_only=True,
        )
        async with aclosing(pages):
            page = await anext(pages)
        if _number(page.resource_version) < self._seen:
            self._resume = ""
        self._suspect = False
        self._heard()

    def _check_age(self, version: str) -> None:
        """Refuse a list older than what was seen; believe it when it comes again and again."""
        if _number(version) >= self._seen:
            self._stale_lists = 0
            return
        self._stale_lists += 1
        if self._stale_lists <= _STALE_LISTS_BEFORE_REWIND:
            raise _StaleList(f"the server listed version {version}, older than {self._seen} seen before")
        _log.warning("%s: the server's history was rewound to version %s", self._resource.qualified, version)
        self._stale_lists = 0
        for entry in self._objects.values():
            entry.version = 0  # of a history that did not happen: whatever is listed now is newer

    def _replace(self, fresh: Mapping[ObjectKey, _Entry[T] | None]) -> None:
        """Make the copy equal to a list; None stands for an object that could not be projected."""
        for key in [key for key in self._objects if key not in fresh]:
            self._remove(key)
        for key, entry in fresh.items():
            if entry is not None:
                self._store(key, entry)

    async def _watch(self) -> None:
        """Follow the changes until the server closes the watch."""
        lines = LineSplitter()
        async with self._client.watch(
            self._resource,
            self._namespace,
            resource_version=self._resume,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            server_timeout=self._server_timeout * (0.8 + 0.4 * self._random()),
            idle_timeout=self._idle_timeout,
        ) as chunks:
            self._heard()
            self.last_error, self.refused = None, False
            opened = self._clock()
            try:
                async for chunk in chunks:
                    self._heard()
                    for line in lines.feed(chunk):
                        self._event(orjson.loads(line))
            finally:
                if self._clock() - opened >= _HEALTHY_SECONDS:
                    self._works()
        # What is left in `lines` is half an event: the next watch tells it again, as a whole.

    def _event(self, event: JsonObject) -> None:
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise error_from_status(obj, request=f"watch {self._resource.plural}")
        version = obj["metadata"]["resourceVersion"]
        number = _number(version)
        if number and number <= self._seen and kind != "BOOKMARK":
            return  # told again
        if kind in ("ADDED", "MODIFIED"):
            key = _key(obj)
            entry = self._entry(key, obj)
            if entry is not None:
                self._store(key, entry)
        elif kind == "DELETED":
            key = _key(obj)
            self._remove(key, self._entry(key, obj))
        self._resume, self._seen = version, max(number, self._seen)
        self._works()

    def _entry(self, key: ObjectKey, obj: JsonObject) -> _Entry[T] | None:
        meta = obj["metadata"]
        try:
            value, owner = self._project(obj), self._owner(obj)
        except Exception:  # one object that nobody foresaw must not stop the others
            _log.exception("cannot make sense of %s %s", self._resource.kind, key)
            return None
        # Interned: a thousand pods share one owner.
        return _Entry(_number(meta.get("resourceVersion", "")), meta.get("uid", ""), sys.intern(owner), value)

    def _store(self, key: ObjectKey, entry: _Entry[T]) -> None:
        old = self._objects.get(key)
        if old is not None and old.uid != entry.uid:
            self._remove(key)  # deleted and created again, and we saw neither
            old = None
        if old is not None:
            if entry.version and entry.version <= old.version:
                return
            if old.owner != entry.owner:
                self._unindex(key, old.owner)
        self._objects[key] = entry
        self._by_owner.setdefault(entry.owner, {})[key] = entry.value
        self._tell(key, None if old is None else old.value, entry.value)

    def _remove(self, key: ObjectKey, last: _Entry[T] | None = None) -> None:
        old = self._objects.pop(key, None)
        if old is None:
            return
        self._unindex(key, old.owner)
        self._tell(key, old.value if last is None else last.value, None)

    def _unindex(self, key: ObjectKey, owner: str) -> None:
        siblings = self._by_owner[owner]
        del siblings[key]
        if not siblings:
            del self._by_owner[owner]

    def _tell(self, key: ObjectKey, old: T | None, new: T | None) -> None:
        try:
            self._on_change(key, old, new)
        except Exception:  # a bug there must not make us deaf here
            _log.exception("on_change failed for %s %s", self._resource.kind, key)

    # -- notes about how it goes

    def _heard(self) -> None:
        self._heard_at = self._moved_at = self._clock()

    def _works(self) -> None:
        self._failures = 0
        self._warned = ""

    def _complain(self, error: Exception) -> None:
        message = _explain(error, self._resource, self._namespace)
        self.last_error, self.refused = message, isinstance(error, Forbidden)
        # A connection that breaks now and then is everyday life; and a warning is given once.
        if isinstance(error, Unreachable) and not self._failures:
            _log.info("%s", message)
        elif message != self._warned:
            _log.warning("%s", message)
            self._warned = message


def _key(obj: JsonObject) -> ObjectKey:
    meta = obj["metadata"]
    return ObjectKey(sys.intern(meta.get("namespace", "")), meta["name"])


def _number(version: str) -> int:
    """A resourceVersion as an integer (comparable by KEP-5504); 0 if an aggregated API made up its own."""
    return int(version) if version.isdecimal() else 0


def _explain(error: Exception, resource: Resource, namespace: str | None) -> str:
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    what = f"{resource.qualified} {where}" if resource.namespaced else resource.qualified
    match error:
        case Forbidden():
            group = f'apiGroup "{resource.group}"' if resource.group else 'the core apiGroup ""'
            return (
                f"not allowed to list and watch {what}: grant the verbs list and watch on "
                f'"{resource.plural}" of {group} ({error.message})'
            )
        case Unauthorized():
            return f"the API server refuses our credentials: {error.message}"
        case NotFound():
            return (
                f"the API server does not serve {resource.qualified} {resource.version}: "
                "is its CustomResourceDefinition installed?"
            )
        case ApiError():
            return f"cannot follow {what}: {error}"
        case _StaleList():
            return f"cannot follow {what}: {error}"
        case _:
            return f"cannot follow {what}: {type(error).__name__}: {error}"
