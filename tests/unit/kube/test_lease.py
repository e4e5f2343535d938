"""Leases against the API server in memory: who may write one, and when one counts as not renewed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.clock import set_clock
from fairlead.kube.errors import AlreadyExists, Conflict, NotFound, Unreachable
from fairlead.kube.lease import Lease, Leases, Stillness, lease_view
from fairlead.kube.resources import LEASES
from fairlead.kube.transport import ApiClient
from fairlead.testing.apiserver import Request
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run
from fairlead.testing.network import FairWeather, Passage

NAMESPACE = "default"


class _Weather(FairWeather):
    """Fair, until `passage_of` says something else."""

    passage_of: Passage = Passage()

    def passage(self, sender: str, request: Request) -> Passage:
        return self.passage_of


def play(scene: Callable[[Cluster, Leases], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = Cluster(weather=_Weather())
        set_clock(cluster.now)
        client = ApiClient(cluster.network.session("somebody"), max_retries=0)  # type: ignore[arg-type]
        await scene(cluster, Leases(client, NAMESPACE, lasts=10, seconds=3))

    run(main())


async def made(leases: Leases, holder: str = "me") -> Lease:
    return await leases.create("a", holder, labels={"is": "ours"})


def test_what_is_created_is_what_is_read() -> None:
    async def scene(cluster: Cluster, leases: Leases) -> None:
        lease = await made(leases)
        assert (lease.name, lease.holder, lease.seconds) == ("a", "me", 10)
        assert await leases.get("a") == lease
        raw = cluster.get(LEASES, "a")
        assert raw["metadata"]["labels"] == {"is": "ours"}
        assert raw["spec"]["acquireTime"] == raw["spec"]["renewTime"] == "2026-11-22T08:00:00.000000Z"

    play(scene)


def test_one_that_is_there_is_not_created_again() -> None:
    async def scene(_: Cluster, leases: Leases) -> None:
        await made(leases)
        with pytest.raises(AlreadyExists):
            await made(leases, "somebody else")

    play(scene)


def test_a_renewal_undoes_what_somebody_has_made_of_how_long_it_lasts() -> None:
    async def scene(cluster: Cluster, leases: Leases) -> None:
        await made(leases)
        cluster.patch(LEASES, "a", {"spec": {"leaseDurationSeconds": 3600}}, NAMESPACE)
        edited = await leases.get("a")
        assert (await leases.write(edited, "")).seconds == edited.seconds == 3600
        assert (await leases.write(await leases.get("a"), "me")).seconds == 10

    play(scene)


def test_a_renewal_changes_the_version_and_not_the_holder() -> None:
    async def scene(cluster: Cluster, leases: Leases) -> None:
        lease = await made(leases)
        renewed = await leases.write(lease, "me")
        assert (renewed.holder, renewed.version != lease.version) == ("me", True)
        spec = cluster.get(LEASES, "a")["spec"]
        assert spec["renewTime"] > spec["acquireTime"]

    play(scene)


def test_it_is_written_only_as_it_was_read() -> None:
    async def scene(_: Cluster, leases: Leases) -> None:
        lease = await made(leases)
        await leases.write(lease, "me")
        with pytest.raises(Conflict):
            await leases.write(lease, "somebody else")
        with pytest.raises(Conflict):
            await leases.delete(lease)
        assert (await leases.get("a")).holder == "me"

    play(scene)


def test_nobody_holds_what_was_emptied() -> None:
    async def scene(cluster: Cluster, leases: Leases) -> None:
        emptied = await leases.write(await made(leases), "")
        assert emptied.holder == ""
        assert "holderIdentity" not in cluster.get(LEASES, "a")["spec"]
        assert (await leases.write(emptied, "another")).holder == "another"

    play(scene)


def test_one_that_is_gone_is_not_written() -> None:
    async def scene(_: Cluster, leases: Leases) -> None:
        lease = await made(leases)
        await leases.delete(lease)
        with pytest.raises(NotFound):
            await leases.write(lease, "me")
        with pytest.raises(NotFound):
            await leases.get("a")

    play(scene)


def test_no_request_takes_longer_than_it_may() -> None:
    async def scene(cluster: Cluster, leases: Leases) -> None:
        lease = await made(leases)
        _Weather.passage_of = Passage(unanswered=True)
        try:
            started = asyncio.get_running_loop().time()
            with pytest.raises(Unreachable) as caught:
                await leases.write(lease, "me")
            assert asyncio.get_running_loop().time() - started == pytest.approx(3, abs=0.01)
            assert caught.value.maybe_applied
            assert cluster.get(LEASES, "a")["metadata"]["resourceVersion"] != lease.version
        finally:
            _Weather.passage_of = Passage()

    play(scene)


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None, "leaseDurationSeconds": None}])
def test_what_others_leave_out_is_made_up(spec: Any) -> None:
    raw = {"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}, "spec": spec}
    assert lease_view(raw) == Lease("a", "u", "7", "", 10)


def test_stillness_is_measured_from_when_it_was_first_seen() -> None:
    now = 5.0
    stillness = Stillness(lambda: now)
    assert stillness.since("a", "1") == 5
    now = 12.0
    assert (stillness.since("a", "1"), stillness.since("b", "1")) == (5, 12)
    assert stillness.since("a", "2") == 12
    stillness.forget("a")
    now = 20.0
    assert stillness.since("a", "2") == 20
