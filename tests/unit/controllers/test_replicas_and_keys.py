"""Runs with a `concurrencyKey` where replicas divide the work: one of them decides, whoever has heard of the run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Any

import pytest
from tests.unit.controllers.test_replicas_at_work import Scene, now

from fairlead.api import labels
from fairlead.controllers.buckets import ALL, group_of, group_of_key
from fairlead.controllers.status import is_finished
from fairlead.engine.names import bucket_of_key
from fairlead.kube.resources import PODS, WORKFLOWACTIONS, WORKFLOWS
from fairlead.testing.apiserver.store import Change
from fairlead.testing.host import Host
from fairlead.testing.loop import run

KEY, OTHER = "k", "other"


class Keys:
    """Watches how many runs are active with each key, by what is stored; `most` is what it came to."""

    def __init__(self, on: Scene) -> None:
        self.most: Counter[str] = Counter()
        self._active: dict[str, set[str]] = {}
        on.cluster.server.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.resource != WORKFLOWS.plural:
            return
        status = change.after.get("status") or {}
        for active in self._active.values():
            active.discard(change.key.name)
        if "startTime" in status and "concurrencyKey" in status and not is_finished(status):
            key = status["concurrencyKey"]
            self._active.setdefault(key, set()).add(change.key.name)
            self.most[key] = max(self.most[key], len(self._active[key]))


def keyed(key: str = KEY, **more: Any) -> dict[str, Any]:
    task = {"name": "a", "container": {"image": "i"}, "retry": {"limit": 3}}
    return {"concurrencyKey": {"key": key, **more}, "tasks": [task]}


def create(on: Scene, names: Iterable[str], **more: Any) -> None:
    for name in names:
        on.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": keyed(**more)}, "default")


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        on = Scene()
        await scene(on)
        assert on.watchman.end() == []
        await on.cluster.close()

    run(main(), stall_at=100_000)


def again(on: Scene, name: str) -> None:
    """Ask for a run to be retried."""
    uid = on.cluster.get(WORKFLOWS, name)["metadata"]["uid"]
    spec = {"workflowName": name, "workflowUID": uid, "action": "Retry"}
    on.cluster.put(WORKFLOWACTIONS, {"metadata": {"name": f"again-{name}"}, "spec": spec}, "default", "ann")


async def ended(on: Scene, names: Iterable[str], seconds: float = 300) -> list[str]:
    """Wait for the end of runs; return their phases."""
    known = list(names)
    assert await on.cluster.until(lambda: all(map(on.cluster.finished, known)), seconds)
    return [on.cluster.get(WORKFLOWS, name)["status"]["phase"] for name in known]


def of(on: Scene, host: Host, name: str) -> bool:
    """Tell whether a run would be a replica's, if it had no key."""
    return group_of(on.cluster.get(WORKFLOWS, name)["metadata"]["uid"]) in on.held(host)


def starts(on: Scene, name: str) -> set[str]:
    """Return who has put the start of a run on record."""
    path = f"/workflows/{name}/status"
    return {sender for _, sender, request in on.sent if request.path.endswith(path) and b"startTime" in request.body}


NAMES = [f"w{number}" for number in range(10)]


def test_one_replica_decides_on_all_runs_with_a_key() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        keys = Keys(on)
        create(on, NAMES)  # all in the same second: their order follows from their UIDs
        assert {of(on, on.first, name) for name in NAMES} == {True, False}
        decides = on.first if group_of_key("default", KEY) in on.held(on.first) else on.second
        assert await ended(on, NAMES) == ["Succeeded"] * 10
        assert keys.most == {KEY: 1}
        assert {name: starts(on, name) for name in NAMES} == {name: {decides.name} for name in NAMES}
        assert on.creates().keys() == {decides.name}
        number = str(bucket_of_key("default", KEY))
        assert {pod["metadata"]["labels"][labels.BUCKET] for pod in on.cluster.list(PODS)} == {number}

    play(scene)


@pytest.mark.parametrize("limit", [1, 3])
def test_runs_of_several_keys_are_shared_and_each_key_is_in_one_hand(limit: int) -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        keys = Keys(on)
        runs = {f"key-{number}": [f"w{number}-{each}" for each in range(5)] for number in range(8)}
        for key, names in runs.items():
            create(on, names, key=key, limit=limit)
        for key, names in runs.items():
            assert set(await ended(on, names)) == {"Succeeded"}
            decides = on.first if group_of_key("default", key) in on.held(on.first) else on.second
            assert {name: starts(on, name) for name in names} == {name: {decides.name} for name in names}
        assert keys.most == dict.fromkeys(runs, limit)
        assert on.creates().keys() == {"first", "second"}

    play(scene)


def test_a_run_is_not_held_up_by_an_older_one_that_waits_for_a_key_of_another_replica() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        keys = [f"key-{number}" for number in range(60)]
        mine = [key for key in keys if group_of_key("default", key) in on.held(on.first)]
        theirs = next(key for key in keys if group_of_key("default", key) in on.held(on.second))
        spec = {**keyed(theirs), "suspend": True}
        on.cluster.put(WORKFLOWS, {"metadata": {"name": "busy"}, "spec": spec}, "default")
        await asyncio.sleep(2)
        for number, key in enumerate(mine[:12]):
            create(on, [f"old-{number}"], key=theirs)
            create(on, [f"new-{number}"], key=key)  # in the same second: which of them is older depends on the UIDs
            await asyncio.sleep(5)
            assert on.cluster.get(WORKFLOWS, f"new-{number}")["status"]["phase"] in ("Running", "Succeeded")

    play(scene)


def test_a_run_is_replaced_by_one_that_another_replica_has_heard_of() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        keys = Keys(on)
        await asyncio.sleep(1)
        for name in NAMES:
            create(on, [name], onConflict="Replace")
            await asyncio.sleep(1.7)
        found = await ended(on, NAMES)
        assert found == ["Cancelled"] * 9 + ["Succeeded"]
        assert keys.most == {KEY: 1}
        assert now() < 60  # and nobody has waited for the end of another's pod of five seconds

    play(scene)


def test_a_run_in_line_that_is_given_another_key_is_passed_on() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        other = next(
            key
            for key in map(str, range(100))
            if (group_of_key("default", key) in on.held(on.first))
            != (group_of_key("default", KEY) in on.held(on.first))
        )
        create(on, ["one"])
        await asyncio.sleep(1.5)
        create(on, ["two"])
        await asyncio.sleep(1)
        on.cluster.patch(WORKFLOWS, "two", {"spec": keyed(other)})
        await asyncio.sleep(1)
        status = on.cluster.get(WORKFLOWS, "two")["status"]
        assert (status["phase"], status["concurrencyKey"]) == ("Running", other)
        assert await ended(on, ["one", "two"]) == ["Succeeded"] * 2

    play(scene)


def test_a_run_that_is_retried_has_its_turn_like_any_other() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        keys = Keys(on)
        spec = {**keyed(), "deadlineSeconds": 2}
        for name in NAMES:
            on.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": spec}, "default")
        assert set(await ended(on, NAMES)) == {"Failed"}
        for name in NAMES:
            again(on, name)
        assert await on.cluster.until(
            lambda: all(on.cluster.get(WORKFLOWS, name)["status"].get("epoch") == 2 for name in NAMES), 300
        )
        await ended(on, NAMES)
        assert keys.most == {KEY: 1}

    play(scene)


@pytest.mark.parametrize("what", ["crash", "pause", "stop", "join", "cut off"])
@pytest.mark.parametrize("seed", range(4))
def test_a_key_that_comes_into_other_hands_lets_no_two_pass(what: str, seed: int) -> None:
    async def scene(on: Scene) -> None:
        chance = Random(f"{what} {seed}")
        if what != "join":
            await on.divided()
        keys = Keys(on)
        names = [f"w{number}" for number in range(12)]
        create(on, names[:6])
        create(on, names[6:8], key=OTHER)
        await asyncio.sleep(chance.uniform(0, 12))
        decides = on.first if group_of_key("default", KEY) in on.held(on.first) else on.second
        await happens(on, what, decides)
        await asyncio.sleep(chance.uniform(0, 3))
        create(on, names[8:])
        await asyncio.sleep(25)
        decides.resume()
        on.weather.cut_off.clear()
        assert set(await ended(on, names, 400)) == {"Succeeded"}
        assert keys.most == {KEY: 1, OTHER: 1}

    play(scene)


async def happens(on: Scene, what: str, decides: Host) -> None:
    match what:
        case "crash":
            decides.crash()
        case "pause":
            decides.pause()
        case "stop":
            await decides.stop()
        case "join":
            on.second.start()
        case _:
            on.weather.cut_off.add(decides.name)


def test_whoever_takes_a_key_over_knows_of_starts_that_no_watch_has_told() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        keys = Keys(on)
        decides, other = on.first, on.second
        if group_of_key("default", KEY) not in on.held(on.first):
            decides, other = other, decides
        on.cluster.put(WORKFLOWS, {"metadata": {"name": "old"}, "spec": {**keyed(), "deadlineSeconds": 2}}, "default")
        assert await ended(on, ["old"]) == ["Failed"]
        on.weather.deaf.add((other.name, WORKFLOWS.plural))
        spec = {**keyed(), "suspend": True}  # without pods, which would tell of it
        for name in NAMES:
            on.cluster.put(WORKFLOWS, {"metadata": {"name": name}, "spec": spec}, "default")
            if of(on, decides, name):
                break
            on.cluster.delete(WORKFLOWS, name)
        await asyncio.sleep(1)
        assert on.cluster.get(WORKFLOWS, name)["status"]["phase"] == "Suspended"
        again(on, "old")
        await decides.stop()
        assert await on.cluster.until(lambda: on.held(other) == ALL, 20)
        await asyncio.sleep(3)
        assert on.cluster.get(WORKFLOWS, "old")["status"].get("epoch", 1) == 1
        assert keys.most == {KEY: 1}

    play(scene)


def test_the_pods_of_a_run_with_a_key_that_was_deleted_are_let_go_of() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        create(on, NAMES, limit=10)
        await asyncio.sleep(2)
        assert len(on.cluster.list(PODS)) == 10
        on.first.crash()
        on.second.crash()
        for name in NAMES:
            on.cluster.delete(WORKFLOWS, name, "default", propagationPolicy="Background")
        await asyncio.sleep(3)
        assert len(on.cluster.list(PODS)) == 10  # we hold them
        on.first.start()
        on.second.start()
        assert await on.cluster.until(lambda: not on.cluster.list(PODS), 120)

    play(scene)
