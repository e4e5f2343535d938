"""Which kinds are served; by the operator's own eyes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.testing.apiserver.client import Client

from fairlead.kube.discovery import Discovery, NoSuchKind
from fairlead.kube.errors import error_from_response
from fairlead.kube.resources import JOBS, PODS, WORKFLOWS, Resource
from fairlead.kube.transport import ApiClient


class Transport(ApiClient):
    """As much of the transport as discovery uses."""

    def __init__(self, api: Client) -> None:
        self.api = api

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        answer = self.api.ask(method, path)
        if answer.code >= 300:
            raise error_from_response(answer.code, answer.encoded())
        return answer.encoded()


@pytest.mark.parametrize("resource", [PODS, JOBS, WORKFLOWS])
async def test_what_is_served_is_found(api: Client, resource: Resource) -> None:
    assert await Discovery(Transport(api)).resource(resource.api_version, resource.kind) == resource


@pytest.mark.parametrize(
    ("api_version", "kind", "said"),
    [
        ("v1", "Pd", "v1 has no kind Pd"),
        ("batch/v9", "Job", "batch is served as v1"),
        ("nope.dev/v1", "Thing", "does not serve nope.dev/v1"),
    ],
)
async def test_what_is_not_served_is_said_to_be_missing(api: Client, api_version: str, kind: str, said: str) -> None:
    with pytest.raises(NoSuchKind, match=said):
        await Discovery(Transport(api)).resource(api_version, kind)


def test_groups(api: Client) -> None:
    groups = {each["name"] for each in api.ask("GET", "/apis").body["groups"]}
    assert {"fairlead.dev", "batch", "authentication.k8s.io"} <= groups
