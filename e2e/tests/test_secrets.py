"""The value of a Secret shows nowhere: in no object, not in the log at its last level, not in metrics or traces."""

from __future__ import annotations

import http.server
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.kubectl import Cluster, wait_until
from e2e.operators import OperatorProcess
from e2e.otlp import Receiver
from e2e.workflows import Workflows, allow, fairlead, sh, workflow

CANARY = "canary-7f3a9c51d2"
#: Every spelling in which the operator, or the API server, comes to see it.
SPELLINGS = (CANARY, b64encode(CANARY.encode()).decode(), b64encode(f"Bearer {CANARY}".encode()).decode())
KINDS = "workflows,workflowactions,workflowtemplates,taskstatusshards,events,pods,jobs,configmaps,controllerrevisions"
HEADER = {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "header"}}}


def test_a_secret_shows_nowhere(cluster: Cluster, workflows: Workflows, operator_log: Path) -> None:
    workflows.kubectl(
        *("create", "secret", "generic", "vault"),
        *(f"--from-literal=header=Bearer {CANARY}", f"--from-literal=token={CANARY}"),
    )
    allow(workflows, "secrets", "get")
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "token"}}}
    told = [{"name": "told", "from": "${toJson(response.headers) + response.text}"}]
    with echo() as (port, heard), Receiver() as receiver:
        operator = OperatorProcess(cluster, operator_log)
        private = ("--http-allow-private", "127.0.0.0/8")
        operator.options = (*private, "--log-level", "DEBUG", "--traces-endpoint", receiver.endpoint)

        def asks(path: str, **more: object) -> dict[str, object]:
            call = {"url": f"http://127.0.0.1:{port}/{path}", "allowPrivate": True, "headers": [HEADER]}
            return {"http": call, "onFailure": "Continue", **more}

        secret = {"apiVersion": "v1", "kind": "Secret", "name": "vault", "intervalSeconds": 1}
        tasks = {
            "echo": asks("200", outputs=told),
            "fails": asks("503", retry={"limit": 1}),
            "leads-on": asks("302"),
            "uses": sh('test -n "$TOKEN"', env=[variable]),
            "waits": {
                "wait": {"condition": {**secret, "when": "${int(object.data.token) > 0}"}},
                "timeoutSeconds": 4,
                "onFailure": "Continue",
            },
            "sees": {"wait": {"condition": {**secret, "when": "${size(object.data.token) > 0}"}}},
        }
        with operator:
            operator.wait_ready()
            workflows.apply(workflow("careful", tasks))
            status = workflows.wait_finished("careful", 90)
            uid = workflows.get("careful")["metadata"]["uid"]
            wait_until("the trace", lambda: receiver.of(uid), 20)
            metrics = operator.fetch("metrics")[1]
            seen = {
                "the API": workflows.kubectl("get", KINDS, "-o", "json"),
                "metrics": metrics,
                "fairlead tree": fairlead(workflows, "tree", "careful")[1],
                "fairlead explain": fairlead(workflows, "explain", "careful")[1],
                "traces": repr(receiver.spans),
            }
            assert operator.stop() == 0
    seen["the log"] = operator_log.read_text()
    phases = {task["name"]: task["phase"] for task in status["tasks"]}
    assert phases == {
        "echo": "Succeeded",
        "fails": "Failed",
        "leads-on": "Failed",
        "uses": "Succeeded",
        "waits": "Failed",
        "sees": "Succeeded",
    }
    assert f"Bearer {CANARY}" in heard, "the server was sent it: there was something to be told"
    assert "creating " in seen["the log"], "the log was at its last level"
    for where, text in seen.items():
        assert not [each for each in SPELLINGS if each in text], where


@contextmanager
def echo() -> Iterator[tuple[int, list[str]]]:
    """Serve answers that repeat the `Authorization` header wherever they can; the path is the status."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.headers.get("Authorization", "")
            heard.append(sent)
            body = f'{{"you sent": "{sent}"}}'.encode()
            self.send_response(int(self.path.strip("/")), f"not with {sent}")
            self.send_header("X-Sent", sent)
            self.send_header("Location", f"ftp://{sent.rpartition(' ')[2]}.example/")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1], heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
