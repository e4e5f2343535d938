"""An informer that is told to follow other objects, against the API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.kube.informer import Informer
from fairlead.kube.resources import CONFIGMAPS, ObjectKey
from fairlead.kube.transport import ApiClient
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run
from fairlead.testing.network import FairWeather, Passage


class Weather(FairWeather):
    """Slow by `seconds`, or nobody is answered."""

    def __init__(self) -> None:
        self.seconds = 0.002
        self.down = False

    def passage(self, sender: str, request: Request) -> Passage:
        return Passage(out=self.seconds, refused=self.down)


class Scene:
    """ConfigMaps with a label, and an informer that follows some of them."""

    def __init__(self) -> None:
        self.weather = Weather()
        self.cluster = Cluster(weather=self.weather)
        self.told: list[tuple[str, str]] = []
        client = ApiClient(self.cluster.network.session("it"), max_retries=0)  # type: ignore[arg-type]
        self.informer: Informer[str] = Informer(
            client,
            CONFIGMAPS,
            project=lambda raw: str(raw["metadata"]["name"]),
            on_change=self.hear,
            label_selector="b in (1)",
        )
        self.task = asyncio.create_task(self.informer.run())

    def hear(self, key: ObjectKey, old: str | None, new: str | None) -> None:
        self.told.append((key.name, "appears" if old is None else "leaves" if new is None else "changes"))

    def put(self, name: str, bucket: int) -> None:
        self.cluster.put(CONFIGMAPS, {"metadata": {"name": name, "labels": {"b": str(bucket)}}}, "default")

    def seen(self) -> set[str]:
        return {value for _, value in self.informer.items()}


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        on = Scene()
        for number in range(4):
            on.put(f"c{number}", number)
        await on.informer.synced.wait()
        assert on.seen() == {"c1"}
        on.told.clear()
        await scene(on)
        on.task.cancel()

    run(main(), stall_at=10_000)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.003, 5.0, 100.0])
def test_what_is_selected_appears_and_what_is_not_any_more_leaves(seconds: float) -> None:
    async def scene(on: Scene) -> None:
        await asyncio.sleep(seconds)
        await on.informer.refocus("b in (2,3)")
        assert on.seen() == {"c2", "c3"}
        assert sorted(on.told) == [("c1", "leaves"), ("c2", "appears"), ("c3", "appears")]

    play(scene)


def test_what_stays_selected_is_not_told_again() -> None:
    async def scene(on: Scene) -> None:
        await on.informer.refocus("b in (1,2)")
        assert on.told == [("c2", "appears")]

    play(scene)


def test_changes_are_heard_under_the_new_selector_only() -> None:
    async def scene(on: Scene) -> None:
        await on.informer.refocus("b in (2)")
        on.told.clear()
        on.put("new", 2)
        on.put("other", 1)
        await asyncio.sleep(1)
        assert on.told == [("new", "appears")]

    play(scene)


def test_the_same_selector_is_no_reason_to_list() -> None:
    async def scene(on: Scene) -> None:
        started = asyncio.get_running_loop().time()
        await on.informer.refocus("b in (1)")
        assert asyncio.get_running_loop().time() == started

    play(scene)


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.15, 0.35])
def test_the_last_of_several_selectors_counts(pause: float) -> None:
    async def scene(on: Scene) -> None:
        on.weather.seconds = 0.1
        first = asyncio.create_task(on.informer.refocus("b in (2)"))
        await asyncio.sleep(pause)
        await on.informer.refocus("b in (3)")
        assert on.seen() == {"c3"}
        await first
        await asyncio.sleep(1)
        assert on.seen() == {"c3"}

    play(scene)


def test_it_waits_until_the_server_answers() -> None:
    async def scene(on: Scene) -> None:
        on.weather.down = True
        waiting = asyncio.create_task(on.informer.refocus("b in (2)"))
        await asyncio.sleep(20)
        assert not waiting.done()
        assert on.seen() == {"c1"}
        on.weather.down = False
        await asyncio.wait_for(waiting, 10)
        assert on.seen() == {"c2"}

    play(scene)


def test_between_two_tries_after_an_error_it_can_be_refocused_as_well() -> None:
    async def scene(on: Scene) -> None:
        on.weather.down = True
        streams: list[Any] = on.cluster.network.streams
        for stream in list(streams):
            stream.cut()
        await asyncio.sleep(3)
        waiting = asyncio.create_task(on.informer.refocus("b in (3)"))
        await asyncio.sleep(0.01)
        on.weather.down = False
        await asyncio.wait_for(waiting, 10)
        assert on.seen() == {"c3"}

    play(scene)
