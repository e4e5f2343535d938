"""From the apiVersion and kind that a user wrote to where the API server has it."""

import asyncio
from typing import Any

import pytest

from fairlead.kube.discovery import Discovery, NoSuchKind
from fairlead.kube.errors import ServerError
from fairlead.kube.resources import PODS, Resource
from fairlead.kube.transport import ApiClient

ALL = ["get", "list", "watch", "create", "patch", "delete"]


def served(*resources: tuple[str, str], namespaced: bool = True) -> dict[str, Any]:
    listed = [{"name": name, "kind": kind, "namespaced": namespaced, "verbs": ALL} for name, kind in resources]
    return {"kind": "APIResourceList", "resources": listed}


SPARK = served(("sparkapplications", "SparkApplication"), ("sparkapplications/status", "SparkApplication"))
SPARK_VERSION = "sparkoperator.k8s.io/v1beta2"


@pytest.fixture
def discovery(client: ApiClient) -> Discovery:
    return Discovery(client)


async def test_a_custom_resource(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(SPARK))
    found = await discovery.resource(SPARK_VERSION, "SparkApplication")
    assert found == Resource(
        "sparkoperator.k8s.io", "v1beta2", "sparkapplications", "SparkApplication", strategic=False
    )
    assert [asked.path for asked in api.asked] == ["/apis/sparkoperator.k8s.io/v1beta2"]


async def test_a_kind_of_the_core_group(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(served(("pods", "Pod"), ("pods/log", "Pod"))))
    assert await discovery.resource("v1", "Pod") == PODS
    assert api.asked[0].path == "/api/v1"


async def test_a_cluster_scoped_kind(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(served(("nodes", "Node"), namespaced=False)))
    assert not (await discovery.resource("v1", "Node")).namespaced


async def test_what_is_known_is_not_asked_for_again(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(served(("pods", "Pod"), ("services", "Service"))))
    await discovery.resource("v1", "Pod")
    await discovery.resource("v1", "Service")
    assert len(api.asked) == 1


async def test_a_kind_that_came_later_is_found(api: Any, discovery: Discovery) -> None:
    api.others += [api.json(served(("pods", "Pod"))), api.json(served(("pods", "Pod"), ("services", "Service")))]
    await discovery.resource("v1", "Pod")
    assert (await discovery.resource("v1", "Service")).plural == "services"


async def test_a_kind_that_was_found_gone_is_looked_up_again(api: Any, discovery: Discovery) -> None:
    api.others += [api.json(served(("things", "Thing"))), api.json(served(("thingies", "Thing")))]
    discovery.forget(await discovery.resource("acme.example/v1", "Thing"))
    assert (await discovery.resource("acme.example/v1", "Thing")).plural == "thingies"


async def test_many_at_once_ask_once(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(SPARK))
    found = await asyncio.gather(*(discovery.resource(SPARK_VERSION, "SparkApplication") for _ in range(50)))
    assert (len(set(found)), len(api.asked)) == (1, 1)


async def test_one_that_gives_up_does_not_take_the_answer_from_the_others(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(SPARK))
    impatient = asyncio.create_task(discovery.resource(SPARK_VERSION, "SparkApplication"))
    patient = asyncio.create_task(discovery.resource(SPARK_VERSION, "SparkApplication"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).plural == "sparkapplications"


async def test_a_missing_kind(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(SPARK))
    with pytest.raises(NoSuchKind) as caught:
        await discovery.resource(SPARK_VERSION, "Spark")
    assert caught.value.message == f"{SPARK_VERSION} has no kind Spark: is its CustomResourceDefinition installed?"


async def test_a_kind_in_the_wrong_case(api: Any, discovery: Discovery) -> None:
    api.others.append(api.json(SPARK))
    with pytest.raises(NoSuchKind, match="has no kind sparkapplication: did you mean SparkApplication"):
        await discovery.resource(SPARK_VERSION, "sparkapplication")


async def test_a_missing_group(api: Any, discovery: Discovery) -> None:
    api.others.append(api.error(404))
    with pytest.raises(NoSuchKind) as caught:
        await discovery.resource("ray.io/v1", "RayJob")
    assert caught.value.message == (
        "the cluster does not serve ray.io/v1, so there is no kind RayJob: is its CustomResourceDefinition installed?"
    )


async def test_a_missing_version_names_those_that_are_there(api: Any, discovery: Discovery) -> None:
    api.others += [api.error(404), api.json({"versions": [{"version": "v1"}, {"version": "v1alpha1"}]})]
    with pytest.raises(NoSuchKind, match=r"ray\.io is served as v1, v1alpha1$"):
        await discovery.resource("ray.io/v2", "RayJob")
    assert [asked.path for asked in api.asked] == ["/apis/ray.io/v2", "/apis/ray.io"]


async def test_a_missing_one_is_asked_for_again(api: Any, discovery: Discovery) -> None:
    api.others += [api.error(404), api.error(404), api.json(SPARK)]
    with pytest.raises(NoSuchKind):
        await discovery.resource(SPARK_VERSION, "SparkApplication")
    assert (await discovery.resource(SPARK_VERSION, "SparkApplication")).plural == "sparkapplications"


@pytest.mark.parametrize(
    "version", ["", "v1/", "/v1", "a/b/v1", "../v1", "apps/../v1", "apps/v1?x=1", "APPS/v1", "a b/v1"]
)
async def test_what_is_no_api_version_is_not_sent(api: Any, discovery: Discovery, version: str) -> None:
    with pytest.raises(NoSuchKind, match="reads group/version"):
        await discovery.resource(version, "Pod")
    assert api.asked == []


async def test_a_server_that_cannot_answer_is_no_missing_kind(api: Any, discovery: Discovery) -> None:
    api.others += [api.error(500, "InternalError"), api.json(SPARK)]
    with pytest.raises(ServerError):
        await discovery.resource(SPARK_VERSION, "SparkApplication")
    assert (await discovery.resource(SPARK_VERSION, "SparkApplication")).plural == "sparkapplications"
