"""Who is believed to have made an action, and since when."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.controllers.fake_api import T0, FakeApi, looptime

from fairlead.controllers.identity import POLICY, IdentityCheck, is_in_force
from fairlead.kube.errors import ApiError, Forbidden
from fairlead.kube.resources import ADMISSION_POLICIES, ADMISSION_POLICY_BINDINGS

pytestmark = looptime

SPEC: dict[str, Any] = {
    "failurePolicy": "Fail",
    "matchConstraints": {"namespaceSelector": {}, "resourceRules": [{"resources": ["workflowactions"]}]},
    "validations": [{"expression": "object.spec.requestedBy.username == request.userInfo.username"}],
}
BINDING: dict[str, Any] = {"policyName": POLICY, "validationActions": ["Deny"]}


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def install(api: FakeApi, at: datetime = T0) -> None:
    for resource, spec in ((ADMISSION_POLICIES, SPEC), (ADMISSION_POLICY_BINDINGS, BINDING)):
        metadata = {"name": POLICY, "creationTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        api.put(resource, {"metadata": metadata, "spec": deepcopy(spec)})


async def test_without_the_policy_nobody_is_believed(api: FakeApi) -> None:
    assert not await IdentityCheck(api).covers(T0)


async def test_a_policy_that_is_not_bound_checks_nothing(api: FakeApi) -> None:
    install(api)
    del api.objects[next(key for key in api.objects if key[0] == ADMISSION_POLICY_BINDINGS.plural)]
    assert not await IdentityCheck(api).covers(T0 + timedelta(hours=1))


async def test_who_asks_is_believed_once_the_policy_is_known_to_all_api_servers(api: FakeApi) -> None:
    install(api, at=T0)
    check = IdentityCheck(api)
    assert not await check.covers(T0 - timedelta(seconds=1))
    assert not await check.covers(T0 + timedelta(seconds=29))
    assert await check.covers(T0 + timedelta(seconds=30))


async def test_it_is_looked_for_once_a_minute(api: FakeApi) -> None:
    check = IdentityCheck(api)
    for _ in range(3):
        assert not await check.covers(T0)
    assert api.count("get", ADMISSION_POLICIES) == 1
    install(api, at=T0 - timedelta(hours=1))
    assert not await check.covers(T0)
    await asyncio.sleep(60)
    assert await check.covers(T0)


async def test_an_outage_changes_nothing_about_what_was_seen(api: FakeApi) -> None:
    install(api, at=T0 - timedelta(hours=1))
    check = IdentityCheck(api)
    assert await check.covers(T0)
    api.fail(ApiError(503, "ServiceUnavailable", "away"), "get", ADMISSION_POLICIES)
    await asyncio.sleep(61)
    assert await check.covers(T0)


async def test_where_nothing_was_seen_yet_an_outage_is_told(api: FakeApi) -> None:
    api.fail(ApiError(503, "ServiceUnavailable", "away"), "get", ADMISSION_POLICIES)
    with pytest.raises(ApiError):
        await IdentityCheck(api).covers(T0)


async def test_without_the_right_to_look_nobody_is_believed(api: FakeApi) -> None:
    install(api, at=T0 - timedelta(hours=1))
    api.fail(Forbidden(403, "Forbidden", "no"), "get", ADMISSION_POLICIES)
    assert not await IdentityCheck(api).covers(T0)


@pytest.mark.parametrize(
    ("policy", "binding"),
    [
        ({"failurePolicy": "Ignore"}, {}),
        ({"validations": []}, {}),
        ({"matchConditions": [{"name": "some", "expression": "false"}]}, {}),
        ({"matchConstraints": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}, {}),
        ({}, {"validationActions": ["Audit"]}),
        ({}, {"policyName": "another"}),
        ({}, {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}),
    ],
)
def test_a_policy_that_lets_pass_what_it_should_not_counts_as_missing(policy: Any, binding: Any) -> None:
    assert is_in_force({"spec": SPEC}, {"spec": BINDING})
    assert not is_in_force({"spec": SPEC | policy}, {"spec": BINDING | binding})
