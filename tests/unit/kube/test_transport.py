import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from tests.unit.kube.conftest import session_with

from fairlead import __version__
from fairlead.kube import errors
from fairlead.kube.resources import CONFIGMAPS, PODS, WORKFLOWS
from fairlead.kube.session import Session
from fairlead.kube.transport import ApiClient, PatchType

POD: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}


class TestWhatIsSent:
    async def test_create(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json(POD, 201))
        assert await client.create(PODS, POD, "ns") == POD
        [asked] = api.asked
        assert (asked.method, asked.path) == ("POST", "/api/v1/namespaces/ns/pods")
        assert asked.query == {"fieldManager": "fairlead"}
        assert asked.headers["User-Agent"] == f"fairlead/{__version__}"
        assert asked.headers["Content-Type"] == "application/json"
        assert asked.body == POD

    async def test_dry_run(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json(POD, 201))
        await client.create(PODS, POD, "ns", dry_run=True)
        assert api.asked[0].query["dryRun"] == "All"

    @pytest.mark.parametrize(
        ("patch_type", "media"),
        [
            (PatchType.MERGE, "application/merge-patch+json"),
            (PatchType.STRATEGIC, "application/strategic-merge-patch+json"),
            (PatchType.JSON, "application/json-patch+json"),
            (PatchType.APPLY, "application/apply-patch+yaml"),
        ],
    )
    async def test_patch(self, api: Any, client: ApiClient, patch_type: PatchType, media: str) -> None:
        api.others.append(api.json({}))
        await client.patch(WORKFLOWS, "w", {"status": {}}, patch_type, "ns", subresource="status", force=True)
        [asked] = api.asked
        assert asked.path == "/apis/fairlead.dev/v1alpha1/namespaces/ns/workflows/w/status"
        assert asked.headers["Content-Type"] == media
        assert asked.query == {"fieldManager": "fairlead", "force": "true"}

    async def test_only_metadata_is_asked_back(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json({}))
        await client.patch(WORKFLOWS, "w", {}, PatchType.MERGE, "ns", metadata_only=True)
        assert "as=PartialObjectMetadata;" in api.asked[0].headers["Accept"]

    async def test_a_delete_names_the_uid(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json({}))
        await client.delete(PODS, "a", "ns", uid="u1", resource_version="7", grace_period_seconds=0)
        assert api.asked[0].body == {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": "u1", "resourceVersion": "7"},
            "propagationPolicy": "Background",
            "gracePeriodSeconds": 0,
        }

    async def test_a_server_behind_a_path(self, api: Any) -> None:
        api.others.append(api.json(POD))
        async with session_with(api.url + "k8s/clusters/c1/") as session:
            await ApiClient(session).get(PODS, "a", "ns")
        assert api.asked[0].path == "/k8s/clusters/c1/api/v1/namespaces/ns/pods/a"


class TestInSomebodyElsesName:
    async def test_every_request_says_so(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json(POD))
        api.lists.append(api.page(version=1))
        view = client.acting_as("ns", "loader")
        await view.get(PODS, "a", "ns")
        await view.create(PODS, POD, "ns")
        await view.delete(PODS, "a", "ns", uid="u")
        async for _ in view.list_pages(PODS, "ns"):
            pass
        async with view.watch(PODS, "ns", resource_version="1"):
            pass
        assert {asked.headers["Impersonate-User"] for asked in api.asked} == {"system:serviceaccount:ns:loader"}
        assert len(api.asked) == 5

    async def test_no_group_is_named(self, api: Any, client: ApiClient) -> None:
        # The server adds the account's own; a right to impersonate groups would be one to become anybody.
        api.others.append(api.json(POD))
        await client.acting_as("ns", "loader").get(PODS, "a", "ns")
        assert "Impersonate-Group" not in api.asked[0].headers

    async def test_the_client_itself_stays_who_it_is(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.json(POD))
        client.acting_as("ns", "loader")
        await client.get(PODS, "a", "ns")
        assert "Impersonate-User" not in api.asked[0].headers

    async def test_its_requests_take_the_same_slots(self, api: Any, session: Session) -> None:
        held, answer = asyncio.Event(), api.json(POD)

        async def hold(request: web.Request) -> web.StreamResponse:
            await held.wait()
            return await answer(request)

        api.others.append(hold)
        client = ApiClient(session, max_in_flight=1)
        first = asyncio.create_task(client.get(PODS, "a", "ns"))
        while not api.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        second = asyncio.create_task(client.acting_as("ns", "loader").get(PODS, "a", "ns"))
        await asyncio.sleep(0)
        assert len(api.asked) == 1
        held.set()
        await asyncio.gather(first, second)

    @pytest.mark.parametrize(
        ("namespace", "name"), [("", "a"), ("ns", ""), ("ns", "a:b"), ("ns", "a\r\nX: y"), ("../x", "a")]
    )
    async def test_what_is_no_name_is_refused(self, client: ApiClient, namespace: str, name: str) -> None:
        with pytest.raises(ValueError, match="no service account can be called"):
            client.acting_as(namespace, name)


class TestPaging:
    async def test_pages_follow_the_token(self, api: Any, client: ApiClient) -> None:
        api.lists += [api.page(POD, POD, version=5, token="t1"), api.page(POD, version=5)]
        pages = [page async for page in client.list_pages(PODS, label_selector="a=b", limit=2, resource_version="0")]
        assert [len(page.items) for page in pages] == [2, 1]
        assert {page.resource_version for page in pages} == {"5"}
        assert api.queries("list") == [
            {"labelSelector": "a=b", "limit": "2", "resourceVersion": "0"},
            {"labelSelector": "a=b", "limit": "2", "continue": "t1"},
        ]

    async def test_an_expired_token_is_gone(self, api: Any, client: ApiClient) -> None:
        api.lists += [api.page(POD, version=5, token="t1"), api.error(410, "Expired")]
        with pytest.raises(errors.Gone):
            _ = [page async for page in client.list_pages(PODS)]

    async def test_null_items_are_none(self, api: Any, client: ApiClient) -> None:
        api.lists.append(api.json({"metadata": {"resourceVersion": "1"}, "items": None}))
        assert [list(page.items) async for page in client.list_pages(PODS)] == [[]]


class TestPatience:
    @pytest.mark.parametrize("code", [429, 503])
    async def test_retry_after_is_obeyed(self, api: Any, client: ApiClient, notes: Any, code: int) -> None:
        api.others += [api.error(code, retry_after="0.01"), api.json(POD, 201)]
        assert await client.create(PODS, POD, "ns") == POD
        assert [note["code"] for note in notes.requests] == [str(code), "201"]

    async def test_not_more_often_than_allowed(self, api: Any, session: Session) -> None:
        api.others.append(api.error(429, retry_after="0"))
        with pytest.raises(errors.TooManyRequests):
            await ApiClient(session, max_retries=2).create(PODS, POD, "ns")
        assert len(api.asked) == 3

    async def test_not_longer_than_allowed(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.error(429, retry_after="3600"))
        with pytest.raises(errors.TooManyRequests) as caught:
            await client.create(PODS, POD, "ns")
        assert len(api.asked) == 1
        assert caught.value.retry_after == 3600

    @pytest.mark.parametrize("code", [500, 503])
    async def test_a_5xx_without_retry_after_is_the_callers(self, api: Any, client: ApiClient, code: int) -> None:
        api.others.append(api.error(code))
        with pytest.raises(errors.ServerError) as caught:
            await client.create(PODS, POD, "ns")
        assert len(api.asked) == 1
        assert caught.value.maybe_applied


class TestUnreachable:
    """Whether a write may have happened decides what the caller does next."""

    async def test_nobody_listens(self, unused_tcp_port: int) -> None:
        async with session_with(f"http://127.0.0.1:{unused_tcp_port}/") as session:
            with pytest.raises(errors.Unreachable) as caught:
                await ApiClient(session).create(PODS, POD, "ns")
        assert not caught.value.maybe_applied

    async def test_no_answer_to_a_write(self, api: Any, session: Session, notes: Any) -> None:
        api.others.append(api.silence())
        with pytest.raises(errors.Unreachable) as caught:
            await ApiClient(session, observer=notes, request_timeout=0.03).create(PODS, POD, "ns")
        assert caught.value.maybe_applied
        assert caught.value.is_transient
        assert [note["code"] for note in notes.requests] == ["<error>"]

    async def test_no_answer_to_a_read(self, api: Any, session: Session) -> None:
        api.others.append(api.silence())
        with pytest.raises(errors.Unreachable) as caught:
            await ApiClient(session, request_timeout=0.03).get(PODS, "a", "ns")
        assert not caught.value.maybe_applied

    async def test_hung_up_on_a_write(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.hang_up())
        with pytest.raises(errors.Unreachable) as caught:
            await client.create(PODS, POD, "ns")
        assert caught.value.maybe_applied

    async def test_cut_off_in_the_middle_of_the_answer(self, api: Any, client: ApiClient) -> None:
        api.others.append(api.stream(b'{"kind":', then="cut"))
        with pytest.raises(errors.Unreachable) as caught:
            await client.create(PODS, POD, "ns")
        assert caught.value.maybe_applied

    async def test_a_proxys_page_instead_of_json(self, api: Any, client: ApiClient) -> None:
        async def portal(request: web.Request) -> web.Response:
            return web.Response(text="<html>log in</html>")

        api.others.append(portal)
        with pytest.raises(errors.Unreachable, match="not a JSON object"):
            await client.get(PODS, "a", "ns")

    async def test_a_redirect_is_not_followed(self, api: Any, client: ApiClient) -> None:
        # It would carry the token elsewhere.
        api.others.append(api.json({}, 302, {"Location": "http://127.0.0.1:1/"}))
        with pytest.raises(errors.ApiError) as caught:
            await client.get(PODS, "a", "ns")
        assert caught.value.status == 302
        api.watches.append(api.json({}, 302, {"Location": "http://127.0.0.1:1/"}))
        with pytest.raises(errors.ApiError) as caught:
            async with client.watch(PODS, resource_version="1"):
                pass
        assert caught.value.status == 302


class TestInFlight:
    async def test_bounded(self, api: Any, session: Session, eventually: Any) -> None:
        release, under_way = asyncio.Event(), 0

        async def slow(request: web.Request) -> web.Response:
            nonlocal under_way
            under_way += 1
            await release.wait()
            return web.json_response(POD, status=201)

        api.others.append(slow)
        client = ApiClient(session, max_in_flight=2)
        tasks = [asyncio.create_task(client.create(PODS, POD, "ns")) for _ in range(5)]
        await eventually(lambda: under_way == 2)
        await asyncio.sleep(0.02)
        assert under_way == 2
        release.set()
        await asyncio.gather(*tasks)
        assert under_way == 5

    async def test_before_send_sees_the_world_after_the_wait(self, api: Any, session: Session) -> None:
        class Suspended(Exception):
            pass

        suspended = False

        async def suspend(request: web.Request) -> web.Response:
            nonlocal suspended
            suspended = True
            return web.json_response(POD, status=201)

        def check() -> None:
            if suspended:
                raise Suspended

        api.others.append(suspend)
        client = ApiClient(session, max_in_flight=1)
        first, second = await asyncio.gather(
            *(client.create(PODS, POD, "ns", before_send=check) for _ in range(2)), return_exceptions=True
        )
        assert first == POD
        assert isinstance(second, Suspended)
        assert len(api.asked) == 1

    async def test_before_send_runs_before_a_retry_as_well(self, api: Any, client: ApiClient) -> None:
        calls = []

        def check() -> None:
            calls.append(len(api.asked))

        api.others += [api.error(429, retry_after="0"), api.json(POD)]
        await client.create(PODS, POD, "ns", before_send=check)
        assert list(dict.fromkeys(calls)) == [0, 1]

    async def test_before_send_is_asked_after_a_connection_was_made(
        self, api: Any, client: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Suspended(Exception):
            pass

        suspended = False
        connect = Session._connect

        async def connect_late(session: Session, seconds: float) -> Any:
            nonlocal suspended
            suspended = True
            return await connect(session, seconds)

        def check() -> None:
            if suspended:
                raise Suspended

        api.others.append(api.json(POD, 201))
        monkeypatch.setattr(Session, "_connect", connect_late)
        with pytest.raises(Suspended):
            await client.create(PODS, POD, "ns", before_send=check)
        assert api.asked == []


async def test_the_observer_is_told_of_every_exchange(api: Any, client: ApiClient, notes: Any) -> None:
    api.others += [api.json(POD), api.error(404, "NotFound", "no such pod")]
    await client.patch(WORKFLOWS, "w", {"a": 1}, PatchType.MERGE, "ns", subresource="status")
    with pytest.raises(errors.NotFound, match="no such pod"):
        await client.get(CONFIGMAPS, "c", "ns")
    told = [(n["verb"], n["resource"], n["code"], n["sent_bytes"]) for n in notes.requests]
    assert told == [("patch", "workflows/status", "200", 7), ("get", "configmaps", "404", 0)]
    assert all(0 <= note["seconds"] < 1 for note in notes.requests)


class TestAnEmptyName:
    """It would address the whole collection: a GET would list it, a DELETE empty it."""

    @pytest.mark.parametrize("verb", ["get", "patch", "delete"])
    async def test_is_refused(self, api: Any, client: ApiClient, verb: str) -> None:
        requests: dict[str, Callable[[], Awaitable[Any]]] = {
            "get": lambda: client.get(PODS, "", "ns"),
            "patch": lambda: client.patch(PODS, "", {}, PatchType.MERGE, "ns"),
            "delete": lambda: client.delete(PODS, "", "ns", uid="u1"),
        }
        with pytest.raises(ValueError, match="empty name"):
            await requests[verb]()
        assert api.asked == []
