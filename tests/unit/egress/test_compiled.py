"""An `http` task as somebody writes it, compiled, rendered and sent."""

from __future__ import annotations

from typing import Any

from tests.unit.egress.conftest import Client, Server, answering

from fairlead.api.compile import compile_workflow
from fairlead.api.work import RenderedHttp
from fairlead.engine.state import Result
from fairlead.expr.cel import CelEvaluator


def rendered(task: dict[str, Any], **params: Any) -> RenderedHttp:
    declared = [{"name": name, "default": value} for name, value in params.items()]
    for each in declared:
        each["type"] = "object" if isinstance(each["default"], dict) else "string"
    spec = {"params": declared, "tasks": [{"name": "call", **task}]}
    compiled = compile_workflow(spec, evaluator=CelEvaluator(), name="daily", namespace="ns")
    work: RenderedHttp = compiled.graph.nodes["call"].work.evaluate({"params": compiled.graph.params})
    return work


async def test_everything_at_once(server: Server, client: Client) -> None:
    server.handler = answering(201, {"ok": True, "id": 5}, X_Trace="t")
    http = {
        "method": "POST",
        "url": server.url + "/runs?day=${params.day}",
        "headers": [
            {"name": "X-Day", "value": "${params.day}"},
            {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
        ],
        "body": "${params.report}",
        "successWhen": "${response.status == 201 && response.body.ok}",
        "allowPrivate": True,
    }
    outputs = [
        {"name": "id", "type": "integer", "from": "${response.body.id}"},
        {"name": "trace", "type": "string", "from": "${response.headers['x-trace']}"},
    ]
    outcome = await client.send(rendered({"http": http, "outputs": outputs}, day="2026-11-22", report={"rows": 3}))
    assert (outcome.result, outcome.values) == (Result.SUCCEEDED, {"id": 5, "trace": "t"})
    [asked] = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/runs?day=2026-11-22", '{"rows":3}')
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["X-Day"] == "2026-11-22"
    assert asked.headers["Authorization"] == "Bearer canary-5f0e1d"


async def test_as_little_as_possible(server: Server, client: Client) -> None:
    work = rendered({"http": {"url": server.url}})
    assert (work["method"], work["idempotent"], work["allowPrivate"]) == ("GET", False, False)
    outcome = await client.send(work)
    assert outcome.reason == "HttpRefused"  # loopback is private
    assert "allowPrivate" in outcome.message


async def test_a_parameter_does_not_smuggle_a_header_in(server: Server, client: Client) -> None:
    http = {"url": server.url, "headers": [{"name": "X", "value": "${params.x}"}], "allowPrivate": True}
    outcome = await client.send(rendered({"http": http}, x="a\r\nAuthorization: b"))
    assert outcome.reason == "HttpRefused"
    assert server.asked == []
