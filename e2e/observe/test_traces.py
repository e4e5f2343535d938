"""Traces of real runs, received over HTTP: each attempt once, though its operator is killed; and in nobody's way."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from e2e.kubectl import Cluster, wait_until
from e2e.operators import OperatorProcess
from e2e.otlp import Receiver
from e2e.workflows import Workflows, sh, workflow

TELLS = 'printf \'{"span": "%s"}\' "$TRACEPARENT" > "$FAIRLEAD_OUTPUTS"'
SPAN = [{"name": "span", "type": "string"}]


def traced(cluster: Cluster, log: Path, receiver: Receiver) -> OperatorProcess:
    return OperatorProcess(cluster, log, options=("--traces-endpoint", receiver.endpoint))


def dropped(operator: OperatorProcess) -> float:
    found = re.search(
        r'^fairlead_trace_spans_total\{result="dropped"\} (\S+)', operator.fetch("metrics")[1], re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def test_a_trace_has_every_attempt_once_though_the_operator_is_killed(
    cluster: Cluster, workflows: Workflows, operator_log: Path
) -> None:
    with Receiver() as receiver:
        with traced(cluster, operator_log, receiver) as operator:
            operator.wait_ready()
            tasks = {
                "a": sh(TELLS, outputs=SPAN),
                "fails": sh("exit 3", retry={"limit": 1}, onFailure="Continue"),
                "b": sh(f"sleep 6; {TELLS}", outputs=SPAN, needs=["a"]),
            }
            workflows.apply(workflow("traced", tasks))
            workflows.wait_phase("traced", "b", "Running")
            operator.kill()
        with traced(cluster, operator_log, receiver) as operator:
            operator.wait_ready()
            status = workflows.wait_finished("traced", 90)
            assert status["phase"] == "Succeeded", status["message"]
            uid = workflows.get("traced")["metadata"]["uid"]
            wait_until("the spans", lambda: receiver.of(uid), 20)
            assert operator.stop() == 0
    spans = receiver.of(uid)
    assert sorted(each.name for each in spans) == ["a", "b", "fails", "fails", "workflow traced"]
    assert len({each.span_id for each in spans}) == 5
    [root] = [each for each in spans if not each.parent_id]
    assert {each.trace_id for each in spans} == {root.trace_id}
    assert {each.parent_id for each in spans if each is not root} == {root.span_id}
    by_attempt = {(each.name, each.attributes.get("fairlead.attempt")): each for each in spans}
    for task in ("a", "b"):
        made = by_attempt[task, 1]
        assert workflows.task("traced", task)["outputs"]["span"] == f"00-{made.trace_id}-{made.span_id}-01"
        assert made.failure == ""
    assert [by_attempt["fails", n].failure for n in (1, 2)] == ["ExitCode", "ExitCode"]
    assert by_attempt["fails", 1].attributes["fairlead.exit_code"] == 3
    assert root.start <= by_attempt["a", 1].start <= by_attempt["a", 1].end <= by_attempt["b", 1].end <= root.end


@pytest.mark.parametrize("receives", [False, True], ids=["nobody listens", "it refuses"])
def test_a_receiver_that_takes_nothing_holds_up_no_run(
    cluster: Cluster, workflows: Workflows, operator_log: Path, receives: bool
) -> None:
    with Receiver() as receiver:
        receiver.status = 400
        operator = traced(cluster, operator_log, receiver)
        if not receives:
            operator.options = ("--traces-endpoint", "http://127.0.0.1:9/v1/traces")
        with operator:
            operator.wait_ready()
            for name in ("one", "two"):
                workflows.apply(workflow(name, {"a": sh("true"), "b": sh("true", needs=["a"])}))
            for name in ("one", "two"):
                assert workflows.wait_finished(name, 60)["phase"] == "Succeeded"
            wait_until("the spans to be given up", lambda: dropped(operator) >= 6, 60)
            began = time.monotonic()
            assert operator.stop() == 0
            assert time.monotonic() - began < 10
        assert receiver.spans == []
