"""Runs are traced once they are over, each attempt once, however often the operator is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from tests.unit.controllers.fake_api import NAMESPACE, Stage, looptime, tasks
from tests.unit.controllers.test_requests import ask

from fairlead.api import labels
from fairlead.controllers.options import OperatorOptions
from fairlead.kube.resources import JOBS, PODS, WORKFLOWS, ObjectKey
from fairlead.telemetry.traces import Span

pytestmark = looptime

ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Sink:
    """Keeps what was handed over."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.counts: list[int] = []

    def submit(self, spans: Iterable[Span], count: int) -> None:
        self.spans += spans
        self.counts.append(count)

    def close(self, seconds: float) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [each.span_id for each in self.spans]


@pytest.fixture
async def sink(stage: Stage) -> Sink:
    found = Sink()
    stage.trace(found)
    return found


def environment(stage: Stage, pod: str) -> dict[str, str]:
    raw = stage.api.objects[PODS.plural, ObjectKey(NAMESPACE, pod)]
    return {each["name"]: each.get("value", "") for each in raw["spec"]["containers"][0]["env"]}


def annotated(stage: Stage, traceparent: str) -> None:
    metadata = {"namespace": NAMESPACE, "name": "daily", "annotations": {labels.TRACEPARENT: traceparent}}
    stage.apply(tasks("a"), metadata=metadata)


async def finish(stage: Stage, *names: str) -> None:
    for name in names:
        await asyncio.sleep(1)
        stage.ends(stage.pod(name))
    await asyncio.sleep(3)


async def test_a_run_is_handed_over_when_it_is_over_and_not_before(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    stage.apply({"tasks": [*tasks("a")["tasks"], *tasks("b", needs=["a"])["tasks"]]})
    await finish(stage, "a")
    assert sink.spans == []
    await finish(stage, "b")
    assert [each.name for each in sink.spans] == ["workflow daily", "a", "b"]
    assert sink.counts == [3]
    await asyncio.sleep(300)
    assert sink.counts == [3]


async def test_a_pod_is_told_the_span_of_its_attempt(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    told = environment(stage, stage.pod("a"))["TRACEPARENT"]
    await finish(stage, "a")
    _, attempt = sink.spans
    assert told == f"00-{attempt.trace_id}-{attempt.span_id}-01"


async def test_a_job_is_told_as_well(stage: Stage, sink: Sink) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "i"}], "restartPolicy": "Never"}}
    await stage.begin()
    stage.apply({"tasks": [{"name": "a", "job": {"spec": {"template": template}}}]})
    await asyncio.sleep(1)
    [job] = stage.api.of(JOBS).values()
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [each["name"] for each in env].count("TRACEPARENT") == 1


async def test_where_runs_are_not_traced_no_pod_hears_of_it(stage: Stage) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    assert "TRACEPARENT" not in environment(stage, stage.pod("a"))


async def test_the_users_own_variable_wins(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    stage.apply(tasks("a", env=[{"name": "TRACEPARENT", "value": ABOVE}]))
    await asyncio.sleep(1)
    assert environment(stage, stage.pod("a"))["TRACEPARENT"] == ABOVE


async def test_a_restart_in_the_middle_loses_none_and_repeats_none(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    stage.apply({"tasks": [*tasks("a")["tasks"], *tasks("b", needs=["a"])["tasks"]]})
    await finish(stage, "a")
    await stage.restart()
    await finish(stage, "b")
    assert sink.counts == [3]
    assert len(set(sink.ids)) == 3


async def test_an_operator_that_dies_at_the_end_of_a_run_is_made_up_for_with_the_same_spans(
    stage: Stage, sink: Sink
) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await finish(stage, "a")
    first = list(sink.spans)
    sink.spans.clear()  # its thread had not sent them yet
    await stage.restart()
    await asyncio.sleep(3)
    assert sink.spans == first


async def test_what_was_over_long_ago_is_not_told_again(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await finish(stage, "a")
    sink.spans.clear()
    await stage.crash()
    await asyncio.sleep(700)
    await stage.restart()
    await asyncio.sleep(3)
    assert sink.spans == []


async def test_a_retried_run_tells_its_new_attempts_only(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    stage.apply(tasks("a"))
    await asyncio.sleep(1)
    stage.ends(stage.pod("a"), 1)
    await asyncio.sleep(3)
    assert [each.failure for each in sink.spans] == ["TaskFailed", "ExitCode"]
    sink.spans.clear()
    ask(stage, "Retry")
    await asyncio.sleep(3)
    stage.ends(stage.pod("a", 2))
    await asyncio.sleep(3)
    assert [(each.name, each.attributes.get("fairlead.attempt")) for each in sink.spans] == [
        ("workflow daily", None),
        ("a", 2),
    ]
    assert sink.counts == [2, 2]


async def test_a_run_belongs_below_the_span_that_its_annotation_names(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    annotated(stage, ABOVE)
    await finish(stage, "a")
    assert {each.trace_id for each in sink.spans} == {ABOVE.split("-")[1]}
    assert sink.spans[0].parent_id == ABOVE.split("-")[2]


async def test_nothing_is_sent_of_a_trace_that_is_not_sampled(stage: Stage, sink: Sink) -> None:
    await stage.begin()
    annotated(stage, ABOVE[:-1] + "0")
    await finish(stage, "a")
    assert sink.counts == []


async def test_a_large_run_is_read_from_its_shards(stage: Stage, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.controllers.writer.INLINE_NODES", 1)
    await stage.begin()
    stage.apply(tasks("a", "b"))
    await finish(stage, "a", "b")
    await asyncio.sleep(15)
    assert "tasks" not in stage.status()
    assert [each.name for each in sink.spans] == ["workflow daily", "a", "b"]


async def test_a_sink_with_a_defect_keeps_no_run_from_being_cleaned_up(stage: Stage, sink: Sink) -> None:
    def broken(spans: Any, count: int) -> None:
        raise RuntimeError("no")

    sink.submit = broken  # type: ignore[method-assign]
    await stage.begin()
    stage.apply({**tasks("a"), "ttlSecondsAfterFinished": 20})
    await finish(stage, "a")
    await asyncio.sleep(60)
    assert stage.api.of(WORKFLOWS) == {}


def test_no_receiver_is_the_default() -> None:
    assert OperatorOptions().traces_endpoint is None
