from typing import Any

import pytest

from fairlead.kube import errors
from fairlead.kube.finalizers import add_finalizer, release_finalizer
from fairlead.kube.resources import PODS, WORKFLOWS, ObjectKey
from fairlead.kube.transport import ApiClient

KEY = ObjectKey("ns", "a")
OURS = "fairlead.dev/outcome"
WRONG_UID = {"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]}


def meta(*finalizers: str, uid: str = "u1", version: str = "7") -> dict[str, Any]:
    return {"metadata": {"uid": uid, "resourceVersion": version, "finalizers": list(finalizers)}}


class TestBuiltIn:
    """One strategic merge patch each: no reading first, and other finalizers are not even mentioned."""

    async def test_release(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json({}))
        assert await release_finalizer(client, PODS, KEY, uid="u1", finalizer=OURS)
        [asked] = api.asked
        assert (asked.method, asked.path) == ("PATCH", "/api/v1/namespaces/ns/pods/a")
        assert asked.headers["Content-Type"] == "application/strategic-merge-patch+json"
        assert asked.body == {"metadata": {"uid": "u1", "$deleteFromPrimitiveList/finalizers": [OURS]}}

    async def test_labels_are_set_in_the_same_write(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json({}))
        await release_finalizer(client, PODS, KEY, uid="u1", finalizer=OURS, labels={"a": "b"})
        [asked] = api.asked
        assert asked.body["metadata"]["labels"] == {"a": "b"}

    async def test_add(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json({}))
        await add_finalizer(client, PODS, KEY, uid="u1", finalizer=OURS)
        [asked] = api.asked
        assert asked.headers["Content-Type"] == "application/strategic-merge-patch+json"
        assert asked.body == {"metadata": {"uid": "u1", "finalizers": [OURS]}}

    async def test_gone_is_released(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.error(404, "NotFound"))
        assert not await release_finalizer(client, PODS, KEY, uid="u1", finalizer=OURS)

    async def test_another_object_of_that_name_is_left_alone(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.error(422, "Invalid", **WRONG_UID))
        assert not await release_finalizer(client, PODS, KEY, uid="u1", finalizer=OURS)
        with pytest.raises(errors.Conflict):
            await add_finalizer(client, PODS, KEY, uid="u1", finalizer=OURS)

    async def test_other_refusals_are_told(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.error(422, "Invalid", "something else"))
        with pytest.raises(errors.Invalid):
            await release_finalizer(client, PODS, KEY, uid="u1", finalizer=OURS)


class TestCustomResource:
    """No strategic merge there: read, then change on condition that it still is what was read."""

    async def test_release(self, api: Any, client: ApiClient) -> None:
        api.others += [api.json(meta("foregroundDeletion", OURS)), api.json({})]
        assert await release_finalizer(client, WORKFLOWS, KEY, uid="u1", finalizer=OURS)
        patch = api.asked[-1]
        assert patch.headers["Content-Type"] == "application/json-patch+json"
        assert patch.body == [
            {"op": "test", "path": "/metadata/uid", "value": "u1"},
            {"op": "test", "path": "/metadata/finalizers/1", "value": OURS},
            {"op": "remove", "path": "/metadata/finalizers/1"},
        ]

    async def test_release_when_the_list_moves_meanwhile(self, api: Any, client: ApiClient) -> None:
        api.others += [
            api.json(meta("x", OURS)),
            api.error(422, "Invalid"),
            api.json(meta(OURS)),
            api.json({}),
        ]
        assert await release_finalizer(client, WORKFLOWS, KEY, uid="u1", finalizer=OURS)
        assert api.asked[-1].body[-1] == {"op": "remove", "path": "/metadata/finalizers/0"}

    @pytest.mark.parametrize(
        ("found", "there"), [(meta("x"), True), (meta(OURS, uid="u2"), False)], ids=["released", "another object"]
    )
    async def test_nothing_to_release(self, api: Any, client: ApiClient, found: Any, there: bool) -> None:
        api.others.append(api.json(found))
        assert await release_finalizer(client, WORKFLOWS, KEY, uid="u1", finalizer=OURS) is there
        assert [asked.method for asked in api.asked] == ["GET"]

    async def test_release_gives_up_on_a_list_that_never_rests(self, api: Any, client: ApiClient) -> None:
        api.others += [api.json(meta(OURS)), api.error(422, "Invalid")] * 5
        with pytest.raises(errors.Invalid):
            await release_finalizer(client, WORKFLOWS, KEY, uid="u1", finalizer=OURS)

    async def test_add_keeps_the_others(self, api: Any, client: ApiClient) -> None:
        api.others += [
            api.json(meta("x")),
            api.error(409, "Conflict"),
            api.json(meta("x", "y", version="8")),
            api.json({}),
        ]
        await add_finalizer(client, WORKFLOWS, KEY, uid="u1", finalizer=OURS)
        assert api.asked[-1].body == {"metadata": {"uid": "u1", "resourceVersion": "8", "finalizers": ["x", "y", OURS]}}

    async def test_add_to_another_object_of_that_name(self, api: Any, client: ApiClient) -> None:
        api.others += [api.json(meta(OURS, uid="u2")), api.error(422, "Invalid", **WRONG_UID)]
        with pytest.raises(errors.Conflict):
            await add_finalizer(client, WORKFLOWS, KEY, uid="u1", finalizer=OURS)
        assert len(api.asked) == 2

    async def test_add_what_is_there(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json(meta(OURS)))
        await add_finalizer(client, WORKFLOWS, KEY, uid="u1", finalizer=OURS)
        assert [asked.method for asked in api.asked] == ["GET"]
