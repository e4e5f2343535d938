"""The webhook's certificate is made, renewed and made known, by however many replicas."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from fairlead.controllers import certificate_keeper
from fairlead.controllers.certificate import ServingCertificate
from fairlead.controllers.certificate_keeper import CertificateKeeper
from fairlead.controllers.options import CertificateKeeping
from fairlead.kube.errors import Conflict, Forbidden
from fairlead.kube.resources import SECRETS, VALIDATING_WEBHOOKS, ObjectKey, Resource
from fairlead.kube.transport import ApiClient

KEEPING = CertificateKeeping(
    secret=ObjectKey("fairlead", "fairlead-webhook"), service="fairlead-webhook", configuration="fairlead.fairlead"
)
START = datetime(2026, 11, 22, 8, tzinfo=UTC)


class Api:
    """A Secret and a configuration, of which writes need the version that they were read with."""

    def __init__(self) -> None:
        self.version = 1
        self.writes: list[str] = []
        self.refuses = False
        self.objects: dict[str, dict[str, Any]] = {
            "secrets": {"metadata": {"resourceVersion": "1"}},
            VALIDATING_WEBHOOKS.plural: {
                "metadata": {"resourceVersion": "1"},
                "webhooks": [{"name": "validate.fairlead.dev", "clientConfig": {"service": {}}}],
            },
        }

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        assert (name, namespace) in (("fairlead-webhook", "fairlead"), ("fairlead.fairlead", None))
        await asyncio.sleep(0)
        if self.refuses:
            raise Forbidden(403, "Forbidden", "no right")
        return dict(self.objects[resource.plural])

    async def patch(
        self, resource: Resource, _name: str, body: Mapping[str, Any], _type: str, _namespace: str | None = None
    ) -> dict[str, Any]:
        await asyncio.sleep(0)
        found = self.objects[resource.plural]
        if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "changed")
        self.version += 1
        self.writes.append(resource.plural)
        changed = {**found, "metadata": {"resourceVersion": str(self.version)}}
        if resource is SECRETS:
            changed["data"] = body["data"]
        else:
            changed["webhooks"] = body["webhooks"]
        self.objects[resource.plural] = changed
        return changed

    def told(self) -> bytes:
        [webhook] = self.objects[VALIDATING_WEBHOOKS.plural]["webhooks"]
        return b64decode(webhook["clientConfig"]["caBundle"])

    def secret(self, name: str) -> bytes:
        return b64decode(self.objects["secrets"]["data"][name])


class Time:
    def __init__(self) -> None:
        self.now = START


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(certificate_keeper, "utc_now", lambda: found.now)
    return found


def keeper(api: Api) -> tuple[CertificateKeeper, ServingCertificate]:
    certificate = ServingCertificate()
    return CertificateKeeper(cast("ApiClient", api), KEEPING, certificate), certificate


async def test_it_is_made_shown_and_the_api_server_told_whom_to_believe(time: Time) -> None:
    api = Api()
    one, certificate = keeper(api)
    assert certificate.expires_at == 0.0
    await one.look()
    assert api.told() == api.secret("ca.crt")
    assert certificate.expires_at == (START + timedelta(days=90)).timestamp()


async def test_nothing_is_written_while_nothing_is_due(time: Time) -> None:
    api = Api()
    one, _ = keeper(api)
    await one.look()
    assert api.writes == ["secrets", VALIDATING_WEBHOOKS.plural]
    time.now += timedelta(days=20)
    await one.look()
    assert len(api.writes) == 2


async def test_it_is_renewed_in_time(time: Time) -> None:
    api = Api()
    one, certificate = keeper(api)
    await one.look()
    time.now += timedelta(days=70)
    await one.look()
    assert certificate.expires_at == (time.now + timedelta(days=90)).timestamp()


async def test_several_replicas_show_the_same(time: Time) -> None:
    api = Api()
    keepers = [keeper(api) for _ in range(3)]
    results = await asyncio.gather(*(each.look() for each, _ in keepers), return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), Conflict}
    for each, _ in keepers:
        await each.look()
    assert api.writes.count("secrets") == 1
    assert {certificate.expires_at for _, certificate in keepers} == {(START + timedelta(days=90)).timestamp()}


async def test_what_somebody_took_out_of_the_configuration_is_put_back(time: Time) -> None:
    api = Api()
    one, _ = keeper(api)
    await one.look()
    api.objects[VALIDATING_WEBHOOKS.plural]["webhooks"] = [{"name": "validate.fairlead.dev", "clientConfig": {}}]
    await one.look()
    assert api.told() == api.secret("ca.crt")


async def test_missing_rights_are_said_once_and_waited_for(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    api = Api()
    api.refuses = True
    one, certificate = keeper(api)
    task = asyncio.create_task(one.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert certificate.expires_at == 0.0
    assert caplog.text.count("cannot be looked after") == 1
    task.cancel()
