import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead.kube import events
from fairlead.kube.events import EventRecorder, ObjectReference
from fairlead.kube.transport import ApiClient

RUN = ObjectReference("fairlead.dev/v1alpha1", "Workflow", "ns", "etl", "u1")
ELSEWHERE = ObjectReference("fairlead.dev/v1alpha1", "Workflow", "elsewhere", "etl", "u3")
OTHER = ObjectReference("fairlead.dev/v1alpha1", "Workflow", "ns", "other", "u2")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

Start = Callable[..., EventRecorder]


@pytest.fixture
async def recorder(client: ApiClient, notes: Any) -> AsyncIterator[Start]:
    tasks = []

    def start(*, running: bool = True, **options: Any) -> EventRecorder:
        made = EventRecorder(client, observer=notes, **{"now": lambda: NOON, "retry_seconds": 0.001} | options)
        if running:
            tasks.append(asyncio.create_task(made.run()))
        return made

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_event_as_kubectl_expects_it(api: Any, recorder: Start) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(instance="fairlead-0")
    assert record.record(RUN, "Warning", "TaskFailed", "load failed")
    await record.close()
    [asked] = api.asked
    assert asked.path == "/api/v1/namespaces/ns/events"
    name = asked.body["metadata"].pop("name")
    assert name.startswith("etl.")
    assert asked.body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "involvedObject": {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "Workflow",
            "namespace": "ns",
            "name": "etl",
            "uid": "u1",
        },
        "type": "Warning",
        "reason": "TaskFailed",
        "message": "load failed",
        "count": 1,
        "firstTimestamp": "2026-11-23T12:00:00Z",
        "lastTimestamp": "2026-11-23T12:00:00Z",
        "source": {"component": "fairlead"},
        "reportingComponent": "fairlead",
        "reportingInstance": "fairlead-0",
    }


async def test_the_name_says_what_was_said(api: Any, recorder: Start) -> None:
    """So that after a crash the same Event is AlreadyExists; what differs has another name."""
    api.others.append(api.json({}, 201))
    before, after = recorder(), recorder()
    before.record(RUN, "Normal", "Started", "go")
    after.record(RUN, "Normal", "Started", "go")
    after.record(RUN, "Normal", "Started", "go again")
    after.record(RUN, "Normal", "Started", "attempt 1 of 3", identity="load/1")
    after.record(RUN, "Normal", "Started", "first attempt of 3", identity="load/1")
    after.record(OTHER, "Normal", "Started", "go")
    await before.close()
    await after.close()
    first, again, different, one, same_one, other = [asked.body["metadata"]["name"] for asked in api.asked]
    assert first == again
    assert one == same_one
    assert len({first, different, one, other}) == 4


async def test_already_exists_is_success(api: Any, recorder: Start, notes: Any) -> None:
    api.others.append(api.error(409, "AlreadyExists"))
    record = recorder()
    record.record(RUN, "Normal", "Started", "go")
    await record.close()
    assert len(api.asked) == 1
    assert notes.dropped == []


async def test_transient_errors_are_tried_again_a_few_times(
    api: Any, recorder: Start, notes: Any, eventually: Any
) -> None:
    api.others += [api.error(500), api.error(500), api.json({}, 201), api.error(500)]
    record = recorder()
    record.record(RUN, "Normal", "Started", "go")
    await eventually(lambda: len(api.asked) == 3)
    assert notes.dropped == []
    record.record(RUN, "Normal", "Finished", "done")
    await eventually(lambda: notes.dropped == ["refused"])
    assert len(api.asked) == 6


async def test_an_outage_is_waited_for(api: Any, recorder: Start, notes: Any, eventually: Any) -> None:
    api.others += [api.hang_up()] * 7 + [api.json({}, 201)] * 3
    record = recorder()
    record.record(RUN, "Normal", "Started", "go")
    record.record(RUN, "Normal", "Finished", "done")
    record.record(ELSEWHERE, "Normal", "Finished", "done")
    await eventually(lambda: len(api.asked) == 10)
    assert notes.dropped == []


async def test_an_outage_that_lasts_costs_one_event_after_the_other(
    api: Any, recorder: Start, notes: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PATIENCE_SECONDS", 0.0)
    api.others += [api.hang_up(), api.json({}, 201)]
    record = recorder()
    record.record(RUN, "Normal", "Started", "go")
    record.record(RUN, "Normal", "Finished", "done")
    await eventually(lambda: len(api.asked) == 2)
    assert notes.dropped == ["unreachable"]


@pytest.mark.parametrize("trouble", ["hang_up", "error"])
async def test_a_namespace_whose_events_come_to_nothing_keeps_no_other_waiting(
    api: Any, recorder: Start, eventually: Any, trouble: str
) -> None:
    api.others += [api.hang_up() if trouble == "hang_up" else api.error(500), *[api.json({}, 201)] * 20]
    record = recorder(retry_seconds=60.0)
    record.record(RUN, "Normal", "Started", "go")
    record.record(RUN, "Normal", "Finished", "done")
    await eventually(lambda: api.asked)
    for number in range(5):
        record.record(ELSEWHERE, "Normal", "Started", str(number))
    await eventually(lambda: len(api.asked) == 6)
    assert [each.path.split("/")[4] for each in api.asked] == ["ns", *["elsewhere"] * 5]


async def test_close_does_not_sit_out_a_pause(api: Any, recorder: Start, notes: Any, eventually: Any) -> None:
    api.others += [api.hang_up()] * 3 + [api.json({}, 201)] * 5
    record = recorder(retry_seconds=60.0)
    for namespace in ("a", "b", "c", "d"):
        record.record(replace(RUN, namespace=namespace), "Normal", "Started", "go")
    await eventually(lambda: len(notes.requests) == 3)  # nobody answers: it rests
    await record.close()
    assert notes.dropped == []
    assert len(api.asked) == 7


@pytest.mark.parametrize("code", [403, 422])
async def test_a_refused_event_does_not_hold_up_the_next(api: Any, recorder: Start, notes: Any, code: int) -> None:
    api.others += [api.error(code), api.json({}, 201)]
    record = recorder()
    record.record(RUN, "Normal", "Started", "go")
    record.record(RUN, "Normal", "Finished", "done")
    await record.close()
    assert notes.dropped == ["refused"]
    assert len(api.asked) == 2


async def test_an_event_that_cannot_be_written_does_not_end_the_recorder(
    api: Any, recorder: Start, notes: Any, eventually: Any
) -> None:
    api.others.append(api.json({}, 201))
    record = recorder()
    record.record(RUN, "Warning", "TaskFailed", "500 caf\udce9", identity="load/1")
    await eventually(lambda: notes.dropped == ["refused"])
    record.record(RUN, "Normal", "Started", "go")
    await eventually(lambda: said(api) == [("Started", "go", 1)])
    record.record(RUN, "Warning", "TaskFailed", "500 caf\udce9", identity="load/2")
    record.record(ELSEWHERE, "Normal", "Started", "go")
    await record.close()
    assert said(api) == [("Started", "go", 1)] * 2
    assert notes.dropped == ["refused"] * 2


async def test_the_queue_is_bounded(recorder: Start, notes: Any) -> None:
    record = recorder(running=False, queue_size=2)
    kept = [record.record(RUN, "Normal", "Started", str(n)) for n in range(4)]
    assert kept == [True, True, False, False]
    assert notes.dropped == ["queue_full"] * 2


async def test_one_noisy_object_does_not_silence_the_others(recorder: Start, notes: Any) -> None:
    now = 0.0
    record = recorder(running=False, burst=2, refill_seconds=300, clock=lambda: now)

    def say(about: ObjectReference, **more: Any) -> bool:
        return record.record(about, "Normal", "Started", "go", **more)

    assert [say(RUN), say(RUN), say(RUN)] == [True, True, False]
    assert say(OTHER)
    assert say(RUN, summary=True), "how the run ended is told however much its tasks said"
    now = 299.0
    assert not say(RUN)
    now = 301.0
    assert [say(RUN), say(RUN)] == [True, False]
    assert notes.dropped == ["spam"] * 3


def said(api: Any) -> list[tuple[str, str, int]]:
    return [(asked.body["reason"], asked.body["message"], asked.body["count"]) for asked in api.asked]


async def test_what_follows_in_quick_succession_is_told_together(api: Any, recorder: Start, eventually: Any) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(gather_seconds=0.01)
    for name in "abc":
        assert record.record(RUN, "Normal", "TaskSucceeded", f"task {name!r} succeeded", gather=True)
    assert record.record(OTHER, "Normal", "TaskSucceeded", "task 'a' succeeded", gather=True)
    await eventually(lambda: len(api.asked) == 2)
    assert said(api) == [
        ("TaskSucceeded", "task 'a' succeeded; task 'b' succeeded; task 'c' succeeded", 3),
        ("TaskSucceeded", "task 'a' succeeded", 1),
    ]


async def test_what_is_told_together_says_when_it_was_said(api: Any, recorder: Start) -> None:
    times = iter(NOON + timedelta(seconds=second) for second in range(9))
    record = recorder(now=lambda: next(times))
    record.record(RUN, "Normal", "TaskSucceeded", "a", gather=True)
    record.record(RUN, "Normal", "TaskSucceeded", "b", gather=True)
    await record.close()
    event = api.asked[0].body
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-11-23T12:00:00Z", "2026-11-23T12:00:01Z")


async def test_what_waits_for_more_is_told_before_the_end_of_its_object(api: Any, recorder: Start) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(gather_seconds=1000)
    record.record(RUN, "Normal", "TaskSucceeded", "task 'a' succeeded", gather=True)
    record.record(RUN, "Normal", "Succeeded", "all went well", summary=True)
    record.record(OTHER, "Normal", "TaskSucceeded", "task 'b' succeeded", gather=True)
    await record.close()
    assert [message for _, message, _ in said(api)] == ["task 'a' succeeded", "all went well", "task 'b' succeeded"]


async def test_what_does_not_fit_into_an_event_is_counted(api: Any, recorder: Start) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(gather_seconds=1000)
    for n in range(1000):
        record.record(RUN, "Normal", "TaskSucceeded", f"task 'm{n}' succeeded", gather=True)
    await record.close()
    [(_, message, count)] = said(api)
    assert count == 1000
    assert message.startswith("1000 in all: task 'm0' succeeded; task 'm1' succeeded; ")
    assert len(message) == 1024


async def test_what_is_told_together_is_one_of_the_events_that_an_object_may_have(
    api: Any, recorder: Start, eventually: Any
) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(burst=1, gather_seconds=0.001)
    record.record(RUN, "Normal", "TaskSucceeded", "task 'a' succeeded", gather=True)
    await eventually(lambda: len(api.asked) == 1)
    for name in "bc":
        record.record(RUN, "Normal", "TaskSucceeded", f"task {name!r} succeeded", gather=True)
    record.record(RUN, "Normal", "Succeeded", "all went well", summary=True)
    await record.close()
    assert said(api)[1:] == [
        ("TaskSucceeded", "2 more, the last: task 'c' succeeded", 2),
        ("Succeeded", "all went well", 1),
    ]


async def test_ten_thousand_failures_are_a_few_events_and_one_that_counts_the_rest(api: Any, recorder: Start) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(burst=2)
    for n in range(10_000):
        record.record(RUN, "Warning", "TaskFailed", f"item {n} failed")
    record.record(RUN, "Normal", "TaskSkipped", "one skipped")
    record.record(OTHER, "Normal", "Started", "go")
    record.record(RUN, "Warning", "Failed", "the run failed", summary=True)
    await record.close()
    assert said(api) == [
        ("TaskFailed", "item 0 failed", 1),
        ("TaskFailed", "item 1 failed", 1),
        ("Started", "go", 1),
        ("TaskFailed", "9998 more, the last: item 9999 failed", 9998),
        ("TaskSkipped", "one skipped", 1),
        ("Failed", "the run failed", 1),
    ]
    assert len({asked.body["metadata"]["name"] for asked in api.asked}) == 6


async def test_what_goes_on_is_told_together_now_and_then(api: Any, recorder: Start, eventually: Any) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(burst=1, refill_seconds=0.05, clock=lambda: 0.0)
    for n in range(4):
        record.record(RUN, "Warning", "TaskFailed", f"item {n} failed")
    await eventually(lambda: len(api.asked) == 2)
    assert said(api)[1] == ("TaskFailed", "3 more, the last: item 3 failed", 3)


async def test_others_that_go_on_telling_do_not_put_it_off(api: Any, recorder: Start, eventually: Any) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(burst=1, refill_seconds=0.1, clock=lambda: 0.0)
    record.record(RUN, "Warning", "TaskFailed", "one")
    record.record(RUN, "Warning", "TaskFailed", "two")
    for n in range(20):
        record.record(OTHER, "Normal", "Started", f"{n}", summary=True)
        await asyncio.sleep(0.02)
    await eventually(lambda: ("TaskFailed", "two", 1) in said(api))
    assert said(api).index(("TaskFailed", "two", 1)) < len(said(api)) - 3


async def test_what_is_left_is_told_when_the_operator_ends(api: Any, recorder: Start) -> None:
    api.others.append(api.json({}, 201))
    record = recorder(burst=1)
    for n in range(3):
        record.record(RUN, "Warning", "TaskFailed", f"item {n} failed")
    await record.close()
    assert said(api)[-1] == ("TaskFailed", "2 more, the last: item 2 failed", 2)


async def test_what_is_counted_is_bounded(recorder: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_OBJECTS_REMEMBERED", 3)
    record = recorder(running=False, burst=0)
    for n in range(10):
        record.record(RUN, "Normal", f"Reason{n}", "a")
    assert len(record._more) == 3


async def test_the_object_that_was_quiet_longest_is_forgotten_first(
    recorder: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_OBJECTS_REMEMBERED", 2)
    record = recorder(running=False, burst=1)
    third = ObjectReference("v1", "Pod", "ns", "third", "u3")
    assert [record.record(about, "Normal", "A", "a") for about in (RUN, OTHER, RUN, third)] == [True, True, False, True]
    assert not record.record(RUN, "Normal", "A", "b"), "still remembered: it spoke after the other one"
    assert record.record(OTHER, "Normal", "A", "b")


async def test_close_writes_what_is_queued_and_takes_no_more(api: Any, recorder: Start, notes: Any) -> None:
    api.others.append(api.json({}, 201))
    record = recorder()
    for n in range(5):
        record.record(RUN, "Normal", "Started", str(n))
    await record.close()
    assert len(api.asked) == 5
    assert not record.record(RUN, "Normal", "Started", "late")
    assert notes.dropped == ["closing"]


async def test_close_is_bounded(api: Any, recorder: Start, notes: Any, eventually: Any) -> None:
    api.others.append(api.silence())
    record = recorder()
    record.record(RUN, "Normal", "Started", "one")
    record.record(RUN, "Normal", "Started", "two")
    await eventually(lambda: api.asked)
    await record.close(within=0.02)
    assert notes.dropped == ["closing"] * 2


async def test_what_is_behind_one_that_comes_to_nothing_at_the_end_is_counted(
    api: Any, recorder: Start, notes: Any
) -> None:
    api.others.append(api.hang_up())
    record = recorder(retry_seconds=60.0)
    for number in range(3):
        record.record(RUN, "Normal", "Started", str(number))
    await record.close()
    assert len(api.asked) == 1
    assert notes.dropped == ["unreachable", "closing", "closing"]


async def test_long_texts_are_cut(api: Any, recorder: Start) -> None:
    api.others.append(api.json({}, 201))
    record = recorder()
    record.record(ObjectReference("v1", "Node", "", "n" * 253, "u"), "Normal", "Started", "x" * 5000)
    await record.close()
    body = api.asked[0].body
    assert len(body["message"]) == 1024
    assert len(body["metadata"]["name"]) <= 253
    assert body["metadata"]["namespace"] == "default"  # a cluster-scoped object's Events live there
