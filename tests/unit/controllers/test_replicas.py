"""How replicas divide groups of buckets: the assignment by tables, the protocol against the API server in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from fairlead.api import labels
from fairlead.controllers.buckets import ALL, GROUPS, Holdings, assign, group_of, selector_of
from fairlead.controllers.membership import LEASE_SECONDS, MEMBER
from fairlead.controllers.replicas import Replicas
from fairlead.controllers.replicas import _explain as explain
from fairlead.engine.names import bucket
from fairlead.kube.errors import ApiError, Forbidden, NotFound
from fairlead.kube.observer import NullObserver
from fairlead.kube.resources import LEASES
from fairlead.kube.transport import ApiClient
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import LEASE_NAMESPACE, Cluster
from fairlead.testing.loop import run
from fairlead.testing.network import FairWeather, Passage

# -- what belongs to whom


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5, 7, 16, 20])
def test_every_group_belongs_to_one_and_nobody_has_more_than_others(members: int) -> None:
    names = [f"replica-{number}" for number in range(members)]
    found = assign(names)
    assert found.keys() == ALL
    counts = Counter(dict.fromkeys(names, 0)) + Counter(found.values())
    shares = [counts[name] for name in names]
    assert sum(shares) == GROUPS
    assert max(shares) - min(shares) <= 1


def test_everybody_comes_to_the_same_assignment() -> None:
    assert assign(["a", "b", "c"]) == assign({"c", "b", "a"})


def test_few_groups_move_when_a_member_comes() -> None:
    before, after = assign(["a", "b", "c"]), assign(["a", "b", "c", "d"])
    moved = {group for group in ALL if before[group] != after[group]}
    assert len(moved) <= 8
    assert sum(after[group] == "d" for group in moved) == 4


def test_buckets_that_are_neighbours_are_one_group() -> None:
    uids = [f"uid-{number}" for number in range(2000)]
    assert {group_of(uid) for uid in uids} == ALL
    assert all(group_of(uid) == bucket(uid) // 16 for uid in uids)


@pytest.mark.parametrize(
    ("groups", "selector"),
    [
        (ALL, labels.RUN_UID),
        (set(), f"{labels.RUN_UID},{labels.BUCKET} in (none)"),
        ({1}, f"{labels.RUN_UID},{labels.BUCKET} in (16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31)"),
    ],
)
def test_the_selector_finds_the_objects_of_some_groups(groups: set[int], selector: str) -> None:
    assert selector_of(groups) == selector


def test_what_is_held_counts_until_the_deadline() -> None:
    now, uid = 0.0, "a"
    holdings = Holdings(lambda: now)
    assert not holdings.holds(uid)
    holdings.groups, holdings.deadline = frozenset({group_of(uid)}), 8.0
    assert holdings.holds(uid)
    now = 8.0
    assert not holdings.holds(uid)
    holdings.hold_everything()
    assert holdings.holds(uid)


# -- the protocol


class Weather(FairWeather):
    """Fair for everybody but those who are cut off; `lost` is how many answers to writes get lost.

    While it is `deaf`, nobody can begin to watch.
    """

    def __init__(self) -> None:
        self.cut_off: set[str] = set()
        self.lost = 0
        self.deaf = False

    def passage(self, sender: str, request: Request) -> Passage:
        if sender in self.cut_off or (self.deaf and "watch" in request.query):
            return Passage(refused=True)
        if request.method != "GET" and self.lost:
            self.lost -= 1
            return Passage(unanswered=True)
        return Passage()


class Member:
    """A replica, and what it was told to do."""

    def __init__(self, scene: Scene, name: str) -> None:
        loop = asyncio.get_running_loop()
        session: Any = scene.cluster.network.session(name)
        self.name = name
        self.told: list[tuple[str, frozenset[int]]] = []
        self.unfinished: set[int] = set()
        self.took_over = 0
        self.acting: set[int] = set()
        self.scene = scene
        self.holdings = Holdings(loop.time)
        self.replicas = Replicas(
            ApiClient(session, max_retries=0), LEASE_NAMESPACE, name, self.holdings, self, NullObserver()
        )
        self.held_up: asyncio.Event | None = None
        self.tasks = [loop.create_task(self.replicas.informer.run()), loop.create_task(self.replicas.run())]

    def begin(self, groups: frozenset[int]) -> None:
        self.told.append(("begin", groups))
        self.acting |= groups
        self.scene.check()

    def pause(self, groups: frozenset[int]) -> None:
        self.told.append(("pause", groups))
        self.acting -= groups

    def end(self, groups: frozenset[int]) -> None:
        self.told.append(("end", groups))
        self.acting -= groups

    def finish(self, group: int) -> bool:
        return group not in self.unfinished

    async def look_at(self, groups: frozenset[int]) -> None:
        self.told.append(("look at", groups))
        if self.held_up is not None:
            await self.held_up.wait()

    def taken_over(self, groups: int) -> None:
        self.took_over += groups

    @property
    def groups(self) -> frozenset[int]:
        return self.holdings.groups if self.holdings.count else frozenset()

    def kill(self) -> None:
        for task in self.tasks:
            task.cancel()


class Scene:
    """Members over one API server."""

    def __init__(self) -> None:
        self.weather = Weather()
        self.cluster = Cluster(weather=self.weather, leases=True)
        self.members: list[Member] = []

    def join(self, name: str) -> Member:
        self.members.append(Member(self, name))
        return self.members[-1]

    def check(self) -> None:
        """Nothing is held by two, so that both count."""
        held = [group for member in self.members for group in member.groups]
        assert len(held) == len(set(held)), "held twice"

    async def until(self, reached: Callable[[], bool], seconds: float) -> float:
        """Wait, checking all the time; return how long it took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not reached():
            assert loop.time() - started < seconds, [sorted(member.groups) for member in self.members]
            await asyncio.sleep(0.01)
            self.check()
        return loop.time() - started

    def lease(self, name: str) -> dict[str, Any]:
        return self.cluster.get(LEASES, name, LEASE_NAMESPACE)

    def writes(self, prefix: str) -> int:
        return sum(each.key.name.startswith(prefix) for each in self.cluster.server.journal)


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        on = Scene()
        await scene(on)
        for member in on.members:
            member.kill()

    run(main(), stall_at=100_000)


def shares(members: Sequence[Member]) -> list[int]:
    return [len(member.groups) for member in members]


def test_the_first_one_has_everything_at_once() -> None:
    async def scene(on: Scene) -> None:
        only = on.join("a")
        assert await on.until(lambda: only.groups == ALL, 1.5) < 1.5
        assert [what for what, _ in only.told] == ["look at", "begin"]
        assert only.told[-1] == ("begin", ALL)

    play(scene)


def test_groups_are_written_only_when_they_change_hands() -> None:
    async def scene(on: Scene) -> None:
        only = on.join("a")
        await on.until(lambda: only.groups == ALL, 2)
        await asyncio.sleep(100)
        assert on.writes("fairlead-buckets-") == 16
        assert 45 <= on.writes("fairlead-replica-") <= 60
        assert only.groups == ALL

    play(scene)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_divide_everything_among_them(count: int) -> None:
    async def scene(on: Scene) -> None:
        members = [on.join(f"m{number}") for number in range(count)]
        await on.until(lambda: sum(shares(members)) == 16 and max(shares(members)) <= -(-16 // count), 20)

    play(scene)


def test_one_that_joins_is_handed_its_share_by_a_holder_that_has_stopped() -> None:
    async def scene(on: Scene) -> None:
        first = on.join("a")
        await on.until(lambda: first.groups == ALL, 2)
        second = on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 5)
        assert first.groups | second.groups == ALL
        ended = frozenset[int]().union(*(groups for what, groups in first.told if what == "end"))
        assert ended == second.groups
        assert ("look at", first.groups) in first.told  # it follows the others no more

    play(scene)


def test_what_cannot_be_cut_off_is_waited_for_before_a_hand_over() -> None:
    async def scene(on: Scene) -> None:
        first = on.join("a")
        await on.until(lambda: first.groups == ALL, 2)
        first.unfinished = set(ALL)
        second = on.join("b")
        await asyncio.sleep(30)
        assert first.groups == ALL
        first.unfinished.clear()
        await on.until(lambda: len(second.groups) == 8, 5)
        first.unfinished = set(ALL)
        on.join("c")  # which may get all of its share from the second
        assert await on.until(lambda: len(first.groups) < 8, 90) > 50  # and not for ever

    play(scene)


def test_patience_begins_anew_with_each_hand_over() -> None:
    async def scene(on: Scene) -> None:
        first = on.join("a")
        await on.until(lambda: first.groups == ALL, 2)
        first.unfinished = set(ALL)
        second = on.join("b")
        await asyncio.sleep(20)
        second.kill()
        on.members.remove(second)
        await asyncio.sleep(60)
        assert first.groups == ALL
        on.join("c")
        assert await on.until(lambda: len(first.groups) < 16, 90) > 50

    play(scene)


def test_the_groups_of_one_that_dies_are_taken_over_once_its_lease_is_over() -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        first.kill()
        on.members.remove(first)
        assert await on.until(lambda: second.groups == ALL, 15) > 7
        assert second.took_over == 8

    play(scene)


def test_one_that_may_still_write_is_not_evicted_however_short_somebody_has_made_its_lease() -> None:
    async def scene(on: Scene) -> None:
        _, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        on.weather.cut_off.add("a")
        lasting(on, 1)
        assert await on.until(lambda: second.groups == ALL, 15) > 7
        on.weather.cut_off.clear()
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        assert set(lasting(on, None)) == {LEASE_SECONDS}

    play(scene)


def test_what_a_dead_one_holds_is_not_kept_for_as_long_as_somebody_has_written_into_its_lease() -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        first.kill()
        on.members.remove(first)
        lasting(on, 3600)
        assert await on.until(lambda: second.groups == ALL, 45) > 15

    play(scene)


def lasting(on: Scene, seconds: int | None) -> list[int]:
    """Edit how long the Leases of all members last, unless that is None; returns it as it is."""
    leases = [each for each in on.cluster.list(LEASES) if each["metadata"]["name"].startswith(MEMBER)]
    for each in leases:
        if seconds is not None:
            spec = {"spec": {"leaseDurationSeconds": seconds}}
            on.cluster.patch(LEASES, each["metadata"]["name"], spec, LEASE_NAMESPACE)
    return [each["spec"]["leaseDurationSeconds"] for each in leases if each["spec"].get("holderIdentity")]


def test_the_groups_of_one_that_leaves_are_taken_over_at_once() -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        first.replicas.close()
        await first.replicas.leave()
        assert not first.acting
        await on.until(lambda: second.groups == ALL, 1)
        await asyncio.sleep(60)
        assert second.groups == ALL
        assert not first.groups

    play(scene)


def test_one_that_is_cut_off_stops_before_the_other_begins_and_comes_back_as_another_one() -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        mine = first.groups
        on.weather.cut_off.add("a")
        assert await on.until(lambda: not first.groups, 10) <= 8.1
        assert not first.acting or await on.until(lambda: not first.acting, 1)
        assert ("pause", mine) in first.told
        await on.until(lambda: second.groups == ALL, 15)
        await asyncio.sleep(20)
        on.weather.cut_off.clear()
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        assert ("end", mine) in first.told

    play(scene)


def test_one_that_is_alone_goes_on_after_an_outage_with_what_it_had() -> None:
    async def scene(on: Scene) -> None:
        only = on.join("a")
        await on.until(lambda: only.groups == ALL, 2)
        on.weather.cut_off.add("a")
        await asyncio.sleep(60)
        assert (only.groups, only.acting) == (frozenset(), set())
        assert only.replicas.problem
        on.weather.cut_off.clear()
        await on.until(lambda: only.groups == ALL, 2)
        assert only.replicas.problem == ""
        assert only.told[-2:] == [("pause", ALL), ("begin", ALL)]
        assert on.writes("fairlead-buckets-") == 16

    play(scene)


def test_it_ends_itself_when_no_lease_can_be_had_for_several_lease_times() -> None:
    async def scene(on: Scene) -> None:
        only = on.join("a")
        await on.until(lambda: only.groups == ALL, 2)
        on.weather.cut_off.add("a")
        running = only.tasks[1]
        await asyncio.sleep(100)
        assert not running.done()
        await asyncio.sleep(40)
        assert running.done()
        assert isinstance(running.exception(), BaseExceptionGroup)

    play(scene)


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 9, 20])
def test_answers_that_are_lost_do_no_harm(lost: int) -> None:
    async def scene(on: Scene) -> None:
        on.weather.lost = lost
        first = on.join("a")
        await on.until(lambda: first.groups == ALL, 120)
        on.weather.lost = lost
        on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 120)
        await asyncio.sleep(30)
        assert shares(on.members) == [8, 8]

    play(scene)


def test_what_is_taken_counts_only_when_its_objects_were_listed() -> None:
    async def scene(on: Scene) -> None:
        only = on.join("a")
        only.held_up = asyncio.Event()
        await asyncio.sleep(20)
        assert on.writes("fairlead-buckets-") == 16
        assert not only.groups
        assert ("begin", ALL) not in only.told
        only.held_up.set()
        await on.until(lambda: only.groups == ALL, 1)

    play(scene)


def test_nothing_is_held_by_one_that_was_evicted_while_it_listed() -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        first.held_up = asyncio.Event()
        await asyncio.sleep(5)
        on.weather.cut_off.add("a")
        await on.until(lambda: second.groups == ALL, 20)
        on.weather.cut_off.clear()
        await asyncio.sleep(1)
        first.held_up.set()
        await on.until(lambda: shares(on.members) == [8, 8], 20)

    play(scene)


def test_a_member_whose_lease_somebody_deletes_joins_anew() -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        name = next(
            each["metadata"]["name"] for each in on.cluster.list(LEASES) if "replica-a" in each["metadata"]["name"]
        )
        on.cluster.delete(LEASES, name, LEASE_NAMESPACE)
        await on.until(lambda: not first.groups, 5)
        await on.until(lambda: shares(on.members) == [8, 8], 30)
        assert second.groups | first.groups == ALL

    play(scene)


def test_a_group_that_somebody_gives_away_by_hand_is_let_go_of() -> None:
    async def scene(on: Scene) -> None:
        only = on.join("a")
        await on.until(lambda: only.groups == ALL, 2)
        on.cluster.patch(LEASES, "fairlead-buckets-3", {"spec": {"holderIdentity": None}}, LEASE_NAMESPACE)
        await on.until(lambda: ("end", frozenset({3})) in only.told, 2)
        await on.until(lambda: only.groups == ALL, 5)

    play(scene)


@pytest.mark.parametrize("group", [3, 12])
def test_a_group_whose_lease_somebody_deletes_is_had_again_by_its_holder_at_once(group: int) -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        holder = first if group in first.groups else second
        before = on.lease(f"fairlead-buckets-{group}")["metadata"]["uid"]
        on.cluster.delete(LEASES, f"fairlead-buckets-{group}", LEASE_NAMESPACE)
        await on.until(lambda: ("end", frozenset({group})) in holder.told, 2)
        await on.until(lambda: group in holder.groups, 2)
        assert holder.told[-1] == ("begin", frozenset({group}))
        assert on.lease(f"fairlead-buckets-{group}")["metadata"]["uid"] != before
        await asyncio.sleep(30)
        assert shares(on.members) == [8, 8]

    play(scene)


def test_nobody_else_takes_a_group_without_a_lease_before_its_holder_must_have_noticed() -> None:
    async def scene(on: Scene) -> None:
        first = on.join("a")
        await on.until(lambda: first.groups == ALL, 2)
        await asyncio.sleep(1.5)
        on.weather.cut_off.add("a")  # it hears of nothing, and holds what it has until its deadline
        for stream in list(on.cluster.network.streams):
            stream.cut()
        for group in ALL:
            on.cluster.delete(LEASES, f"fairlead-buckets-{group}", LEASE_NAMESPACE)
        second = on.join("b")
        assert await on.until(lambda: second.groups == ALL, 20) > 6
        assert not first.acting

    play(scene)


def test_a_holder_whose_watch_is_deaf_finds_out_by_its_renewal() -> None:
    async def scene(on: Scene) -> None:
        first = on.join("a")
        await on.until(lambda: first.groups == ALL, 2)
        on.weather.deaf = True
        for stream in list(on.cluster.network.streams):
            stream.cut()
        on.cluster.delete(LEASES, "fairlead-buckets-5", LEASE_NAMESPACE)
        second = on.join("b")
        await on.until(lambda: ("end", frozenset({5})) in first.told, 3)
        await asyncio.sleep(20)
        on.weather.deaf = False
        await on.until(lambda: shares(on.members) == [8, 8], 30)
        assert first.groups | second.groups == ALL

    play(scene)


def test_all_leases_may_be_deleted_at_once() -> None:
    async def scene(on: Scene) -> None:
        on.join("a")
        on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        for lease in on.cluster.list(LEASES):
            on.cluster.delete(LEASES, lease["metadata"]["name"], LEASE_NAMESPACE)
        await on.until(lambda: shares(on.members) == [8, 8], 30)
        await asyncio.sleep(30)
        assert shares(on.members) == [8, 8]

    play(scene)


def test_leases_of_the_dead_are_deleted_after_a_while() -> None:
    async def scene(on: Scene) -> None:
        first, second = on.join("a"), on.join("b")
        await on.until(lambda: shares(on.members) == [8, 8], 20)
        first.kill()
        on.members.remove(first)
        await on.until(lambda: second.groups == ALL, 15)
        assert len(on.cluster.list(LEASES)) == 18
        await asyncio.sleep(70)
        assert len(on.cluster.list(LEASES)) == 17

    play(scene)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotFound(404, "NotFound", 'namespaces "x" not found'), "--lease-namespace names 'x', and there is no such"),
        (Forbidden(403, "Forbidden", "no"), "not allowed to keep Leases in namespace 'x': grant get, list, watch"),
        (ApiError(500, "InternalError", "etcd is away"), "etcd is away"),
    ],
)
def test_what_keeps_a_lease_from_being_had_is_told_with_what_helps(error: ApiError, told: str) -> None:
    assert told in explain(error, "x")
