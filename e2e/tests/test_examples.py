"""Every example ends as its header says."""

from __future__ import annotations

import pytest
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows
from tests.unit.examples import headers


@pytest.mark.parametrize("example", headers.small(), ids=lambda example: example.name)
def test_example_ends_as_its_header_says(
    example: headers.Example, operator: OperatorProcess, workflows: Workflows
) -> None:
    ttl = example.workflow["spec"].pop("ttlSecondsAfterFinished", None)
    workflows.apply(*example.documents)
    if example.after == "resume":
        workflows.wait_phase(example.name, next(iter(workflows_tasks(example))), "Queued")
        workflows.patch(example.name, {"suspend": False})

    status = workflows.wait_finished(example.name)

    assert (status["phase"] == "Succeeded") is example.succeeds, status["message"]
    if example.reason:
        assert workflows.condition(example.name, "Succeeded")["reason"] == example.reason
    phases = workflows.phases(example.name)
    assert {task: phases[task] for task in example.tasks} == example.tasks
    if example.outputs is not None:
        assert status.get("outputs") == example.outputs
    if ttl is not None:
        workflows.patch(example.name, {"ttlSecondsAfterFinished": 0})
        workflows.kubectl("wait", "--for=delete", f"workflow/{example.name}", "--timeout=30s")


def workflows_tasks(example: headers.Example) -> list[str]:
    return [task["name"] for task in example.workflow["spec"]["tasks"]]
