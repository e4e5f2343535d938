"""What is wrong with a Workflow is told before a pod starts: by the API server, else as a condition."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.kubectl import CommandFailed
from e2e.operators import OperatorProcess
from e2e.workflows import Workflows, sh, workflow

NEEDS_EACH_OTHER = {"a": sh("true", needs=["b"]), "b": sh("true", needs=["a"])}
ONE = {"a": sh("true")}


def _with(**container: Any) -> dict[str, Any]:
    return {"a": {"container": {"image": "busybox:1.36", "command": ["true"], **container}}}


@pytest.mark.parametrize(
    ("tasks", "spec", "path", "words"),
    [
        pytest.param(NEEDS_EACH_OTHER, {}, "spec.tasks", "cycle", id="cycle"),
        pytest.param(
            {**ONE, "b": sh("true", needs=["aa"])}, {}, "spec.tasks[1].needs[0]", "did you mean 'a'", id="name"
        ),
        pytest.param(
            {"a": sh("true", when="${params.nope}")}, {}, "spec.tasks[0].when", "nope", id="unknown-parameter"
        ),
        pytest.param({"a": sh("true", when="${1 + }")}, {}, "spec.tasks[0].when", "", id="syntax"),
        pytest.param({"a": sh("true", when='${"yes"}')}, {}, "spec.tasks[0].when", "true or false", id="not-boolean"),
        pytest.param(
            ONE,
            {"params": [{"name": "n", "type": "integer"}], "arguments": [{"name": "n", "value": "three"}]},
            "spec.arguments[0].value",
            "integer",
            id="argument-type",
        ),
        pytest.param(
            _with(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}),
            {},
            "spec.tasks[0].container.resources.requests.memory",
            "",
            id="impossible-resources",
        ),
    ],
)
def test_a_definition_that_cannot_run_is_refused_with_the_field(
    operator: OperatorProcess,
    workflows: Workflows,
    tasks: dict[str, Any],
    spec: dict[str, Any],
    path: str,
    words: str,
) -> None:
    workflows.apply(workflow("bad", tasks, **spec))

    workflows.wait_finished("bad", 30)

    verdict = workflows.condition("bad", "Succeeded")
    assert (verdict["status"], verdict["reason"]) == ("False", "InvalidSpec")
    assert path in verdict["message"]
    assert words in verdict["message"]
    assert workflows.pods() == []


def test_a_typo_in_a_field_of_kubernetes_is_refused_by_the_api_server(
    operator: OperatorProcess, workflows: Workflows
) -> None:
    with pytest.raises(CommandFailed, match=r"container.resources.*unknown field \"request\""):
        workflows.apply(workflow("typo", _with(resources={"request": {"memory": "1Gi"}})))


def test_a_corrected_definition_runs(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("mended", {**ONE, "b": sh("true", needs=["aa"])}))
    workflows.wait_finished("mended", 30)

    workflows.apply(workflow("mended", {**ONE, "b": sh("true", needs=["a"])}))

    workflows.kubectl("wait", "--for=condition=Succeeded", "workflow/mended", "--timeout=60s", timeout=70)
    assert workflows.phases("mended") == {"a": "Succeeded", "b": "Succeeded"}


def test_a_definition_is_fixed_once_its_run_has_started(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.apply(workflow("fixed", ONE))
    workflows.wait_finished("fixed")

    with pytest.raises(CommandFailed, match="fixed"):
        workflows.apply(workflow("fixed", {"a": sh("false")}))


def test_a_pod_that_the_api_server_refuses_fails_its_task_with_the_servers_words(
    operator: OperatorProcess, workflows: Workflows
) -> None:
    workflows.kubectl("label", "namespace", workflows.namespace, "pod-security.kubernetes.io/enforce=restricted")
    workflows.apply(workflow("insecure", ONE))

    workflows.wait_finished("insecure", 30)

    task = workflows.task("insecure", "a")
    assert (task["phase"], task["reason"]) == ("Failed", "ObjectRefused")
    assert "PodSecurity" in task["message"]
    assert task["attempts"][0]["class"] == "Configuration"


def test_a_used_up_quota_is_waited_for(operator: OperatorProcess, workflows: Workflows) -> None:
    workflows.kubectl("create", "quota", "none", "--hard=pods=0")
    workflows.apply(workflow("patient", ONE))
    waiting = workflows.wait_phase("patient", "a", "Queued")
    assert waiting["reason"] == "QuotaExceeded"

    workflows.kubectl("delete", "quota", "none")

    assert workflows.wait_finished("patient", 60)["phase"] == "Succeeded"
