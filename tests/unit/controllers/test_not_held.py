"""What an operator does for runs that it does not hold (any more): nothing, until it holds them again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.controllers.fake_api import Stage, looptime, tasks

from fairlead.controllers.buckets import ALL
from fairlead.controllers.options import OperatorOptions
from fairlead.controllers.runtime import Operator
from fairlead.controllers.start import Starter, _Abandoned
from fairlead.controllers.store import WorkflowStore
from fairlead.kube.errors import Unreachable
from fairlead.kube.resources import PODS
from fairlead.kube.transport import PatchType
from fairlead.testing.cluster import LEASE_NAMESPACE, Cluster
from fairlead.testing.loop import run as play

pytestmark = looptime


def chain() -> dict[str, Any]:
    return {"tasks": [*tasks("a")["tasks"], *tasks("b", needs=["a"])["tasks"]]}


async def test_nothing_is_done_past_the_deadline_and_everything_when_it_counts_again(stage: Stage) -> None:
    await stage.begin()
    uid = stage.apply(chain())
    await asyncio.sleep(1)
    assert set(stage.pods()) == {stage.pod("a")}
    stage.operator.holdings.deadline = -inf
    stage.ends(stage.pod("a"))
    await asyncio.sleep(30)
    assert set(stage.pods()) == {stage.pod("a")}
    assert stage.phases()["a"] != "Succeeded"
    assert uid not in stage.operator.controller.active
    stage.operator.holdings.deadline = inf
    stage.operator.queue.add(uid)
    await asyncio.sleep(1)
    assert stage.pod("b") in stage.pods()


async def test_a_new_run_of_somebody_else_is_left_alone(stage: Stage) -> None:
    await stage.begin()
    stage.operator.holdings.groups = frozenset()
    stage.apply(chain())
    await asyncio.sleep(130)
    assert list(stage.pods()) == []


def test_whatever_is_about_to_be_written_past_the_deadline_is_not() -> None:
    play(_writes_past_the_deadline())


async def _writes_past_the_deadline() -> None:
    cluster = Cluster(leases=True)
    cluster.put(PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "default")
    uid = cluster.get(PODS, "p")["metadata"]["uid"]
    session: Any = cluster.network.session("a")
    operator = Operator(session, OperatorOptions(lease_namespace=LEASE_NAMESPACE))
    operator.holdings.groups = ALL
    for write in (
        lambda: operator.client.delete(PODS, "p", "default", uid=uid),
        lambda: operator.client.patch(PODS, "p", {}, PatchType.MERGE, "default"),
        lambda: operator.client.acting_as("default", "default").create(PODS, {"metadata": {"name": "q"}}, "default"),
    ):
        with pytest.raises(Unreachable, match="lease is over"):
            await write()
    assert [each["metadata"]["name"] for each in cluster.list(PODS)] == ["p"]
    operator.holdings.deadline = inf
    await operator.client.delete(PODS, "p", "default", uid=uid)
    assert cluster.list(PODS) == []


def test_what_waited_through_a_loss_is_not_written_afterwards() -> None:
    play(_writes_of_an_earlier_term())


async def _writes_of_an_earlier_term() -> None:
    cluster = Cluster(leases=True)
    session: Any = cluster.network.session("a")
    operator = Operator(session, OperatorOptions(lease_namespace=LEASE_NAMESPACE))
    operator.holdings.groups, operator.holdings.deadline = ALL, inf
    spec = {"containers": [{"name": "c", "image": "i"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    async with AsyncExitStack() as places:
        for _ in range(operator.client.slots.limit):
            await places.enter_async_context(operator.client.slots.place())
        waits = asyncio.create_task(operator.client.create(PODS, pod, "default"))
        await asyncio.sleep(1)
        operator.holdings.term += 1
    with pytest.raises(Unreachable, match="lease is over"):
        await waits
    assert cluster.list(PODS) == []
    await operator.client.create(PODS, pod, "default")


def test_a_create_that_is_about_to_leave_is_abandoned() -> None:
    starter = Starter(WorkflowStore(), {}, lambda _: None, lambda _: False)
    run: Any = SimpleNamespace(uid="u", closed=False)
    with pytest.raises(_Abandoned, match="NotHeld"):
        starter._check_wanted(run, SimpleNamespace(node="a", number=1))  # type: ignore[arg-type]
