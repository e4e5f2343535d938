"""Waiting for an object: when it is looked at, as whom, and what ends the wait."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.controllers.errand_kit import a_run, errand, expression, outcome, seen, waits
from tests.unit.controllers.fake_api import NAMESPACE, FakeApi, looptime

from fairlead.controllers.condition import Conditions
from fairlead.controllers.errands import Errand
from fairlead.controllers.refusals import OPERATOR_FORBIDDEN
from fairlead.controllers.run import Run
from fairlead.engine.model import FailureClass, WorkKind
from fairlead.engine.state import Result
from fairlead.kube.discovery import Discovery
from fairlead.kube.errors import ApiError, Forbidden, NotFound, ServerError
from fairlead.kube.resources import CONFIGMAPS, NAMESPACES, SECRETS, Resource
from fairlead.telemetry.metrics import Metrics

pytestmark = looptime

READY = expression("object.data.ready == 'yes'", "object")
WIDGETS = Resource("acme.example", "v1", "widgets", "Widget", strategic=False)


def condition(name: str = "flag", *, when: Any = READY, every: int = 10, kind: Resource = CONFIGMAPS) -> dict[str, Any]:
    wanted = {"apiVersion": kind.api_version, "kind": kind.kind, "name": name, "when": when, "intervalSeconds": every}
    return {"seconds": None, "until": None, "condition": wanted, "callback": None, "heartbeatSeconds": None}


def config_map(name: str = "flag", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": name}, "data": data}


@pytest.fixture
async def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def conditions(api: FakeApi) -> AsyncIterator[Conditions]:
    found = Conditions(api, Discovery(api), Metrics(), draw=lambda: 0.5)
    working = asyncio.create_task(found.queue.run())
    yield found
    await found.close()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


def begin(conditions: Conditions, run: Run, node: str, work: dict[str, Any] | None = None) -> Errand:
    begun = errand(run, node, WorkKind.WAIT, work or condition())
    conditions.begin(begun)
    return begun


def succeeded(run: Run, node: str) -> bool:
    ended = outcome(run, node)
    return ended is not None and (ended.result, ended.values) == (Result.SUCCEEDED, {})


class TestUntilItHolds:
    async def test_at_once(self, api: FakeApi, conditions: Conditions) -> None:
        run = a_run()
        api.put(CONFIGMAPS, config_map(ready="yes"))
        begin(conditions, run, "a")
        await asyncio.sleep(0.1)
        assert succeeded(run, "a")

    async def test_once_the_object_is_there_and_says_so(self, api: FakeApi, conditions: Conditions) -> None:
        run = a_run()
        begin(conditions, run, "a")
        await asyncio.sleep(25)
        api.put(CONFIGMAPS, config_map(ready="no"))
        await asyncio.sleep(25)
        assert outcome(run, "a") is None
        api.edit(CONFIGMAPS, "flag", lambda raw: raw["data"].update(ready="yes"))
        await asyncio.sleep(11)
        assert succeeded(run, "a")
        assert waits(run, "a") == ["WaitingForCondition"] * 2
        assert [fact.message for fact in run.inbox[:2]] == [  # type: ignore[union-attr]
            "ConfigMap flag does not exist yet",
            "when is not true yet of ConfigMap flag",
        ]

    async def test_then_it_is_looked_at_no_more(self, api: FakeApi, conditions: Conditions) -> None:
        api.put(CONFIGMAPS, config_map(ready="yes"))
        begin(conditions, a_run(), "a")
        await asyncio.sleep(100)
        assert api.count("get", CONFIGMAPS) == 1

    async def test_nor_after_it_was_given_up(self, api: FakeApi, conditions: Conditions) -> None:
        begun = begin(conditions, a_run(), "a")
        await asyncio.sleep(1)
        conditions.cancel(begun)
        conditions.cancel(begun)
        await asyncio.sleep(100)
        assert api.count("get", CONFIGMAPS) == 1

    async def test_one_that_was_given_up_during_a_look(self, api: FakeApi, conditions: Conditions) -> None:
        run = a_run()
        api.put(CONFIGMAPS, config_map(ready="yes"))
        held = api.hold("get", CONFIGMAPS)
        begun = begin(conditions, run, "a")
        await asyncio.sleep(1)
        conditions.cancel(begun)
        held.lift()
        await asyncio.sleep(100)
        assert run.inbox == []

    async def test_a_field_that_is_not_there_yet_is_waited_for(self, api: FakeApi, conditions: Conditions) -> None:
        run = a_run()
        api.put(CONFIGMAPS, config_map())
        begin(conditions, run, "a")
        await asyncio.sleep(25)
        assert waits(run, "a") == ["ExpressionError"]
        api.edit(CONFIGMAPS, "flag", lambda raw: raw["data"].update(ready="yes"))
        await asyncio.sleep(11)
        assert succeeded(run, "a")


class TestHowOften:
    @pytest.mark.parametrize(("every", "looks"), [(10, 11), (1, 101), (0, 101), (60, 2)])
    async def test_every_so_many_seconds(self, api: FakeApi, conditions: Conditions, every: int, looks: int) -> None:
        begin(conditions, a_run(), "a", condition(every=every))
        await asyncio.sleep(100.5)
        assert abs(api.count("get", CONFIGMAPS) - looks) <= 1

    async def test_looks_are_spread(self, api: FakeApi) -> None:
        draws = iter([0.0, 1.0])
        conditions = Conditions(api, Discovery(api), Metrics(), draw=lambda: next(draws, 0.5))
        working = asyncio.create_task(conditions.queue.run())
        begin(conditions, a_run(), "a")
        for seconds, looks in ((8.9, 1), (0.3, 2), (10.7, 2), (0.3, 3)):
            await asyncio.sleep(seconds)
            assert api.count("get", CONFIGMAPS) == looks
        working.cancel()

    async def test_waits_for_the_same_object_share_a_look(self, api: FakeApi, conditions: Conditions) -> None:
        run, other = a_run("u1"), a_run("u2")
        for number in range(50):
            begin(conditions, run, f"a{number}")
            begin(conditions, other, f"a{number}")
        await asyncio.sleep(35)
        assert api.count("get", CONFIGMAPS) <= 5
        api.put(CONFIGMAPS, config_map(ready="yes"))
        await asyncio.sleep(10)
        assert all(succeeded(each, f"a{number}") for each in (run, other) for number in range(50))

    async def test_the_most_eager_one_sets_the_pace(self, api: FakeApi, conditions: Conditions) -> None:
        run = a_run()
        begin(conditions, run, "slow", condition(every=60))
        eager = begin(conditions, run, "eager", condition(every=2))
        await asyncio.sleep(20.5)
        assert 10 <= api.count("get", CONFIGMAPS) <= 12
        conditions.cancel(eager)
        before = api.count("get", CONFIGMAPS)
        await asyncio.sleep(58)
        assert api.count("get", CONFIGMAPS) <= before + 1

    async def test_another_expression_about_an_object_that_does_not_change(
        self, api: FakeApi, conditions: Conditions
    ) -> None:
        run = a_run()
        api.put(CONFIGMAPS, config_map(ready="no"))
        begin(conditions, run, "a")
        await asyncio.sleep(15)
        begin(conditions, run, "b", condition(when=expression("object.data.ready == 'no'", "object")))
        await asyncio.sleep(1)
        assert succeeded(run, "b")
        assert outcome(run, "a") is None

    async def test_few_at_once(self, api: FakeApi, conditions: Conditions) -> None:
        held = api.hold("get", CONFIGMAPS)
        for number in range(100):
            begin(conditions, a_run(), "a", condition(f"flag-{number}"))
        await asyncio.sleep(5)
        assert held.hits == 16
        held.lift()
        await asyncio.sleep(5)
        assert api.count("get", CONFIGMAPS) == 100


class TestRights:
    async def test_it_is_read_as_the_service_account_of_the_run(self, api: FakeApi, conditions: Conditions) -> None:
        begin(conditions, a_run(), "a")
        await asyncio.sleep(1)
        assert {each.actor for each in api.asked if each.plural == "configmaps"} == {"ns/loader"}

    async def test_what_one_account_sees_is_not_shown_to_another(self, api: FakeApi, conditions: Conditions) -> None:
        begin(conditions, a_run("u1"), "a")
        begin(conditions, a_run("u2", service_account="other"), "a")
        await asyncio.sleep(1)
        assert {each.actor for each in api.asked if each.plural == "configmaps"} == {"ns/loader", "ns/other"}

    @pytest.mark.parametrize(
        ("error", "reason", "stalled"),
        [
            (
                Forbidden(403, "Forbidden", 'User "system:…:loader" cannot get resource "configmaps"'),
                "Forbidden",
                False,
            ),
            (Forbidden(403, "", 'User "x" cannot impersonate resource "serviceaccounts"'), OPERATOR_FORBIDDEN, True),
            (ServerError(503, "", "x"), "ApiUnavailable", False),
            (ApiError(400, "BadRequest", "x"), "ApiUnavailable", False),
        ],
        ids=["Forbidden", "impersonate", "503", "400"],
    )
    async def test_whatever_may_pass_is_shown_and_waited_for(
        self, api: FakeApi, conditions: Conditions, error: ApiError, reason: str, stalled: bool
    ) -> None:
        run = a_run()
        api.put(CONFIGMAPS, config_map(ready="yes"))
        trouble = api.fail(error, "get", CONFIGMAPS)
        begin(conditions, run, "a")
        await asyncio.sleep(35)
        assert (waits(run, "a"), outcome(run, "a")) == ([reason], None)
        assert bool(run.stalled) is stalled
        trouble.lift()
        await asyncio.sleep(11)
        assert succeeded(run, "a")

    @pytest.mark.parametrize(
        ("error", "reason", "stalled"),
        [
            (Forbidden(403, "Forbidden", 'User "x" cannot get resource "configmaps"'), "Forbidden", False),
            (Forbidden(403, "", 'User "x" cannot impersonate resource "serviceaccounts"'), OPERATOR_FORBIDDEN, True),
            (ServerError(503, "", "x"), "ApiUnavailable", False),
        ],
        ids=["Forbidden", "impersonate", "503"],
    )
    async def test_when_it_has_passed_the_same_object_is_waited_for_as_before(
        self, api: FakeApi, conditions: Conditions, error: ApiError, reason: str, stalled: bool
    ) -> None:
        run = a_run()
        api.put(CONFIGMAPS, config_map(ready="no"))
        begin(conditions, run, "a")
        await asyncio.sleep(15)
        assert waits(run, "a") == ["WaitingForCondition"]
        trouble = api.fail(error, "get", CONFIGMAPS)
        await asyncio.sleep(20)
        assert (waits(run, "a")[-1], bool(run.stalled)) == (reason, stalled)
        trouble.lift()
        await asyncio.sleep(11)
        assert waits(run, "a") == ["WaitingForCondition", reason, "WaitingForCondition"]
        assert seen(run, "a")[-1].message == "when is not true yet of ConfigMap flag"
        assert run.stalled == ""


@pytest.mark.parametrize(
    "when",
    ["object.data[object.data.p] == 'x'", "int(object.data.p) == 1", "fromJson(object.data.p).x == 1", "object.data.p"],
)
async def test_nothing_of_a_secret_is_told(
    api: FakeApi, conditions: Conditions, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    run = a_run()
    api.kinds.append(SECRETS)
    api.put(SECRETS, config_map(p="aHVudGVyMg==") | {"kind": "Secret"})
    begin(conditions, run, "a", condition(kind=SECRETS, when=expression(when, "object")))
    await asyncio.sleep(1)
    [told] = [fact.message for fact in seen(run, "a")]
    assert told in ("when: the expression cannot be evaluated", "when is not true yet of Secret flag")
    assert "aHVu" not in caplog.text


class TestWhatCannotBeWaitedFor:
    async def ended(self, conditions: Conditions, work: dict[str, Any]) -> tuple[FailureClass | None, str, str]:
        run = a_run()
        begin(conditions, run, "a", work)
        await asyncio.sleep(1)
        found = outcome(run, "a")
        assert found is not None
        return found.failure_class, found.reason, found.message

    async def test_a_kind_that_is_not_served(self, conditions: Conditions) -> None:
        failure = await self.ended(conditions, condition(kind=WIDGETS))
        assert failure[:2] == (FailureClass.CONFIGURATION, "NoSuchKind")
        assert "no kind Widget: is its CustomResourceDefinition installed?" in failure[2]

    async def test_an_object_of_the_whole_cluster(self, api: FakeApi, conditions: Conditions) -> None:
        api.kinds.append(NAMESPACES)
        failure = await self.ended(conditions, condition(kind=NAMESPACES))
        assert failure[:2] == (FailureClass.CONFIGURATION, "NotNamespaced")

    @pytest.mark.parametrize("name", ["", ".."])
    async def test_what_is_no_name(self, conditions: Conditions, name: str) -> None:
        failure = await self.ended(conditions, condition(name))
        assert failure[:2] == (FailureClass.CONFIGURATION, "InvalidName")

    async def test_a_kind_that_vanishes(self, api: FakeApi, conditions: Conditions) -> None:
        run = a_run()
        api.kinds.append(WIDGETS)
        begin(conditions, run, "a", condition(kind=WIDGETS))
        await asyncio.sleep(15)
        api.kinds.remove(WIDGETS)
        api.fail(NotFound(404, "", "the server could not find the requested resource"), "get", WIDGETS)
        await asyncio.sleep(40)
        assert outcome(run, "a") is None  # an API server that has just begun may say so
        await asyncio.sleep(40)
        found = outcome(run, "a")
        assert found is not None
        assert found.reason == "NoSuchKind"

    async def test_a_kind_that_is_missing_for_a_moment(self, api: FakeApi, conditions: Conditions) -> None:
        run = a_run()
        api.kinds.append(WIDGETS)
        begin(conditions, run, "a", condition(kind=WIDGETS, when=expression("true", "object")))
        await asyncio.sleep(15)
        api.kinds.remove(WIDGETS)
        trouble = api.fail(NotFound(404, "", "404 page not found"), "get", WIDGETS)
        await asyncio.sleep(30)
        trouble.lift()
        api.kinds.append(WIDGETS)
        api.put(WIDGETS, config_map() | {"apiVersion": "acme.example/v1", "kind": "Widget"})
        await asyncio.sleep(11)
        assert succeeded(run, "a")


async def test_a_thousand_waits_are_no_tasks_and_few_objects(api: FakeApi, conditions: Conditions) -> None:
    run = a_run()
    await asyncio.sleep(1)
    tasks = len(asyncio.all_tasks())
    gc.collect()
    objects = len(gc.get_objects())
    for number in range(1000):
        begin(conditions, run, f"n{number}", condition(f"flag-{number}", every=60))
    await asyncio.sleep(30)
    assert api.count("get", CONFIGMAPS) == 1000
    api.asked.clear()
    run.inbox.clear()
    gc.collect()
    assert len(asyncio.all_tasks()) == tasks
    assert (len(gc.get_objects()) - objects) / 1000 < 20
