"""How the copy stays true, whatever the wire does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import pytest
from tests.unit.kube.conftest import session_with

from fairlead.kube.informer import Informer, controller_uid
from fairlead.kube.resources import PODS, WORKFLOWS, ObjectKey
from fairlead.kube.transport import ApiClient, JsonObject

Change = tuple[str, str | None, str | None]


def pod(name: str, version: int, phase: str = "Pending", *, uid: str = "", owner: str = "w1") -> JsonObject:
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "ownerReferences": [{"uid": "other"}, {"uid": owner, "controller": True}] if owner else [],
        },
        "status": {"phase": phase},
    }


def added(name: str, version: int, phase: str = "Pending", **more: str) -> JsonObject:
    return {"type": "ADDED", "object": pod(name, version, phase, **more)}


def modified(name: str, version: int, phase: str = "Pending", **more: str) -> JsonObject:
    return {"type": "MODIFIED", "object": pod(name, version, phase, **more)}


def deleted(name: str, version: int, phase: str = "Pending", **more: str) -> JsonObject:
    return {"type": "DELETED", "object": pod(name, version, phase, **more)}


def bookmark(version: int) -> JsonObject:
    return {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": str(version)}}}


def failure(code: int, reason: str = "", message: str = "") -> JsonObject:
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": reason, "message": message}}


def phase_of(obj: JsonObject) -> str:
    return str(obj["status"]["phase"])


def key(name: str) -> ObjectKey:
    return ObjectKey("ns", name)


@dataclass
class Followed:
    """An informer at work and what it told."""

    informer: Informer[str]
    changes: list[Change] = field(default_factory=list)

    def copy(self) -> dict[str, str]:
        return {found.name: value for found, value in self.informer.items()}


Follow = Callable[..., Followed]


@pytest.fixture
async def follow(client: ApiClient, notes: Any) -> AsyncIterator[Follow]:
    tasks = []

    def start(**options: Any) -> Followed:
        changes: list[Change] = []
        defaults: dict[str, Any] = {"project": phase_of, "backoff": (0.001, 0.01), "idle_timeout": 5.0}
        informer: Informer[str] = Informer(
            client,
            options.pop("resource", PODS),
            on_change=options.pop("on_change", lambda k, old, new: changes.append((k.name, old, new))),
            observer=notes,
            **defaults | options,
        )
        tasks.append(asyncio.create_task(informer.run()))
        return Followed(informer, changes)

    yield start
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), "run() ends by cancellation only"


class TestListAndWatch:
    async def test_a_list_then_changes(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.page(pod("a", 3), pod("b", 4), version=5))
        api.watches.append(
            api.stream(modified("a", 6, "Running"), added("c", 7), deleted("b", 8, "Failed"), bookmark(9))
        )
        followed = follow(namespace="ns", label_selector="x=y")
        await eventually(lambda: len(followed.changes) == 5)
        assert followed.changes == [
            ("a", None, "Pending"),
            ("b", None, "Pending"),
            ("a", "Pending", "Running"),
            ("c", None, "Pending"),
            ("b", "Failed", None),  # the last state is the one the deletion told
        ]
        assert followed.copy() == {"a": "Running", "c": "Pending"}
        [watch] = api.queries("watch")
        assert watch | {"timeoutSeconds": ""} == {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": "x=y",
            "resourceVersion": "5",
            "timeoutSeconds": "",
        }
        assert 48 <= int(watch["timeoutSeconds"]) <= 72

    async def test_pages_are_one_list(self, api: Any, follow: Follow) -> None:
        api.lists += [
            api.page(pod("a", 1), pod("b", 2), version=9, token="t"),
            api.page(pod("c", 3), version=9),
        ]
        followed = follow(page_size=2)
        await followed.informer.synced.wait()
        assert followed.copy() == {"a": "Pending", "b": "Pending", "c": "Pending"}
        assert [query["limit"] for query in api.queries("list")] == ["2", "2"]

    async def test_synced_comes_after_the_callbacks(self, api: Any, follow: Follow) -> None:
        api.lists.append(api.page(pod("a", 1), version=1))
        when: list[bool] = []
        followed = follow(on_change=lambda *_: when.append(followed.informer.synced.is_set()))
        await followed.informer.synced.wait()
        assert when == [False]

    async def test_only_the_projection_is_kept(self, api: Any, follow: Follow) -> None:
        api.lists.append(api.page(pod("a", 1, "Running"), version=1))
        followed = follow()
        await followed.informer.synced.wait()
        assert followed.informer.get(key("a")) == "Running"
        assert followed.informer.get(key("z")) is None
        assert len(followed.informer) == 1


class TestResume:
    @pytest.mark.parametrize("then", ["close", "cut"])
    async def test_a_watch_that_ended_goes_on_from_the_last_version(
        self, api: Any, follow: Follow, eventually: Any, then: str
    ) -> None:
        api.lists.append(api.page(version=5))
        api.watches += [
            api.stream(added("a", 6), added("b", 7), then=then, every=0.01),
            api.stream(added("c", 8)),
        ]
        followed = follow()
        await eventually(lambda: len(followed.changes) == 3)
        assert [query["resourceVersion"] for query in api.queries("watch")] == ["5", "7"]
        assert len(api.queries("list")) == 1

    async def test_a_bookmark_moves_the_version(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.page(version=5))
        api.watches.append(api.stream(bookmark(500), then="close"))
        followed = follow()
        await eventually(lambda: len(api.queries("watch")) == 2)
        assert [query["resourceVersion"] for query in api.queries("watch")] == ["5", "500"]
        assert followed.changes == []

    async def test_half_an_event_is_read_again_as_a_whole(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.page(version=5))
        api.watches += [
            api.stream(added("a", 6), b'{"type":"ADDED","object":{"metadata":{"na', then="close"),
            api.stream(added("b", 7)),
        ]
        followed = follow()
        await eventually(lambda: len(followed.changes) == 2)
        assert api.queries("watch")[1]["resourceVersion"] == "6"

    async def test_an_event_larger_than_any_buffer(self, api: Any, follow: Follow, eventually: Any) -> None:
        huge = added("a", 6)
        huge["object"]["spec"] = "x" * 3_000_000
        api.lists.append(api.page(version=5))
        api.watches.append(api.stream(huge, added("b", 7)))
        followed = follow()
        await eventually(lambda: len(followed.changes) == 2)

    async def test_events_told_again_change_nothing(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.page(pod("a", 4, "Running"), version=5))
        api.watches += [
            api.stream(deleted("b", 6), modified("a", 7, "Succeeded"), then="close"),
            # A server replays from before: the old news must not win, nor raise the dead.
            api.stream(added("b", 3), modified("a", 4, "Running"), modified("a", 7, "Running"), added("z", 8)),
        ]
        followed = follow()
        await eventually(lambda: "z" in followed.copy())
        assert followed.copy() == {"a": "Succeeded", "z": "Pending"}
        assert [c for c in followed.changes if c[0] == "a"] == [
            ("a", None, "Running"),
            ("a", "Running", "Succeeded"),
        ]

    async def test_a_server_that_closes_at_once_is_not_hammered(self, api: Any, follow: Follow, notes: Any) -> None:
        api.lists.append(api.page(version=5))
        api.watches.extend([api.stream(then="close")] * 1000)
        follow(backoff=(0.01, 10.0), random=lambda: 1.0)
        await asyncio.sleep(0.05)
        assert len(notes.restarts) <= 5


class TestExpiredHistory:
    @pytest.mark.parametrize("how", ["event", "response"])
    async def test_410_lists_again_and_finds_what_was_missed(
        self, api: Any, follow: Follow, eventually: Any, notes: Any, how: str
    ) -> None:
        api.lists += [
            api.page(pod("stays", 1), pod("changes", 2), pod("goes", 3), pod("reborn", 4), version=5),
            api.page(
                pod("stays", 1),
                pod("changes", 12, "Succeeded"),
                pod("comes", 13),
                pod("reborn", 14, uid="uid-2"),
                version=20,
            ),
        ]
        gone = api.stream(failure(410, "Expired")) if how == "event" else api.error(410, "Expired")
        api.watches.append(gone)
        followed = follow()
        await eventually(lambda: len(api.queries("watch")) == 2)
        assert followed.changes[4:] == [
            ("goes", "Pending", None),
            ("changes", "Pending", "Succeeded"),
            ("comes", None, "Pending"),
            ("reborn", "Pending", None),
            ("reborn", None, "Pending"),
        ]
        assert api.queries("watch")[1]["resourceVersion"] == "20"
        assert notes.restarts == ["expired"]
        assert followed.informer.last_error is None

    async def test_410_between_pages_starts_the_list_over(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists += [
            api.page(pod("old", 1), version=5, token="t"),
            api.error(410, "Expired"),
            api.page(pod("a", 7), version=9, token="t"),
            api.page(pod("b", 8), version=9),
        ]
        followed = follow(page_size=1)
        await followed.informer.synced.wait()
        assert followed.copy() == {"a": "Pending", "b": "Pending"}
        assert followed.changes == [("a", None, "Pending"), ("b", None, "Pending")]  # half a list tells nothing

    async def test_pages_that_always_expire_end_in_one_large_page(self, api: Any, follow: Follow) -> None:
        expiring = [api.page(pod("a", 1), version=5, token="t"), api.error(410, "Expired")]
        api.lists += [*expiring, *expiring, api.page(pod("a", 1), pod("b", 2), version=9)]
        followed = follow(page_size=1)
        await followed.informer.synced.wait()
        assert "limit" not in api.queries("list")[-1]
        assert len(followed.informer) == 2

    async def test_an_older_list_than_what_was_seen_is_not_believed(
        self, api: Any, follow: Follow, eventually: Any
    ) -> None:
        api.lists += [
            api.page(pod("a", 5, "Running"), version=5),
            api.page(pod("a", 3), version=4),  # a server that lags behind
            api.page(pod("a", 8, "Succeeded"), version=9),
        ]
        api.watches.append(api.error(410, "Expired"))
        followed = follow()
        await eventually(lambda: len(api.queries("watch")) == 2)
        assert followed.changes == [("a", None, "Running"), ("a", "Running", "Succeeded")]

    async def test_a_history_rewound_for_good_is_believed_in_the_end(
        self, api: Any, follow: Follow, eventually: Any
    ) -> None:
        """Storage restored from a backup: every list is older than what we saw, and a watch says nothing."""
        api.lists += [api.page(pod("a", 900), pod("b", 901), version=1000), api.page(pod("a", 20), version=30)]
        silent = api.stream()  # accepted, from version 1000 on
        api.watches += [silent, api.stream(modified("a", 31, "Running"))]
        followed = follow(idle_timeout=0.02)
        await eventually(lambda: followed.copy() == {"a": "Running"})
        assert [query["resourceVersion"] for query in api.queries("watch")[:2]] == ["1000", "30"]


class TestSilence:
    async def test_a_silent_watch_is_given_up_and_resumed(
        self, api: Any, follow: Follow, eventually: Any, notes: Any
    ) -> None:
        api.lists += [api.page(version=5), api.page(version=8)]
        api.watches += [api.stream(added("a", 6)), api.stream(added("b", 7))]
        followed = follow(idle_timeout=0.02)
        await eventually(lambda: len(followed.changes) == 2)
        assert notes.restarts[:1] == ["silent"]
        assert [query["resourceVersion"] for query in api.queries("watch")[:2]] == ["5", "6"]
        assert api.queries("list")[1]["limit"] == "1"  # a glance at the server's version, not a list
        assert followed.informer.last_error is None

    async def test_a_slow_watch_is_not_a_silent_one(
        self, api: Any, follow: Follow, eventually: Any, notes: Any
    ) -> None:
        api.lists.append(api.page(version=5))
        line = b'{"type":"ADDED","object":' + b" " * 20 + b'{"metadata":{"namespace":"ns","name":"a",'
        rest = b'"uid":"u","resourceVersion":"6"},"status":{"phase":"Running"}}}\n'
        pieces = [line[i : i + 8] for i in range(0, len(line), 8)]
        api.watches.append(api.stream(*pieces, rest, every=0.01))
        followed = follow(idle_timeout=0.1)  # longer than any pause, shorter than the whole
        await eventually(lambda: followed.changes)
        assert followed.changes == [("a", None, "Running")]
        assert notes.restarts == []

    def test_a_quiet_watch_is_closed_by_the_server_before_it_counts_as_silent(self) -> None:
        options = signature(Informer).parameters
        assert options["idle_timeout"].default > options["server_timeout"].default * 1.2 + 2

    async def test_staleness_grows_with_silence_and_ends_with_a_sign_of_life(self, api: Any, follow: Follow) -> None:
        now = 100.0
        api.lists.append(api.page(version=5))
        followed = follow(clock=lambda: now)
        now = 140.0
        assert followed.informer.staleness() == 40
        await followed.informer.synced.wait()
        assert followed.informer.staleness() == 0

    async def test_idle_tells_an_absent_server_from_a_hanging_loop(
        self, api: Any, follow: Follow, eventually: Any
    ) -> None:
        now = 100.0
        api.lists.append(api.error(500))
        followed = follow(clock=lambda: now)
        now = 140.0
        before = len(api.asked)
        await eventually(lambda: len(api.asked) > before + 1)
        assert followed.informer.staleness() == 40  # nothing heard that counts
        assert followed.informer.idle() == 0  # but we are at it


class TestErrors:
    async def test_missing_rights_are_named_and_tried_again(
        self, api: Any, follow: Follow, eventually: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        refused = api.error(403, "Forbidden", 'User "x" cannot list resource "workflows"')
        api.lists += [refused] * 4 + [api.page(version=5)]
        followed = follow(resource=WORKFLOWS, namespace="ns")
        await eventually(lambda: followed.informer.last_error)
        message = followed.informer.last_error or ""
        assert 'grant the verbs list and watch on "workflows" of apiGroup "fairlead.dev"' in message
        assert "in namespace ns" in message
        await followed.informer.synced.wait()
        await eventually(lambda: followed.informer.last_error is None)
        assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [message]  # once, not 4 times

    async def test_a_kind_that_is_not_served(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.error(404, "NotFound"))
        followed = follow(resource=WORKFLOWS)
        await eventually(lambda: followed.informer.last_error)
        assert "CustomResourceDefinition installed?" in (followed.informer.last_error or "")

    async def test_rights_revoked_while_watching_keep_the_copy(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists += [api.page(pod("a", 1), version=5), api.error(403, "Forbidden")]
        api.watches.extend([api.error(403, "Forbidden")] * 100)
        followed = follow()
        await eventually(lambda: followed.informer.last_error)
        assert followed.copy() == {"a": "Pending"}
        assert followed.informer.synced.is_set()

    async def test_an_error_event_resumes_and_if_it_persists_lists(
        self, api: Any, follow: Follow, eventually: Any, notes: Any
    ) -> None:
        api.lists += [api.page(version=5), api.page(pod("a", 6), version=7)]
        api.watches.extend([api.stream(failure(500, "InternalError", "etcd"))] * 4)
        followed = follow()
        await eventually(lambda: followed.changes)
        assert {query["resourceVersion"] for query in api.queries("watch")[:4]} == {"5"}
        assert notes.restarts[:4] == ["error"] * 4

    async def test_a_connection_that_breaks_once_is_no_warning(
        self, api: Any, follow: Follow, eventually: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        api.lists.append(api.page(version=5))
        api.watches += [api.stream(added("a", 6), then="cut", every=0.01), api.stream(added("b", 7))]
        followed = follow()
        await eventually(lambda: len(followed.changes) == 2)
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []

    async def test_a_line_that_is_not_json(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.page(version=5))
        api.watches += [api.stream(added("a", 6), b"<html>\n"), api.stream(added("b", 7))]
        followed = follow()
        await eventually(lambda: len(followed.changes) == 2)
        assert api.queries("watch")[1]["resourceVersion"] == "6"

    async def test_nobody_listens(self, notes: Any, eventually: Any, unused_tcp_port: int) -> None:
        async with session_with(f"http://127.0.0.1:{unused_tcp_port}/") as session:
            informer = Informer(
                ApiClient(session), PODS, project=phase_of, on_change=lambda *_: None, observer=notes,
                backoff=(0.001, 0.01),
            )  # fmt: skip
            task = asyncio.create_task(informer.run())
            await eventually(lambda: len(notes.restarts) > 2)
            task.cancel()
        assert "cannot follow pods in all namespaces" in (informer.last_error or "")
        assert not informer.synced.is_set()

    async def test_retry_after_is_obeyed_up_to_the_longest_pause(
        self, api: Any, follow: Follow, eventually: Any, notes: Any
    ) -> None:
        api.lists.append(api.page(version=5))
        api.watches.extend([api.error(429, "TooManyRequests", retry_after="60")] * 2)
        follow(backoff=(0.001, 0.03))
        loop = asyncio.get_running_loop()
        start = loop.time()
        await eventually(lambda: len(notes.restarts) == 2)
        assert 0.025 < loop.time() - start < 0.5


class TestPoison:
    async def test_an_object_that_cannot_be_projected_stops_no_other(
        self, api: Any, follow: Follow, eventually: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        def project(obj: JsonObject) -> str:
            if phase_of(obj) == "Weird":
                raise LookupError("weird")
            return phase_of(obj)

        api.lists.append(api.page(pod("a", 1), pod("b", 2, "Weird"), version=5))
        api.watches.append(
            api.stream(modified("a", 6, "Weird"), added("c", 7), modified("b", 8, "Running"), deleted("a", 9, "Weird"))
        )
        followed = follow(project=project)
        await eventually(lambda: len(followed.changes) == 4)
        assert followed.changes == [
            ("a", None, "Pending"),
            ("c", None, "Pending"),
            ("b", None, "Running"),
            ("a", "Pending", None),  # its last state made no sense: the one before is told
        ]
        assert [r.message for r in caplog.records if r.exc_info] == [
            "cannot make sense of Pod ns/b",
            "cannot make sense of Pod ns/a",
            "cannot make sense of Pod ns/a",
        ]

    async def test_poison_in_a_list_is_no_deletion(self, api: Any, follow: Follow, eventually: Any) -> None:
        def project(obj: JsonObject) -> str:
            return {"Pending": "ok"}[phase_of(obj)]

        api.lists += [api.page(pod("a", 1), version=5), api.page(pod("a", 6, "Weird"), version=9)]
        api.watches.append(api.error(410, "Expired"))
        followed = follow(project=project)
        await eventually(lambda: len(api.queries("watch")) == 2)
        assert followed.copy() == {"a": "ok"}

    async def test_a_callback_that_fails_does_not_deafen_us(
        self, api: Any, follow: Follow, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("bug")

        api.lists.append(api.page(pod("a", 1), pod("b", 2), version=5))
        followed = follow(on_change=broken)
        await followed.informer.synced.wait()
        assert len(followed.informer) == 2
        assert "on_change failed for Pod ns/a" in caplog.text


class TestIndex:
    async def test_by_owner(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.page(pod("a", 1, owner="w1"), pod("b", 2, owner="w1"), pod("c", 3, owner=""), version=5))
        api.watches.append(api.stream(added("d", 6, owner="w2"), deleted("a", 7), deleted("d", 8, owner="w2")))
        followed = follow()
        await eventually(lambda: len(followed.changes) == 6)
        informer = followed.informer
        assert dict(informer.by_owner("w1")) == {key("b"): "Pending"}
        assert dict(informer.by_owner("w2")) == {}
        assert set(informer.owners()) == {"w1", ""}  # nothing is left of an owner without objects

    async def test_an_object_changes_hands(self, api: Any, follow: Follow, eventually: Any) -> None:
        api.lists.append(api.page(pod("a", 1, owner="w1"), version=5))
        api.watches.append(api.stream(modified("a", 6, owner="")))
        followed = follow()
        await eventually(lambda: len(followed.changes) == 2)
        assert set(followed.informer.owners()) == {""}

    async def test_another_key(self, api: Any, follow: Follow) -> None:
        api.lists.append(api.page(pod("a", 1), version=5))
        followed = follow(owner=lambda obj: obj["metadata"]["name"] + "!")
        await followed.informer.synced.wait()
        assert set(followed.informer.owners()) == {"a!"}

    def test_the_controller_is_the_owner(self) -> None:
        assert controller_uid(pod("a", 1, owner="w1")) == "w1"
        assert controller_uid({"metadata": {}}) == ""
        assert controller_uid({"metadata": {"ownerReferences": [{"uid": "x"}]}}) == ""


class TestConfirmGone:
    """DELETED under a selector may be a stripped label (trap 12)."""

    @pytest.mark.parametrize(
        ("answer", "uid", "gone"),
        [(None, None, True), ("u1", None, False), ("u1", "u1", False), ("u2", "u1", True)],
        ids=["no such object", "it is there", "the very one is there", "another of that name"],
    )
    async def test_asks_the_server(
        self, api: Any, client: ApiClient, answer: str | None, uid: str | None, gone: bool
    ) -> None:
        api.others.append(api.error(404, "NotFound") if answer is None else api.json({"metadata": {"uid": answer}}))
        informer = Informer(client, PODS, project=phase_of, on_change=lambda *_: None)
        assert await informer.confirm_gone(key("a"), uid) is gone
        assert "PartialObjectMetadata" in api.asked[0].headers["Accept"]
