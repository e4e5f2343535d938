"""An API server in memory, and the operator as it is wired in production, at work against it.

:class:`FakeApi` stands in the place of :class:`ApiClient` and keeps what the real server promises about objects:
versions, UIDs, preconditions, finalizers, watches with selectors. Requests can be refused, held up, or applied and
their answer lost. :class:`Stage` runs the operator's own parts over it, with real informers, queue and engine; only
kopf is left out: the Workflows' watch is followed directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import aiohttp
import orjson
import pytest

from fairlead.api import labels
from fairlead.api.shard import read_tasks
from fairlead.clock import set_clock
from fairlead.controllers import keepers, runtime
from fairlead.controllers.moderation import Moderation
from fairlead.controllers.options import OperatorOptions
from fairlead.controllers.run import Run
from fairlead.engine.names import attempt_name
from fairlead.kube.asking import impersonation
from fairlead.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from fairlead.kube.resources import (
    CONFIGMAPS,
    EVENTS,
    JOBS,
    PODS,
    SELF_SUBJECT_REVIEWS,
    TASKSTATUSSHARDS,
    WORKFLOWS,
    ObjectKey,
    Resource,
)
from fairlead.kube.slots import Slots
from fairlead.kube.transport import ApiClient, JsonObject, Page, PatchType
from fairlead.line import Turn
from fairlead.telemetry.traces import SpanSink

__all__ = ["LOGS", "NAMESPACE", "T0", "FakeApi", "Refusal", "Stage", "looptime", "tasks"]

NAMESPACE = "ns"
T0 = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

#: Virtual time in ticks that floats hold exactly: else a timer can be due "in 1e-14 s" for ever.
looptime = pytest.mark.looptime(resolution=2**-20)


#: Stands for the logs of pods where requests are counted, refused and held up.
LOGS = Resource("", "v1", "pods/log", "Log")


class Asked(NamedTuple):
    """One request; `actor` is the service account in whose name it was sent, `ns/name`, or "" for our own."""

    verb: str
    plural: str
    name: str
    actor: str = ""


@dataclass(eq=False)
class Refusal:
    """What happens to requests of one kind: an error, a wait (`gate`), or both.

    `times` is how often, None without end. `applied`: they take effect, and only their answer is the error.
    """

    error: Exception | None
    verb: str
    plural: str
    name: str = ""
    times: int | None = None
    applied: bool = False
    gate: asyncio.Event | None = None
    hits: int = 0
    lifted: bool = False

    def lift(self) -> None:
        """No request is refused or held up any more, and those that wait go on."""
        self.lifted = True
        if self.gate is not None:
            self.gate.set()

    def meets(self, asked: Asked) -> bool:
        """Tell whether it is about this request, and count that."""
        if self.lifted or (self.verb, self.plural) != (asked.verb, asked.plural) or self.name not in asked.name:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass(eq=False)
class _Watcher:
    plural: str
    selector: str | None
    events: asyncio.Queue[JsonObject] = field(default_factory=asyncio.Queue)
    knows: set[ObjectKey] = field(default_factory=set)


class FakeApi(ApiClient):
    """The objects of a cluster. Changes made by its own methods (`put`, `edit`, `drop`) are not requests.

    `kinds` are those that discovery tells of, `logs` those of pods by name.
    """

    actor = ""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, ObjectKey], JsonObject] = {}
        self.asked: list[Asked] = []
        self.logs: dict[str, str] = {}
        self.refusals: list[Refusal] = []
        #: Of each deletion that was asked for: what of, and its place in line.
        self.turns: list[tuple[str, str, Turn | None]] = []
        self.kinds: list[Resource] = [PODS, CONFIGMAPS, JOBS, WORKFLOWS]
        self.slots = Slots(64)
        self._version = 100
        self._uids = 0
        self._history: list[tuple[int, str, str, JsonObject]] = []
        self._watchers: list[_Watcher] = []
        self._listeners: list[tuple[str, Callable[[str, JsonObject], None]]] = []

    # -- for tests

    def fail(
        self,
        error: Exception,
        verb: str,
        resource: Resource,
        *,
        name: str = "",
        times: int | None = None,
        applied: bool = False,
    ) -> Refusal:
        """Answer such requests by `error`; `name` is a part of the object's name."""
        refusal = Refusal(error, verb, resource.plural, name, times, applied)
        self.refusals.append(refusal)
        return refusal

    def hold(self, verb: str, resource: Resource, *, name: str = "") -> Refusal:
        """Let such requests wait, as for a slot of the transport, until `lift`."""
        refusal = Refusal(None, verb, resource.plural, name, gate=asyncio.Event())
        self.refusals.append(refusal)
        return refusal

    def count(self, verb: str, resource: Resource, name: str = "") -> int:
        """Return how often this was asked."""
        return sum(1 for each in self.asked if each[:2] == (verb, resource.plural) and name in each.name)

    def follow(self, resource: Resource, listener: Callable[[str, JsonObject], None]) -> None:
        """Call `listener(type, object)` at each change."""
        self._listeners.append((resource.plural, listener))

    def leave(self, listener: Callable[[str, JsonObject], None]) -> None:
        """Undo `follow`."""
        self._listeners = [each for each in self._listeners if each[1] != listener]

    def of(self, resource: Resource) -> dict[str, JsonObject]:
        """Return all objects of a kind by name."""
        return {key.name: each for (plural, key), each in self.objects.items() if plural == resource.plural}

    def put(self, resource: Resource, obj: JsonObject) -> JsonObject:
        """Store an object as somebody else would create it."""
        key = _key(obj)
        self._uids += 1
        stored = deepcopy(obj)
        metadata: JsonObject = {"uid": f"uid-{self._uids}", "generation": 1, "creationTimestamp": _text(_now())}
        stored["metadata"] = metadata | stored["metadata"]
        return self._store(resource.plural, key, "ADDED", stored)

    def edit(self, resource: Resource, name: str, change: Callable[[JsonObject], object]) -> JsonObject:
        """Change an object as somebody else would, its status included."""
        key = ObjectKey(NAMESPACE, name)
        changed = deepcopy(self.objects[resource.plural, key])
        change(changed)
        return self._finish(resource.plural, key, changed)

    def drop(self, resource: Resource, name: str, grace: int | None = None) -> None:
        """Delete an object: what somebody else, or the garbage collector, would do."""
        key = ObjectKey(NAMESPACE, name)
        found = deepcopy(self.objects[resource.plural, key])
        found["metadata"].setdefault("deletionTimestamp", _text(_now()))
        if grace is not None:
            found["metadata"]["deletionGracePeriodSeconds"] = grace
        self._finish(resource.plural, key, found)

    # -- requests

    def acting_as(self, namespace: str, service_account: str) -> ApiClient:
        impersonation(namespace, service_account)
        return _Acting(self, f"{namespace}/{service_account}")

    async def request(self, method: str, path: str, *, params: Mapping[str, str] | None = None, **_: Any) -> bytes:
        """Answer what is not about objects: questions of `kube.discovery`, and for the log of a pod."""
        if path.endswith("/log"):
            return await self._log(path, params or {})
        self.asked.append(Asked(method.lower(), "discovery", path, self.actor))
        await asyncio.sleep(0.001)
        version = path.removeprefix("/apis/").removeprefix("/api/")
        served = [each for each in self.kinds if each.api_version == version]
        if not served:
            raise NotFound(404, "", "404 page not found")
        names = [
            {"name": each.plural, "kind": each.kind, "namespaced": each.namespaced, "verbs": ["get"]} for each in served
        ]
        return orjson.dumps({"resources": names})

    async def _log(self, path: str, query: Mapping[str, str]) -> bytes:
        namespace, _, pod, _ = path.split("/")[-4:]
        async with self._asked("get", LOGS, pod):
            self._found(PODS, pod, namespace)
            lines = self.logs.get(pod, "").encode().splitlines(keepends=True)
        return b"".join(lines[-int(query.get("tailLines", len(lines))) :])[: int(query["limitBytes"])]

    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> JsonObject:
        async with self._asked("get", resource, name):
            return deepcopy(self._found(resource, name, namespace))

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
        async with self._asked("list", resource, "*"):
            items = [
                deepcopy(each)
                for (plural, key), each in self.objects.items()
                if plural == resource.plural and namespace in (None, key.namespace) and _selects(label_selector, each)
            ]
        yield Page(items=items, resource_version=str(self._version), remaining=None)

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
        body = orjson.loads(orjson.dumps(body))
        if resource == SELF_SUBJECT_REVIEWS:
            return {"status": {"userInfo": {"username": "fairlead"}}}
        async with self._asked("create", resource, body["metadata"]["name"], before_send):
            if (resource.plural, _key(body)) in self.objects:
                raise AlreadyExists(409, "AlreadyExists", f"{resource.plural} already exists")
            return deepcopy(self.put(resource, dict(body)))

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
        body = orjson.loads(orjson.dumps(body))
        async with self._asked("patch", resource, name, before_send):
            found = self._found(resource, name, namespace)
            if isinstance(body, Mapping):
                lists = _MERGED_LISTS.get(patch_type, {})
                changed = _merged(found, body, lists)
            else:
                changed = operated(found, body)
            for precondition in ("uid", "resourceVersion"):
                if changed["metadata"][precondition] != found["metadata"][precondition]:
                    what = "UID in precondition does not match" if precondition == "uid" else "the object was modified"
                    raise Conflict(409, "Conflict", what)
            if changed.get("spec") != found.get("spec"):
                changed["metadata"]["generation"] += 1
            return deepcopy(self._finish(resource.plural, _key(found), changed))

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
        self.turns.append((resource.plural, name, turn))
        async with self._asked("delete", resource, name):
            metadata = self._found(resource, name, namespace)["metadata"]
            if metadata["uid"] != uid:
                raise Conflict(409, "Conflict", "Precondition failed: UID in precondition does not match")
            if resource_version not in (None, metadata["resourceVersion"]):
                raise Conflict(409, "Conflict", "Precondition failed: ResourceVersion in precondition does not match")
            self.drop(resource, name, grace_period_seconds)

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
        watcher = _Watcher(resource.plural, label_selector)
        watcher.knows = {
            key
            for (plural, key), each in self.objects.items()
            if plural == resource.plural and _selects(label_selector, each)
        }
        for version, plural, type_, obj in self._history:
            if version > int(resource_version):
                _tell(watcher, plural, type_, obj)
        self._watchers.append(watcher)

        async def lines() -> AsyncIterator[bytes]:
            while True:
                yield orjson.dumps(await watcher.events.get()) + b"\n"

        try:
            yield lines()
        finally:
            self._watchers.remove(watcher)

    # -- inside

    @asynccontextmanager
    async def _asked(
        self, verb: str, resource: Resource, name: str, before_send: Callable[[], None] | None = None
    ) -> AsyncIterator[None]:
        if not name:
            raise ValueError(f"{verb} {resource.plural} without a name")
        asked = Asked(verb, resource.plural, name, self.actor)
        await asyncio.sleep(0.001)
        met = [each for each in self.refusals if each.meets(asked)]
        for each in met:
            if each.gate is not None:
                await each.gate.wait()
        if before_send is not None:
            before_send()
        self.asked.append(asked)
        for each in met:
            if each.error is not None and not each.applied:
                raise each.error
        yield
        for each in met:
            if each.error is not None:
                raise each.error

    def _found(self, resource: Resource, name: str, namespace: str | None) -> JsonObject:
        resource.path(namespace, name)  # raises for what addresses no object
        found = self.objects.get((resource.plural, ObjectKey(namespace or "", name)))
        if found is None:
            raise NotFound(404, "NotFound", f"{resource.plural} {name!r} not found", {"name": name})
        return found

    def _finish(self, plural: str, key: ObjectKey, obj: JsonObject) -> JsonObject:
        metadata = obj["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            stored = self._store(plural, key, "DELETED", obj)
            del self.objects[plural, key]
            return stored
        return self._store(plural, key, "MODIFIED", obj)

    def _store(self, plural: str, key: ObjectKey, type_: str, obj: JsonObject) -> JsonObject:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects[plural, key] = obj
        told = deepcopy(obj)
        self._history.append((self._version, plural, type_, told))
        for watcher in self._watchers:
            _tell(watcher, plural, type_, told)
        for wanted, listener in list(self._listeners):
            if wanted == plural:
                listener(type_, deepcopy(obj))
        return obj


class _Acting(FakeApi):
    """The same cluster, asked in the name of a service account."""

    __slots__ = ("actor",)

    def __init__(self, api: FakeApi, actor: str) -> None:
        self.__dict__ = api.__dict__  # the objects, the version, the notes: everything but who asks
        self.actor = actor


class Stage:
    """One operator over one :class:`FakeApi`, and what tests do to both. Its runs are called `daily` by default."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api = FakeApi()
        self._before: set[asyncio.Task[Any]] = set()
        self.spans: SpanSink | None = None
        #: For how long the loop was to sleep; it does not, here.
        self.slept: list[float] = []
        for module in (keepers, runtime):
            monkeypatch.setattr(module, "ApiClient", lambda *_, **__: self.api)
        monkeypatch.setattr(asyncio, "to_thread", _at_once)
        self.operator = self._new_operator()

    def _new_operator(self) -> runtime.Operator:
        session, moderation = cast("aiohttp.ClientSession", None), Moderation(self.slept.append)
        return runtime.Operator(session, OperatorOptions(), self.spans, moderation=moderation)

    def trace(self, sink: SpanSink) -> None:
        """Have this operator, which has not begun yet, and those after it trace runs."""
        self.spans = sink
        self.operator = self._new_operator()

    # -- the operator

    async def begin(self) -> None:
        """Start the operator, and wait until it is ready."""
        set_clock(_now)
        self._before = asyncio.all_tasks()
        operator = self.operator
        operator.begin()
        for informer in operator.caches.values():
            await informer.synced.wait()
        for raw in self.api.of(WORKFLOWS).values():
            operator.workflow_event(None, deepcopy(raw))
        self.api.follow(WORKFLOWS, operator.workflow_event)
        operator.work()

    def watch_is_late(self) -> None:
        """Let the watch tell of a Workflow a moment after whoever has changed it is answered, as it mostly does."""
        told, loop = self.operator.workflow_event, asyncio.get_running_loop()

        def later(type_: str, raw: JsonObject) -> None:
            loop.call_later(0.05, told, type_, deepcopy(raw))

        self.api.leave(told)
        self.api.follow(WORKFLOWS, later)

    async def crash(self) -> None:
        """Stop the operator in the middle of whatever it does."""
        self.api.leave(self.operator.workflow_event)
        for queue in self.operator.queues().values():
            queue.close()
        for uid in list(self.operator.controller.active):
            self.operator.controller.forget(uid)
        current = asyncio.current_task()
        tasks = [each for each in asyncio.all_tasks() - self._before if each is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def restart(self) -> None:
        """Crash, and start another operator."""
        await self.crash()
        self.operator = self._new_operator()
        await self.begin()

    def run(self, name: str = "daily") -> Run:
        """Return what the operator has of a run in memory."""
        return self.operator.controller.active[self.uid(name)]

    # -- Workflows

    def apply(self, spec: JsonObject, name: str = "daily", **more: Any) -> str:
        """Create a Workflow. Returns its UID."""
        obj: JsonObject = {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": {"namespace": NAMESPACE, "name": name},
            "spec": spec,
        }
        return str(self.api.put(WORKFLOWS, obj | more)["metadata"]["uid"])

    def respec(self, name: str = "daily", **spec: Any) -> JsonObject:
        """Edit the spec of a Workflow."""

        def change(raw: JsonObject) -> None:
            raw["spec"] |= spec
            raw["metadata"]["generation"] += 1

        return self.api.edit(WORKFLOWS, name, change)

    def raw(self, name: str = "daily") -> JsonObject:
        """Return a Workflow as it is stored."""
        return self.api.of(WORKFLOWS)[name]

    def uid(self, name: str = "daily") -> str:
        """Return the UID of a Workflow."""
        return str(self.raw(name)["metadata"]["uid"])

    def status(self, name: str = "daily") -> JsonObject:
        """Return the persisted status."""
        status: JsonObject = self.raw(name).get("status", {})
        return status

    def phases(self, name: str = "daily") -> dict[str, str]:
        """Return the persisted phase of each task that is recorded, wherever that is."""
        return {task["name"]: task["phase"] for task in read_tasks(self.status(name), self.shards(name))}

    def shards(self, name: str = "daily") -> list[JsonObject]:
        """Return the TaskStatusShards of a run."""
        uid = self.uid(name)
        found = [each for each in self.api.of(TASKSTATUSSHARDS).values() if each["workflowUID"] == uid]
        return sorted(found, key=lambda shard: int(shard["index"]))

    def condition(self, kind: str, name: str = "daily") -> JsonObject:
        """Return one persisted condition, {} where there is none."""
        return next((each for each in self.status(name).get("conditions", ()) if each["type"] == kind), {})

    def told(self, reason: str) -> list[str]:
        """Return the messages of the Events with this reason."""
        return [event["message"] for event in self._events() if event["reason"] == reason]

    def _events(self) -> Iterator[JsonObject]:
        return iter(self.api.of(EVENTS).values())

    # -- pods

    def pods(self) -> dict[str, JsonObject]:
        """Return all pods by name."""
        return self.api.of(PODS)

    def jobs(self) -> dict[str, JsonObject]:
        """Return all Jobs by name."""
        return self.api.of(JOBS)

    def pod(self, task: str, number: int = 1, run: str = "daily") -> str:
        """Return the name of the pod of an attempt."""
        return attempt_name(run, self.uid(run), task, number)

    def holds(self, pod: str) -> bool:
        """Tell whether our finalizer is on a pod."""
        return labels.FINALIZER in self.pods()[pod]["metadata"].get("finalizers", ())

    def held(self) -> list[str]:
        """Return the pods that our finalizer is on."""
        return sorted(pod for pod in self.pods() if self.holds(pod))

    def is_ending(self, pod: str) -> bool:
        """Tell whether a pod is being deleted."""
        return "deletionTimestamp" in self.pods()[pod]["metadata"]

    def runs(self, pod: str, since: datetime | None = None) -> None:
        """The main container of a pod has started, now by default."""
        state = {"running": {"startedAt": _text(since or _now())}}
        self.set_status(pod, "Running", state)

    def ends(self, pod: str, code: int = 0) -> None:
        """The main container of a pod has ended, now."""
        moment = _text(_now())
        state = {"terminated": {"exitCode": code, "startedAt": moment, "finishedAt": moment, "message": ""}}
        self.set_status(pod, "Failed" if code else "Succeeded", state)

    def set_status(self, pod: str, phase: str, state: JsonObject) -> None:
        """A pod is in this phase, its main container in this state."""
        status = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]}

        def change(raw: JsonObject) -> None:
            raw["status"] = status
            raw["spec"]["nodeName"] = "node-1"

        self.api.edit(PODS, pod, change)


def tasks(*names: str, **more: Any) -> JsonObject:
    """Return the spec of a run of independent tasks, all alike."""
    work = {} if "script" in more else {"container": {"image": "i"}}
    return {"tasks": [{"name": name, **work, **more} for name in names]}


async def _at_once(function: Callable[..., Any], /, *args: Any, **more: Any) -> Any:
    # In place of a thread: the loop's clock runs ahead while nothing but a thread is waited for.
    return function(*args, **more)


def _now() -> datetime:
    return T0 + timedelta(seconds=asyncio.get_running_loop().time())


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(obj: Mapping[str, Any]) -> ObjectKey:
    return ObjectKey(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _selects(selector: str | None, obj: JsonObject) -> bool:
    """Evaluate `key` or `key=value`, the two forms in use."""
    if selector is None:
        return True
    name, equals, value = selector.partition("=")
    own = obj["metadata"].get("labels", {})
    return name in own and (not equals or own[name] == value)


def _tell(watcher: _Watcher, plural: str, type_: str, obj: JsonObject) -> None:
    """Tell a watch of one change: an object that a selector does not match any more has left its view."""
    if plural != watcher.plural:
        return
    key = _key(obj)
    in_view = type_ != "DELETED" and _selects(watcher.selector, obj)
    if in_view:
        watcher.events.put_nowait({"type": "MODIFIED" if key in watcher.knows else "ADDED", "object": obj})
        watcher.knows.add(key)
    elif key in watcher.knows:
        watcher.events.put_nowait({"type": "DELETED", "object": obj})
        watcher.knows.discard(key)


#: Lists that are merged, by the kind of patch; with the key of their objects.
_MERGED_LISTS: dict[PatchType, dict[str, str]] = {
    PatchType.STRATEGIC: {"finalizers": "", "ownerReferences": "uid"},
    PatchType.APPLY: {"finalizers": "", "ownerReferences": "uid", "conditions": "type"},
}


def _merged(found: Any, patch: Any, lists: Mapping[str, str]) -> Any:
    """Apply a merge patch (RFC 7386), or as much of a strategic one, or of server-side apply, as is in use."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    result = deepcopy(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [each for each in result.get(name, ()) if each not in value]
        elif value is None:
            result.pop(key, None)
        elif key in lists:
            name = lists[key]
            mine = [each[name] if name else each for each in value]
            others = [each for each in result.get(key, ()) if (each[name] if name else each) not in mine]
            result[key] = [*others, *value]
        else:
            result[key] = _merged(result.get(key), value, lists)
    return result


def operated(found: JsonObject, operations: Sequence[Mapping[str, Any]]) -> JsonObject:
    """Apply a JSON patch (RFC 6902) of replacing, adding, removing and testing members of objects and lists."""
    result = deepcopy(found)
    for each in operations:
        try:
            _operate(result, each)
        except (IndexError, KeyError):
            raise Invalid(422, "Invalid", "the server rejected our request due to an error in our request") from None
    return result


def _operate(result: JsonObject, operation: Mapping[str, Any]) -> None:
    *parents, last = operation["path"].strip("/").split("/")
    target: Any = result
    for parent in parents:
        target = target[int(parent) if isinstance(target, list) else parent]
    key: Any = int(last) if isinstance(target, list) and last != "-" else last
    match operation["op"]:
        case "remove":
            del target[key]
        case "test":
            if target[key] != operation["value"]:
                raise KeyError(key)
        case "add" if isinstance(target, list):
            target.insert(len(target) if key == "-" else key, deepcopy(operation["value"]))
        case _:
            target[key] = deepcopy(operation["value"])
