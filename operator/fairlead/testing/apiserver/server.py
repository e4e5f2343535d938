"""The server: one request in, one answer out. It only tells who is to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from fairlead.kube.resources import NAMESPACES

from .collector import Collector
from .deleting import delete, delete_all
from .discovery import discovered
from .exchange import Answer, Object, Request
from .pod_calls import LogSource, answer_pod_call
from .reading import get, list_, selector_of, version_in
from .refusals import Refused, method_not_allowed, refusal
from .reviews import REVIEWS, Reviews
from .routes import Call, Routes
from .served import SERVED, Served
from .store import Author, Change, Store
from .watches import Watch
from .writing import Admission, Writer

__all__ = ["ApiServer", "Authorization"]

#: Says no to a request before anything else is looked at, or None.
Authorization = Callable[[Request], Answer | None]


class ApiServer:
    """An API server in memory.

    Args:
        now: the time of day, UTC-aware; the only clock there is.
        resources: the kinds it serves.

    Attributes:
        authorize: asked of every request, watches too; what it returns is the answer.
        admit: asked of what is about to be stored (quotas, policies), and of evictions; what it returns is the answer.
        reviews: who the caller is, and who may do what.
        logs: what containers have logged.
    """

    def __init__(self, *, now: Callable[[], datetime], resources: Iterable[Served] = SERVED) -> None:
        self.authorize: Authorization | None = None
        self.reviews = Reviews()
        self.logs: LogSource = lambda _pod, _container: b""
        self._routes = Routes(resources)
        self._store = Store(now)
        self._namespaces = self._routes.of_kind(NAMESPACES.api_version, NAMESPACES.kind)
        self._writer = Writer(self._store, self._namespaces)
        self._collector = Collector(self._store, self._routes, self._namespaces)
        self._watches: list[Watch] = []
        self._store.listeners.append(self._hear)

    @property
    def journal(self) -> list[Change]:
        """Every stored change, in order."""
        return self._store.journal

    @property
    def listeners(self) -> list[Callable[[Change], None]]:
        """Who is told of each stored change, at once."""
        return self._store.listeners

    @property
    def compacted(self) -> int:
        """The newest version that is forgotten."""
        return self._store.compacted

    @property
    def version(self) -> int:
        """The resourceVersion of the newest change."""
        return self._store.version

    @property
    def admit(self) -> Admission | None:
        """See the class."""
        return self._writer.admit

    @admit.setter
    def admit(self, admission: Admission | None) -> None:
        self._writer.admit = admission

    def handle(self, request: Request) -> Answer:
        """Answer a request that is not a watch."""
        try:
            self._check(request)
            answer = self.reviews.answer(request)
            if answer is None and request.method == "GET":
                answer = discovered(self._routes, request.path, REVIEWS)
            return answer or self._answer(self._routes.call(request))
        except Refused as refused:
            return refused.answer

    def watch(self, request: Request) -> Answer | Watch:
        """Open a watch; an answer says why not.

        A version that is compacted is no reason: the watch then tells of an error and is closed, as with the real one.
        """
        try:
            self._check(request)
            return self._opened(self._routes.call(request))
        except Refused as refused:
            return refused.answer

    def collect(self) -> bool:
        """Do one step of the cluster's own clean-up: garbage collection by owners, and of namespaces that go away."""
        return self._collector.step()

    def restore(self, obj: Object) -> None:
        """Store an object as a backup has it: with its UID, its times and its status. No rule is applied to it."""
        served = self._routes.of_kind(obj["apiVersion"], obj["kind"])
        if served is None:
            raise ValueError(f"no such kind: {obj['apiVersion']} {obj['kind']}")
        self._store.write(served, {}, obj, Author(actor="restore"))

    def compact(self, keep: int) -> None:
        """Forget all but the last `keep` changes: older versions are answered by 410 from now on."""
        self._store.compact(keep)

    def _check(self, request: Request) -> None:
        if self.authorize is not None and (answer := self.authorize(request)) is not None:
            raise Refused(answer)

    def _answer(self, call: Call) -> Answer:
        store, writer = self._store, self._writer
        if call.subresource in call.served.subresources and call.subresource != "finalize":
            return answer_pod_call(store, writer, call, self.logs)
        match call.verb:
            case "get":
                return get(store, call)
            case "list":
                return list_(store, call)
            case "create":
                return writer.create(call)
            case "update":
                return writer.replace(call)
            case "patch":
                return writer.patch(call)
            case "delete" if not call.subresource:
                return delete(store, call)
            case "deletecollection":
                return delete_all(store, call)
            case _:
                raise method_not_allowed()

    def _opened(self, call: Call) -> Watch:
        if call.verb != "watch":
            raise method_not_allowed()
        store, asked = self._store, version_in(call)
        watch = Watch(
            call.served,
            call.namespace,
            selector_of(call),
            after=asked or store.version,
            version=lambda: store.version,
            metadata_only=call.metadata_only,
            bookmarks=call.query.get("allowWatchBookmarks") in ("true", "1"),
        )
        if not asked:  # from now on; what is there comes first
            watch.start(store.all(call.served, call.namespace), ())
        elif asked < store.compacted:
            message = f"too old resource version: {asked} ({store.compacted})"
            watch.fail(dict(refusal(410, "Expired", message).body))
            return watch
        else:
            watch.start((), store.since(call.served, asked))
        self._watches.append(watch)
        return watch

    def _hear(self, change: Change) -> None:
        ended = False
        for watch in self._watches:
            watch.hear(change)
            ended = ended or watch.closed
        if ended:
            self._watches = [watch for watch in self._watches if not watch.closed]
