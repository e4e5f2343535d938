"""Every example ends as its header says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.kubectl import Cluster, wait_until
from e2e.operators import OperatorProcess
from e2e.tests.conftest import log_file
from e2e.workflows import Workflows, fairlead
from tests.unit.examples import headers
from tests.unit.examples.server import answering


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[OperatorProcess]:
    """An operator that may send requests to this machine, where the server of an example is."""
    process = OperatorProcess(cluster, log_file("test-examples-py"))
    process.program = (*process.program, "--http-allow-private", "127.0.0.0/8")
    process.start()
    process.wait_ready()
    yield process
    code = process.stop()
    assert code == 0, f"the operator ended with {code}:\n{process.log_tail()}"
    assert "cannot reconcile" not in process.log.read_text(), process.log_tail(200)


@pytest.mark.parametrize("example", headers.small(), ids=lambda example: example.name)
def test_example_ends_as_its_header_says(
    example: headers.Example, operator: OperatorProcess, workflows: Workflows
) -> None:
    ttl = example.workflow["spec"].pop("ttlSecondsAfterFinished", None)
    with answering(example.server) as url:
        if example.server:
            example.workflow["spec"]["arguments"] = [{"name": "url", "value": url}]
        workflows.apply(*_at_home(example.documents, workflows.namespace))
        if example.after == "resume":
            workflows.wait_phase(example.name, example.defined[0]["name"], "Queued")
            workflows.patch(example.name, {"suspend": False})
        _answer(example, workflows)
        status = workflows.wait_finished(example.name)

    assert (status["phase"] == "Succeeded") is example.succeeds, status["message"]
    if example.reason:
        assert workflows.condition(example.name, "Succeeded")["reason"] == example.reason
    phases = workflows.phases(example.name)
    assert {task: phases[task] for task in example.tasks} == example.tasks
    if example.outputs is not None:
        assert status.get("outputs") == example.outputs
    for kind in example.makes:
        assert workflows.cluster.get(kind.lower(), "-n", workflows.namespace)["items"], f"no {kind} was made"
    if ttl is not None:
        workflows.patch(example.name, {"ttlSecondsAfterFinished": 0})
        workflows.kubectl("wait", "--for=delete", f"workflow/{example.name}", "--timeout=30s")


def _at_home(documents: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Have the service accounts of role bindings be those of the test's namespace."""
    for document in documents:
        for subject in document.get("subjects", ()):
            subject["namespace"] = namespace
    return documents


def _answer(example: headers.Example, workflows: Workflows) -> None:
    """Say to each task that waits for an answer what the head says."""
    kinds = {task["name"]: "approve" if "approval" in task else "complete" for task in example.defined}
    words: dict[str, list[str]] = {}
    for answer in example.answers:
        target, _, text = answer.partition("=")
        task, _, field = target.partition(".")
        said = words.setdefault(task, [])
        if field:
            said += ["-v", f"{field}={text}"]
        elif kinds[task] == "approve":
            said += ["--option", text]
        else:
            for name, value in json.loads(text).items():
                said += ["-v", f"{name}={json.dumps(value)}"]
    for task, said in words.items():
        workflows.wait_phase(example.name, task, "Running")
        wait_until("its attempt to be on record", lambda task=task: workflows.task(example.name, task).get("attempts"))
        if kinds[task] == "complete":
            code, out = fairlead(workflows, "heartbeat", example.name, task)
            assert code == 0, out
        code, out = fairlead(workflows, kinds[task], example.name, task, *said)
        assert code == 0, out
