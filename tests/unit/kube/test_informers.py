"""Informers of several namespaces read as one copy, against the API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fairlead.kube.informer import Informer
from fairlead.kube.informers import Informers
from fairlead.kube.resources import CONFIGMAPS, NAMESPACES, ObjectKey
from fairlead.kube.scope import Scope
from fairlead.kube.transport import ApiClient
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run


class Scene:
    def __init__(self) -> None:
        self.cluster = Cluster()
        self.told: list[tuple[str, str]] = []
        self.asked: list[str] = []

        def note(_: str, request: Request) -> None:
            self.asked.append(request.path)

        for name in ("a", "b", "c"):
            self.cluster.put(NAMESPACES, {"metadata": {"name": name}})
            self.put("one", name)
        self.cluster.network.sent = note
        client = ApiClient(self.cluster.network.session("it"), max_retries=0)  # type: ignore[arg-type]
        found = Scope(("a", "b", "a")).informer(
            client, CONFIGMAPS, project=name_of, on_change=self.hear, owner=lambda _: "owner"
        )
        assert isinstance(found, Informers)
        self.informers: Informers[str] = found
        self.task = asyncio.create_task(found.run())

    def hear(self, key: ObjectKey, _old: str | None, _new: str | None) -> None:
        self.told.append(key)

    def put(self, name: str, namespace: str, labels: dict[str, str] | None = None) -> None:
        self.cluster.put(CONFIGMAPS, {"metadata": {"name": name, "labels": labels or {}}}, namespace)


def name_of(raw: dict[str, Any]) -> str:
    return f"{raw['metadata']['namespace']}:{raw['metadata']['name']}"


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        on = Scene()
        await asyncio.gather(*(part.synced.wait() for part in on.informers.parts.values()))
        await scene(on)
        on.task.cancel()

    run(main(), stall_at=10_000)


def test_all_that_is_there_is_in_the_copy_and_nothing_of_other_namespaces() -> None:
    async def scene(on: Scene) -> None:
        on.put("two", "b")
        on.put("two", "c")
        await asyncio.sleep(1)
        assert {value for _, value in on.informers.items()} == {"a:one", "b:one", "b:two"}
        assert len(on.informers) == 3
        assert sorted(on.told) == [("a", "one"), ("b", "one"), ("b", "two")]
        assert on.informers.get(ObjectKey("b", "two")) == "b:two"
        assert on.informers.get(ObjectKey("c", "one")) is None
        assert {path.split("/")[4] for path in on.asked} == {"a", "b"}

    play(scene)


def test_what_one_owner_has_is_found_wherever_it_is() -> None:
    async def scene(on: Scene) -> None:
        assert set(on.informers.by_owner("owner").values()) == {"a:one", "b:one"}
        assert set(on.informers.owners()) == {"owner"}
        assert on.informers.by_owner("nobody") == {}

    play(scene)


def test_all_follow_others_when_told_so() -> None:
    async def scene(on: Scene) -> None:
        on.put("marked", "b", {"x": "1"})
        await on.informers.refocus("x=1")
        assert [value for _, value in on.informers.items()] == ["b:marked"]

    play(scene)


def test_a_part_is_asked_whether_something_is_gone() -> None:
    async def scene(on: Scene) -> None:
        assert not await on.informers.confirm_gone(ObjectKey("a", "one"))
        assert await on.informers.confirm_gone(ObjectKey("a", "never"))

    play(scene)


def test_silence_tells() -> None:
    async def scene(on: Scene) -> None:
        for part in on.informers.parts.values():
            part._heard_at -= 500
        assert on.informers.staleness() > 400
        assert on.informers.idle() < 100

    play(scene)


def test_all_namespaces_at_once_are_one_informer() -> None:
    async def main() -> None:
        client = ApiClient(Cluster().network.session("it"))  # type: ignore[arg-type]
        scope = Scope()
        assert scope.parts == (None,)
        informer = scope.informer(client, CONFIGMAPS, project=name_of, on_change=lambda *_: None)
        assert isinstance(informer, Informer)

    run(main(), stall_at=10)
