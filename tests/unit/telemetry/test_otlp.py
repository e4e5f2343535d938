"""Spans reach a receiver over real HTTP, and where they do not, nobody waits and they are counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra `traces` is not installed")

from e2e.otlp import Receiver

from fairlead.telemetry.metrics import Metrics
from fairlead.telemetry.otlp import OtlpSink
from fairlead.telemetry.traces import Span

T0 = datetime(2026, 11, 22, 8, 0, 0, 999_999, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"

Open = Callable[..., OtlpSink]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def told() -> Counter[str]:
    return Counter()


@pytest.fixture
def opened(receiver: Receiver, told: Counter[str]) -> Iterator[Open]:
    sinks: list[OtlpSink] = []

    def open_(endpoint: str = receiver.endpoint, **more: Any) -> OtlpSink:
        sinks.append(OtlpSink(endpoint, lambda result, count: told.update({result: count}), **more))
        return sinks[-1]

    yield open_
    for sink in sinks:
        sink.close(0)


def span(number: int = 1, **more: Any) -> Span:
    fields = {"trace_id": TRACE, "span_id": f"{number:016x}", "parent_id": "b7ad6b7169203331", "name": "a"}
    return Span(**{**fields, "start": T0, "end": T0 + timedelta(seconds=5), **more})


def test_a_span_arrives_as_it_was_made(opened: Open, receiver: Receiver, told: Counter[str]) -> None:
    sink = opened()
    sink.submit([span(failure="Error", attributes={"k": "v", "n": 3}, moments=(("running", T0),))], 1)
    sink.close(10)
    [received] = receiver.spans
    seconds = int(T0.timestamp())
    assert (received.trace_id, received.span_id, received.parent_id) == (TRACE, f"{1:016x}", "b7ad6b7169203331")
    assert (received.name, received.start, received.end) == ("a", seconds, seconds + 5)
    assert (received.failure, received.events) == ("Error", ("running",))
    assert received.attributes == {"k": "v", "n": 3}
    assert told == {"sent": 1}


def test_the_first_span_of_a_trace_has_none_above_it(opened: Open, receiver: Receiver) -> None:
    sink = opened()
    sink.submit([span(parent_id="")], 1)
    sink.close(10)
    [received] = receiver.spans
    assert (received.trace_id, received.span_id, received.parent_id) == (TRACE, f"{1:016x}", "")


def test_a_large_run_goes_in_small_parts(opened: Open, receiver: Receiver, told: Counter[str]) -> None:
    sink = opened()
    sink.submit((span(n) for n in range(1, 1001)), 1000)
    sink.close(30)
    assert [each.span_id for each in receiver.spans] == [f"{n:016x}" for n in range(1, 1001)]
    assert receiver.posts > 1
    assert told == {"sent": 1000}


def test_a_receiver_that_refuses_costs_spans_and_no_time(opened: Open, receiver: Receiver, told: Counter[str]) -> None:
    receiver.status = 400
    sink = opened()
    began = time.perf_counter()
    sink.submit([span()], 1)
    assert time.perf_counter() - began < 0.1
    sink.close(10)
    assert told == {"dropped": 1}


def test_a_receiver_that_is_back_gets_what_comes_then(opened: Open, receiver: Receiver, told: Counter[str]) -> None:
    receiver.status = 400
    sink = opened()
    sink.submit([span(1)], 1)
    while not told:
        time.sleep(0.01)  # noqa: TID251
    receiver.status = 200
    sink.submit([span(2)], 1)
    sink.close(10)
    assert told == {"dropped": 1, "sent": 1}
    assert [each.span_id for each in receiver.spans] == [f"{2:016x}"]


def test_where_nobody_listens_closing_is_bounded_and_every_span_is_counted(opened: Open, told: Counter[str]) -> None:
    sink = opened("http://127.0.0.1:9/v1/traces", send_seconds=60)
    for n in range(3):
        sink.submit([span(n + 1)], 1)
    began = time.perf_counter()
    sink.close(0.2)
    assert time.perf_counter() - began < 3
    assert told == {"dropped": 3}


def test_what_waits_is_bounded(opened: Open, told: Counter[str]) -> None:
    sink = opened("http://127.0.0.1:9/v1/traces", send_seconds=60, most_waiting=10)
    sink.submit([span(n + 1) for n in range(8)], 8)
    sink.submit([span(n + 1) for n in range(8)], 8)
    assert told == {"dropped": 8}
    sink.close(0)
    assert told == {"dropped": 16}


def test_a_defect_in_a_span_does_not_end_the_sending(opened: Open, receiver: Receiver, told: Counter[str]) -> None:
    sink = opened()
    sink.submit([span(trace_id="no number")], 1)
    sink.submit([span(2)], 1)
    sink.close(10)
    assert told == {"dropped": 1, "sent": 1}
    assert len(receiver.spans) == 1


def test_a_defect_in_making_them_does_not_end_the_sending(opened: Open, receiver: Receiver, told: Counter[str]) -> None:
    def broken() -> Iterator[Span]:
        raise RuntimeError("a bug")
        yield

    sink = opened()
    sink.submit(broken(), 3)
    sink.submit([span(2)], 1)
    sink.close(10)
    assert told == {"dropped": 3, "sent": 1}


def test_a_metric_counts_both(receiver: Receiver) -> None:
    metrics = Metrics()
    sink = OtlpSink(receiver.endpoint, metrics.spans_told)
    sink.submit([span()], 1)
    sink.close(10)
    sink.submit([span()], 1)
    text = metrics.render()[0].decode()
    assert 'fairlead_trace_spans_total{result="sent"} 1.0' in text
    assert 'fairlead_trace_spans_total{result="dropped"} 1.0' in text
