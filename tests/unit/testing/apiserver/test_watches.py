"""Watches: what is told, to whom, and from where on."""

from __future__ import annotations

import orjson
from tests.unit.testing.apiserver.client import METADATA, Client, configmap, pod, told

from fairlead.kube.resources import CONFIGMAPS, PODS


def test_changes_are_told_as_they_come_and_the_watcher_is_called(api: Client) -> None:
    calls: list[int] = []
    watch = api.watch(PODS)
    watch.notify = lambda: calls.append(1)
    api.create(PODS, pod())
    api.patch(PODS, "p", {"metadata": {"labels": {"a": "b"}}})
    api.create(CONFIGMAPS, configmap())
    assert [each[:2] for each in told(watch)] == [("ADDED", "p"), ("MODIFIED", "p")]
    assert calls == [1, 1]
    assert watch.take() == []


def test_an_object_is_told_of_as_it_was_when_it_changed(api: Client) -> None:
    watch = api.watch(PODS)
    api.create(PODS, pod())
    api.status(PODS, "p", phase="Running")
    assert [orjson.loads(line)["object"]["status"]["phase"] for line in watch.take()] == ["Pending", "Running"]


def test_a_selector_sees_come_and_go_what_gains_and_loses_its_label(api: Client) -> None:
    watch = api.watch(PODS, labelSelector="app=x")
    api.create(PODS, pod())
    for app in ("x", "x", "y", "z"):
        api.patch(PODS, "p", {"metadata": {"labels": {"app": app}, "annotations": {"n": f"{api.server.version}"}}})
    events = [orjson.loads(line) for line in watch.take()]
    assert [each["type"] for each in events] == ["ADDED", "MODIFIED", "DELETED"]
    # The last state that was selected, under the version of the change.
    assert events[2]["object"]["metadata"]["labels"] == {"app": "x"}
    assert int(events[2]["object"]["metadata"]["resourceVersion"]) > int(
        events[1]["object"]["metadata"]["resourceVersion"]
    )


def test_a_watch_goes_on_from_a_version(api: Client) -> None:
    first = api.create(PODS, pod("a"))["metadata"]["resourceVersion"]
    api.create(PODS, pod("b"))
    assert [each[1] for each in told(api.watch(PODS, after=first))] == ["b"]


def test_without_a_version_what_is_there_comes_first(api: Client) -> None:
    api.create(PODS, pod("a"))
    watch = api.watch(PODS, after="0")
    api.create(PODS, pod("b"))
    assert [each[:2] for each in told(watch)] == [("ADDED", "a"), ("ADDED", "b")]


def test_a_version_that_is_compacted_is_an_error_in_the_stream_and_its_end(api: Client) -> None:
    first = api.create(PODS, pod("a"))["metadata"]["resourceVersion"]
    api.create(PODS, pod("b"))
    second = api.create(PODS, pod("c"))["metadata"]["resourceVersion"]
    api.server.compact(1)
    watch = api.watch(PODS, after=first)
    (event,) = (orjson.loads(line) for line in watch.take())
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert watch.closed
    assert not api.watch(PODS, after=second).closed


def test_a_version_of_the_future_is_silent_until_it_is_passed(api: Client) -> None:
    watch = api.watch(PODS, after=str(api.server.version + 1))
    api.create(PODS, pod("a"))
    api.create(PODS, pod("b"))
    assert [each[1] for each in told(watch)] == ["b"]


def test_a_bookmark_tells_how_far_everything_was_told(api: Client) -> None:
    watch = api.watch(PODS, allowWatchBookmarks="true")
    api.create(PODS, pod())
    api.create(CONFIGMAPS, configmap())
    watch.bookmark()
    assert told(watch)[1:] == [("BOOKMARK", "", str(api.server.version))]
    silent = api.watch(PODS)
    silent.bookmark()
    assert silent.take() == []


def test_a_closed_watch_hears_nothing(api: Client) -> None:
    watch = api.watch(PODS)
    watch.close()
    api.create(PODS, pod())
    assert watch.take() == []


def test_an_event_is_encoded_once_for_all_and_in_the_form_that_was_asked_for(api: Client) -> None:
    one, two = api.watch(PODS), api.watch(PODS)
    metadata = api.watch(PODS, accept=METADATA)
    api.create(PODS, pod())
    (line,) = one.take()
    assert two.take()[0] is line
    assert orjson.loads(metadata.take()[0])["object"].keys() == {"kind", "apiVersion", "metadata"}
