"""Operators that divide the runs among them, as they are shipped, in a cluster in memory: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import pytest

from fairlead.api import labels
from fairlead.controllers.buckets import ALL, group_of
from fairlead.controllers.vitals import live_checks, ready_checks
from fairlead.engine.names import bucket
from fairlead.kube.resources import LEASES, PODS, WORKFLOWS, WORKFLOWTEMPLATES
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import LEASE_NAMESPACE, Cluster
from fairlead.testing.host import Host
from fairlead.testing.invariants import Watchman
from fairlead.testing.loop import run
from fairlead.testing.network import FairWeather, Passage
from fairlead.testing.nodes import Act

#: How many runs, and pods of each.
RUNS, PODS_EACH = 12, 4


def diamond() -> dict[str, Any]:
    needs: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    return {"tasks": [{"name": name, "needs": parents, "container": {"image": "i"}} for name, parents in needs.items()]}


class Weather(FairWeather):
    """Fair, but for those who are cut off, and those whose watches of a kind tell nothing."""

    def __init__(self) -> None:
        self.cut_off: set[str] = set()
        self.deaf: set[tuple[str, str]] = set()

    def passage(self, sender: str, request: Request) -> Passage:
        return Passage(refused=True) if sender in self.cut_off else Passage()

    def delay(self, sender: str, plural: str) -> float:
        return inf if (sender, plural) in self.deaf else super().delay(sender, plural)


class Scene:
    """Two hosts, of which the first runs an operator, many runs, and a watchman; it notes who has sent what."""

    def __init__(self) -> None:
        self.weather = Weather()
        self.cluster = Cluster(lambda _: Act(seconds=5), seed=1, weather=self.weather, leases=True)
        self.watchman = Watchman(self.cluster)
        self.first, self.second = self.cluster.host("first"), self.cluster.host("second")
        self.sent: list[tuple[float, str, Request]] = []
        told = self.cluster.network.sent

        def note(sender: str, request: Request) -> None:
            self.sent.append((asyncio.get_running_loop().time(), sender, request))
            told(sender, request)

        self.cluster.network.sent = note
        self.first.start()

    def create(self) -> None:
        for number in range(RUNS):
            self.cluster.put(WORKFLOWS, {"metadata": {"name": f"w{number}"}, "spec": diamond()}, "default")

    def held(self, host: Host) -> frozenset[int]:
        assert host.operator is not None
        holdings = host.operator.holdings
        return holdings.groups if host.alive and holdings.count else frozenset()

    async def divided(self) -> None:
        """Both are at work, and have their shares."""
        if not self.second.alive:
            self.second.start()
        assert await self.cluster.until(
            lambda: (
                self.first.is_ready
                and self.second.is_ready
                and len(self.held(self.first)) == len(self.held(self.second)) == 8
            ),
            30,
        )

    def creates(self, since: float = 0.0) -> dict[str, list[str]]:
        """Return who has asked to create pods, and in which buckets."""
        found: dict[str, list[str]] = {}
        for moment, sender, request in self.sent:
            if moment >= since and request.method == "POST" and request.path.endswith("/pods"):
                found.setdefault(sender, []).append(request.body.decode())
        return found

    def writes(self, host: Host, since: float) -> list[str]:
        """Return what one has written, other than Leases and Events."""
        return [
            f"{request.method} {request.path}"
            for moment, sender, request in self.sent
            if sender == host.name
            and moment >= since
            and request.method != "GET"
            and "/leases" not in request.path
            and "/events" not in request.path
        ]

    async def to_the_end(self, seconds: float = 120) -> None:
        """All runs succeed, each pod was created once, and no invariant was broken."""
        assert await self.cluster.until(
            lambda: all(self.cluster.finished(f"w{number}") for number in range(RUNS)), seconds
        ), [(run["metadata"]["name"], run.get("status", {}).get("phase")) for run in self.cluster.list(WORKFLOWS)]
        assert all(run["status"]["phase"] == "Succeeded" for run in self.cluster.list(WORKFLOWS))
        stored = (each for each in self.cluster.server.journal if (each.verb, each.resource) == ("create", PODS.plural))
        created = [each.key.name for each in stored]
        assert len(created) == len(set(created)) == RUNS * PODS_EACH
        await asyncio.sleep(70)
        self.watchman.at_rest()
        await asyncio.sleep(30)
        assert self.watchman.end() == []


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        on = Scene()
        await scene(on)
        await on.cluster.close()

    run(main(), stall_at=100_000)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_one_alone_takes_up_a_run_at_once() -> None:
    async def scene(on: Scene) -> None:
        on.create()
        await on.cluster.until(lambda: bool(on.creates()), 10, every=0.01)
        assert now() < 2
        await on.to_the_end()

    play(scene)


def test_two_share_the_work_and_each_acts_and_looks_only_at_its_own() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        begun = now()
        on.create()
        await asyncio.sleep(3)
        for host in (on.first, on.second):
            mine = on.held(host)
            assert host.operator is not None
            watched = {view.owner_uid for _, view in host.operator.caches["pods"].items()}
            assert watched
            assert {group_of(uid) for uid in watched} <= mine
            assert {group_of(uid) for uid in host.operator.controller.active} <= mine
            theirs = on.creates(begun)[host.name]
            assert theirs
            runs = {run["metadata"]["uid"] for run in on.cluster.list(WORKFLOWS)}
            assert all(any(uid in body for uid in runs if group_of(uid) in mine) for body in theirs)
        await on.to_the_end()

    play(scene)


def test_a_run_of_another_replica_is_heard_of_and_not_looked_at() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        looked = {host.name: looks(host) for host in (on.first, on.second)}
        on.create()
        await on.to_the_end()
        uids = {run["metadata"]["uid"] for run in on.cluster.list(WORKFLOWS)}
        for host in (on.first, on.second):
            assert looked[host.name] == {uid for uid in uids if group_of(uid) in on.held(host)}
            assert host.operator is not None
            assert len(host.operator.store) == RUNS

    def looks(host: Host) -> set[str]:
        found: set[str] = set()
        assert host.operator is not None
        controller = host.operator.controller
        reconcile = controller.reconcile

        async def noted(uid: str) -> float | None:
            found.add(uid)
            return await reconcile(uid)

        controller.reconcile = noted  # type: ignore[method-assign]
        return found

    play(scene)


@pytest.mark.parametrize("seconds", [0.1, 5.3, 11.0])
def test_what_a_killed_one_did_is_taken_over_within_fifteen_seconds(seconds: float) -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.create()
        await asyncio.sleep(seconds)
        on.first.crash()
        killed = now()
        assert await on.cluster.until(lambda: on.held(on.second) == ALL, 15, every=0.1)
        assert now() - killed < 15
        await on.to_the_end()

    play(scene)


@pytest.mark.parametrize("seconds", [5.0, 9.0, 240.0])
@pytest.mark.parametrize("begun", [0.5, 4.99, 5.2])
def test_a_holder_that_was_held_up_and_wakes_up_creates_nothing(begun: float, seconds: float) -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.create()
        await asyncio.sleep(begun)
        before = on.held(on.first)
        on.first.pause()
        await asyncio.sleep(seconds)
        woken, taken = now(), on.held(on.second) == ALL
        on.first.resume()
        await asyncio.sleep(0.02)
        assert taken or seconds < 15
        if taken:
            assert before
            assert on.creates(woken).get("first", []) == []
        await on.to_the_end()

    play(scene)


@pytest.mark.parametrize("seconds", [0.3, 5.1, 8.0])
def test_a_rolling_upgrade_in_mid_run(seconds: float) -> None:
    async def scene(on: Scene) -> None:
        on.create()
        await asyncio.sleep(seconds)
        await on.divided()
        stopping = now()
        await on.first.stop()
        assert await on.cluster.until(lambda: on.held(on.second) == ALL, 20, every=0.1)
        assert now() - stopping < 8  # what is under way ends first, and nobody waits for a lease to be over
        assert not on.writes(on.first, now())
        await on.to_the_end()

    play(scene)


def test_one_that_loses_the_api_server_does_nothing_and_the_other_goes_on() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.create()
        await asyncio.sleep(1)
        on.weather.cut_off.add("first")
        await asyncio.sleep(9)
        assert on.first.operator is not None
        assert not on.first.operator.controller.active
        assert not on.held(on.first)
        assert await on.cluster.until(lambda: on.held(on.second) == ALL, 10)
        await asyncio.sleep(30)
        on.weather.cut_off.clear()
        await on.divided()
        assert on.first.operator.holdings.term == 1  # whatever it still had in hand is not written
        await on.to_the_end()

    play(scene)


@pytest.mark.parametrize("seconds", [4, 20, 300])
def test_an_outage_for_everybody_is_got_over(seconds: float) -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.create()
        await asyncio.sleep(1)
        on.weather.cut_off |= {"first", "second"}
        for stream in list(on.cluster.network.streams):
            stream.cut()
        await asyncio.sleep(seconds)
        on.weather.cut_off.clear()
        await on.to_the_end()
        await on.divided()

    play(scene)


def test_a_template_is_judged_by_one() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        for number in range(10):
            spec = {"tasks": [{"name": "a", "container": {"image": "i"}}]}
            on.cluster.put(WORKFLOWTEMPLATES, {"metadata": {"name": f"t{number}"}, "spec": spec}, "default")
        await asyncio.sleep(5)
        for raw in on.cluster.list(WORKFLOWTEMPLATES):
            assert raw["status"]["conditions"][0]["type"] == "Valid"
            by = {
                sender for _, sender, request in on.sent if request.path.endswith(f"/{raw['metadata']['name']}/status")
            }
            holder = on.first if group_of(raw["metadata"]["uid"]) in on.held(on.first) else on.second
            assert by == {holder.name}

    play(scene)


def test_what_was_not_judged_yet_is_judged_by_whoever_takes_over() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.first.crash()
        for number in range(10):
            spec = {"tasks": [{"name": "a", "container": {"image": "i"}}]}
            on.cluster.put(WORKFLOWTEMPLATES, {"metadata": {"name": f"t{number}"}, "spec": spec}, "default")
        await asyncio.sleep(20)
        assert all(raw.get("status") for raw in on.cluster.list(WORKFLOWTEMPLATES))

    play(scene)


def test_a_run_that_is_deleted_is_let_go_of_by_its_holder() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.create()
        await asyncio.sleep(2)
        for number in range(RUNS):
            on.cluster.delete(WORKFLOWS, f"w{number}", "default", propagationPolicy="Background")
        await asyncio.sleep(90)
        assert [pod for pod in on.cluster.list(PODS) if labels.RUN_UID in pod["metadata"].get("labels", {})] == []
        assert on.watchman.end() == []

    play(scene)


def test_what_is_released_and_swept_is_the_holders_too() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.create()
        await on.to_the_end()
        for moment, sender, request in on.sent:
            if request.method == "GET" or "/pods/" not in request.path:
                continue
            pod = request.path.rpartition("/")[2]
            uid = next(
                each.after["metadata"]["labels"][labels.RUN_UID]
                for each in on.cluster.server.journal
                if each.verb == "create" and each.key.name == pod
            )
            holder = on.first if group_of(uid) in on.held(on.first) else on.second
            assert sender == holder.name, (moment, request.path, bucket(uid))

    play(scene)


def test_without_leases_an_operator_holds_everything_and_writes_none() -> None:
    async def main() -> None:
        cluster = Cluster(lambda _: Act(seconds=1), seed=1)
        host = cluster.host()
        host.start()
        cluster.put(WORKFLOWS, {"metadata": {"name": "w"}, "spec": diamond()}, "default")
        assert await cluster.until(lambda: cluster.finished("w"), 60)
        assert cluster.list(LEASES) == []
        assert host.operator is not None
        assert host.operator.replicas is None
        assert host.operator.holdings.groups == ALL
        await cluster.close()

    run(main(), stall_at=10_000)


def test_the_probes_tell_of_a_membership_that_hangs() -> None:
    async def scene(on: Scene) -> None:
        await on.cluster.until(lambda: on.first.is_ready, 10)
        operator = on.first.operator
        assert operator is not None
        await asyncio.sleep(5)
        assert operator.replicas is not None
        assert ready_checks(operator)["replicas"]() == live_checks(operator)["replicas"]() == ""
        operator.replicas._moved_at = now() - 40
        assert ready_checks(operator)["replicas"]() == "the lease has not been seen to for 40 s"
        assert live_checks(operator)["replicas"]() == ""
        assert "leases-watch" in ready_checks(operator)

    play(scene)


def test_what_is_told_in_metrics() -> None:
    async def scene(on: Scene) -> None:
        await on.divided()
        on.first.crash()
        await on.cluster.until(lambda: on.held(on.second) == ALL, 15)
        assert on.second.operator is not None
        text = on.second.operator.metrics.render()[0].decode()
        assert "fairlead_bucket_groups 16.0" in text
        assert "fairlead_bucket_groups_taken_over_total 8.0" in text
        members = [each for each in on.cluster.list(LEASES) if each["spec"].get("holderIdentity")]
        assert {each["metadata"]["namespace"] for each in members} == {LEASE_NAMESPACE}

    play(scene)
