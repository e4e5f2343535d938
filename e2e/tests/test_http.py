"""`http` tasks against a real server: by an operator of their own, which may reach this machine."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e.kubectl import Cluster
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, sh, workflow


@pytest.mark.row("E5")
def test_a_request_is_sent_once_and_hands_on_its_answer(
    cluster: Cluster, workflows: Workflows, operator_log: Path
) -> None:
    operator = OperatorProcess(cluster, operator_log)
    operator.program = (*operator.program, "--http-allow-private", "127.0.0.0/8")
    with served({"id": 7}) as (port, requests), operator:
        operator.wait_ready()
        call = {
            "http": {
                "method": "POST",
                "url": f"http://127.0.0.1:{port}/jobs",
                "body": '${toJson({"run": run.name})}',
                "allowPrivate": True,
            },
            "outputs": [{"name": "id", "type": "integer", "from": "${response.body.id}"}],
        }
        workflows.apply(workflow("calls", {"call": call, "use": sh("test ${tasks.call.outputs.id} = 7")}))
        status = workflows.wait_finished("calls", 60)
        assert status["phase"] == "Succeeded", status["message"]

    [(headers, body)] = requests
    assert json.loads(body) == {"run": "calls"}
    assert headers["Idempotency-Key"]


@contextmanager
def served(answer: Any) -> Iterator[tuple[int, list[tuple[Any, bytes]]]]:
    """Serve one JSON answer to everything on loopback; yield the port and what was asked."""
    asked: list[tuple[Any, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
