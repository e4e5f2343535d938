"""The shards of a run are read by their names."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.engine.names import shard_name
from fairlead.kube.errors import NotFound, ServerError
from fairlead.kube.resources import ObjectKey
from fairlead.kube.shards import Shards, fetch_shards
from fairlead.kube.transport import ApiClient


class Api(ApiClient):
    """Has these shards of run `daily`, by their index; values are the UIDs of the runs that they say they belong to."""

    def __init__(self, shards: dict[int, str]) -> None:
        self.shards = {shard_name("daily", "uid", index): (index, uid) for index, uid in shards.items()}
        self.broken = False

    async def get(self, resource: Any, name: str, namespace: str | None = None, **_: Any) -> dict[str, Any]:
        assert (resource.plural, namespace) == ("taskstatusshards", "ns")
        if self.broken:
            raise ServerError(500, "InternalError", "etcd")
        if name not in self.shards:
            raise NotFound(404, "NotFound", "not found")
        index, uid = self.shards[name]
        return {"index": index, "workflowUID": uid}


async def fetch(api: Api, count: int) -> Shards:
    return await fetch_shards(api, ObjectKey("ns", "daily"), "uid", count)


@pytest.mark.parametrize(
    ("there", "count", "found", "missing"),
    [
        pytest.param([], 0, [], [], id="none yet"),
        pytest.param([0, 1, 2], 3, [0, 1, 2], [], id="all"),
        pytest.param([0, 1, 2], 1, [0, 1, 2], [], id="made since"),
        pytest.param([0, 2], 3, [0, 2], [1], id="one is gone"),
        pytest.param([0], 3, [0], [1, 2], id="the last are gone"),
    ],
)
async def test_what_is_found_and_missed(there: list[int], count: int, found: list[int], missing: list[int]) -> None:
    shards = await fetch(Api(dict.fromkeys(there, "uid")), count)
    assert [each["index"] for each in shards.found] == found
    assert shards.missing == [shard_name("daily", "uid", index) for index in missing]


async def test_a_namesake_of_another_run_is_none_of_them() -> None:
    shards = await fetch(Api({0: "uid", 1: "other"}), 2)
    assert [each["index"] for each in shards.found] == [0]
    assert shards.missing == [shard_name("daily", "uid", 1)]


async def test_an_outage_is_not_taken_for_a_loss() -> None:
    api = Api({0: "uid"})
    api.broken = True
    with pytest.raises(ServerError):
        await fetch(api, 1)
