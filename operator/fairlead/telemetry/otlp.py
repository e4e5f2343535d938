"""Sending spans by OTLP over HTTP. The only module that imports OpenTelemetry: the optional extra `traces`.

A thread of its own makes the spans and sends them, in small batches, and works no more than half of the time: the
operator's loop shares the interpreter with it. What waits is bounded; beyond that, and where the receiver does not take
them, spans are dropped and counted. Nothing of a run ever waits for any of it.

The receiver's other settings (headers, certificates, time-out, compression) are the standard variables
`OTEL_EXPORTER_OTLP_…`, which the exporter reads itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

from fairlead import __version__

from .traces import Span

__all__ = ["OtlpSink"]

log = logging.getLogger(__name__)

#: Spans that wait at most; those of a run that do not fit are dropped together.
_MOST_WAITING = 50_000
_BATCH = 256
#: For a receiver that does not answer; the exporter tries again within that time.
_SEND_SECONDS = 10.0
_GIVE_UP_SECONDS = 1.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OtlpSink:
    """Takes spans, and sends them to `endpoint`, such as `http://collector:4318/v1/traces`.

    `told(result, count)` hears of spans that were `sent` or `dropped`; it is called from another thread, too.
    """

    def __init__(
        self,
        endpoint: str,
        told: Callable[[str, int], None],
        *,
        most_waiting: int = _MOST_WAITING,
        send_seconds: float = _SEND_SECONDS,
    ) -> None:
        self._told = told
        self._most_waiting = most_waiting
        self._exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint, timeout=send_seconds)
        self._factory = _Factory()
        self._lock = threading.Condition()
        self._lines: deque[tuple[Iterator[Span], int]] = deque()
        self._waiting = 0
        self._closing = False
        self._failing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self._thread.start()

    def submit(self, spans: Iterable[Span], count: int) -> None:
        """See `SpanSink`."""
        with self._lock:
            if self._closing or self._waiting + count > self._most_waiting:
                self._told("dropped", count)
                return
            self._lines.append((iter(spans), count))
            self._waiting += count
            self._lock.notify()

    def close(self, seconds: float) -> None:
        """See `SpanSink`. What is left then is dropped."""
        with self._lock:
            self._closing = True
            self._lock.notify()
        self._thread.join(seconds)
        self._ended.set()
        self._exporter.shutdown()  # a try that is under way is given up
        self._thread.join(_GIVE_UP_SECONDS)
        with self._lock:
            left, self._waiting = self._waiting, 0
            self._lines.clear()
        if left:
            self._told("dropped", left)

    def _work(self) -> None:
        while (line := self._next()) is not None:
            spans, left = line
            while not self._ended.is_set() and (batch := _some(spans)):
                began = time.thread_time()
                self._send(batch)
                left -= len(batch)
                self._count_off(len(batch))
                if not self._closing:
                    self._ended.wait(time.thread_time() - began)
            if self._ended.is_set():
                return
            if left > 0:  # fewer than were announced
                self._told("dropped", left)
            self._count_off(left)

    def _next(self) -> tuple[Iterator[Span], int] | None:
        with self._lock:
            while not self._lines:
                if self._closing:
                    return None
                self._lock.wait()
            return self._lines.popleft()

    def _count_off(self, count: int) -> None:
        with self._lock:
            self._waiting = max(0, self._waiting - count)

    def _send(self, batch: Sequence[Span]) -> None:
        try:
            taken = self._exporter.export([self._factory.make(span) for span in batch]) is SpanExportResult.SUCCESS
        except Exception:  # a bug, here or there, costs spans and nothing else
            log.exception("spans could not be sent")
            taken = False
        self._told("sent" if taken else "dropped", len(batch))
        if taken is self._failing:
            self._failing = not taken
            log.log(*((logging.INFO, "spans are taken again") if taken else (logging.WARNING, "spans are not taken")))


class _Factory(IdGenerator, SpanProcessor):
    """Makes OpenTelemetry's spans of ours, with our ids. Used by one thread."""

    def __init__(self) -> None:
        self._trace_id = self._span_id = 0
        self._ended: ReadableSpan | None = None
        provider = TracerProvider(
            sampler=sampling.ALWAYS_ON,
            resource=Resource.create({"service.name": "fairlead", "service.version": __version__}),
            id_generator=self,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self)
        self._tracer = provider.get_tracer("fairlead", __version__)

    def make(self, span: Span) -> ReadableSpan:
        """Return a span that has ended."""
        self._trace_id, self._span_id = int(span.trace_id, 16), int(span.span_id, 16)
        above = trace.SpanContext(
            self._trace_id,
            int(span.parent_id or "0", 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(above) if span.parent_id else trace.INVALID_SPAN)
        made = self._tracer.start_span(
            span.name, context, attributes=dict(span.attributes), start_time=_nanoseconds(span.start)
        )
        for name, moment in span.moments:
            made.add_event(name, timestamp=_nanoseconds(moment))
        if span.failure:
            made.set_status(trace.StatusCode.ERROR, span.failure)
        made.end(_nanoseconds(span.end))
        ended, self._ended = self._ended, None
        assert ended is not None, "the span has just ended"
        return ended

    def generate_span_id(self) -> int:
        """See `IdGenerator`."""
        return self._span_id

    def generate_trace_id(self) -> int:
        """See `IdGenerator`."""
        return self._trace_id

    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor`."""
        self._ended = span


def _some(spans: Iterator[Span]) -> list[Span]:
    try:
        return list(islice(spans, _BATCH))
    except Exception:  # likewise
        log.exception("spans could not be made")
        return []


def _nanoseconds(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds()) * 1_000_000_000
